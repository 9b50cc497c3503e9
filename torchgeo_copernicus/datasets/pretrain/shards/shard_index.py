"""Where the cells of a shard lie, and the numbers of each of their tensors.

One pass over the headers of the tar archive tells; what it found is kept until the shard changes. A shard
that is cut off gives its whole members, and a fault that says where it ends.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.pretrain.faults import Fault, Kind
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.shard_meta import (
    LARGEST_JSON_BYTES,
    CellMeta,
    read_meta,
)
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import (
    TensorLayout,
    UnsafePickleError,
    tensor_layout,
)
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, Part, SourceIO, read
from torchgeo_copernicus.datasets.storage.npy_headers import NPY_HEADERS

# Raised whenever the meaning of a field changes.
_VERSION = 1
_BLOCK = 512
_MEMBER = re.compile(rf'(?:.*/)?(\d{{7}})\.(json|(?:{"|".join(MODALITY_NAMES)})\.pth)')
_AXES = 5
#: A cell of a shard: its number, place of its JSON, and of each modality the place of the member (-1 where it
#: is absent), type, shape (zeros where it has fewer axes) and first byte of the numbers (-1 where it cannot be
#: read in parts).
CELL = np.dtype(
    [
        ('grid_id', '<i4'),
        ('key', '<i4'),
        ('json_offset', '<i8'),
        ('json_bytes', '<i8'),
        ('member_offset', '<i8', (len(MODALITY_NAMES),)),
        ('member_bytes', '<i8', (len(MODALITY_NAMES),)),
        ('dtype', 'S3', (len(MODALITY_NAMES),)),
        ('shape', '<i4', (len(MODALITY_NAMES), _AXES)),
        ('data_offset', '<i8', (len(MODALITY_NAMES),)),
    ]
)


@dataclass(frozen=True)
class ShardIndex:
    """The cells of one shard.

    Attributes:
        cells: In the order of the shard, `[N]` of type `CELL`.
        faults: What was found wrong.
    """

    cells: NDArray[np.void]
    faults: tuple[Fault, ...]

    def save(self, path: Path, stamp: tuple[int, int]) -> None:
        """Keep it, whole or not at all.

        Args:
            path: Where.
            stamp: Bytes of the shard, and a number that changes with its content.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f'{path.name}.{os.getpid()}.part')
        faults = json.dumps([asdict(fault) for fault in self.faults])
        with part.open('wb') as file:
            np.savez(
                file,
                allow_pickle=False,
                version=np.array(_VERSION),
                stamp=np.array(stamp, np.int64),
                cells=self.cells,
                faults=np.array(faults),
            )
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path, stamp: tuple[int, int]) -> ShardIndex | None:
        """Return what was kept, or None when it is not of this very shard."""
        try:
            with NPY_HEADERS, np.load(path, allow_pickle=False) as stored:
                if int(stored['version']) != _VERSION or stored['stamp'].tolist() != list(stamp):
                    return None
                faults = tuple(Fault(**fault) for fault in json.loads(str(stored['faults'])))
                cells: NDArray[np.void] = stored['cells']
        except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile):
            # Absent, of another version, or cut off: it is made again.
            return None
        return cls(cells, faults) if cells.dtype == CELL else None

    @classmethod
    def build(cls, source: ByteSource) -> ShardIndex:
        """Read the headers of a shard.

        Raises:
            UnsafePickleError: If a tensor is a program that does something else.
            OSError: If the shard cannot be read.
        """
        return _Builder(source).built()


@dataclass(frozen=True)
class _Place:
    offset: int
    size: int


