"""Closed formulas of the reference outputs: parameters, images and language vectors."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


def _splitmix64(values: np.ndarray) -> np.ndarray:
    with np.errstate(over='ignore'):
        z = (values + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _fill(key: str, index: int, shape: torch.Size) -> Tensor:
    u = _splitmix64(np.arange(shape.numel(), dtype=np.uint64) + (np.uint64(index) << np.uint64(40)))
    s = 2 * ((u >> np.uint64(11)).astype(np.float64) * 2.0**-53) - 1
    is_norm = key.endswith('weight') and key.split('.')[-2] in ('norm', 'norm1', 'norm2')
    values = 1 + 0.1 * s if is_norm else 0.05 * np.sqrt(3) * s
    return torch.from_numpy(values.astype(np.float32)).view(shape)


def fill_parameters(model: nn.Module) -> None:
    state = model.state_dict()
    for index, key in enumerate(sorted(state)):
        if key != 'pos_embed':
            state[key].copy_(_fill(key, index, state[key].shape))


def image(case_id: int, shape: list[int]) -> Tensor:
    t = np.arange(np.prod(shape), dtype=np.float64)
    v = np.sin(0.013 * t + 0.7 * case_id) + 0.5 * np.sin(0.00091 * t * (1 + 0.01 * case_id) + 1.3)
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


def language_vector(j: int) -> Tensor:
    t = np.arange(2048, dtype=np.float64)
    return torch.from_numpy((0.5 * np.sin(0.05 * t * (1 + 0.1 * j) + 0.3 + j)).astype(np.float32))


def summary(values: Tensor, n: int = 64) -> np.ndarray:
    values = values.detach().double()
    moments = torch.stack([values.mean(), values.std(unbiased=False)])
    return torch.cat([moments, values.flatten()[:n]]).numpy()


def state_dict_keys(path: Path) -> dict[str, tuple[int, ...]]:
    keys = {}
    for line in path.read_text().splitlines():
        if match := re.match(r'\s*\d+\s+\(([^)]*)\)\s+\d+\s+\w+\s+(\S+)', line):
            keys[match[2]] = tuple(int(n) for n in match[1].split(',') if n.strip())
    return keys
