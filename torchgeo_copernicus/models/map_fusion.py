"""How feature maps of several modalities become one, leaving out those a sample has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def to_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return maps `[B, D, h, w]` on another *grid* that covers the same ground (bilinear)."""
    if maps.shape[2:] == grid:
        return maps
    return F.interpolate(maps, grid, mode='bilinear', align_corners=False)


def masked(maps: Tensor, present: Tensor) -> Tensor:
    """Return maps `[B, D, h, w]`, zero for samples that are not *present* (bool `[B]`)."""
    return maps.where(present[:, None, None, None], 0.0)


def mean(maps: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
    """Return the mean `[B, D, h, w]` of maps over the modalities that each sample has.

    Args:
        maps: `[B, D, h, w]` by modality, all of one shape.
        present: bool `[B]` by modality; each sample has at least one.
    """
    total = torch.stack([masked(maps[name], present[name]) for name in maps]).sum(dim=0)
    count = torch.stack([present[name] for name in maps]).sum(dim=0)
    return total / count[:, None, None, None]


def concatenate(
    maps: Mapping[str, Tensor], present: Mapping[str, Tensor], order: Sequence[str]
) -> Tensor:
    """Return maps side by side, `[B, len(order) * D, h, w]`, zero where a sample has none.

    Args:
        maps: `[B, D, h, w]` by modality, all of one shape.
        present: bool `[B]` by modality.
        order: All modalities; those without maps are zero for every sample.
    """
    empty = torch.zeros_like(next(iter(maps.values())))
    parts = [masked(maps[name], present[name]) if name in maps else empty for name in order]
    return torch.cat(parts, dim=1)
