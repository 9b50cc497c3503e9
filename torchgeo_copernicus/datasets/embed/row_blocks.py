"""Goes through a map in blocks of rows of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.map_dataset import window_of

_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class RowBlock:
    """Some rows of a map, in memory.

    Attributes:
        row: Position of the first one in the map.
        embedding: float32 `[rows, columns, channels]`.
        valid: bool `[rows, columns]`.
    """

    row: int
    embedding: NDArray[np.float32]
    valid: NDArray[np.bool_]

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Vectors of the cells with data, `[cells, channels]`, from the north-west on, row by row."""
        found: NDArray[np.float32] = self.embedding[self.valid]
        return found


def row_blocks(ds: xr.Dataset, multiple: int = 1) -> Iterator[RowBlock]:
    """Read a map from north to south, at most about 64 MiB at a time.

    Args:
        ds: From `open_map`, or made alike.
        multiple: Blocks but the last have a multiple of so many rows, and are larger where need be.

    Raises:
        ValueError: If it is no map.
    """
    window = window_of(ds)
    row_bytes = 4 * window.columns * ds.sizes['channel']
    height = max(1, _BLOCK_BYTES // row_bytes // multiple) * multiple
    for row in range(0, window.rows, height):
        # Together, so that Dask reads the numbers once for both.
        part = ds[['embedding', 'valid']].isel(lat=slice(row, row + height)).compute()
        embedding = part['embedding'].to_numpy().astype(np.float32, copy=False)
        yield RowBlock(row, embedding, part['valid'].to_numpy())