class _Builder:
    """Collects the cells of a shard."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._faults: list[Fault] = []

    def built(self) -> ShardIndex:
        cells: list[NDArray[np.void]] = []
        before = ''
        for key, members in self._groups():
            cell = self._cell(key, members, repeated=key == before)
            before = key
            if cell is not None:
                cells.append(cell)
        joined = np.stack(cells) if cells else np.empty(0, CELL)
        return ShardIndex(joined, tuple(self._faults))

    def _fault(self, kind: Kind, key: str, offset: int, reason: str) -> None:
        self._faults.append(Fault(kind, self._source.name, key, offset, reason))

    def _groups(self) -> Iterator[tuple[str, dict[str, _Place]]]:
        """Yield members that belong to one sample, by their ending."""
        key, members = '', dict[str, _Place]()
        for name, place in self._members():
            found = _MEMBER.fullmatch(name)
            if found is None:
                continue
            # A member that comes again belongs to the next cell, under the key of the one before.
            if found[1] != key or found[2] in members:
                if members:
                    yield key, members
                key, members = found[1], {}
            members[found[2]] = place
        if members:
            yield key, members

    def _members(self) -> Iterator[tuple[str, _Place]]:
        """Yield names and places of the whole members."""
        size, end = self._source.size, 0
        try:
            with tarfile.open(fileobj=SourceIO(self._source), mode='r:') as archive:
                # Not a loop over the archive, which keeps every header in memory.
                while (member := archive.next()) is not None:
                    end = member.offset
                    if member.isfile() and member.offset_data + member.size > size:
                        break
                    end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK
                    if member.isfile():
                        yield member.name, _Place(member.offset_data, member.size)
        except (tarfile.TarError, ValueError) as error:
            self._fault('cut off', '', end, f'it is damaged or cut off here ({error})')
            return
        # tarfile takes a damaged header for the end, which is a block of zeros.
        rest = bytes(read(self._source, end, min(_BLOCK, max(0, size - end))))
        if len(rest) < _BLOCK or any(rest):
            self._fault('cut off', '', end, f'it has {size} bytes and no end of an archive')

    def _cell(
        self, key: str, members: dict[str, _Place], repeated: bool
    ) -> NDArray[np.void] | None:
        """Return what is known of a sample, or None when it has no images of its own."""
        cell = np.zeros((), CELL)
        cell['key'] = cell['grid_id'] = int(key)
        for field in ('member_offset', 'data_offset', 'json_offset'):
            cell[field] = -1
        first = min(place.offset for place in members.values())
        meta = self._meta(key, members.get('json'), first)
        if meta is None:
            return None
        grid_id = int(key)
        stale = meta.stale(grid_id)
        others = {series.grid_id for series in meta.series.values()} - {grid_id}
        if repeated and len(others) == 1:
            # A cell without elevation came under the key of the cell before: its images tell which it is.
            (grid_id,) = others
            stale = meta.stale(grid_id)
            self._fault('wrong key', key, first, f'the images are of cell {grid_id}')
        cell['grid_id'] = grid_id
        cell['json_offset'], cell['json_bytes'] = members['json'].offset, members['json'].size
        for column, name in enumerate(MODALITY_NAMES):
            place = members.get(f'{name}.pth')
            if place is None:
                continue
            if name in stale:
                self._fault('stale', key, place.offset, f'{name} is of {stale[name]}')
                continue
            if name not in meta.series:
                reason = meta.faults.get(name, f'the JSON does not name {name}')
                self._fault('metadata', key, place.offset, reason)
                continue
            layout = self._layout(key, name, place, meta)
            if layout is not None:
                cell['member_offset'][column] = place.offset
                cell['member_bytes'][column] = place.size
                cell['dtype'][column] = layout.dtype
                cell['shape'][column, : len(layout.shape)] = layout.shape
                if layout.offset is not None:
                    cell['data_offset'][column] = place.offset + layout.offset
        return cell

    def _meta(self, key: str, place: _Place | None, first: int) -> CellMeta | None:
        if place is None:
            self._fault('metadata', key, first, 'it has no JSON, so dates and places are not known')
            return None
        if place.size > LARGEST_JSON_BYTES:
            self._fault('metadata', key, place.offset, f'its JSON has {place.size} bytes')
            return None
        try:
            return read_meta(bytes(read(self._source, place.offset, place.size)))
        except ValueError as error:
            self._fault('metadata', key, place.offset, str(error))
            return None

    def _layout(
        self, key: str, name: ModalityName, place: _Place, meta: CellMeta
    ) -> TensorLayout | None:
        where = f'{self._source.name}/{key}.{name}.pth'
        try:
            layout = tensor_layout(Part(self._source, place.offset, place.size, where))
            wanted = _wanted_shape(name, meta)
            if not _fits(layout.shape, wanted):
                shape = str(wanted).replace('-1', '*')
                raise ValueError(f'{where} has shape {layout.shape}, its names tell {shape}.')
        except UnsafePickleError as error:
            raise UnsafePickleError(
                f'{error} (byte {place.offset} of {self._source.name})'
            ) from None
        except ValueError as error:
            self._fault('damaged', key, place.offset, str(error))
            return None
        return layout


def _wanted_shape(name: ModalityName, meta: CellMeta) -> tuple[int, ...]:
    """Return the shape of a tensor by the names of its images; -1 for any."""
    if name == 'dem':
        return (1, -1, -1)
    series, modality = meta.series[name], MODALITIES[name]
    image = (len(modality.sensor.bands), -1, -1)
    dates = len(series.days[0])
    return (len(series.patches), dates, *image) if modality.local else (dates, *image)


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    # Elevation is stored without an axis of channels; papers and conversions of others have one.
    if len(wanted) == 3:
        shape = (1, *shape) if len(shape) == 2 else shape
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(w in (n, -1) for n, w in pairs)
