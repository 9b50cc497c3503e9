"""Opens a table of averaged embeddings, a row for each cell, as a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.cell_names import grid_ids_of
from torchgeo_copernicus.datasets.embed.embed_table import open_table, pyarrow, vectors
from torchgeo_copernicus.datasets.embed.map_array import Layout
from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS, ROWS

_BATCH_ROWS = 4096


@dataclass(frozen=True, eq=False)
class TableArray:
    """Averaged embeddings in a Parquet file; cells without a row are 0.

    Attributes:
        name: Path of the file.
        channels: Numbers of a cell.
        groups: Numbers of the cells of each group of rows, in their order.
    """

    name: str
    channels: int
    groups: tuple[NDArray[np.int32], ...]

    @property
    def window(self) -> MapWindow:
        """The cells it has: all."""
        return MapWindow()

    @property
    def layout(self) -> Layout:
        """What is read at a time: all groups of rows with a wanted cell."""
        return Layout(sequential=True)

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Read a part; see `MapArray`."""
        height, width = rows.stop - rows.start, columns.stop - columns.start
        found = np.zeros((height, width, self.channels), np.float32)
        file = open_table(self.name)
        for group, grid_ids in enumerate(self.groups):
            row = ROWS - 1 - grid_ids // COLUMNS - rows.start
            column = grid_ids % COLUMNS - columns.start
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            if not inside.any():
                continue
            first = 0
            for batch in file.iter_batches(
                _BATCH_ROWS, row_groups=[group], columns=['embedding'], use_threads=False
            ):
                part = slice(first, first + len(batch))
                first = part.stop
                if (keep := inside[part]).any():
                    values = vectors(batch.column(0).filter(_mask(keep)), self.name)
                    if values.shape[1] != self.channels:
                        raise ValueError(
                            f'{self.name} has embeddings of {self.channels} and of {values.shape[1]} numbers.'
                        )
                    found[row[part][keep], column[part][keep]] = values
        return found


def _mask(keep: NDArray[np.bool_]) -> object:
    return pyarrow().array(keep)


def open_averaged(path: str) -> TableArray:
    """Open a Parquet file with a row for each cell: `grid_id_coord` and `embedding`.

    Args:
        path: Path of the file.

    Raises:
        ValueError: If pyarrow is missing, the file is damaged, or a cell has several rows (then it has to be
            averaged first).
    """
    file = open_table(path)
    groups = []
    for group in range(file.num_row_groups):
        names = file.read_row_group(group, columns=['grid_id_coord']).column(0)
        groups.append(grid_ids_of(names.to_numpy(zero_copy_only=False), path))
    together = np.concatenate(groups) if groups else np.empty(0, np.int32)
    if not len(together):
        raise ValueError(f'{path} has no rows.')
    if len(np.unique(together)) < len(together):
        raise ValueError(
            f'{path} has several rows of a cell; those of images have to be averaged to a map first.'
        )
    batch = next(file.iter_batches(1, columns=['embedding']))
    return TableArray(path, vectors(batch.column(0), path).shape[1], tuple(groups))
