"""Converts WebDataset shards of Copernicus-Pretrain into GeoTIFFs and a list of them.

Every image once, with its very numbers: repetitions that made up a number of dates, and tensors of another
cell that the published converter left, are no images of a cell and are left out and counted.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.conversion.conversion import ConversionReport, Job, convert
from torchgeo_copernicus.datasets.pretrain.cell_numbers import cell_numbers
from torchgeo_copernicus.datasets.pretrain.faults import LOSSES, FaultError
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import OnError
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_writer import file_name, write_image
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import (
    MODALITIES,
    MODALITY_NAMES,
    ModalityName,
    chosen_modalities,
)
from torchgeo_copernicus.datasets.pretrain.shards.repetitions import distinct_dates
from torchgeo_copernicus.datasets.pretrain.shards.shard_meta import Series, read_meta
from torchgeo_copernicus.datasets.pretrain.shards.shard_names import shard_names
from torchgeo_copernicus.datasets.pretrain.shards.shard_set import ShardSet
from torchgeo_copernicus.datasets.pretrain.shards.stored_images import StoredImages
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import read_whole
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, Part, read
from torchgeo_copernicus.datasets.storage.folder import folder_at

#: Name of the list of files.
LIST_NAME = 'fnames_converted.json.gz'
_FORMAT = {'format': 'Copernicus-Pretrain GeoTIFFs'}
# Types that the readers of GeoTIFFs know, by that of the release.
_DTYPES = {'int16': ('<i2',), 'float32': ('<f4', '<f8')}
_TOLD = 3


def convert_geotiff(
    shards: str | Path | Sequence[str | Path],
    output: Path | str,
    modalities: ModalityName | Sequence[ModalityName] | None = None,
    *,
    grids: Sequence[int] | None = None,
    on_error: OnError = 'raise',
    scheduler: object = None,
    workers: int | None = None,
    progress: bool = True,
) -> ConversionReport:
    """Write a folder for `CopernicusPretrainGeoTIFF`: images in the folders of the release, and a list.

    Pixels and types are those of the shards: Sentinel-3 in counts, Sentinel-2 as int16. The georeference is
    reconstructed, and a tag of each file says so (see `image_writer`); places and days in the names are those
    of the shards. The list, `fnames_converted.json.gz`, is written when all files are there.

    Shards on a server are read image by image. A file of each image is made, and planned before the first is
    written: of millions convert some cells at a time (*grids*), each part into a folder of its own.

    Args:
        shards: Published set, path, folder, address, pattern or list; see `CopernicusPretrainStream`.
        output: Folder to write into.
        modalities: Which; all when None. Cells that have none of them are left out.
        grids: Numbers of cells, in the order wanted; all, in the order of the shards, when None.
        on_error: Of shards that are cut off, and of damaged tensors and names: `raise` names them, `skip`
            leaves out what is lost and counts it.
        scheduler: Of Dask; see `conversion.convert`.
        workers: How many files are made at once.
        progress: Show a bar.

    Returns:
        What was written, and counts: `cells`, `images`, `repetitions` that were left out, and what was wrong
        with the shards, by the kinds of `faults`.

    Raises:
        UnsafePickleError: If a tensor is a program that does something else.
        FaultError: If a shard lost something, unless *on_error* is `skip`.
        ValueError: If an argument is impossible, a cell or a shard is not there, a tensor has a type that
            GeoTIFFs of its modality do not have, or the folder holds something else.
        OSError: If a shard cannot be read.
    """
    one_of('on_error', on_error, OnError)
    wanted = chosen_modalities(modalities)
    shard_set = ShardSet(shard_names(shards))
    losses = [fault for fault in shard_set.faults if fault.kind in LOSSES]
    if losses and on_error == 'raise':
        told = '\n'.join(map(str, losses[:_TOLD]))
        raise FaultError(
            f'{len(losses)} faults lose something:\n{told}\nGet these shards again, or leave out what is '
            "lost with on_error='skip'."
        )
    counts = Counter[str](fault.kind for fault in shard_set.faults)
    jobs: list[Job] = []
    entries: dict[str, dict[str, object]] = {}
    for row in _rows(shard_set, wanted, grids):
        cell = Cell(int(shard_set.cells['grid_id'][row]))
        entry, images = _planned(shard_set, row, cell, wanted, counts)
        entries[f'{cell.grid_id:07d}'] = entry
        jobs += images
    counts['cells'] = len(entries)
    content = json.dumps(entries).encode()
    # Its hash: the list would be longer than all else that is noted of it.
    options = {**_FORMAT, 'files': hashlib.sha256(content).hexdigest()}
    write = partial(_write_list, content, {name: n for name, n in counts.items() if n})
    listing = Job(LIST_NAME, 'fnames_', options, dict, write)
    return convert(
        [jobs, [listing]], output, scheduler=scheduler, workers=workers, progress=progress
    )


@dataclass(frozen=True, eq=False)
class _StoredImage:
    """An image of a shard that becomes a file.

    Attributes:
        shard: Path or address.
        stamp: Its bytes, and a number that changes with its content.
        cell: Entry of the cell in the index of the shard, of type `CELL`.
        name: Modality.
        number: Which of the stored images.
        place: Name of the local patch or of the cell.
    """

    shard: str
    stamp: tuple[int, int]
    cell: np.void
    name: ModalityName
    number: int
    place: str

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Return what the file is made of: which image of which shard."""
        where = int(self.cell['member_offset'][MODALITY_NAMES.index(self.name)])
        return {self.shard: self.stamp, 'member and image': (where, self.number)}

    def write(self, path: Path) -> Mapping[str, int]:
        """Write the file."""
        folder, _, name = self.shard.rpartition('/')
        source = folder_at(folder or '/').open(name)
        write_image(path, _pixels(source, self.cell, self.name, self.number), self.name, self.place)
        return {'images': 1}


