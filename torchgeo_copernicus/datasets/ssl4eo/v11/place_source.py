"""Reads whole places of SSL4EO-S12 v1.1, whichever the edition: pixels as stored, dates in their order.

A source is small, so that a task can carry it to another process; it finds the places there anew. Files on
disk are checked by their CRC first: a copy of damaged pixels would have a right checksum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.crc_check import damaged_members
from torchgeo_copernicus.datasets.ssl4eo.v11.open_split import OpenSplit
from torchgeo_copernicus.datasets.ssl4eo.v11.patch_reader import PatchReader
from torchgeo_copernicus.datasets.ssl4eo.v11.place_index import PlaceIndex
from torchgeo_copernicus.datasets.ssl4eo.v11.variables import PlaceRecord
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.chunk_place import spans_of
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip import ZarrZip
from torchgeo_copernicus.datasets.storage.byte_source import Part
from torchgeo_copernicus.datasets.storage.folder import Folder, folder_at


@dataclass(frozen=True)
class PlaceSource:
    """Some places of one modality.

    Attributes:
        folder: Path or address of the folder of the files.
        files: Bytes and time of modification (ns) of each file that they are in, by name.
        rows: Number of each place in the table of these files, in the wanted order.
    """

    folder: str
    files: Mapping[str, tuple[int, int]]
    rows: tuple[int, ...]

    @classmethod
    def of(cls, opened: OpenSplit, modality: Modality, rows: NDArray[np.int64]) -> PlaceSource:
        """Take some places of a split.

        Args:
            opened: The split.
            modality: Which of its images.
            rows: Numbers of the places in the table of the modality.
        """
        index = opened.indices[modality]
        file_of = index.container_file[index.container]
        wanted = np.unique(file_of[rows])
        # Of the table of these files alone, which lists them in the same order.
        numbers = np.flatnonzero(np.isin(file_of, wanted))
        stamps = {
            str(index.files[number]): (int(size), int(time))
            for number, (size, time) in zip(wanted, index.stamps[wanted], strict=True)
        }
        local = tuple(np.searchsorted(numbers, rows).tolist())
        return cls(f'{opened.where}/{modality}', stamps, local)

    def records(self) -> Iterator[PlaceRecord]:
        """Yield what is known of each place.

        Raises:
            ValueError: If a file is damaged.
        """
        folder = folder_at(self.folder)
        index = PlaceIndex.build(dict(self.files), folder.open)
        reader = PatchReader(index, folder.open)

        @lru_cache(maxsize=1)
        def axes(container: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            group = _group(folder, index, container)
            x, y = (np.atleast_2d(group.read(name)).astype(np.float64) for name in ('x_', 'y_'))
            return x, y

        for row in self.rows:
            x, y = axes(int(index.container[row]))
            sample = int(index.sample[row])
            lon, lat = index.lonlat[row].tolist()
            yield PlaceRecord(
                f'{index.sample_id[row]:07d}',
                index.seconds[row],
                reader.products(row),
                int(index.crs[row]),
                lon,
                lat,
                x[sample],
                y[sample],
            )

    def images(self) -> Iterator[NDArray[np.generic]]:
        """Yield the images of each place as stored, `[T, C, H, W]`.

        Raises:
            ValueError: If a file is damaged.
        """
        reader = self._reader()
        bands, dates = len(reader.index.band_names), reader.index.order.shape[1]
        spans = spans_of(range(bands))
        for row in self.rows:
            image = np.empty((dates, bands, *reader.size), reader.dtype)
            for date in range(dates):
                for span, found in reader.pixels(row, date, spans):
                    image[date, span.first : span.last] = found
            yield image

    def clouds(self) -> Iterator[NDArray[np.generic]]:
        """Yield the cloud masks of each place, `[T, H, W]`.

        Raises:
            ValueError: If a file is damaged, or has none.
        """
        reader = self._reader()
        dates = range(reader.index.order.shape[1])
        for row in self.rows:
            # Each read overwrites the buffer of the last one.
            yield np.stack([reader.clouds(row, date).copy() for date in dates])

    def _reader(self) -> PatchReader:
        folder = folder_at(self.folder)
        index = PlaceIndex.build(dict(self.files), folder.open)
        # Behind an address the connection has its own checksum, and a second pass would cost hours.
        if '://' not in self.folder:
            for container in np.unique(index.container[list(self.rows)]).tolist():
                name = str(index.files[index.container_file[container]])
                _check(
                    self.folder, name, self.files[name], *index.container_span[container].tolist()
                )
        return PatchReader(index, folder.open)


def has_clouds(index: PlaceIndex) -> bool:
    """Return whether the files of a table have cloud masks.

    Raises:
        ValueError: If some have and others have not.
    """
    have = index.container_layout[:, 1] >= 0
    if have.any() != have.all():
        name = index.files[index.container_file[np.flatnonzero(~have)[0]]]
        raise ValueError(
            f'{name} has no cloud_mask, other files of its modality have. Convert them apart, with files=.'
        )
    return bool(have.all())


def _group(folder: Folder, index: PlaceIndex, container: int) -> ZarrZip:
    name = str(index.files[index.container_file[container]])
    offset, size = (int(value) for value in index.container_span[container])
    return _part(folder, name, offset, size)


def _part(folder: Folder, name: str, offset: int, size: int) -> ZarrZip:
    whole = folder.open(name)
    return ZarrZip(whole if (offset, size) == (0, whole.size) else Part(whole, offset, size, name))


# A file of 64 places is the source of several shards: once for each process is enough.
@lru_cache(maxsize=1 << 14)
def _check(folder: str, name: str, stamp: tuple[int, int], offset: int, size: int) -> None:
    """Compare what a container holds with its checksums; *stamp* tells changed files apart.

    Raises:
        ValueError: If it is damaged.
    """
    if damaged := damaged_members(_part(folder_at(folder), name, offset, size)):
        raise ValueError(
            f'{folder}/{name} is damaged: the CRC of {damaged[:3]} differs. Download it again.'
        )
