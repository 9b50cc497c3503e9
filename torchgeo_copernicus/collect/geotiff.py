"""Writes one collected image as a GeoTIFF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from torchgeo_copernicus.collect.georeference import PixelGrid

# Smaller images stay as they are: readers take files of less than 1000 bytes for corrupt ones.
_SMALL_BYTES = 1 << 16


def write_image(
    path: Path,
    pixels: NDArray[np.float32] | NDArray[np.uint16],
    grid: PixelGrid,
    bands: Sequence[str],
    tags: Mapping[str, str],
) -> None:
    """Write an image; no data is NaN, or 0 in uint16.

    Args:
        path: File; its folder must exist.
        pixels: `[C, H, W]`.
        grid: Where they lie.
        bands: Names of the bands, kept as their descriptions.
        tags: What else the file should tell.

    Raises:
        ValueError: If the pixels are not those of the grid and bands.
    """
    if pixels.shape != (len(bands), grid.height, grid.width):
        raise ValueError(
            f'{path.name} has pixels {pixels.shape}; wanted {(len(bands), grid.height, grid.width)}.'
        )
    real = pixels.dtype == np.float32
    compression = (
        {}
        if pixels.nbytes < _SMALL_BYTES
        else {'compress': 'deflate', 'predictor': 3 if real else 2}
    )
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=len(bands),
        height=grid.height,
        width=grid.width,
        dtype=pixels.dtype.name,
        crs=grid.crs,
        transform=grid.transform,
        nodata=np.nan if real else 0,
        interleave='band',
        **compression,
    ) as file:
        file.write(pixels)
        file.update_tags(**tags)
        for index, band in enumerate(bands, start=1):
            file.set_band_description(index, band)
