"""Rows of embeddings in Parquet files: one for each image (full chunks, own stores) or each cell (averaged).

Files are read group by group of their rows. Of a region only the groups with a cell of it are read; which those
are is told by the statistics of the file, or else by the names alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.cell_names import grid_ids_of
from torchgeo_copernicus.datasets.embed.embed_table import open_table, pyarrow, vectors
from torchgeo_copernicus.datasets.embed.map_window import MapWindow, Region
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES
from torchgeo_copernicus.datasets.whole_number import whole

_OPTIONAL = ('modality', 'local_id_coord', 'date')


@dataclass(frozen=True)
class EmbedRows:
    """Some rows.

    Attributes:
        source: File they are from.
        grid_id: Numbers of their cells, int32 `[N]`.
        embedding: float32 `[N, D]`.
        modality: Names as the file has them, `[N]`; None where it has no such column.
        local_id_coord: Names of local patches, `[N]`, None of images of whole cells; None without the column.
        date: Days, datetime64[D] `[N]`, NaT when unknown; None without the column.
    """

    source: str
    grid_id: NDArray[np.int32]
    embedding: NDArray[np.float32]
    modality: NDArray[np.object_] | None
    local_id_coord: NDArray[np.object_] | None
    date: NDArray[np.datetime64] | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.grid_id)


def embed_rows(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    region: Region | Sequence[float] | None = None,
    modalities: Sequence[str] | None = None,
    batch_rows: int = 4096,
) -> Iterator[EmbedRows]:
    """Read rows, in the order of the files.

    Args:
        paths: A file, a folder (all `*.parquet` in it, by name), or several of them.
        region: West, south, east and north in degrees, as for `open_map`; everything when None.
        modalities: Which, as the files name them; all when None.
        batch_rows: Most rows at a time.

    Yields:
        Rows; never none.

    Raises:
        ValueError: If an argument is not allowed, there is no file, one is damaged or something else, or
            embeddings are of different lengths.
    """
    wanted = None if region is None else MapWindow.of_region(region)
    if isinstance(modalities, str) or (modalities is not None and not len(modalities)):
        raise ValueError(f'modalities is {modalities!r}; list names, or None for all.')
    if whole('batch_rows', batch_rows) < 1:
        raise ValueError('batch_rows must be at least 1.')
    return _rows(_files(paths), wanted, modalities, batch_rows)


def _files(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: list[Path] = []
    for path in map(Path, given):
        if path.is_dir():
            inside = sorted(path.glob('*.parquet'))
            if not inside:
                raise ValueError(f'{path} has no *.parquet.')
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise ValueError(f'{path} is not there.')
    if not found:
        raise ValueError('No files are given.')
    return found


def _rows(
    files: Sequence[Path],
    region: MapWindow | None,
    modalities: Sequence[str] | None,
    batch_rows: int,
) -> Iterator[EmbedRows]:
    seen: set[str] = set()
    length: int | None = None
    for path in files:
        file = open_table(path)
        names = file.schema_arrow.names
        columns = [name for name in ('grid_id_coord', *_OPTIONAL) if name in names]
        if modalities is not None and 'modality' not in names:
            raise ValueError(f'{path} has no column modality, so none can be chosen.')
        for group in range(file.num_row_groups):
            if region is not None and not _may_have(file, group, region):
                continue
            table = file.read_row_group(group, columns=columns)
            ids = grid_ids_of(_values(table['grid_id_coord']), str(path))
            keep = np.ones(len(ids), bool) if region is None else np.isin(ids, region.grid_ids)
            kinds = _values(table['modality']) if 'modality' in names else None
            if modalities is not None and kinds is not None:
                seen |= set(kinds.tolist())
                keep &= np.isin(kinds.astype(str), list(modalities))
            if not keep.any():
                continue
            for first, embedding in _embeddings(file, group, keep, batch_rows, str(path)):
                if length not in (None, embedding.shape[1]):
                    raise ValueError(
                        f'{path} has embeddings of {embedding.shape[1]} numbers, others have {length}.'
                    )
                length = embedding.shape[1]
                at = first + np.flatnonzero(keep[first : first + batch_rows])
                yield EmbedRows(
                    source=str(path),
                    grid_id=ids[at],
                    embedding=embedding,
                    modality=None if kinds is None else kinds[at],
                    local_id_coord=(
                        _values(table['local_id_coord'])[at] if 'local_id_coord' in names else None
                    ),
                    date=days_of(_values(table['date'])[at], str(path))
                    if 'date' in names
                    else None,
                )
    unknown = [name for name in modalities or () if name not in seen | set(MODALITY_NAMES)]
    if unknown:
        raise ValueError(f'modalities {unknown} are in no row; there are {sorted(seen)}.')


def _embeddings(
    file: Any,  # noqa: ANN401
    group: int,
    keep: NDArray[np.bool_],
    batch_rows: int,
    where: str,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Read the vectors of the kept rows of a group, with the position of the first row of each batch."""
    mask, first = pyarrow().array, 0
    for batch in file.iter_batches(
        batch_rows, row_groups=[group], columns=['embedding'], use_threads=False
    ):
        here = keep[first : first + len(batch)]
        if here.any():
            yield first, vectors(batch.column(0).filter(mask(here)), where)
        first += len(batch)


def _may_have(file: Any, group: int, region: MapWindow) -> bool:  # noqa: ANN401
    """Return whether a group of rows may have a cell of a region, by the statistics of the file.

    Names begin with the number of the cell, so that their order is that of the cells.
    """
    found = file.metadata.row_group(group)
    columns = (found.column(number) for number in range(found.num_columns))
    statistics = next(c.statistics for c in columns if c.path_in_schema == 'grid_id_coord')
    if statistics is None or not statistics.has_min_max:
        return True
    low, high = str(statistics.min)[:7], str(statistics.max)[:7]
    if not (low.isdecimal() and high.isdecimal()):
        return True
    ids = region.grid_ids
    return bool(((ids >= int(low)) & (ids <= int(high))).any())


def _values(column: Any) -> NDArray[np.object_]:  # noqa: ANN401
    found = np.empty(len(column), object)
    found[:] = column.to_pylist()
    return found


def days_of(values: NDArray[np.object_], where: str) -> NDArray[np.datetime64]:
    """Return days of a column of dates, whether text (`20200131`, `2020-01-31`), dates or times.

    Args:
        values: The column; None or an empty text where there is no date.
        where: File it is of, for messages.

    Returns:
        datetime64[D], NaT where there is no date.

    Raises:
        ValueError: If one is no date.
    """
    codes, distinct = pd.factorize(values)
    days = np.full(len(distinct) + 1, 'NaT', 'datetime64[D]')
    for position, value in enumerate(distinct):
        if isinstance(value, str):
            value = value.strip()
            if not value:
                continue
            if len(value) == 8 and value.isdecimal():
                value = f'{value[:4]}-{value[4:6]}-{value[6:]}'
        elif isinstance(value, int | float):
            raise ValueError(f'{where} has the date {value!r}, wanted text or dates.')
        try:
            days[position] = np.datetime64(value, 'D')
        except (ValueError, TypeError) as error:
            raise ValueError(f'{where} has the date {value!r}: {error}.') from error
    return days[codes]
