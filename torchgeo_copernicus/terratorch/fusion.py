"""How the feature maps of several dates become one."""

from __future__ import annotations

import torch
from torch import Tensor

from torchgeo_copernicus.require import require

_FUSIONS = ('difference', 'mean', 'max')


def check_fusion(name: str) -> str:
    """Return the name.

    Raises:
        ValueError: If there is no such fusion.
    """
    if name not in _FUSIONS:
        raise ValueError(f'series is {name!r}; allowed are {list(_FUSIONS)}.')
    return name


def fuse(maps: Tensor, how: str, valid: Tensor | None) -> Tensor:
    """Fuse the maps of several dates.

    Args:
        maps: `[B, T, D, h, w]`, in the order of the dates.
        how: `difference` (the last less the mean of those before it), `mean` or `max`.
        valid: bool `[B, T]`, False for maps that do not count; None when all do.

    Returns:
        `[B, D, h, w]`.

    Raises:
        ValueError: If a sample has too few dates, or *valid* another shape.
    """
    dates = maps.shape[1]
    if valid is not None and valid.shape != maps.shape[:2]:
        raise ValueError(f'valid has shape {list(valid.shape)}, wanted {list(maps.shape[:2])}.')
    if valid is not None:
        require(valid.any(dim=1), 'A sample has no valid date.')
    if how == 'difference':
        needed = 'A difference needs at least two dates, all of them valid.'
        if dates < 2:
            raise ValueError(needed)
        if valid is not None:
            require(valid, needed)
        return maps[:, -1] - maps[:, :-1].mean(dim=1)
    if valid is None:
        return maps.mean(dim=1) if how == 'mean' else maps.amax(dim=1)
    counts = valid.to(maps.device)[:, :, None, None, None]
    if how == 'max':
        return maps.masked_fill(~counts, -torch.inf).amax(dim=1)
    return maps.where(counts, 0.0).sum(dim=1) / counts.sum(dim=1)
