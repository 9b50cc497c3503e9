"""Reads the pixels of a tile as float32, NaN where there is no data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.merge import merge
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window


def read_window(
    path: str, row: int, column: int, size: int, nodata: float | None
) -> NDArray[np.float32]:
    """Read a window of a file; what lies beyond its edge is NaN.

    Args:
        path: Of the file.
        row: First row.
        column: First column.
        size: Side (px).
        nodata: Stored value that means no data, besides what the file says.

    Returns:
        `[C, size, size]`.

    Raises:
        RasterioIOError: If it cannot be read.
    """
    with rasterio.open(path) as file:
        height, width = min(size, file.height - row), min(size, file.width - column)
        stored = file.read(window=Window(column, row, width, height), masked=True)
        pixels = np.full((file.count, size, size), np.nan, np.float32)
    values = stored.astype(np.float32).filled(np.nan)
    if nodata is not None:
        values[stored.data == nodata] = np.nan
    pixels[:, :height, :width] = values
    return pixels


def read_mosaic(
    paths: Sequence[str], crs: str, transform: Affine, size: int, nodata: float | None
) -> NDArray[np.float32]:
    """Read a tile of a mosaic; where files overlap, the first that has data is taken.

    Args:
        paths: Of the files.
        crs: Of the mosaic, as WKT.
        transform: From pixels of the tile to its coordinates; north up.
        size: Side (px).
        nodata: Stored value that means no data, besides what files say.

    Returns:
        `[C, size, size]`.

    Raises:
        RasterioIOError: If a file cannot be read.
    """
    left, top = transform.c, transform.f
    bounds = left, top + size * transform.e, left + size * transform.a, top
    with ExitStack() as stack:
        opened = [_warped(path, crs, nodata, stack) for path in paths]
        pixels, _ = merge(
            opened,
            bounds=bounds,
            res=(transform.a, -transform.e),
            nodata=np.nan,
            dtype='float32',
            resampling=Resampling.bilinear,
        )
    found: NDArray[np.float32] = pixels
    return found


def _warped(
    path: str, crs: str, nodata: float | None, stack: ExitStack
) -> DatasetReader | WarpedVRT:
    file = stack.enter_context(rasterio.open(path))
    if nodata is None and file.crs == rasterio.CRS.from_user_input(crs):
        return file
    missing = file.nodata if nodata is None else nodata
    return stack.enter_context(
        WarpedVRT(
            file,
            crs=crs,
            src_nodata=missing,
            nodata=np.nan,
            dtype='float32',
            resampling=Resampling.bilinear,
        )
    )
