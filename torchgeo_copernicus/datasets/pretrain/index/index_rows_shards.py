"""Measures the images of some shards, a row of an index for each that is not a repetition."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.datasets.buffers import Buffers
from torchgeo_copernicus.datasets.pretrain.faults import Fault
from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import WHOLE_CELL
from torchgeo_copernicus.datasets.pretrain.grid import Cell, split_name
from torchgeo_copernicus.datasets.pretrain.index.image_statistics import ImageStatistics
from torchgeo_copernicus.datasets.pretrain.index.index_table import ImageRow
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.repetitions import distinct_dates
from torchgeo_copernicus.datasets.pretrain.shards.shard_meta import Series, read_meta
from torchgeo_copernicus.datasets.pretrain.shards.stored_images import StoredImages
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import UnsafePickleError
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, read
from torchgeo_copernicus.datasets.storage.folder import folder_at


@dataclass(frozen=True)
class ShardCells:
    """The cells of one shard; small, for it travels to other processes.

    Attributes:
        name: Path or address of the shard.
        short: The same below the folder that all shards have in common.
        stamp: Bytes of the shard, and a number that changes with its content.
        cells: Those to measure, `[N]` of type `CELL`.
        faults: What was found wrong with the shard.
    """

    name: str
    short: str
    stamp: tuple[int, int]
    cells: NDArray[np.void]
    faults: tuple[Fault, ...]

    def open(self) -> ByteSource:
        """Open the shard.

        Raises:
            OSError: If it cannot be opened, or has another size than when its cells were listed.
        """
        folder, _, name = self.name.rpartition('/')
        source = folder_at(folder or '/').open(name)
        if source.size != self.stamp[0]:
            raise OSError(f'{self.name} changed since the start. Start again.')
        return source


def shard_rows(
    shard: ShardCells, modalities: Sequence[ModalityName]
) -> tuple[list[ImageRow], Counter[str]]:
    """Read all images of a shard.

    Returns:
        Rows by cell, modality, patch and stored date, where those that cannot be read say why; and the
        number of `repetitions` that were left out.

    Raises:
        UnsafePickleError: If a tensor is a program that does something else.
        ConnectionError: If a server does not answer: that is no fault of the image.
        OSError: If the shard cannot be opened.
        ValueError: If it changed since its cells were listed.
    """
    rows: list[ImageRow] = []
    counts: Counter[str] = Counter()
    if not len(shard.cells):
        return rows, counts
    source, buffers = shard.open(), Buffers()
    for cell in shard.cells:
        content = bytes(read(source, int(cell['json_offset']), int(cell['json_bytes'])))
        series = read_meta(content).series
        for name in modalities:
            # Of another cell: a trace of the published converter, and counted as such.
            if name in series and series[name].grid_id == int(cell['grid_id']):
                one = _CellModality(shard, source, cell, name, series[name], buffers)
                rows += one.rows(counts)
    return rows, counts


@dataclass(frozen=True)
class _CellModality:
    shard: ShardCells
    source: ByteSource
    cell: np.void
    name: ModalityName
    series: Series
    buffers: Buffers

    @property
    def _column(self) -> int:
        return MODALITY_NAMES.index(self.name)

    def rows(self, counts: Counter[str]) -> Iterator[ImageRow]:
        for patch, place in enumerate(self.series.patches or (WHOLE_CELL,)):
            days = self.series.days[patch]
            try:
                found = self._images(days, patch * len(days))
            except (UnsafePickleError, ConnectionError):
                raise
            except (ValueError, OSError) as error:
                distinct = list(dict.fromkeys(days))
                yield from (self._unread(place, day, str(error)) for day in distinct)
                continue
            counts['repetitions'] += len(days) - len(found)
            for date, image in found.items():
                yield self._row(place, days[date], patch * len(days) + date, image)

    def _images(self, days: Sequence[float], first: int) -> dict[int, Tensor]:
        """Return the images of a patch by stored date, without repetitions."""
        if self.cell['member_offset'][self._column] < 0:
            raise ValueError(self._why_absent())
        stored = StoredImages(self.source, self.cell, self.name)
        kept = distinct_dates(self.name, days, first, stored)
        images = stored.read([first + date for date in kept], self.buffers)
        return dict(zip(kept, images, strict=True))

    def _why_absent(self) -> str:
        member = f'{int(self.cell["key"]):07d}.{self.name}.pth'
        for fault in self.shard.faults:
            if member in fault.reason:
                return fault.reason
        return f'{self.shard.name} has no whole {member}, which its JSON names.'

    def _row(self, place: str, day: float, number: int, image: Tensor) -> ImageRow:
        start = int(self.cell['data_offset'][self._column])
        itemsize = np.dtype(self.cell['dtype'][self._column].decode()).itemsize
        height, width = image.shape[1:]
        cell = Cell(int(self.cell['grid_id']))
        latitude = cell.latitude if place == WHOLE_CELL else split_name(place)[2]
        return ImageRow(
            *self._at(place, day),
            ImageStatistics.of(image),
            key=f'{int(self.cell["key"]):07d}',
            first_byte=None if start < 0 else start + number * math.prod(image.shape) * itemsize,
            shape=(height, width),
            gsd_m=MODALITIES[self.name].gsd_m(latitude),
        )

    def _unread(self, place: str, day: float, reason: str) -> ImageRow:
        return ImageRow(
            *self._at(place, day),
            ImageStatistics.unknown(len(MODALITIES[self.name].sensor.bands)),
            key=f'{int(self.cell["key"]):07d}',
            fault=reason.replace(self.shard.name, self.shard.short),
        )

    def _at(self, place: str, day: float) -> tuple[int, ModalityName, str, float, str]:
        return int(self.cell['grid_id']), self.name, place, day, self.shard.short


def fault_counts(faults: Sequence[Fault]) -> Mapping[str, int]:
    """Return how often each kind of fault was found in shards, in words for a report."""
    words = {
        'cut off': 'shards cut off',
        'damaged': 'tensors damaged',
        'metadata': 'tensors or cells without dates',
        'stale': 'stale tensors',
        'wrong key': 'cells under a wrong key',
        'repeated': 'repeated cells',
    }
    return Counter(words.get(fault.kind, fault.kind) for fault in faults)
