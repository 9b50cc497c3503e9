"""What `.zarray` says of an array of Zarr version 2: shape, chunks, type and codec."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numcodecs
import numpy as np
from numcodecs.abc import Codec
from numcodecs.errors import UnknownCodecError
from numpy.typing import NDArray

_CODECS = (
    *('blosc', 'zstd', 'lz4', 'zlib', 'gzip', 'bz2', 'lzma'),
    *('delta', 'shuffle', 'crc32', 'adler32'),
)


@dataclass(frozen=True)
class StoredArray:
    """An array in a Zarr group, without its numbers.

    Attributes:
        name: Its name in the group.
        shape: Length of each axis.
        chunks: Length of a chunk along each axis; chunks at the end are stored whole.
        dtype: Type of the numbers.
        compressor: Codec of numcodecs as a dictionary, or None for raw bytes.
        dims: Names of the axes; empty when the file does not say.
        order: `C` or `F`.
        filters: Codecs applied before the compressor, as dictionaries.
        separator: What stands between the numbers of a chunk's name.
        attributes: Its attributes.
    """

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[np.generic]
    compressor: Mapping[str, object] | None
    dims: tuple[str, ...]
    order: Literal['C', 'F']
    filters: tuple[Mapping[str, object], ...]
    separator: str
    attributes: Mapping[str, object]

    @classmethod
    def parse(cls, name: str, zarray: object, zattrs: object, where: str) -> StoredArray:
        """Read the two JSON documents of an array.

        Args:
            name: Name of the array.
            zarray: Content of `.zarray`.
            zattrs: Content of `.zattrs`; an empty dictionary when there is none.
            where: Name of the file, for messages.

        Raises:
            ValueError: If it is no array of Zarr version 2.
        """
        try:
            if not isinstance(zarray, dict) or not isinstance(zattrs, dict):
                raise TypeError('not a JSON object')
            if zarray['zarr_format'] != 2:
                raise TypeError(f'zarr_format is {zarray["zarr_format"]}, not 2')
            dims = zattrs.get('_ARRAY_DIMENSIONS', ())
            array = cls(
                name,
                tuple(int(length) for length in zarray['shape']),
                tuple(int(length) for length in zarray['chunks']),
                np.dtype(zarray['dtype']),
                zarray['compressor'],
                tuple(str(dim) for dim in dims),
                zarray.get('order', 'C'),
                tuple(zarray.get('filters') or ()),
                str(zarray.get('dimension_separator', '.')),
                zattrs,
            )
            if len(array.shape) != len(array.chunks) or any(c < 1 for c in array.chunks):
                raise TypeError(f'shape {array.shape} in chunks of {array.chunks}')
            if array.dtype.hasobject:
                raise TypeError(
                    'arrays of Python objects are not read, because that could run code'
                )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f'{where}: {name}/.zarray cannot be understood ({error}).') from error
        return array

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk after decompression."""
        return int(np.prod(self.chunks, dtype=np.int64)) * self.dtype.itemsize

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks along each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True))

    def chunk_names(self) -> list[str]:
        """Return the names of all chunks, the last axis running fastest."""
        if not self.shape:
            return [f'{self.name}/0']
        every = product(*(range(length) for length in self.grid))
        return [f'{self.name}/{self.separator.join(map(str, index))}' for index in every]

    def decode(self, content: bytes, where: str) -> NDArray[np.generic]:
        """Return the numbers of a chunk.

        Args:
            content: Its bytes as stored.
            where: Name of the file, for messages.

        Raises:
            ValueError: If they are damaged, or numcodecs does not know how to decode them.
        """
        coders = [*self.filters, *([] if self.compressor is None else [self.compressor])]
        plain: object = content
        for config in reversed(coders):
            plain = _codec(config, f'{where}: {self.name}').decode(plain)
        numbers = np.frombuffer(plain, np.uint8).view(self.dtype)  # type: ignore[call-overload]
        return np.asarray(numbers.reshape(self.chunks, order=self.order))


def _codec(config: Mapping[str, object], where: str) -> Codec:
    # An allowed list, for numcodecs has one codec (pickle) that runs code, refused only in newer versions.
    if config.get('id') not in _CODECS:
        raise ValueError(f'{where} is compressed with {json.dumps(config)}. Allowed: {_CODECS}.')
    try:
        return numcodecs.get_codec(dict(config))
    except (UnknownCodecError, TypeError, ValueError) as error:
        raise ValueError(
            f'{where} is compressed with {json.dumps(config)}, which the installed numcodecs does not '
            'know.'
        ) from error
