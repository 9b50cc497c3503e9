"""Where the pixels of one place and date lie in a file: chunk, first byte, last byte."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.stored_array import StoredArray

_DIMS = ('sample', 'time', 'band', 'y', 'x')


@dataclass(frozen=True)
class Span:
    """Neighbouring bands that are read together.

    Attributes:
        first: First band in the file.
        last: One past the last.
        wanted: Bands to keep, from `first` on.
        positions: Where they go in the image.
    """

    first: int
    last: int
    wanted: tuple[int, ...]
    positions: tuple[int, ...]


def spans_of(indices: Sequence[int]) -> tuple[Span, ...]:
    """Group the wanted bands of a file into spans.

    A gap of a single band is read over: its blocks are most often those of its neighbours.

    Args:
        indices: Wanted bands by their number in the file, in the order of the image.
    """
    groups: list[list[int]] = []
    for band in sorted(indices):
        if groups and band - groups[-1][-1] <= 2:
            groups[-1].append(band)
        else:
            groups.append([band])
    places = {band: position for position, band in enumerate(indices)}
    return tuple(
        Span(
            group[0],
            group[-1] + 1,
            tuple(band - group[0] for band in group),
            tuple(places[band] for band in group),
        )
        for group in groups
    )


@dataclass(frozen=True)
class PixelLayout:
    """How an array `[sample, time, band, y, x]` is cut into chunks; `sample` or `band` may be absent.

    Attributes:
        array: The array.
    """

    array: StoredArray

    @classmethod
    def of(cls, array: StoredArray, where: str) -> PixelLayout:
        """Check that pixels of one place and date can be found.

        Args:
            array: An array of images.
            where: Name of the file, for messages.

        Raises:
            ValueError: If the axes are others.
        """
        expected = {5: _DIMS, 4: _DIMS[1:]}
        if array.name == 'cloud_mask':
            expected = {4: ('sample', 'time', 'y', 'x'), 3: ('time', 'y', 'x')}
        wanted = expected.get(len(array.shape))
        if wanted is None or (array.dims and array.dims != wanted):
            raise ValueError(
                f'{where}: {array.name} has the axes {list(array.dims)} and the shape '
                f'{list(array.shape)}; wanted {[list(dims) for dims in expected.values()]}.'
            )
        if array.chunks[-2:] != array.shape[-2:]:
            raise ValueError(
                f'{where}: {array.name} is cut into chunks of {list(array.chunks)} within an image, which '
                'is not read.'
            )
        return cls(array)

    @property
    def has_samples(self) -> bool:
        """Whether the first axis counts places."""
        return len(self.array.shape) == (4 if self.array.name == 'cloud_mask' else 5)

    @property
    def full_shape(self) -> tuple[int, int, int, int, int]:
        """Shape as `[sample, time, band, y, x]`."""
        return self._five(self.array.shape)

    @property
    def _chunks(self) -> tuple[int, int, int, int, int]:
        return self._five(self.array.chunks)

    def _five(self, lengths: Sequence[int]) -> tuple[int, int, int, int, int]:
        five = list(lengths)
        if self.array.name == 'cloud_mask':
            five.insert(-2, 1)
        if not self.has_samples:
            five.insert(0, 1)
        samples, times, bands, height, width = five
        return samples, times, bands, height, width

    @property
    def by_bytes(self) -> bool:
        """Whether an image is a row of bytes in its chunk, so that it can be read alone."""
        _, _, _, height, width = self.full_shape
        compressor = self.array.compressor
        return (
            self._chunks[3] >= height
            and self._chunks[4] == width
            and self._chunks[3] == height
            and self.array.order == 'C'
            and not self.array.filters
            and (compressor is None or compressor.get('id') == 'blosc')
        )

    def locate(self, sample: int, date: int, first: int) -> tuple[int, int, int]:
        """Return (number of the chunk, first item in it, bands from there to the chunk's end).

        Args:
            sample: Place in the file.
            date: Index on the time axis.
            first: First wanted band.
        """
        index = (sample, date, first, 0, 0)
        chunks = self._chunks
        grid = [-(-n // c) for n, c in zip(self.full_shape, chunks, strict=True)]
        number = int(
            np.ravel_multi_index([i // c for i, c in zip(index, chunks, strict=True)], grid)
        )
        item = int(
            np.ravel_multi_index([i % c for i, c in zip(index, chunks, strict=True)], chunks)
        )
        return number, item, chunks[2] - first % chunks[2]

    def key(self) -> str:
        """Return all that matters as text, to compare layouts and to store them."""
        array = self.array
        content = {
            'name': array.name,
            'shape': array.shape,
            'chunks': array.chunks,
            'dtype': array.dtype.str,
            'compressor': array.compressor,
            'order': array.order,
            'filters': array.filters,
            'separator': array.separator,
        }
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_key(cls, key: str) -> PixelLayout:
        """Return the layout that `key` described."""
        content = json.loads(key)
        document = {**content, 'zarr_format': 2, 'dimension_separator': content['separator']}
        return cls(StoredArray.parse(content['name'], document, {}, 'index'))
