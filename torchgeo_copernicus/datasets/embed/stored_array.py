"""A map whose numbers lie in a file one after the other: of a `.npz` without compression, or a `.pt`.

Every row of a region is a run of bytes, read from disk or from a server (https, s3, hf) by its position.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.map_array import Layout
from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, LocalFile
from torchgeo_copernicus.datasets.storage.folder import folder_at


def source_at(path: str) -> ByteSource:
    """Open a file on disk, or behind an address with `://`.

    Raises:
        ValueError: If the address is none.
        OSError: If it cannot be opened.
    """
    # A file on disk is opened each time, and so never is the one that was there before.
    return _remote(path) if '://' in path else LocalFile(path)


@lru_cache(maxsize=16)
def _remote(url: str) -> ByteSource:
    # To open it asks the server for its size, which is not to be done for each chunk.
    folder, _, name = url.rpartition('/')
    return folder_at(folder).open(name)


@dataclass(frozen=True)
class StoredArray:
    """A whole map as plain numbers in a file.

    Attributes:
        name: Path or address of the file.
        offset: First byte of the numbers.
        dtype: Their type.
        channels: Numbers of a cell.
        size: Bytes of the file when it was opened.
    """

    name: str
    offset: int
    dtype: str
    channels: int
    size: int

    @property
    def window(self) -> MapWindow:
        """The cells it has: all."""
        return MapWindow()

    @property
    def layout(self) -> Layout:
        """What is read at a time: a cell."""
        return Layout()

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Read a part; see `MapArray`."""
        source = source_at(self.name)
        if source.size != self.size:
            raise ValueError(
                f'{self.name} had {self.size} bytes when it was opened and has {source.size} now; open '
                'the map again.'
            )
        height, width = rows.stop - rows.start, columns.stop - columns.start
        dtype = np.dtype(self.dtype)
        found = np.empty((height, width, self.channels), dtype)
        cell = self.channels * dtype.itemsize
        runs = [found] if width == COLUMNS else [found[i : i + 1] for i in range(height)]
        for number, run in enumerate(runs):
            if run.size:
                first = (rows.start + number) * COLUMNS + columns.start
                source.read_into(self.offset + first * cell, run.view(np.uint8).data.cast('B'))
        return found.astype(np.float32, copy=False)
