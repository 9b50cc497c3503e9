"""Reads the pixels of one place and date of one modality, and little more than those."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.ssl4eo.v11.place_index import PlaceIndex
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.blosc_blocks import BloscBlocks, Scratch
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.chunk_place import PixelLayout, Span, spans_of
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip import ZarrZip
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, Part

# Open files, tables of blocks, and whole chunks of codecs that cannot be read in parts, kept per process.
_FILES, _TABLES, _CHUNKS = 64, 2048, 2


class PatchReader:
    """Reader of one modality; safe for threads, and for processes by fork and spawn."""

    def __init__(self, index: PlaceIndex, open_file: Callable[[str], ByteSource]) -> None:
        """Prepare to read.

        Args:
            index: Where the chunks are.
            open_file: Opens a file by name; must be picklable.
        """
        self.index = index
        self._open_file = open_file
        self._layouts = [PixelLayout.from_key(str(key)) for key in index.layouts]
        self._start()

    def _start(self) -> None:
        self._scratch = Scratch()
        self._source = lru_cache(_FILES)(self._open)
        self._blocks = lru_cache(_TABLES)(self._find_blocks)
        self._whole = lru_cache(_CHUNKS)(self._read_chunk)
        self._products = lru_cache(_FILES)(self._read_products)

    def __getstate__(self) -> dict[str, object]:
        """Return the state without open files and buffers."""
        kept = ('index', '_open_file', '_layouts')
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Start anew in another process."""
        self.__dict__.update(state)
        self._start()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images (px)."""
        return self._layouts[int(self.index.container_layout[0, 0])].full_shape[3:]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the stored pixels."""
        return self._layouts[int(self.index.container_layout[0, 0])].array.dtype

    def pixels(
        self, row: int, date: int, bands: Sequence[Span]
    ) -> Iterator[tuple[Span, NDArray[np.generic]]]:
        """Yield the wanted bands of a place and date, as stored.

        Args:
            row: Number of the place in the index.
            date: Date in chronological order.
            bands: From `spans_of`.

        Yields:
            A span and its bands `[last - first, H, W]`; they lie in a buffer of this thread that the next
            read overwrites.

        Raises:
            ValueError: If the file is damaged; names file, place and date.
        """
        container, sample = int(self.index.container[row]), int(self.index.sample[row])
        stored_date = int(self.index.order[row, date])
        for span in bands:
            with _Naming(self, row, date):
                found = self._read(container, 0, sample, stored_date, span)
            yield span, found

    def clouds(self, row: int, date: int) -> NDArray[np.generic]:
        """Return the cloud mask of a place and date, `[H, W]`; see `pixels`.

        Raises:
            ValueError: If the file has none, or is damaged.
        """
        container, sample = int(self.index.container[row]), int(self.index.sample[row])
        with _Naming(self, row, date):
            if self.index.container_layout[container, 1] < 0:
                raise ValueError('it has no cloud_mask; only Sentinel-2 has.')
            stored_date = int(self.index.order[row, date])
            found = self._read(container, 1, sample, stored_date, spans_of([0])[0])
        return np.asarray(found[0])

    def products(self, row: int) -> tuple[str, ...]:
        """Return the names of the products of a place, in chronological order.

        Raises:
            ValueError: If the file is damaged.
        """
        with _Naming(self, row, None):
            names = self._products(int(self.index.container[row]))[int(self.index.sample[row])]
        return tuple(str(names[stored]) for stored in self.index.order[row])

    def where(self, row: int) -> str:
        """Return the name of the file a place is in."""
        container = int(self.index.container[row])
        return str(self.index.files[self.index.container_file[container]])

    def _read(
        self, container: int, kind: int, sample: int, date: int, span: Span
    ) -> NDArray[np.generic]:
        """Return neighbouring bands, in a buffer of this thread."""
        layout = self._layouts[int(self.index.container_layout[container, kind])]
        _, _, _, height, width = layout.full_shape
        number, item, left = layout.locate(sample, date, span.first)
        count = span.last - span.first
        if left >= count:
            found = self._items(container, kind, layout, number, item, count)
            return found.reshape(count, height, width)
        # The bands are cut into chunks of their own.
        pieces = []
        band = span.first
        while band < span.last:
            number, item, left = layout.locate(sample, date, band)
            step = min(left, span.last - band)
            pieces.append(self._items(container, kind, layout, number, item, step).copy())
            band += step
        return np.concatenate(pieces).reshape(count, height, width)

    def _items(
        self, container: int, kind: int, layout: PixelLayout, number: int, item: int, bands: int
    ) -> NDArray[np.generic]:
        _, _, _, height, width = layout.full_shape
        array = layout.array
        count = bands * height * width
        table = self.index.mask_chunks if kind else self.index.chunks
        offset, length = (int(value) for value in table[container, number])
        if offset < 0:
            return self._whole(container, kind, number).reshape(-1)[item : item + count]
        source = self._source(container)
        width_bytes = array.dtype.itemsize
        first, last = item * width_bytes, (item + count) * width_bytes
        if array.compressor is None:
            if length != array.chunk_bytes:
                raise ValueError(f'a chunk has {length} bytes instead of {array.chunk_bytes}')
            plain = self._scratch.plain(last - first)
            source.read_into(offset + first, plain.data)
        else:
            blocks = self._blocks(container, offset, length, array.chunk_bytes)
            plain = blocks.decode(source, offset, first, last, self._scratch)
        return plain.view(array.dtype)

    def _open(self, container: int) -> ByteSource:
        name = str(self.index.files[self.index.container_file[container]])
        whole = self._open_file(name)
        offset, size = (int(value) for value in self.index.container_span[container])
        return whole if (offset, size) == (0, whole.size) else Part(whole, offset, size, name)

    def _find_blocks(self, container: int, offset: int, length: int, size: int) -> BloscBlocks:
        return BloscBlocks.find(self._source(container), offset, length, size)

    def _read_chunk(self, container: int, kind: int, number: int) -> NDArray[np.generic]:
        group = ZarrZip(self._source(container))
        array = group['cloud_mask' if kind else 'bands']
        return group.chunk(array, array.chunk_names()[number])

    def _read_products(self, container: int) -> NDArray[np.generic]:
        names = ZarrZip(self._source(container)).read('file_id')
        return np.asarray(names.reshape(-1, names.shape[-1]))


class _Naming:
    """Adds file, place and date to what goes wrong."""

    def __init__(self, reader: PatchReader, row: int, date: int | None) -> None:
        self._reader, self._row, self._date = reader, row, date

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError | OSError):
            place = f'{self._reader.index.sample_id[self._row]:07d}'
            date = '' if self._date is None else f', date {self._date}'
            # A broken connection stays one: it may be tried again.
            kind_of = next(
                k for k in (ValueError, ConnectionError, OSError) if isinstance(error, k)
            )
            raise kind_of(
                f'{self._reader.where(self._row)}, place {place}{date}: {error}'
            ) from error
