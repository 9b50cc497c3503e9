"""Fourier expansion of a physical quantity into a vector of sines and cosines.

Promises float64 inside whatever the precision of the model, because the arguments reach 1e7 rad.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchgeo_copernicus.models.constant import constant


def fourier_expansion(values: Tensor, dim: int, shortest: float, longest: float) -> Tensor:
    """Expand each value over waves of log-spaced length.

    The waves are `10 ** linspace(log10(shortest), log10(longest), dim / 2)`; the result is all sines,
    then all cosines, of `2 pi value / wave`. Source: Aurora (arXiv:2405.13063), as used by Copernicus-FM
    (arXiv:2503.11849, appendix).

    Args:
        values: Any shape `[...]`, in the unit of the waves.
        dim: Length of the vector; even.
        shortest: Shortest wave, in the unit of the values.
        longest: Longest wave, in the unit of the values.

    Returns:
        float32 tensor `[..., dim]`.

    Raises:
        ValueError: If *dim* is odd.
    """
    if dim % 2:
        raise ValueError(f'dim must be even, got {dim}.')
    angle = values.double()[..., None] * angular_frequencies(dim, shortest, longest, values.device)
    return torch.cat((angle.sin(), angle.cos()), dim=-1).float()


@constant
def angular_frequencies(dim: int, shortest: float, longest: float, device: torch.device) -> Tensor:
    """Return `2 pi / wave` of the waves of `fourier_expansion`, float64 `[dim / 2]`; shared."""
    waves = torch.logspace(
        math.log10(shortest),
        math.log10(longest),
        dim // 2,
        base=10,
        dtype=torch.float64,
        device=device,
    )
    return 2 * math.pi / waves
