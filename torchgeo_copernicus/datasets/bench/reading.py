"""From the arrays in a file to tensors: sizes, label codes and missing values.

The resizing is that of the official loaders (OpenCV's cubic and nearest), in PyTorch, whose results are
the same: neither antialiases, and both use -0.75 for the cubic kernel.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.datasets.bench.task import IGNORE_INDEX, BenchTask

# Air quality labels have -inf and numbers such as 1e38 where nothing was measured.
_LARGEST_LABEL = 1e10
_UNKNOWN = np.iinfo(np.int16).min


def enlarge(values: Tensor, size: int) -> Tensor:
    """Resize `[..., H, W]` to `[..., size, size]` with cubic interpolation.

    No data (NaN) becomes 0 before, as published: it would spread otherwise.
    """
    if values.shape[-2:] == (size, size):
        return values
    planes = values.reshape(1, -1, *values.shape[-2:]).nan_to_num(0.0, posinf=0.0, neginf=0.0)
    resized = F.interpolate(planes, (size, size), mode='bicubic', align_corners=False)
    return resized.reshape(*values.shape[:-2], size, size)


def nearest(labels: NDArray[np.generic], size: int | None) -> NDArray[np.generic]:
    """Resize `[H, W]` to `[size, size]`, each pixel taking one value; None leaves it alone."""
    if size is None or labels.shape == (size, size):
        return labels
    # OpenCV's and PyTorch's rule: the pixel that the upper left corner falls into.
    rows, columns = (np.arange(size) * side // size for side in labels.shape)
    resized: NDArray[np.generic] = labels[rows[:, None], columns]
    return resized


def class_labels(stored: NDArray[np.generic], task: BenchTask, path: Path) -> Tensor:
    """Return labels (int64, same shape) for the codes in a file.

    Args:
        stored: Codes, any dtype.
        task: Declaration with classes and codes.
        path: The file, for the message.

    Raises:
        ValueError: If a code is no class and not ignored either.
    """
    codes = stored.astype(np.int64)
    if (fraction := stored != codes).any():
        raise ValueError(f'{path} holds the label {stored[fraction][0]}, not a whole number.')
    labels = _lookup(_codes(task), task.ignored_codes)[np.clip(codes, 0, 255)]
    if stored.dtype != np.uint8:
        labels = np.where((codes < 0) | (codes > 255), _UNKNOWN, labels)
        labels = np.where(codes == IGNORE_INDEX, IGNORE_INDEX, labels)
    if labels.min() == _UNKNOWN:
        names = dict(zip(_codes(task), task.classes, strict=True))
        raise ValueError(
            f'{path} holds the label {codes[labels == _UNKNOWN][0]}; allowed are {names}, and '
            f'{list(task.ignored_codes)} or {IGNORE_INDEX} for pixels without a class.'
        )
    return torch.from_numpy(labels.astype(np.int64))


def _codes(task: BenchTask) -> tuple[int, ...]:
    return task.codes or tuple(range(len(task.classes)))


@lru_cache(maxsize=64)
def _lookup(codes: tuple[int, ...], ignored: tuple[int, ...]) -> NDArray[np.int16]:
    """Return the label of each code from 0 to 255."""
    table = np.full(256, _UNKNOWN, dtype=np.int16)
    table[list(codes)] = np.arange(len(codes))
    table[list(ignored)] = IGNORE_INDEX
    return table


def measured(stored: NDArray[np.generic]) -> Tensor:
    """Return target values (float32, same shape), NaN where nothing was measured."""
    values = torch.from_numpy(stored.astype(np.float32))
    return values.masked_fill(~(values.abs() <= _LARGEST_LABEL), torch.nan)
