"""A bounded cache on disk of parts of remote files.

Safe for several processes without a lock: an entry gets its name when it is whole, carries a CRC, and may
vanish at any time. Those not used for longest go first.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

_LOGGER = logging.getLogger(__name__)
#: Environment variables for the folder and its limit in bytes; 0 keeps nothing.
FOLDER_VARIABLE, LIMIT_VARIABLE = 'COPERNICUS_RANGE_CACHE', 'COPERNICUS_RANGE_CACHE_BYTES'
#: Limit when nothing is said: about 9,000 places of three modalities and one date.
DEFAULT_LIMIT_BYTES = 16 << 30
_CRC = struct.Struct('<I')
# After clearing up, this share of the limit is in use, and each process writes 1/64 of it before it looks
# again, with one entry of at most 1/64 on top: eight processes at once stay below the limit.
_KEEP, _STEP = 0.75, 64


class RangeCache:
    """Parts of files by key."""

    def __init__(self, folder: Path | str | None = None, limit_bytes: int | None = None) -> None:
        """Use a folder; it is made when there is something to keep.

        Args:
            folder: Where entries lie. None: `COPERNICUS_RANGE_CACHE`, else the user's cache folder.
            limit_bytes: How much to keep; 0 for nothing. None: `COPERNICUS_RANGE_CACHE_BYTES`, else 16 GiB.

        Raises:
            ValueError: If the limit is no number of bytes.
        """
        if folder is None:
            home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
            default = Path(home) / 'torchgeo_copernicus' / 'ranges'
            folder = os.environ.get(FOLDER_VARIABLE) or default
        given = os.environ.get(LIMIT_VARIABLE, '') if limit_bytes is None else str(limit_bytes)
        if given and not given.isdecimal():
            raise ValueError(
                f'The limit of the range cache is {given!r}; give whole bytes, 0 for no cache '
                f'(limit_bytes= or {LIMIT_VARIABLE}).'
            )
        self.folder = Path(folder).absolute()
        self.limit_bytes = int(given) if given else DEFAULT_LIMIT_BYTES
        self._written_bytes: int | None = None

    def get(self, key: Sequence[object], length: int) -> bytes | None:
        """Return an entry, or None when it is not there or damaged.

        Args:
            key: What it was kept under; the text of its parts counts.
            length: Bytes it must have.
        """
        if not self.limit_bytes:
            return None
        path = self._path(key)
        try:
            packed = path.read_bytes()
        except FileNotFoundError:
            return None
        content = packed[_CRC.size :]
        if len(content) != length or packed[: _CRC.size] != _CRC.pack(zlib.crc32(content)):
            path.unlink(missing_ok=True)
            return None
        try:
            os.utime(path)
        except OSError:
            # Another process removed it, or may write here and this one may not: the content is right.
            _LOGGER.debug('%s could not be marked as used.', path)
        return content

    def put(self, key: Sequence[object], content: bytes) -> None:
        """Keep an entry, unless it is larger than 1/64 of the limit.

        A disk that is full or read-only is told once and ends the keeping, not the reading.
        """
        if len(content) + _CRC.size > self.limit_bytes // _STEP:
            return
        path = self._path(key)
        part = path.with_name(f'{path.name}.{os.getpid()}.{time.monotonic_ns()}.part')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with part.open('wb') as file:
                    file.write(_CRC.pack(zlib.crc32(content)))
                    file.write(content)
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
            written = self._written_bytes
            self._written_bytes = None if written is None else written + len(content) + _CRC.size
            if self._written_bytes is None or self._written_bytes >= self.limit_bytes // _STEP:
                self._clear_up()
        except OSError as error:
            _LOGGER.warning('Nothing more is kept in %s: %s.', self.folder, error)
            self.limit_bytes = 0

    def _path(self, key: Sequence[object]) -> Path:
        name = hashlib.sha256('\n'.join(map(str, key)).encode()).hexdigest()
        return self.folder / name[:2] / name

    def _clear_up(self) -> None:
        """Remove what was not used for longest."""
        found = []
        for path in self.folder.glob('??/*'):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found.append((stat.st_mtime_ns, stat.st_size, path))
        excess = sum(size for _, size, _ in found) - int(_KEEP * self.limit_bytes)
        for _, size, path in sorted(found):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size
        self._written_bytes = 0
