"""Reads one GeoTIFF, and says which file is bad when it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

# The images stand alone: GDAL need not look through folders of thousands for files beside them.
_ALONE = {'GDAL_DISABLE_READDIR_ON_OPEN': 'EMPTY_DIR'}


@dataclass(frozen=True)
class Raster:
    """Pixels and where they are.

    Attributes:
        pixels: `[C, H, W]` in the dtype of the file.
        crs: WKT of the coordinate reference system, or None.
        transform: From pixel to CRS coordinates.
    """

    pixels: NDArray[np.generic]
    crs: str | None
    transform: Affine


def _environment() -> AbstractContextManager[object]:
    """Return an environment for GDAL, or nothing within that of a caller who reads several files."""
    return nullcontext() if rasterio.env.hasenv() else reading_several()


def reading_several() -> AbstractContextManager[object]:
    """Return an environment to read several files in."""
    environment: AbstractContextManager[object] = rasterio.Env(**_ALONE)
    return environment


def read_raster(path: Path, indices: Sequence[int] | None = None, *, bands: int) -> Raster:
    """Read bands of a GeoTIFF.

    Args:
        path: File to read.
        indices: Bands to read, counted from 0, in that order; all when None.
        bands: How many bands the file must have.

    Raises:
        ValueError: If the file is missing, cut off, or has another number of bands.
    """
    try:
        # Not rasterio.open, which makes a second environment each time: a tenth of the time to read.
        with _environment(), DatasetReader(str(path), driver='GTiff') as file:
            if file.count != bands:
                raise ValueError(f'{path} has {file.count} bands, wanted {bands}.')
            wanted = range(bands) if indices is None else indices
            pixels = file.read([index + 1 for index in wanted])
            crs = None if file.crs is None else str(file.crs.to_wkt())
            return Raster(pixels, crs, file.transform)
    except (RasterioError, OSError) as error:
        raise ValueError(
            f'{path} cannot be read ({error}); it is missing, cut off or not a GeoTIFF.'
        ) from error
