"""Fourier encodings of where, when and how large a patch is."""

from __future__ import annotations

import torch
from torch import Tensor

from torchgeo_copernicus.models.fourier import fourier_expansion

#: Range of token areas (km2) the encoding can tell apart: 31.6 m x 31.6 m to the surface of the Earth.
AREA_RANGE_KM2 = (1e-3, 5.1e8)


def encode_location(longitude: Tensor, latitude: Tensor, dim: int) -> Tensor:
    """Encode coordinates.

    The offsets are added in the dtype given (float32, as in the official model): the shortest wave is
    1e-4 degrees, so rounding before or after the sum shows.

    Args:
        longitude: `[B]` (deg).
        latitude: `[B]` (deg).
        dim: Length of the encoding.

    Returns:
        float32 `[B, dim]`, longitude in the first half.
    """
    half = dim // 2
    return torch.cat(
        [
            fourier_expansion(longitude + 180, half, 1e-4, 720),
            fourier_expansion(latitude + 90, half, 1e-4, 720),
        ],
        dim=-1,
    )


def encode_area(area_km2: Tensor, dim: int) -> Tensor:
    """Encode token areas `[B]` (km2) as float32 `[B, dim]`."""
    return fourier_expansion(area_km2, dim, *AREA_RANGE_KM2)


def encode_days(days: Tensor, dim: int) -> Tensor:
    """Encode days since 1970-01-01 `[B]` as float32 `[B, dim]`: the phase within a year."""
    return fourier_expansion(days, dim, 1, 365.25)
