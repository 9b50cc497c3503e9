"""A Zarr group of version 2 in a zip file: which arrays it has, and where their chunks lie.

Reads any source of bytes, whatever zarr is installed: zarr 3 takes the path of a zip file for a folder,
and every zarr decodes a whole chunk to give one number of it. numcodecs, which zarr uses too, decodes.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.stored_array import StoredArray
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, read
from torchgeo_copernicus.datasets.storage.zip_members import members_of

_LOCAL_HEADER = struct.Struct('<4s5H3I2H')
#: Above this an array is not read whole into memory: its size may be a lie.
_LARGEST_BYTES = 1 << 31
_EPOCH_UNITS = {'days': 'D', 'hours': 'h', 'minutes': 'm', 'seconds': 's'}
_EPOCH_UNITS |= {'milliseconds': 'ms', 'microseconds': 'us', 'nanoseconds': 'ns'}


class ZarrZip:
    """A Zarr group of version 2 in a zip archive."""

    def __init__(self, source: ByteSource) -> None:
        """Read the directory and the descriptions of the arrays.

        Raises:
            ValueError: If it is cut off, or no such group.
        """
        self.source = source
        self.members = members_of(source)
        documents = self._documents()
        names = [key[: -len('/.zarray')] for key in documents if key.endswith('/.zarray')]
        self.arrays: Mapping[str, StoredArray] = {
            name: StoredArray.parse(
                name,
                documents[f'{name}/.zarray'],
                documents.get(f'{name}/.zattrs', {}),
                source.name,
            )
            for name in names
        }
        if not self.arrays:
            raise ValueError(
                f'{source.name} holds no Zarr group of version 2; its members are '
                f'{list(self.members)[:5]}.'
            )

        for name, array in self.arrays.items():
            if math.prod(array.grid) > len(self.members):
                raise ValueError(
                    f'{source.name}: {name} has {math.prod(array.grid)} chunks, too many for the '
                    f'{len(self.members)} members.'
                )

    def _documents(self) -> Mapping[str, object]:
        """Return the JSON documents by name, from the consolidated one where there is one."""
        if '.zmetadata' in self.members:
            content = self._json('.zmetadata')
            if isinstance(content, dict) and isinstance(content.get('metadata'), dict):
                return dict(content['metadata'])
        wanted = [name for name in self.members if name.endswith(('/.zarray', '/.zattrs'))]
        return {name: self._json(name) for name in wanted}

    def _json(self, name: str) -> object:
        try:
            content: object = json.loads(self.member(name))
        except ValueError as error:
            raise ValueError(f'{self.source.name}: {name} is damaged ({error}).') from error
        return content

    def __getitem__(self, name: str) -> StoredArray:
        """Return an array by name, never by position.

        Raises:
            ValueError: If there is none of this name.
        """
        if name not in self.arrays:
            raise ValueError(
                f'{self.source.name} has no variable {name!r}; there are {sorted(self.arrays)}.'
            )
        return self.arrays[name]

    def place(self, name: str) -> int:
        """Return the position of the first byte of a member's content."""
        member = self.members[name]
        fields = _LOCAL_HEADER.unpack(bytes(read(self.source, member.header, _LOCAL_HEADER.size)))
        if fields[0] != b'PK\3\4':
            raise ValueError(f'{self.source.name} is damaged: {name} has no header in it.')
        start = member.header + _LOCAL_HEADER.size + int(fields[9]) + int(fields[10])
        if start + member.size > self.source.size:
            raise ValueError(f'{self.source.name} is cut off inside {name}. Download it again.')
        return start

    def member(self, name: str) -> bytes:
        """Return the content of a member, checked by its CRC.

        Raises:
            ValueError: If it is damaged or too large.
        """
        member = self.members[name]
        if max(member.size, member.plain_size) > _LARGEST_BYTES:
            raise ValueError(f'{self.source.name}: {name} has {member.plain_size} bytes, too many.')
        content = bytes(read(self.source, self.place(name), member.size))
        if not member.stored:
            try:
                # One byte more than announced is enough to find a bomb.
                content = zlib.decompressobj(-15).decompress(content, member.plain_size + 1)
            except zlib.error as error:
                raise ValueError(f'{self.source.name}: {name} is damaged ({error}).') from error
        if len(content) != member.plain_size or zlib.crc32(content) != member.crc:
            raise ValueError(
                f'{self.source.name}: {name} is damaged (its CRC differs). Download it again.'
            )
        return content

    def chunk(self, array: StoredArray, name: str) -> NDArray[np.generic]:
        """Return one chunk of an array.

        Raises:
            ValueError: If it is damaged, or compressed in an unknown way.
        """
        where = f'{self.source.name}: {name}'
        if array.chunk_bytes > _LARGEST_BYTES:
            raise ValueError(f'{where} has {array.chunk_bytes} bytes, too many to read at once.')
        if name not in self.members:
            raise ValueError(f'{where} is missing. Download the file again.')
        content = self.member(name)
        try:
            return array.decode(content, self.source.name)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f'{where} is damaged ({error}).') from error

    def read(self, name: str) -> NDArray[np.generic]:
        """Return a whole array.

        Raises:
            ValueError: If there is none of this name, or it is damaged.
        """
        array = self[name]
        if not array.shape:
            return self.chunk(array, array.chunk_names()[0]).reshape(())
        if math.prod(array.shape) * array.dtype.itemsize > _LARGEST_BYTES:
            raise ValueError(
                f'{self.source.name}: {name} has the shape {array.shape}, too large to read.'
            )
        whole = np.empty(array.shape, array.dtype)
        corners = product(*(range(0, n, c) for n, c in zip(array.shape, array.chunks, strict=True)))
        for corner, key in zip(corners, array.chunk_names(), strict=True):
            box = tuple(slice(a, a + c) for a, c in zip(corner, array.chunks, strict=True))
            target = whole[box]
            target[...] = self.chunk(array, key)[tuple(slice(n) for n in target.shape)]
        return whole

    def times(self, name: str) -> NDArray[np.datetime64]:
        """Return an array of times, decoded from CF units such as "seconds since 2020-01-01".

        Raises:
            ValueError: If its units are not understood.
        """
        units = str(self[name].attributes.get('units', ''))
        match = re.fullmatch(r'(\w+) since (\d{4}-\d\d-\d\d(?:[ T][\d:.]+)?)', units)
        if not match or match[1] not in _EPOCH_UNITS:
            raise ValueError(
                f'{self.source.name}: {name} has the units {units!r}; wanted such as "seconds since '
                '2020-01-01", with one of '
                f'{list(_EPOCH_UNITS)}.'
            )
        start = np.datetime64(match[2].replace(' ', 'T'), 'ns')
        numbers = self.read(name)
        if not np.issubdtype(numbers.dtype, np.integer):
            raise ValueError(f'{self.source.name}: {name} is {numbers.dtype}, not whole numbers.')
        steps = numbers.astype(f'timedelta64[{_EPOCH_UNITS[match[1]]}]')
        return np.asarray(start + steps)
