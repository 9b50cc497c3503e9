"""Rows of embeddings of some cells in memory, and how they are read from Parquet files.

Both kinds of files are read alike: stores of our own, and the full chunks of the release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.cell_names import grid_ids_of
from torchgeo_copernicus.datasets.embed.embed_chunks import days_of
from torchgeo_copernicus.datasets.embed.embed_table import pyarrow, vectors
from torchgeo_copernicus.datasets.pretrain.grid import Cell

#: Columns that are read where a file has them.
COLUMNS_READ = ('key', 'grid_id_coord', 'modality', 'local_id_coord', 'date', 'embedding')
#: Rows that are decoded at a time.
BATCH_ROWS = 4096
# Column chunks are read piece by piece, not whole: a group of rows may have gigabytes.
_BUFFER_BYTES = 1 << 20

#: Cells from one number to before another.
CellRange = tuple[int, int]


@dataclass(frozen=True, eq=False)
class CellRows:
    """Some rows, an image each.

    Attributes:
        grid_id: Numbers of their cells, int32 `[N]`.
        modality: Names, `[N]`.
        patch: Names of local patches, `[N]`; empty of images of whole cells.
        date: datetime64[D] `[N]`, NaT when unknown.
        key: Names of the images, `[N]`; None where a file has no such column, as in the release.
        embedding: float32 `[N, D]`.
    """

    grid_id: NDArray[np.int32]
    modality: NDArray[np.object_]
    patch: NDArray[np.object_]
    date: NDArray[np.datetime64]
    key: NDArray[np.object_] | None
    embedding: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.grid_id)

    def without_embedding(self) -> CellRows:
        """Return the rows without their vectors, which are not kept in memory then."""
        return replace(self, embedding=np.empty((len(self), 0), np.float32))

    @classmethod
    def joined(cls, parts: Sequence[CellRows], embedding: NDArray[np.float32]) -> CellRows:
        """Return rows one after the other, with the vectors of all of them.

        Raises:
            ValueError: If some have keys and others none.
        """
        keys = [part.key for part in parts if part.key is not None]
        if keys and len(keys) < len(parts):
            raise ValueError(
                'Some files have a column key and others none; average them one by one.'
            )
        return cls(
            np.concatenate([part.grid_id for part in parts]),
            np.concatenate([part.modality for part in parts]),
            np.concatenate([part.patch for part in parts]),
            np.concatenate([part.date for part in parts]),
            np.concatenate(keys) if keys else None,
            embedding,
        )

    def told(self, row: int) -> str:
        """Return what a row is of, for messages."""
        parts = [Cell(int(self.grid_id[row])).name, str(self.modality[row])]
        parts += [str(part) for part in (self.patch[row], self.date[row]) if str(part)]
        return ', '.join(parts if self.key is None else [str(self.key[row]), *parts])


# `Any`: pyarrow ships no type information.
def open_streaming(path: str) -> Any:  # noqa: ANN401
    """Open a Parquet file of embeddings so that little of it is in memory at a time.

    Returns:
        A `pyarrow.parquet.ParquetFile`.
    """
    return pyarrow().parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES)


def read_rows(
    path: str, groups: Sequence[int], wanted: CellRange, channels: int
) -> Iterator[CellRows]:
    """Read the rows of a range of cells.

    Args:
        path: Parquet file that was looked through (`rows_source`).
        groups: Numbers of its groups of rows to read.
        wanted: Which cells.
        channels: Numbers that an embedding must have.

    Yields:
        Rows, in the order of the file; never none.

    Raises:
        ValueError: If an embedding is missing, not finite, or of another length; names the image.
    """
    arrow = pyarrow()
    with open_streaming(path) as file:
        names = [name for name in COLUMNS_READ if name in file.schema_arrow.names]
        for batch in file.iter_batches(
            BATCH_ROWS, row_groups=list(groups), columns=names, use_threads=False
        ):
            ids = grid_ids_of(objects(batch['grid_id_coord']), path)
            keep = (ids >= wanted[0]) & (ids < wanted[1])
            if not keep.any():
                continue
            part = batch.filter(arrow.array(keep))
            yield _rows(part, ids[keep], names, path, channels)


def objects(column: Any) -> NDArray[np.object_]:  # noqa: ANN401
    """Return a column of pyarrow as Python objects, `[N]`."""
    return np.asarray(column.to_pandas(), object)


def _rows(
    batch: Any,  # noqa: ANN401
    ids: NDArray[np.int32],
    names: Sequence[str],
    path: str,
    channels: int,
) -> CellRows:
    nothing = np.full(len(ids), '', object)
    dates = np.full(len(ids), 'NaT', 'datetime64[D]')
    if 'date' in names:
        dates = days_of(objects(batch['date']), path)
    patch = nothing
    if 'local_id_coord' in names:
        patch = np.array([one or '' for one in batch['local_id_coord'].to_pylist()], object)
    found = CellRows(
        ids,
        objects(batch['modality']),
        patch,
        dates,
        objects(batch['key']) if 'key' in names else None,
        vectors(batch['embedding'], path),
    )
    if found.embedding.shape[1] != channels:
        raise ValueError(
            f'{path}: the embedding of {found.told(0)} has {found.embedding.shape[1]} numbers, others '
            f'have {channels}.'
        )
    finite = np.isfinite(found.embedding).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise ValueError(
            f'{path}: the embedding of {found.told(row)} is not finite, as are {int((~finite).sum())} of '
            f'these {len(found)} rows. Leave such images out, or make them anew.'
        )
    return found
