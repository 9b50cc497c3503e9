"""Embeddings of some cells, from a map or a table of averages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.embed_map import open_map
from torchgeo_copernicus.datasets.embed.map_dataset import window_of
from torchgeo_copernicus.datasets.embed.row_blocks import row_blocks
from torchgeo_copernicus.embedding.averaging.averaged_table import to_map

#: Map or table by path, folder that `aggregate` wrote, several tables, or a map that is open.
Embeddings = str | os.PathLike[str] | xr.Dataset | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, eq=False)
class CellVectors:
    """Embeddings of some cells.

    Attributes:
        grid_id: Numbers of the cells, ascending, int32 `[N]`.
        vectors: float32 `[N, D]`.
    """

    grid_id: NDArray[np.int32]
    vectors: NDArray[np.float32]


def open_embeddings(given: Embeddings) -> xr.Dataset:
    """Open embeddings as a map.

    Args:
        given: See `Embeddings`.

    Raises:
        ValueError: If it is none, or is damaged.
        OSError: If it cannot be read.
    """
    if isinstance(given, xr.Dataset):
        window_of(given)
        return given
    if not isinstance(given, str | os.PathLike):
        return to_map(given)
    path = Path(given)
    # Zarr is a folder, too.
    if path.suffix == '.parquet' or (path.is_dir() and path.suffix != '.zarr'):
        return to_map(path)
    return open_map(given)


def valid_cells(ds: xr.Dataset) -> NDArray[np.int32]:
    """Return the numbers of the cells of a map that have data, ascending."""
    found: NDArray[np.int32] = np.sort(window_of(ds).grid_ids[ds['valid'].to_numpy()])
    return found


def cell_vectors(ds: xr.Dataset, grid_ids: NDArray[np.integer]) -> CellVectors:
    """Read the embeddings of cells; some rows of the map are in memory at a time.

    Args:
        ds: A map.
        grid_ids: Numbers of cells with data.

    Raises:
        ValueError: If the map has no data of one of them.
    """
    wanted = np.unique(np.asarray(grid_ids, np.int32))
    window = window_of(ds)
    ids, vectors = [], []
    for block in row_blocks(ds):
        rows = slice(block.row, block.row + len(block.valid))
        here = window.part(rows, slice(0, window.columns)).grid_ids
        chosen = block.valid & np.isin(here, wanted)
        ids.append(here[chosen])
        vectors.append(block.embedding[chosen])
    numbers = np.concatenate(ids)
    if absent := np.setdiff1d(wanted, numbers).tolist():
        raise ValueError(f'The map has no data of {len(absent)} cells, such as {absent[:3]}.')
    order = np.argsort(numbers)
    return CellVectors(numbers[order], np.concatenate(vectors)[order])
