"""Opens the map in a `.npz` archive of NumPy.

Without compression (`numpy.savez`, as published) parts are read by their position. A compressed one has to
be inflated from its start for each part: memory stays bounded, but it takes long. Write it once as GeoTIFF or
Zarr with `write_map`. Its CRC-32 is compared where its last row is read; of one without compression never,
for that would mean to read all of it (`download_embed` compares the SHA-256 of the published file).
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.map_array import Layout, MapArray, whole_map
from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.embed.stored_array import StoredArray, source_at
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS, ROWS
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, read
from torchgeo_copernicus.datasets.storage.npy_headers import NPY_HEADERS
from torchgeo_copernicus.datasets.storage.zip_members import Member, members_of

#: Name of the array in the published file.
ARRAY = 'arr_0'
_LOCAL_HEADER = struct.Struct('<4s5H3I2H')
_SIGNATURE = b'PK\3\4'
# NumPy refuses longer headers, too.
_HEADER_BYTES = 10_000 + 12
_PIECE_BYTES = 1 << 20


def open_npz(path: str) -> MapArray:
    """Open a `.npz` file with an array `[721, 1440, channels]`: the only one in it, or `arr_0`.

    Args:
        path: Path or address of the file.

    Raises:
        ValueError: If it is damaged, of another shape, or not of plain numbers in C order.
        OSError: If it cannot be read.
    """
    source = source_at(path)
    members = members_of(source)
    arrays = [name for name in members if name.endswith('.npy')]
    name = arrays[0] if len(arrays) == 1 else f'{ARRAY}.npy'
    if name not in members:
        raise ValueError(f'{path} has the arrays {arrays}, wanted one, or {ARRAY}.npy among them.')
    member = members[name]
    start = _start(source, name, member)
    head = _head(source, start, member)
    shape, fortran, dtype, length = _header(head, path)
    channels = whole_map(path, shape, dtype)
    if fortran:
        raise ValueError(
            f'{path} is in Fortran order; save it again as numpy.ascontiguousarray(array).'
        )
    if length + math.prod(shape) * dtype.itemsize != member.plain_size:
        raise ValueError(
            f'{path} is damaged: {name} has {member.plain_size} bytes, which is not {shape} of {dtype}.'
        )
    if member.stored:
        return StoredArray(path, start + length, dtype.str, channels, source.size)
    return DeflatedArray(path, start, member.size, length, dtype.str, channels, member.crc)


def _start(source: ByteSource, name: str, member: Member) -> int:
    """Return the first byte of the content of a member."""
    header = bytes(read(source, member.header, _LOCAL_HEADER.size))
    signature, *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    start = member.header + len(header) + int(name_bytes) + int(extra_bytes)
    if signature != _SIGNATURE or start + member.size > source.size:
        raise ValueError(f'{source.name} is damaged or cut off: {name} is not where it should be.')
    return start


def _head(source: ByteSource, start: int, member: Member) -> bytes:
    """Return the first bytes of a member, inflated."""
    packed = bytes(read(source, start, min(member.size, _HEADER_BYTES)))
    if member.stored:
        return packed
    try:
        return zlib.decompressobj(-15).decompress(packed, _HEADER_BYTES)
    except zlib.error as error:
        raise ValueError(f'{source.name} is damaged ({error}). Download it again.') from error


def _header(head: bytes, path: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    """Return shape, whether in Fortran order, type, and length of the header of an array."""
    file = io.BytesIO(head)
    try:
        version = np.lib.format.read_magic(file)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if reader is None:
            raise ValueError(f'version {version} of its format')
        with NPY_HEADERS:
            shape, fortran, dtype = reader(file)
    except ValueError as error:
        raise ValueError(f'{path} has no readable array: {error}.') from error
    return tuple(shape), bool(fortran), dtype, file.tell()


@dataclass(frozen=True)
class DeflatedArray:
    """A whole map as compressed numbers in a file.

    Attributes:
        name: Path or address of the file.
        start: First compressed byte.
        packed_size: Compressed bytes.
        header_size: Inflated bytes before the numbers.
        dtype: Type of the numbers.
        channels: Numbers of a cell.
        crc: CRC-32 of the inflated bytes.
    """

    name: str
    start: int
    packed_size: int
    header_size: int
    dtype: str
    channels: int
    crc: int

    @property
    def window(self) -> MapWindow:
        """The cells it has: all."""
        return MapWindow()

    @property
    def layout(self) -> Layout:
        """What is read at a time: all up to the wanted part."""
        return Layout(sequential=True)

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Read a part; see `MapArray`."""
        dtype = np.dtype(self.dtype)
        width = columns.stop - columns.start
        found = np.empty((rows.stop - rows.start, width, self.channels), np.float32)
        plain = _Inflated(source_at(self.name), self.start, self.packed_size)
        plain.skip(self.header_size)
        row_bytes = COLUMNS * self.channels * dtype.itemsize
        plain.skip(rows.start * row_bytes)
        for number in range(len(found)):
            row = np.frombuffer(plain.take(row_bytes), dtype).reshape(COLUMNS, self.channels)
            found[number] = row[columns]
        if rows.stop == ROWS and plain.crc != self.crc:
            raise ValueError(f'{self.name} is damaged: its numbers do not fit their CRC-32.')
        return found


class _Inflated:
    """The bytes of a compressed member, from its start on."""

    def __init__(self, source: ByteSource, start: int, size: int) -> None:
        self._source, self._position, self._end = source, start, start + size
        self._inflate = zlib.decompressobj(-15)
        self._plain = b''
        self.crc = 0

    def skip(self, count: int) -> None:
        """Leave out bytes."""
        while count:
            piece = self._more(count)
            count -= len(piece)

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        pieces = []
        while count:
            pieces.append(self._more(count))
            count -= len(pieces[-1])
        return b''.join(pieces)

    def _more(self, most: int) -> bytes:
        """Return some of the next bytes, at least one."""
        while not self._plain:
            packed = self._inflate.unconsumed_tail
            if not packed and self._position < self._end:
                length = min(_PIECE_BYTES, self._end - self._position)
                packed = bytes(read(self._source, self._position, length))
                self._position += length
            try:
                # Without more bytes it may still hold some back.
                self._plain = self._inflate.decompress(packed, _PIECE_BYTES)
            except zlib.error as error:
                raise ValueError(
                    f'{self._source.name} is damaged ({error}). Download it again.'
                ) from error
            if not packed and not self._plain:
                raise ValueError(f'{self._source.name} is damaged: its array ends early.')
        piece, self._plain = self._plain[:most], self._plain[most:]
        self.crc = zlib.crc32(piece, self.crc)
        return piece
