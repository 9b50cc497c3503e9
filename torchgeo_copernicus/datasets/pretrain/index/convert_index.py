"""Converts a copy in either format into an index: GeoParquet with the statistics of every image.

Each file covers some cells, so a run that was stopped goes on where it was; images that cannot be read are
rows that say why.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.conversion.conversion import (
    ConversionReport,
    Job,
    Stamps,
    convert,
)
from torchgeo_copernicus.datasets.pretrain.cell_numbers import cell_numbers
from torchgeo_copernicus.datasets.pretrain.copy_format import format_of, list_in
from torchgeo_copernicus.datasets.pretrain.faults import Fault
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.index.index_rows_geotiff import (
    geotiff_rows,
    geotiff_stamps,
)
from torchgeo_copernicus.datasets.pretrain.index.index_rows_shards import (
    ShardCells,
    fault_counts,
    shard_rows,
)
from torchgeo_copernicus.datasets.pretrain.index.index_table import (
    PARTS,
    ImageRow,
    part_name,
    write_part,
)
from torchgeo_copernicus.datasets.pretrain.modality import (
    MODALITIES,
    ModalityName,
    chosen_modalities,
)
from torchgeo_copernicus.datasets.pretrain.shards.shard_names import shard_names
from torchgeo_copernicus.datasets.pretrain.shards.shard_set import ShardSet
from torchgeo_copernicus.datasets.whole_number import whole

# Raised whenever the meaning of a column changes.
_VERSION = 1


def convert_index(
    root: str | Path | Sequence[str | Path],
    output: Path | str,
    *,
    file_list: Path | str | FileList | None = None,
    modalities: Sequence[ModalityName] | None = None,
    grids: Sequence[int] | None = None,
    cells_per_file: int = 100,
    index_folder: Path | str | None = None,
    scheduler: object = None,
    workers: int | None = None,
    progress: bool = True,
) -> ConversionReport:
    """Write `<output>/images/part-*.parquet`; `read_index` reads them.

    Of GeoTIFFs there is a row for each listed file, of shards one for each image that is not a repetition of
    another. Numbers are in the units of samples. Needs the extra `convert`.

    Args:
        root: Folder of GeoTIFFs; or what `CopernicusPretrainStream` takes as shards.
        output: Folder to write into.
        file_list: Of GeoTIFFs: a `fnames_*.json.gz`, or what `FileList.read` or `listed_in` made; the only
            one in *root* when None.
        modalities: Which; all when None.
        grids: Numbers of cells; all when None.
        cells_per_file: Cells of a file; of shards whole ones, with so many at least.
        index_folder: Of shards: where their own indices are kept; see `CopernicusPretrainStream`.
        scheduler: Of Dask; see `conversion.convert`.
        workers: How many files are made at once; each takes some 100 MB of memory.
        progress: Show a bar.

    Returns:
        Its counts are those of `images`, of them `void` and `unreadable` ones; of shards also of
        `repetitions` left out, and of what was found wrong otherwise.

    Raises:
        UnsafePickleError: If a tensor is a program that does something else.
        ValueError: If an argument is impossible or of the other format, a list is damaged, a cell or shard
            is not there, the folder holds something else, or Dask or pyarrow is missing.
        OSError: If a shard cannot be read.
    """
    wanted = chosen_modalities(modalities)
    if not whole('cells_per_file', cells_per_file):
        raise ValueError('cells_per_file must be at least 1.')
    numbers = None if grids is None else sorted(cell_numbers(grids))
    found = format_of(root, has_list=file_list is not None)
    options: dict[str, object] = {'format': found, 'index': _VERSION}
    options |= {'modalities': list(wanted), 'cells_per_file': cells_per_file}
    if found == 'geotiff':
        if index_folder is not None:
            raise ValueError(
                f'index_folder is {index_folder}, but {root} holds GeoTIFFs, no shards.'
            )
        folder = Path(str(root))
        files = _listed(folder, file_list, numbers)
        jobs = list(_geotiff_jobs(folder, files, wanted, numbers, cells_per_file, options))
    else:
        shards = ShardSet(shard_names(root), index_folder)
        jobs = list(_shard_jobs(shards, wanted, numbers, cells_per_file, options))
    return convert([jobs], output, scheduler=scheduler, workers=workers, progress=progress)


def _listed(
    root: Path, file_list: Path | str | FileList | None, grids: Sequence[int] | None
) -> FileList:
    if isinstance(file_list, FileList):
        return file_list
    return FileList.read(list_in(root) if file_list is None else file_list, grids)


def _geotiff_jobs(
    root: Path,
    files: FileList,
    modalities: tuple[ModalityName, ...],
    grids: Sequence[int] | None,
    cells_per_file: int,
    options: Mapping[str, object],
) -> Iterator[Job]:
    rows = np.arange(len(files)) if grids is None else files.rows(grids)
    rows = rows[np.any([files.has(name)[rows] for name in modalities], axis=0)]
    if not len(rows):
        raise ValueError(f'{files.source} lists no image of {list(modalities)} in these cells.')
    groups = np.split(rows, np.arange(cells_per_file, len(rows), cells_per_file))
    for number, group in enumerate(groups):
        # Lists of their own, still packed: a task in another process gets no more than it needs.
        entries = {int(files.grid_ids[row]): _entry(files, int(row), modalities) for row in group}
        part = FileList.of(files.source, entries)
        digest = hashlib.sha256(repr(entries).encode()).hexdigest()
        yield Job(
            part_name(number, len(groups)),
            f'{PARTS}/',
            {**options, 'images': digest},
            partial(geotiff_stamps, root, part, modalities),
            partial(_write_geotiffs, root, part, modalities),
        )


def _entry(files: FileList, row: int, modalities: Sequence[ModalityName]) -> dict[str, object]:
    """Return the entry of a cell as lists of files have it."""
    cell = files.cell(row)
    entry: dict[str, object] = {'grid_id_coord': cell.cell.name}
    for name in modalities:
        if not (places := cell.images.get(name)):
            continue
        paths = {place: [image.path for image in images] for place, images in places.items()}
        entry[name] = paths if MODALITIES[name].local else next(iter(paths.values()))
    return entry


def _shard_jobs(
    shards: ShardSet,
    modalities: tuple[ModalityName, ...],
    grids: Sequence[int] | None,
    cells_per_file: int,
    options: Mapping[str, object],
) -> Iterator[Job]:
    keep = np.ones(len(shards.cells), bool)
    if grids is not None:
        keep = np.isin(shards.cells['grid_id'], grids)
        if absent := sorted(set(grids) - set(shards.cells['grid_id'].tolist())):
            raise ValueError(
                f'The shards have no cells {absent[:5]}, of {len(absent)} in all that are asked for.'
            )
    if not keep.any():
        raise ValueError('The shards have no cells.')
    groups = list(_groups(shards, keep, cells_per_file))
    for number, group in enumerate(groups):
        cells = np.concatenate([shard.cells['grid_id'] for shard in group])
        # Not all of the shards': those that came in another one before are left out.
        digest = hashlib.sha256(cells.astype('<i4').tobytes()).hexdigest()
        stamps = {shard.short: shard.stamp for shard in group}
        yield Job(
            part_name(number, len(groups)),
            f'{PARTS}/',
            {**options, 'cells': digest},
            partial(_same, stamps),
            partial(_write_shards, group, modalities),
        )


def _groups(
    shards: ShardSet, keep: NDArray[np.bool_], cells_per_file: int
) -> Iterator[tuple[ShardCells, ...]]:
    """Yield successive shards with so many cells at least; the last group may have fewer."""
    levels = zip(*(name.split('/')[:-1] for name in shards.names), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    faults: dict[str, list[Fault]] = {}
    for fault in shards.faults:
        faults.setdefault(fault.shard, []).append(fault)
    group: list[ShardCells] = []
    count = 0
    left = int(keep.sum())
    for number, name in enumerate(shards.names):
        cells = shards.cells[keep & (shards.shard == number)]
        short = '/'.join(name.split('/')[shared:])
        found = tuple(faults.get(name, ()))
        group.append(ShardCells(name, short, shards.stamps[number], cells, found))
        count, left = count + len(cells), left - len(cells)
        # Shards without cells join those before, for their faults are told, too.
        if count >= cells_per_file and left:
            yield tuple(group)
            group, count = [], 0
    yield tuple(group)


def _same(stamps: Stamps) -> Stamps:
    return stamps


def _write_geotiffs(
    root: Path, files: FileList, modalities: tuple[ModalityName, ...], path: Path
) -> Mapping[str, int]:
    rows = geotiff_rows(root, files, modalities)
    write_part(rows, path)
    return _counts(rows)


def _write_shards(
    group: Sequence[ShardCells], modalities: tuple[ModalityName, ...], path: Path
) -> Mapping[str, int]:
    rows: list[ImageRow] = []
    counts: Counter[str] = Counter()
    for shard in group:
        found, left_out = shard_rows(shard, modalities)
        rows += found
        counts.update(left_out)
        counts.update(fault_counts(shard.faults))
    write_part(rows, path)
    return {**_counts(rows), **counts}


def _counts(rows: Sequence[ImageRow]) -> dict[str, int]:
    return {
        'images': len(rows),
        'void': sum(row.fault is None and row.statistics.void for row in rows),
        'unreadable': sum(row.fault is not None for row in rows),
    }
