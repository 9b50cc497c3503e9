"""The numbers of a map for xarray, which asks for just what is needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from torchgeo_copernicus.datasets.embed.map_array import MapArray
from torchgeo_copernicus.datasets.embed.map_window import MapWindow


class LazyMap(BackendArray):
    """A rectangle of a map; cells with numbers that are not finite are 0, as those without data."""

    def __init__(self, array: MapArray, window: MapWindow) -> None:
        """Take a part of an array.

        Args:
            array: The numbers in a file.
            window: The wanted cells.

        Raises:
            ValueError: If the array has not all of them.
        """
        self._array = array
        self._top, self._pieces = array.window.pieces(window)
        self.shape: tuple[int, ...] = (window.rows, window.columns, array.channels)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[np.float32]:
        """Return a part, `[lat, lon, channel]` as asked for."""
        found: NDArray[np.float32] = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._part
        )
        return found

    def _part(self, key: tuple[int | slice, ...]) -> NDArray[np.float32]:
        """Return what numbers and slices with steps above 0 select."""
        spans = [_span(part, length) for part, length in zip(key, self.shape, strict=True)]
        rest = tuple(
            0 if isinstance(part, int | np.integer) else slice(None, None, part.step)
            for part in key[:2]
        )
        return self.cells(*spans[:2])[(*rest, key[2])]

    def cells(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Read some of its cells, by positions in the rectangle."""
        found, first = [], 0
        top = self._top.start
        for piece in self._pieces:
            length = piece.stop - piece.start
            start, stop = max(columns.start - first, 0), min(columns.stop - first, length)
            if start < stop:
                here = slice(piece.start + start, piece.start + stop)
                found.append(self._array.read(slice(top + rows.start, top + rows.stop), here))
            first += length
        if not found:
            return np.empty((rows.stop - rows.start, 0, self.shape[2]), np.float32)
        values = found[0] if len(found) == 1 else np.concatenate(found, axis=1)
        # A sum is finite only where all is, and far faster to look at; one that overflows is looked at again.
        with np.errstate(over='ignore', invalid='ignore'):
            doubtful = ~np.isfinite(values @ np.ones(self.shape[2], np.float32))
        if doubtful.any():
            doubtful[doubtful] = ~np.isfinite(values[doubtful]).all(axis=1)
            values[doubtful] = 0
        return values


class LazyValid(BackendArray):
    """Which cells have data; to know it, all their numbers are read."""

    def __init__(self, values: LazyMap) -> None:
        """Ask this of a map."""
        self._values = values
        self.shape: tuple[int, ...] = values.shape[:2]
        self.dtype = np.dtype(bool)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[np.bool_]:
        """Return a part, `[lat, lon]` as asked for."""
        found: NDArray[np.bool_] = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._part
        )
        return found

    def _part(self, key: tuple[int | slice, ...]) -> NDArray[np.bool_]:
        return np.asarray((self._values._part((*key, slice(None))) != 0).any(axis=-1))


def _span(part: int | slice, length: int) -> slice:
    """Return the span from the first to the last selected position."""
    if isinstance(part, slice):
        start, stop, _ = part.indices(length)
        return slice(start, max(start, stop))
    return slice(int(part), int(part) + 1)
