"""Writes a Zarr group of version 2 into a zip file, as SSL4EO-S12 v1.1 has it.

Not through zarr: zarr 3 rewrites the group's metadata as it goes and leaves a third of the members of the
zip file twice; zarr 2 is not in the newer stacks.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from numcodecs import Blosc
from numcodecs.abc import Codec
from numpy.typing import NDArray

#: What zarr 2.18 writes when nothing is said.
DEFAULT_CODEC = Blosc(cname='lz4', clevel=5, shuffle=Blosc.SHUFFLE)


@dataclass(frozen=True)
class NewArray:
    """An array to write.

    Attributes:
        values: Its numbers or strings of fixed length.
        dims: Name of each axis.
        chunks: Length of a chunk along each axis; one chunk when None.
        attributes: Its attributes.
    """

    values: NDArray[np.generic]
    dims: Sequence[str]
    chunks: Sequence[int] | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the lengths.

        Raises:
            ValueError: If axes, names and chunks do not fit each other, or values are objects.
        """
        shape = self.values.shape
        chunks = shape if self.chunks is None else self.chunks
        if not len(shape) == len(self.dims) == len(chunks) or any(c < 1 for c in chunks):
            raise ValueError(f'shape {shape} has dims {list(self.dims)} and chunks {list(chunks)}')
        if self.values.dtype.hasobject:
            raise ValueError('Python objects cannot be stored; give strings of fixed length')


def write_zarr_zip(
    path: Path, arrays: Mapping[str, NewArray], codec: Codec | None = DEFAULT_CODEC
) -> None:
    """Write a group; the file appears whole or not at all.

    Args:
        path: File to write, `*.zarr.zip`; its folder must exist.
        arrays: Arrays by name.
        codec: Compressor of all arrays, or None.

    Raises:
        FileExistsError: If the file exists.
    """
    if path.exists():
        raise FileExistsError(f'{path} exists; move it away first')
    part = path.with_name(f'{path.name}.part')
    documents: dict[str, object] = {'.zgroup': {'zarr_format': 2}, '.zattrs': {}}
    with zipfile.ZipFile(part, 'w', zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            documents |= _describe(name, array, codec)
            for key, chunk in _chunks(array):
                content = chunk.tobytes() if codec is None else codec.encode(chunk)
                archive.writestr(_member(f'{name}/{key}'), bytes(content))
        whole = {'metadata': documents, 'zarr_consolidated_format': 1}
        for key, document in {**documents, '.zmetadata': whole}.items():
            archive.writestr(_member(key), json.dumps(document, indent=4, sort_keys=True))
    os.replace(part, path)


def _member(name: str) -> zipfile.ZipInfo:
    # Of a fixed date, so that the same arrays are the same bytes.
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _describe(name: str, array: NewArray, codec: Codec | None) -> dict[str, object]:
    values = array.values
    shape = list(values.shape)
    return {
        f'{name}/.zarray': {
            'chunks': shape if array.chunks is None else list(array.chunks),
            'compressor': None if codec is None else codec.get_config(),
            'dtype': values.dtype.str,
            'fill_value': 'NaN' if values.dtype.kind == 'f' else None,
            'filters': None,
            'order': 'C',
            'shape': shape,
            'zarr_format': 2,
        },
        f'{name}/.zattrs': {**array.attributes, '_ARRAY_DIMENSIONS': list(array.dims)},
    }


def _chunks(array: NewArray) -> list[tuple[str, NDArray[np.generic]]]:
    """Return name and numbers of every chunk; those at the end are filled up to the full length."""
    values = array.values
    if not values.shape:
        return [('0', values.reshape(1))]
    lengths = values.shape if array.chunks is None else tuple(array.chunks)
    counts = [range(-(-n // c)) for n, c in zip(values.shape, lengths, strict=True)]
    found = []
    for index in product(*counts):
        box = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, lengths, strict=True))
        chunk = values[box]
        if chunk.shape != tuple(lengths):
            full = np.zeros(lengths, values.dtype)
            full[tuple(slice(n) for n in chunk.shape)] = chunk
            chunk = full
        found.append(('.'.join(map(str, index)), np.ascontiguousarray(chunk)))
    return found
