"""Looks through Parquet files of embeddings before they are averaged: which cells, images and modalities.

Embeddings themselves are not read, but one of each file.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.conversion.conversion import Stamps
from torchgeo_copernicus.datasets.embed.cell_names import grid_ids_of
from torchgeo_copernicus.datasets.embed.embed_table import open_table, vectors
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS, ROWS
from torchgeo_copernicus.embedding.averaging.cell_rows import objects, open_streaming
from torchgeo_copernicus.embedding.fingerprint import differences
from torchgeo_copernicus.embedding.store import EmbeddingStore

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
# Facts of a store that do not change what the numbers of a vector mean.
_DATA = ('data', 'grouping', 'dtype')
_OWN = b'torchgeo_copernicus'
_SCAN_ROWS = 1 << 16


@dataclass(frozen=True, eq=False)
class RowGroup:
    """A group of rows of a file.

    Attributes:
        path: Of the file.
        number: Of the group in it.
        rows: Its rows.
        cells: Numbers of the cells it has rows of, ascending, int32.
    """

    path: str
    number: int
    rows: int
    cells: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class RowsSource:
    """What is in some files of embeddings.

    Attributes:
        groups: Groups of their rows.
        counts: Rows of each cell, int64 `[1038240]`.
        channels: Numbers of an embedding.
        modalities: Names that occur, in alphabetical order.
        stamps: Size and time of change of each file, by path.
        fingerprints: Of the stores they are of; none of published chunks.
    """

    groups: tuple[RowGroup, ...]
    counts: NDArray[np.int64]
    channels: int
    modalities: tuple[str, ...]
    stamps: Stamps
    fingerprints: tuple[str, ...]


def rows_source(paths: Paths, *, allow_other_data: bool = False) -> RowsSource:
    """Look through files.

    Args:
        paths: Folder of a store, folder of Parquet files, Parquet file, or several of them.
        allow_other_data: Take stores together that were made alike, but of other data.

    Raises:
        ValueError: If pyarrow is missing, there is nothing, a file comes twice, is damaged or something else, a
            cell is unknown, embeddings are maps or of different lengths, or files are of different stores.
        OSError: If a file cannot be read.
    """
    if not isinstance(allow_other_data, bool):
        raise ValueError(f'allow_other_data must be True or False, got {allow_other_data!r}.')
    files, stores = _files(paths)
    _check_alike(stores, allow_other_data)
    known = {store.fingerprint for store in stores}
    groups: list[RowGroup] = []
    counts = np.zeros(ROWS * COLUMNS, np.int64)
    modalities: set[str] = set()
    lengths: dict[int, Path] = {}
    fingerprints: dict[str | None, Path] = {}
    for path in files:
        with open_table(path) as file:
            fingerprints.setdefault(_fingerprint(file), path)
            if file.metadata.num_rows:
                lengths.setdefault(_channels(file, path), path)
        groups += _scanned(path, counts, modalities)
    if not groups:
        raise ValueError(f'{files[0]} and the other files have no rows.')
    if len(lengths) > 1:
        told = ', '.join(f'{length} in {path}' for length, path in lengths.items())
        raise ValueError(f'Embeddings are of different lengths: {told}.')
    if set(fingerprints) - known if known else len(fingerprints) > 1:
        told = '; '.join(f'{path}: {one or "no store"}' for one, path in fingerprints.items())
        raise ValueError(
            f'These files are of different stores, whose vectors may not be compared: {told}. Average them one '
            'by one, or name the folders of the stores.'
        )
    return RowsSource(
        tuple(groups),
        counts,
        next(iter(lengths)),
        tuple(sorted(modalities)),
        {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files},
        tuple(sorted(one for one in fingerprints if one is not None)),
    )


def _files(paths: Paths) -> tuple[list[Path], list[EmbeddingStore]]:
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: list[Path] = []
    stores = []
    for path in map(Path, given):
        if (path / 'store.json').is_file():
            stores.append(EmbeddingStore(path))
            inside = stores[-1].unit_paths()
        elif path.is_dir():
            inside = sorted(path.glob('*.parquet'))
        elif path.is_file():
            inside = [path]
        else:
            raise ValueError(f'{path} is not there.')
        if not inside:
            raise ValueError(f'{path} has no Parquet files; name the folder that they are in.')
        found += inside
    if not found:
        raise ValueError('No files of embeddings are given.')
    times = Counter(path.resolve() for path in found)
    if twice := [str(path) for path, n in times.items() if n > 1]:
        raise ValueError(f'These files are given twice, and would count twice: {twice[:3]}.')
    return found, stores


def _check_alike(stores: Sequence[EmbeddingStore], allow_other_data: bool) -> None:
    for store in stores[1:]:
        lines = list(differences(stores[0].facts, store.facts))
        other = [line for line in lines if not line.startswith(_DATA)]
        if not lines or (allow_other_data and not other):
            continue
        advice = (
            'Their vectors may not be compared; average them one by one.'
            if other
            else 'They were made alike; give allow_other_data=True to average over both.'
        )
        raise ValueError(
            f'{stores[0].folder} and {store.folder} have different fingerprints: '
            f'{"; ".join(other or lines)}. {advice}'
        )


def _fingerprint(file: Any) -> str | None:  # noqa: ANN401
    try:
        own = json.loads((file.schema_arrow.metadata or {}).get(_OWN, b'null'))
    except ValueError:
        # Of somebody else's under the same name.
        return None
    return str(own['fingerprint']) if isinstance(own, Mapping) and 'fingerprint' in own else None


def _channels(file: Any, path: Path) -> int:  # noqa: ANN401
    batch = next(file.iter_batches(1, columns=['embedding'], use_threads=False))
    return int(vectors(batch.column(0), str(path)).shape[1])


def _scanned(path: Path, counts: NDArray[np.int64], modalities: set[str]) -> list[RowGroup]:
    """Count the rows of a file in, and return its groups."""
    found = []
    with open_streaming(str(path)) as file:
        names = file.schema_arrow.names
        if 'modality' not in names:
            raise ValueError(
                f'{path} has no column modality, but {names}: it is averaged already, or something else.'
            )
        sides = [name for name in ('map_height', 'map_width') if name in names]
        for group in range(file.num_row_groups):
            cells = np.empty(0, np.int32)
            for batch in file.iter_batches(
                _SCAN_ROWS,
                row_groups=[group],
                columns=['grid_id_coord', 'modality', *sides],
                use_threads=False,
            ):
                for name in sides:
                    if (np.asarray(batch[name].to_pandas()) != 1).any():
                        raise ValueError(
                            f'{path} has maps instead of one vector for each image ({name} is not 1): make '
                            'a store with pooling cls or mean.'
                        )
                kinds = set(batch['modality'].unique().to_pylist())
                if None in kinds:
                    raise ValueError(f'{path} has rows without a modality.')
                modalities |= kinds
                ids = grid_ids_of(objects(batch['grid_id_coord']), str(path))
                here, times = np.unique(ids, return_counts=True)
                counts[here] += times
                cells = np.union1d(cells, here).astype(np.int32)
            if len(cells):
                rows = file.metadata.row_group(group).num_rows
                found.append(RowGroup(str(path), group, rows, cells))
    return found
