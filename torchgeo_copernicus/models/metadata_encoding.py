"""Fourier encodings of where, when and how large a patch is, and the vector they add to its tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchgeo_copernicus.metadata import token_area_km2
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
    return fourier_expansion(area_km2, dim, 1e-3, 5.1e8)


def encode_days(days: Tensor, dim: int) -> Tensor:
    """Encode days since 1970-01-01 `[B]` as float32 `[B, dim]`: the phase within a year."""
    return fourier_expansion(days, dim, 1, 365.25)


def encode_metadata(
    metadata: Tensor, kernel_size: int, unknown: Sequence[Tensor], layers: Sequence[nn.Module]
) -> Tensor:
    """Return what metadata adds to every token.

    Args:
        metadata: `[B, 4]`, see `torchgeo_copernicus.metadata`. A NaN field stands for "unknown", for
            that sample alone. Areas below `AREA_RANGE_KM2` are clamped to it.
        kernel_size: Patch size (px).
        unknown: Learned tokens `[1, 1, D]` of an unknown location, area and date.
        layers: Linear layers of location, area and date.

    Returns:
        `[B, 1, D]`, in the dtype of the tokens.
    """
    dim, dtype = unknown[0].shape[-1], unknown[0].dtype
    longitude, latitude, days, gsd_m = metadata.float().unbind(dim=1)
    area = token_area_km2(gsd_m, kernel_size).clamp(min=AREA_RANGE_KM2[0])
    missing = (longitude.isnan() | latitude.isnan(), area.isnan(), days.isnan())
    codes = (
        encode_location(longitude, latitude, dim),
        encode_area(area, dim),
        encode_days(days, dim),
    )
    parts = [
        layer(torch.where(absent[:, None, None], token, code[:, None].to(dtype)))
        for absent, code, token, layer in zip(missing, codes, unknown, layers, strict=True)
    ]
    total: Tensor = parts[0] + parts[1] + parts[2]
    return total