def _rows(
    shards: ShardSet, wanted: Sequence[ModalityName], grids: Sequence[int] | None
) -> list[int]:
    """Return the rows of the cells to convert.

    Raises:
        ValueError: If there is none, or one that is asked for is not there.
    """
    present = np.any([shards.present(name) for name in wanted], axis=0)
    rows = {int(shards.cells['grid_id'][row]): row for row in np.flatnonzero(present).tolist()}
    if grids is not None:
        numbers = cell_numbers(grids)
        if lacking := [number for number in numbers if number not in rows]:
            raise ValueError(
                f'{len(lacking)} of {len(numbers)} cells are not in the shards with any of {list(wanted)}, '
                f'such as {lacking[:_TOLD]}.'
            )
        rows = {number: rows[number] for number in numbers}
    if not rows:
        raise ValueError(f'No cell of the shards has any of {list(wanted)}.')
    return list(rows.values())


def _planned(
    shards: ShardSet, row: int, cell: Cell, wanted: Sequence[ModalityName], counts: Counter[str]
) -> tuple[dict[str, object], list[Job]]:
    """Return the entry of a cell in the list, and its files to make."""
    number = int(shards.shard[row])
    source, known = shards.source(number), shards.cells[row]
    offset, size = int(known['json_offset']), int(known['json_bytes'])
    meta = read_meta(bytes(read(source, offset, size)))
    entry: dict[str, object] = {'grid_id_coord': cell.name}
    jobs: list[Job] = []
    for name, modality in MODALITIES.items():
        column = MODALITY_NAMES.index(name)
        paths: dict[str, list[str]] = {}
        if name in wanted and known['member_offset'][column] >= 0:
            _check_type(name, known['dtype'][column].decode(), source, cell)
            stored = StoredImages(source, known, name)
            for place, dates, first in _places(name, meta.series[name]):
                folder = '/'.join(filter(None, (modality.folder, cell.name, place)))
                kept = distinct_dates(name, dates, first, stored)
                counts['repetitions'] += len(dates) - len(kept)
                names = [
                    file_name(name, dates[i], sum(dates[j] == dates[i] for j in kept if j < i))
                    for i in kept
                ]
                paths[place] = [f'{folder}/{file}' for file in names]
                for path, date in zip(paths[place], kept, strict=True):
                    image = _StoredImage(
                        shards.names[number],
                        shards.stamps[number],
                        known,
                        name,
                        first + date,
                        place or cell.name,
                    )
                    job = Job(path, f'{modality.folder}/', _FORMAT, image.stamps, image.write)
                    jobs.append(job)
        entry[name] = paths if modality.local else paths.get('', [])
    return entry, jobs


def _places(name: ModalityName, series: Series) -> Iterator[tuple[str, Sequence[float], int]]:
    """Yield the places of a modality: name, days of its images, and number of the first of these."""
    places = series.patches if MODALITIES[name].local else ('',)
    for position, (place, days) in enumerate(zip(places, series.days, strict=True)):
        yield place, days, position * len(days)


def _check_type(name: ModalityName, dtype: str, source: ByteSource, cell: Cell) -> None:
    allowed = _DTYPES[MODALITIES[name].stored_dtype]
    if dtype not in allowed:
        found, known = np.dtype(dtype).name, ' or '.join(np.dtype(each).name for each in allowed)
        raise ValueError(
            f'{source.name}: {name} of cell {cell.name} is {found}; GeoTIFFs of it are {known}. Leave this '
            'modality out.'
        )


def _pixels(
    source: ByteSource, cell: np.void, name: ModalityName, number: int
) -> NDArray[np.generic]:
    """Return an image `[C, H, W]` with the very numbers of the shard, before any scale."""
    column = MODALITY_NAMES.index(name)
    shape = [int(n) for n in cell['shape'][column] if n]
    image_shape = (1, *shape[-2:]) if name == 'dem' else tuple(shape[-3:])
    start = int(cell['data_offset'][column])
    if start < 0:
        offset, size = int(cell['member_offset'][column]), int(cell['member_bytes'][column])
        whole_tensor = read_whole(Part(source, offset, size, f'{source.name}: {name}'))
        return np.asarray(whole_tensor.reshape(-1, *image_shape)[number])
    pixels = np.empty(image_shape, cell['dtype'][column].decode())
    target = pixels.data.cast('B')
    source.read_into(start + number * len(target), target)
    return pixels


def _write_list(content: bytes, counts: Mapping[str, int], path: Path) -> Mapping[str, int]:
    # Without the time, which would make another file each time.
    path.write_bytes(gzip.compress(content, mtime=0))
    return counts
