"""Opens a map of embeddings, a vector for each cell of 0.25 degrees, as an xarray `Dataset`.

Nothing but the place of the numbers is read until they are asked for, and then only those of the wanted
cells, where the format allows it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Literal

import xarray as xr
from xarray.core.indexing import LazilyIndexedArray

from torchgeo_copernicus.datasets.embed.geotiff_array import open_geotiff
from torchgeo_copernicus.datasets.embed.lazy_map import LazyMap, LazyValid
from torchgeo_copernicus.datasets.embed.map_array import MapArray
from torchgeo_copernicus.datasets.embed.map_dataset import AXES, map_dataset
from torchgeo_copernicus.datasets.embed.map_window import MapWindow, Region
from torchgeo_copernicus.datasets.embed.npz_array import open_npz
from torchgeo_copernicus.datasets.embed.pt_array import open_pt
from torchgeo_copernicus.datasets.embed.table_array import open_averaged
from torchgeo_copernicus.datasets.embed.zarr_array import open_zarr

#: How Dask cuts a map: as the file is laid out, into squares of so many cells, or into rows and columns.
Chunks = Literal['auto'] | int | tuple[int, int]
_OPENERS: dict[str, Callable[[str], MapArray]] = {
    '.npz': open_npz,
    '.pt': open_pt,
    '.tif': open_geotiff,
    '.tiff': open_geotiff,
    '.zarr': open_zarr,
    '.parquet': open_averaged,
}
#: Endings of files and folders that are read.
SUFFIXES = tuple(_OPENERS)
# Of a chunk; a region of 20 x 20 degrees with 768 channels has 20 MB.
_CHUNK_BYTES = 32 << 20
# Of files that are read from their start for each.
_MOST_SEQUENTIAL_CHUNKS = 8


def open_map(
    path: str | os.PathLike[str],
    region: Region | Sequence[float] | None = None,
    chunks: Chunks | None = 'auto',
) -> xr.Dataset:
    """Open a map, or a region of it.

    | file | region of the map |
    |---|---|
    | `.npz` as published, `.pt` | row by row, by position; also behind `https://`, `s3://`, `hf://` |
    | `.npz`, compressed | inflated from the start of the file for each chunk |
    | `.tif`, `.zarr` | the blocks or chunks it touches |
    | `.parquet`, averaged | the groups of rows with a cell of it |

    Args:
        path: File, folder (`.zarr`) or address.
        region: West, south, east and north in degrees: the cells that share an area with this box, longitudes in
            -180 to 180 or 0 to 360. West above east: across the date line; its longitudes then go on above 179.75
            (`170 ... 179.75, 180 ... 190`), so that they ascend and fit the geotransform. The whole file
            when None.
        chunks: How Dask cuts it. None: no Dask, and whatever is asked for is read then, by position; a
            variable that was loaded stays in memory.

    Returns:
        A Dataset with `embedding` (float32 `(lat, lon, channel)`, 0 where there is no data), `valid` (bool `(lat,
        lon)`: any number but 0, all finite), coordinates `lat` (descending) and `lon` (ascending) of the
        centres of cells in degrees, `spatial_ref` (CF grid mapping, EPSG:4326), and attributes `source` and
        `geotransform` (in the order of `affine.Affine`).

    Raises:
        ValueError: If an argument is not allowed, the file is damaged, of another shape, axes or place, has not
            all of the region, or Dask is missing.
        OSError: If it cannot be read.
    """
    name = os.fspath(path)
    array = open_array(name)
    window = array.window if region is None else MapWindow.of_region(region)
    try:
        values = LazyMap(array, window)
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from error
    _check_chunks(chunks)
    if chunks is None:
        valid = LazilyIndexedArray(LazyValid(values))
        return map_dataset(LazilyIndexedArray(values), window, valid, source=name)
    if find_spec('dask') is None:
        raise ValueError(
            'chunks needs Dask: pip install "torchgeo-copernicus[embed]", or give chunks=None.'
        )
    cuts: dict[str, int | tuple[int, ...]]
    if chunks == 'auto':
        cuts = _auto(array, window)
    else:
        height, width = (chunks, chunks) if isinstance(chunks, int) else chunks
        cuts = {'lat': height, 'lon': width}
    lazy = xr.Variable(AXES, LazilyIndexedArray(values)).chunk({**cuts, 'channel': -1})
    return map_dataset(lazy.data, window, source=name)


def open_array(path: str) -> MapArray:
    """Open the numbers of a map, by the ending of its name.

    Raises:
        ValueError: If the ending is unknown, or the file is no map.
        OSError: If it cannot be read.
    """
    suffix = Path(path.rstrip('/')).suffix.lower()
    if suffix not in _OPENERS:
        raise ValueError(f'{path} ends with {suffix!r}; a map is one of {list(_OPENERS)}.')
    return _OPENERS[suffix](path)


def _check_chunks(chunks: object) -> None:
    sides = chunks if isinstance(chunks, tuple) and len(chunks) == 2 else (chunks,)
    right = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sides)
    if chunks is not None and chunks != 'auto' and not right:
        raise ValueError(
            f"chunks is {chunks!r}; give 'auto', cells of a side, (rows, columns), or None for no Dask."
        )


def _auto(array: MapArray, window: MapWindow) -> dict[str, int | tuple[int, ...]]:
    """Return the sizes of chunks that fit a file: whole blocks of it, and about `_CHUNK_BYTES`."""
    layout = array.layout
    rows, (piece, *_) = array.window.pieces(window)
    row, column = rows.start, piece.start
    cell = 4 * array.channels
    widest = max(1, _CHUNK_BYTES // (cell * layout.rows))
    width = max(layout.columns, widest // layout.columns * layout.columns)
    columns = _cuts(window.columns, column % layout.columns, width)
    height = max(layout.rows, _CHUNK_BYTES // (cell * columns[0]) // layout.rows * layout.rows)
    if layout.sequential:
        height = max(height, -(-window.rows // _MOST_SEQUENTIAL_CHUNKS))
    return {'lat': _cuts(window.rows, row % layout.rows, height), 'lon': columns}


def _cuts(length: int, offset: int, step: int) -> tuple[int, ...]:
    """Cut a length into steps that begin *offset* before it."""
    edges = [0, *range(step - offset, length, step), length]
    return tuple(b - a for a, b in pairwise(edges))
