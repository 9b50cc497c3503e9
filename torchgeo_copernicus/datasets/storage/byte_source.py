"""Bytes of a file by position: of one on disk, or of a part of another.

Reads are positional (`pread`) and so need no lock, survive a fork, and a file that was cut off while open
is a named error. A memory map would be no faster here, for the blocks are copied once into a buffer
anyway, and would end the process (SIGBUS) when a file on a network disk shrinks.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Protocol


class ByteSource(Protocol):
    """Something that bytes can be read from by position."""

    @property
    def name(self) -> str:
        """Path or address, for messages."""

    @property
    def size(self) -> int:
        """Number of bytes."""

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill *target* with the bytes from *offset* on.

        Raises:
            ValueError: If there are fewer.
            OSError: If they cannot be read.
        """


def read(source: ByteSource, offset: int, length: int) -> bytearray:
    """Return *length* bytes from *offset* on."""
    found = bytearray(length)
    source.read_into(offset, memoryview(found))
    return found


class LocalFile:
    """A file on disk, open until nobody refers to it any more."""

    def __init__(self, path: Path | str) -> None:
        """Open a file.

        Raises:
            OSError: If it cannot be opened.
        """
        self.name = str(path)
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._descriptor).st_size

    def __del__(self) -> None:
        """Close the file."""
        if hasattr(self, '_descriptor'):
            os.close(self._descriptor)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill *target* with the bytes from *offset* on; see `ByteSource`."""
        position = 0
        while position < len(target):
            count = os.preadv(self._descriptor, [target[position:]], offset + position)
            if count == 0:
                raise _too_short(self, offset, len(target))
            position += count


class Part:
    """Consecutive bytes of another source, such as a member of a tar archive."""

    def __init__(self, whole: ByteSource, offset: int, size: int, name: str) -> None:
        """Take *size* bytes of *whole* from *offset* on.

        Raises:
            ValueError: If it has fewer.
        """
        self.name = name
        self.size = size
        self._whole = whole
        self._offset = offset
        if offset < 0 or size < 0 or offset + size > whole.size:
            raise _too_short(whole, offset, size)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill *target* with the bytes from *offset* on; see `ByteSource`."""
        if offset < 0 or offset + len(target) > self.size:
            raise _too_short(self, offset, len(target))
        self._whole.read_into(self._offset + offset, target)


def _too_short(source: ByteSource, offset: int, length: int) -> ValueError:
    return ValueError(
        f'{source.name} is cut off or damaged: bytes {offset} to {offset + length} are wanted, it has '
        f'{source.size}. Download it again.'
    )


class SourceIO(io.RawIOBase):
    """A source as a file object, for libraries that want one."""

    def __init__(self, source: ByteSource) -> None:
        """Wrap a source."""
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}
        self._position = start[whence] + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read as many bytes as fit and are left."""
        target = memoryview(buffer).cast('B')
        count = max(0, min(len(target), self._source.size - self._position))
        self._source.read_into(self._position, target[:count])
        self._position += count
        return count
