"""Averages embeddings of images to one for each cell of 0.25 degrees, on Dask and past memory.

The release was made so from "all modalities, patches and dates" (arXiv:2503.11849), without a word on whether
all images weigh the same; here that is an option.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.conversion.conversion import Job, Stamps, convert
from torchgeo_copernicus.datasets.whole_number import whole
from torchgeo_copernicus.embedding.averaging.averaged_table import CELLS, part_name, write_averaged
from torchgeo_copernicus.embedding.averaging.cell_mean import Duplicates, Weights, cell_means
from torchgeo_copernicus.embedding.averaging.cell_ranges import (
    cell_ranges,
    groups_of_ranges,
    times_read,
)
from torchgeo_copernicus.embedding.averaging.cell_rows import CellRange, CellRows, read_rows
from torchgeo_copernicus.embedding.averaging.rows_source import (
    Paths,
    RowGroup,
    RowsSource,
    rows_source,
)
from torchgeo_copernicus.embedding.averaging.sorted_rows import Groups, sorted_groups, write_sorted

_SORTED = 'sorted'
# Rows that would be read more often than this on average are sorted first.
_MOST_TIMES_READ = 2.0
# A sorted file has so many blocks of the size of a range.
_BLOCKS_OF_A_FILE = 8


@dataclass(frozen=True)
class AggregateReport:
    """What was done.

    Attributes:
        cells: Cells with a mean.
        images: Images in these means.
        written: Files that were made.
        kept: Files that were there already, of the same images and options.
        modalities: Names of the modalities that occur.
    """

    cells: int
    images: int
    written: tuple[str, ...]
    kept: tuple[str, ...]
    modalities: tuple[str, ...]


def aggregate(
    rows: Paths,
    output: Path | str,
    *,
    weights: Weights = 'images',
    modality_weights: Mapping[str, float] | None = None,
    duplicates: Duplicates = 'raise',
    allow_other_data: bool = False,
    range_mib: int = 128,
    scheduler: object = None,
    workers: int | None = None,
    progress: bool = True,
) -> AggregateReport:
    """Average the embeddings of each cell, and write `cells/part-*.parquet` for `to_map`.

    The same images give the same numbers to the last bit, however they are divided among files and ranges. A run
    that was stopped goes on where it was. In memory are, for each worker, about three times `range_mib`, and
    some 20 MB for the numbers of cells. Files whose rows are not in the order of cells are first copied in
    that order to `sorted/`, which takes as much disk as they do, and may be deleted afterwards.

    Args:
        rows: Store that `embed` wrote, folder of full chunks of the release, Parquet file, or several of
            them. Embeddings of one vector for each image.
        output: Folder to write into.
        weights: `images`: each weighs the same. `modalities`: the mean of images of a date, of dates of a
            patch, of patches of a modality, and of modalities.
        modality_weights: What an image, or with `modalities` a modality, weighs on top of that: a number for
            each name that occurs; 0 leaves it out. 1 each when None.
        duplicates: Of an image that is there twice: `raise`, or count it `once`. Stores know images by `key`;
            chunks of the release have none, and so by cell, modality, patch, date and vector.
        allow_other_data: Average over stores that were made alike, but of other data.
        range_mib: MiB of embeddings (as float32) that a task has in memory; one cell with more is a task of its
            own.
        scheduler: Of Dask, as for `convert`.
        workers: Files made at once.
        progress: Show a bar.

    Returns:
        What was done.

    Raises:
        ValueError: If an argument is not allowed, Dask or pyarrow is missing, files are damaged or do not fit
            together, an embedding is not finite or of another length, a cell is unknown, an image is there
            twice, or the folder holds something else.
        OSError: If a file cannot be read or written.
    """
    one_of('weights', weights, Weights)
    one_of('duplicates', duplicates, Duplicates)
    if whole('range_mib', range_mib) < 1:
        raise ValueError('range_mib must be at least 1.')
    source = rows_source(rows, allow_other_data=allow_other_data)
    by_modality = _checked(modality_weights, source.modalities)
    most_rows = max(1, (range_mib << 20) // (4 * source.channels))
    ranges = cell_ranges(source.counts, most_rows)
    about: dict[str, object] = {
        'weights': weights,
        'modality_weights': by_modality,
        'duplicates': duplicates,
        'fingerprints': list(source.fingerprints),
    }
    members = groups_of_ranges(source.groups, ranges)
    if times_read(members, int(source.counts.sum())) > _MOST_TIMES_READ:
        sorting = list(_sorting_jobs(source, ranges, most_rows))
        sorted_files = [str(Path(output) / job.output) for job in sorting]
    else:
        sorting, sorted_files = [], []
    averaging = [
        _averaging_job(
            source, about, part_name(number, len(ranges)), wanted, members[number], sorted_files
        )
        for number, wanted in enumerate(ranges)
    ]
    phases = [sorting, averaging] if sorting else [averaging]
    report = convert(phases, output, scheduler=scheduler, workers=workers, progress=progress)
    return AggregateReport(
        report.counts.get('cells', 0),
        report.counts.get('images', 0),
        report.written,
        report.kept,
        source.modalities,
    )


def _checked(given: object, names: Sequence[str]) -> dict[str, float] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or set(given) != set(names):
        told = sorted(map(str, given)) if isinstance(given, Mapping) else given
        raise ValueError(
            f'modality_weights has {told!r}; wanted a number for each of {list(names)}, the modalities of the '
            'images; 0 leaves one out.'
        )
    for name, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:
            raise ValueError(f'The weight of {name} is {value!r}, must be a number of at least 0.')
    if not any(given.values()):
        raise ValueError('All modality_weights are 0; nothing is left to average.')
    return {name: float(given[name]) for name in sorted(given)}


def _sorting_jobs(
    source: RowsSource, ranges: Sequence[CellRange], block_rows: int
) -> Iterator[Job]:
    files: list[list[RowGroup]] = [[]]
    rows = 0
    for group in source.groups:
        if rows >= _BLOCKS_OF_A_FILE * block_rows:
            files.append([])
            rows = 0
        files[-1].append(group)
        rows += group.rows
    for number, members in enumerate(files):
        groups = _by_file(members)
        yield Job(
            f'{_SORTED}/part-{number:05d}-of-{len(files):05d}.parquet',
            f'{_SORTED}/',
            {'ranges': _digest(ranges), 'groups': _digest(groups), 'block_rows': block_rows},
            partial(_stamps, {path: source.stamps[path] for path, _ in groups}),
            partial(write_sorted, groups, tuple(ranges), block_rows),
        )


def _averaging_job(
    source: RowsSource,
    about: Mapping[str, object],
    output: str,
    wanted: CellRange,
    members: Sequence[RowGroup],
    sorted_files: Sequence[str],
) -> Job:
    groups = _by_file(members)
    read = None if sorted_files else groups
    count = int(source.counts[slice(*wanted)].sum())
    return Job(
        output,
        f'{CELLS}/',
        {**about, 'cells': list(wanted)},
        partial(_stamps, {path: source.stamps[path] for path, _ in groups}),
        partial(_write_means, read, tuple(sorted_files), wanted, count, source.channels, about),
    )


def _by_file(groups: Sequence[RowGroup]) -> tuple[Groups, ...]:
    found: dict[str, list[int]] = {}
    for group in groups:
        found.setdefault(group.path, []).append(group.number)
    return tuple((path, tuple(numbers)) for path, numbers in found.items())


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def _stamps(stamps: Stamps) -> Stamps:
    return stamps


def _write_means(
    groups: Sequence[Groups] | None,
    sorted_files: Sequence[str],
    wanted: CellRange,
    count: int,
    channels: int,
    about: Mapping[str, object],
    path: Path,
) -> Mapping[str, int]:
    """Average the rows of a range of cells, from the files given or from sorted copies of them."""
    if groups is None:
        groups = [(name, sorted_groups(name, wanted)) for name in sorted_files]
    rows = _gathered(groups, wanted, count, channels)
    weights, duplicates = about['weights'], about['duplicates']
    means = cell_means(rows, weights, about['modality_weights'], duplicates)  # type: ignore[arg-type]
    return write_averaged(means, about, path)


def _gathered(groups: Sequence[Groups], wanted: CellRange, count: int, channels: int) -> CellRows:
    """Read all rows of a range of cells into one array, so that none is in memory twice."""
    embedding = np.empty((count, channels), np.float32)
    parts, at = [], 0
    for name, numbers in groups:
        for part in read_rows(name, numbers, wanted, channels) if numbers else ():
            if at + len(part) > count:
                raise ValueError(f'{name} was changed while it was read; start again.')
            embedding[at : at + len(part)] = part.embedding
            at += len(part)
            parts.append(part.without_embedding())
    if at != count:
        raise ValueError(f'Of {count} rows {at} are there: the files were changed; start again.')
    return CellRows.joined(parts, embedding)
