"""Copies rows of embeddings in the order of cells, where files have them in another.

Else every range of cells would have to read nearly every file. Memory is bounded: blocks of rows are put in
order one by one, and cut into groups at the edges of ranges, so that a range reads no more than its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torchgeo_copernicus.datasets.embed.cell_names import grid_ids_of
from torchgeo_copernicus.datasets.embed.embed_table import pyarrow
from torchgeo_copernicus.embedding.averaging.cell_ranges import ranges_of
from torchgeo_copernicus.embedding.averaging.cell_rows import (
    BATCH_ROWS,
    COLUMNS_READ,
    CellRange,
    objects,
    open_streaming,
)

#: Groups of rows of a file, by number.
Groups = tuple[str, tuple[int, ...]]


def write_sorted(
    groups: Sequence[Groups], ranges: Sequence[CellRange], block_rows: int, path: Path
) -> Mapping[str, int]:
    """Write the rows of some groups, block by block in the order of cells.

    Args:
        groups: What to read.
        ranges: Cells that are read together afterwards.
        block_rows: Rows in memory at a time.
        path: File to write.

    Returns:
        Number of the rows.

    Raises:
        ValueError: If a file is damaged.
        OSError: If one cannot be read or written.
    """
    arrow = pyarrow()
    writer, waiting, rows, total = None, [], 0, 0
    try:
        for batch in _batches(groups):
            if writer is None:
                writer = arrow.parquet.ParquetWriter(
                    path, batch.schema, compression='zstd', use_dictionary=['modality']
                )
            waiting.append(batch)
            rows += len(batch)
            if rows >= block_rows:
                _write_block(writer, waiting, ranges)
                waiting, total, rows = [], total + rows, 0
        if waiting:
            _write_block(writer, waiting, ranges)
    finally:
        if writer is not None:
            writer.close()
    return {'sorted_rows': total + rows}


def sorted_groups(path: str, wanted: CellRange) -> tuple[int, ...]:
    """Return the groups of rows of a sorted file that are of a range of cells."""
    with open_streaming(path) as file:
        column = file.schema_arrow.names.index('grid_id')
        found = []
        for group in range(file.num_row_groups):
            numbers = file.metadata.row_group(group).column(column).statistics
            if numbers.min < wanted[1] and numbers.max >= wanted[0]:
                found.append(group)
    return tuple(found)


def _batches(groups: Sequence[Groups]) -> Any:  # noqa: ANN401
    """Yield batches of rows with the number of the cell in front, and columns of the same types for all files."""
    arrow = pyarrow()
    types = {name: arrow.string() for name in COLUMNS_READ} | {
        'embedding': arrow.list_(arrow.float32())
    }
    first: tuple[str, dict[str, Any]] | None = None
    for path, numbers in groups:
        with open_streaming(path) as file:
            fields = {field.name: field.type for field in file.schema_arrow}
            # A date is text in the release, and a date in stores.
            wanted = {
                name: fields[name] if name == 'date' else types[name]
                for name in COLUMNS_READ
                if name in fields
            }
            if first is None:
                first = path, wanted
            elif wanted != first[1]:
                raise ValueError(
                    f'{first[0]} and {path} have other columns, or other types of dates: {list(first[1])} and '
                    f'{list(wanted)}. Average them one by one.'
                )
            for batch in file.iter_batches(
                BATCH_ROWS, row_groups=list(numbers), columns=list(wanted), use_threads=False
            ):
                ids = arrow.array(grid_ids_of(objects(batch['grid_id_coord']), path))
                columns = [ids, *(batch[name].cast(type_) for name, type_ in wanted.items())]
                yield arrow.RecordBatch.from_arrays(columns, names=['grid_id', *wanted])


def _write_block(writer: Any, batches: Sequence[Any], ranges: Sequence[CellRange]) -> None:  # noqa: ANN401
    arrow = pyarrow()
    table = arrow.Table.from_batches(batches)
    ids = table['grid_id'].to_numpy()
    order = np.argsort(ids, kind='stable')
    for number in ranges_of(ids, ranges):
        first, last = np.searchsorted(ids, ranges[number], sorter=order)
        # Taken range by range: the whole block in order would be in memory twice.
        writer.write_table(table.take(arrow.array(order[first:last])))
