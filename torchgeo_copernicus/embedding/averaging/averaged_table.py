"""Tables of averaged embeddings, a row for each cell: written as in the release, and opened as a map."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.core.indexing import LazilyIndexedArray

from torchgeo_copernicus.datasets.embed.embed_table import pyarrow
from torchgeo_copernicus.datasets.embed.lazy_map import LazyMap
from torchgeo_copernicus.datasets.embed.map_array import Layout
from torchgeo_copernicus.datasets.embed.map_dataset import AXES, map_dataset
from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.embed.table_array import TableArray, open_averaged
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS, ROWS, Cell
from torchgeo_copernicus.embedding.averaging.cell_mean import CellMeans

#: Folder of the tables within that of an average.
CELLS = 'cells'
# A third of what `row_blocks` reads at a time, so that its blocks end where those of Dask do.
_CHUNK_BYTES = (64 << 20) // 3
# Of a group: what is read for one cell, and for a few rows of a map.
_GROUP_CELLS = 1024
_PART = re.compile(r'part-(\d{5})-of-(\d{5})\.parquet')


def part_name(number: int, parts: int) -> str:
    """Return the name of one of several tables."""
    return f'{CELLS}/part-{number:05d}-of-{parts:05d}.parquet'


def write_averaged(
    means: Iterator[CellMeans], about: Mapping[str, object], path: Path
) -> dict[str, int]:
    """Write a table: `grid_id_coord` and `embedding` as published, `grid_id` and `images` besides.

    Args:
        means: Of cells, by number.
        about: How they were made, for the file's metadata.
        path: File to write.

    Returns:
        Numbers of cells and images.
    """
    arrow = pyarrow()
    schema = arrow.schema(
        [
            arrow.field('grid_id_coord', arrow.string(), nullable=False),
            arrow.field('embedding', arrow.list_(arrow.float32()), nullable=False),
            arrow.field('grid_id', arrow.int32(), nullable=False),
            arrow.field('images', arrow.int32(), nullable=False),
        ],
        metadata={'torchgeo_copernicus_average': json.dumps(dict(about))},
    )
    cells = images = 0
    with arrow.parquet.ParquetWriter(
        path, schema, compression='zstd', use_dictionary=False, write_page_checksum=True
    ) as writer:
        for part in means:
            names = [Cell(number).name for number in part.grid_id.tolist()]
            length = part.embedding.shape[1]
            offsets = arrow.array(np.arange(len(names) + 1, dtype=np.int32) * np.int32(length))
            values = arrow.array(part.embedding.reshape(-1))
            lists = arrow.ListArray.from_arrays(offsets, values)
            table = arrow.table([names, lists, part.grid_id, part.images], schema=schema)
            writer.write_table(table, row_group_size=_GROUP_CELLS)
            cells, images = cells + len(names), images + int(part.images.sum())
    return {'cells': cells, 'images': images}


def to_map(averaged: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> xr.Dataset:
    """Open averaged embeddings as a map of the whole Earth, which is read when it is asked for.

    Write it with `datasets.embed.write_map`.

    Args:
        averaged: Folder that `aggregate` wrote, table as published, or several tables of different cells.

    Returns:
        A Dataset as `open_map` returns it; cells without a row are 0 and not valid.

    Raises:
        ValueError: If there is nothing, a table is damaged or missing, tables have a cell in common, or
            embeddings are of different lengths.
    """
    paths = _tables(averaged)
    array = AveragedTables.of(paths)
    rows = max(1, _CHUNK_BYTES // (4 * COLUMNS * array.channels))
    lazy = xr.Variable(AXES, LazilyIndexedArray(LazyMap(array, array.window)))
    return map_dataset(
        lazy.chunk({'lat': rows, 'lon': -1, 'channel': -1}).data, array.window, source=array.name
    )


def averaged_facts(path: str | os.PathLike[str]) -> dict[str, object] | None:
    """Return how a table was made; None of one that `aggregate` did not write.

    Args:
        path: The table.
    """
    metadata = pyarrow().parquet.read_schema(path).metadata or {}
    text = metadata.get(b'torchgeo_copernicus_average')
    return None if text is None else dict(json.loads(text))


@dataclass(frozen=True, eq=False)
class AveragedTables:
    """Tables of different cells, read as one map; see `MapArray`.

    Attributes:
        name: Of the tables, for messages.
        tables: They.
    """

    name: str
    tables: tuple[TableArray, ...]

    @classmethod
    def of(cls, paths: Sequence[Path]) -> AveragedTables:
        """Open tables.

        Raises:
            ValueError: If they do not fit together, or are damaged.
        """
        tables = tuple(open_averaged(str(path)) for path in paths)
        lengths = {table.channels: table.name for table in tables}
        if len(lengths) > 1:
            told = ', '.join(f'{length} in {name}' for length, name in lengths.items())
            raise ValueError(f'Embeddings are of different lengths: {told}.')
        taken = np.full(ROWS * COLUMNS, -1, np.int32)
        for number, table in enumerate(tables):
            ids = np.concatenate(table.groups)
            if (taken[ids] >= 0).any():
                cell = int(ids[taken[ids] >= 0][0])
                raise ValueError(
                    f'{table.name} and {tables[taken[cell]].name} both have the cell {Cell(cell).name}.'
                )
            taken[ids] = number
        return cls(str(paths[0].parent if len(paths) > 1 else paths[0]), tables)

    @property
    def window(self) -> MapWindow:
        """The cells it has: all."""
        return MapWindow()

    @property
    def channels(self) -> int:
        """Numbers of a cell."""
        return self.tables[0].channels

    @property
    def layout(self) -> Layout:
        """What is read at a time."""
        return self.tables[0].layout

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Read a part; see `MapArray`."""
        shape = (rows.stop - rows.start, columns.stop - columns.start, self.channels)
        found = np.zeros(shape, np.float32)
        first, last = (ROWS - rows.stop) * COLUMNS, (ROWS - rows.start) * COLUMNS
        for table in self.tables:
            if any(((group >= first) & (group < last)).any() for group in table.groups):
                found += table.read(rows, columns)
        return found


def _tables(averaged: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    given = [averaged] if isinstance(averaged, str | os.PathLike) else list(averaged)
    found: list[Path] = []
    for path in map(Path, given):
        folder = path / CELLS if (path / CELLS).is_dir() else path
        inside = sorted(folder.glob('*.parquet')) if folder.is_dir() else [path]
        parts = [match for one in inside if (match := _PART.fullmatch(one.name))]
        if folder.is_dir() and parts and {len(parts)} != {int(match[2]) for match in parts}:
            raise ValueError(
                f'{folder} has {len(parts)} of {parts[0][2]} tables; the run that writes them was stopped. '
                'Start it again to end it.'
            )
        found += inside
    if not found:
        raise ValueError(f'{averaged} has no tables.')
    return found
