"""Files behind an address (http, https, s3, hf and whatever else fsspec knows), read by ranges of bytes.

Where credentials or other settings are needed, they come from fsspec's own configuration
(`~/.config/fsspec/*.json`, or variables such as `FSSPEC_S3_ANON=true`). A broken connection is tried again;
one that stays broken is a ConnectionError that names the address.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from fsspec.core import url_to_fs

from torchgeo_copernicus.datasets.storage.range_cache import RangeCache

BACKOFF_S, ATTEMPTS = 0.5, 5
_THREADS = 32
# A small read takes its surroundings along: headers and tables lie close together, and a request costs as
# much time as 100 kB. The directory of a zip archive is at its end. As many are kept as a cell of a shard of
# Copernicus-Pretrain has members, whose headers are read before what lies beside them.
_SMALL_BYTES, _AROUND_BYTES, _TAIL_BYTES, _WINDOWS = 4096, 8192, 65_536, 16
_LARGEST_TEXT_BYTES = 1 << 24
_NAME = re.compile(r'[\w.-]+')
# What tells one content of a file from another, the best first.
_MARKS = (
    *('blob_id', 'md5Hash', 'Content-MD5', 'Digest', 'ETag', 'etag'),
    *('Last-Modified', 'LastModified', 'mtime', 'updated', 'created'),
)
_HTTP = ('http', 'https')
# Statuses of a server that has too much to do; the others below 500 are final.
_BUSY = (408, 425, 429)

_T = TypeVar('_T')


class _FileSystem(Protocol):
    """What is used of fsspec."""

    async_impl: bool

    def ls(self, path: str, detail: bool) -> list[dict[str, object]]: ...

    def info(self, path: str) -> dict[str, object]: ...

    def cat_file(self, path: str, start: int, end: int, **options: str) -> bytes: ...


# A fork inherits the filesystems of its parent and must neither use nor close them: they share the
# parent's sockets and its event loop. So they are kept for ever, and each process makes its own.
_FILE_SYSTEMS: dict[tuple[int, str], tuple[_FileSystem, str]] = {}


def _file_system(url: str) -> tuple[_FileSystem, str]:
    key = os.getpid(), url
    if key not in _FILE_SYSTEMS:
        options: dict[str, object] = {}
        if url.startswith(_HTTP):
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
            # A compressed answer to a range would be a part of something else.
            options = {
                'headers': {'Accept-Encoding': 'identity'},
                'client_kwargs': {'timeout': timeout, 'trust_env': True},
            }
        _FILE_SYSTEMS.setdefault(key, url_to_fs(url, skip_instance_cache=True, **options))
    return _FILE_SYSTEMS[key]


class RemoteFolder:
    """A folder behind an address; safe for threads, and for processes by fork and spawn."""

    def __init__(self, url: str, cache: RangeCache | None = None) -> None:
        """Name a folder; nothing is asked yet.

        Args:
            url: Its address, without credentials and query.
            cache: Where parts of files are kept; see `RangeCache` for the default.

        Raises:
            ValueError: If it is no such address, or what its scheme needs is not installed.
        """
        scheme, separator, rest = url.partition('://')
        plain = not any(mark in url for mark in ('?', '#', '::'))
        if not (scheme and separator and rest and plain) or (scheme in _HTTP and '@' in rest):
            raise ValueError(
                f'{_masked(url)} is no address of a folder. Give it as https://host/folder, without '
                'query and password (those go into the configuration of fsspec).'
            )
        self.url = url.rstrip('/')
        self.cache = RangeCache() if cache is None else cache
        self._known: dict[str, tuple[int, int]] = {}
        try:
            _file_system(self.url)
        except (ImportError, ValueError) as error:
            raise ValueError(f'{self.url} cannot be read: {error}.') from error

    def stamps(self, suffix: str, names: Sequence[str] | None = None) -> dict[str, tuple[int, int]]:
        """Return (bytes, a number that changes with the content) of each file, sorted by name.

        Args:
            suffix: End of the wanted names.
            names: Files to look at, for they may be many, and not every server lists a folder. All that
                are listed when None.

        Raises:
            ConnectionError: If the server does not answer, or does not say how long a file is.
        """
        listed = self._listed()
        wanted = [name for name in listed if name.endswith(suffix)]
        if names is not None:
            chosen = {name for name in names if name.endswith(suffix)}
            wanted = [name for name in wanted if name in chosen] if wanted else sorted(chosen)
        unknown = [name for name in wanted if not isinstance(listed.get(name, {}).get('size'), int)]
        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(self._info, unknown)
        listed.update(zip(unknown, found, strict=True))
        self._known |= {name: _stamp(listed[name]) for name in sorted(wanted) if listed[name]}
        return {name: self._known[name] for name in sorted(wanted) if listed[name]}

    def open(self, name: str) -> RemoteFile:
        """Open a file.

        Raises:
            FileNotFoundError: If it is not there.
            ConnectionError: If the server does not answer.
        """
        if name not in self._known:
            info = self._info(name)
            if not info:
                raise FileNotFoundError(f'{self.url}/{name} is not there.')
            self._known[name] = _stamp(info)
        return RemoteFile(self, name, *self._known[name])

    def text(self, name: str) -> str | None:
        """Return the text of a file, given relative to the folder, or None when there is none.

        Raises:
            ConnectionError: If the server does not answer.
            ValueError: If it is no text.
        """
        info = self._info(name)
        if not info:
            return None
        size = _stamp(info)[0]
        if size > _LARGEST_TEXT_BYTES:
            raise ValueError(f'{self.url}/{name} has {size} bytes, too many for a list.')
        try:
            return self.fetch(name, 0, size).decode()
        except UnicodeDecodeError as error:
            raise ValueError(f'{self.url}/{name} is no text ({error}).') from error

    def fetch(self, name: str, start: int, length: int) -> bytes:
        """Ask the server for a part of a file.

        Args:
            name: Of the file, relative to the folder.
            start: First byte.
            length: Number of bytes.

        Raises:
            FileNotFoundError: If the file is not there.
            ConnectionError: If they could not be had.
            ValueError: If the server sends the whole file instead.
        """

        def ask(system: _FileSystem, path: str) -> bytes:
            # Filesystems without asyncio read through a file, which would read ahead.
            options = {} if system.async_impl else {'cache_type': 'none'}
            content = system.cat_file(path, start=start, end=start + length, **options)
            if len(content) < length:
                raise OSError(f'{len(content)} of {length} bytes came')
            if len(content) > length:
                raise ValueError(
                    f'{self.url}/{name}: the server sends no parts of files; download it instead.'
                )
            return content

        return self._call(name, ask) if length else b''

    def _listed(self) -> dict[str, dict[str, object]]:
        """Return what is known of each file, or nothing when the server lists no folders."""

        def ask(system: _FileSystem, path: str) -> list[dict[str, object]]:
            return system.ls(f'{path}/' if self.url.startswith(_HTTP) else path, detail=True)

        try:
            entries = self._call('', ask)
        except FileNotFoundError:
            return {}
        except ConnectionError as error:
            if _status(error.__cause__) is None and not isinstance(
                error.__cause__, PermissionError
            ):
                raise
            return {}
        folder = self.url.rpartition('/')[2]
        split = [(str(entry['name']).rsplit('/', 2), entry) for entry in entries]
        return {
            parts[-1]: entry
            for parts, entry in split
            if len(parts) > 1 and parts[-2] == folder and _NAME.fullmatch(parts[-1])
        }

    def _info(self, name: str) -> dict[str, object]:
        """Return what the server says of a file; nothing when it is not there."""
        try:
            info = self._call(name, lambda system, path: system.info(path))
        except FileNotFoundError:
            return {}
        if not isinstance(info.get('size'), int) or info.get('partial') is False:
            raise ConnectionError(
                f'{self.url}/{name}: the server sends no parts of files, or does not say how long they '
                'are; download them instead.'
            )
        return info

    def _call(self, name: str, task: Callable[[_FileSystem, str], _T]) -> _T:
        """Do something with a file, several times if need be."""
        url = f'{self.url}/{name}' if name else self.url
        attempt = 0
        while True:
            attempt += 1
            system, path = _file_system(self.url)
            try:
                return task(system, f'{path.rstrip("/")}/{name}' if name else path)
            except _failures() as error:
                # Of http, fsspec takes every failure to ask about a file for a missing file.
                hides = isinstance(error, FileNotFoundError) and url.startswith(_HTTP)
                cause = error.__cause__ if hides else None
                reason, status = cause or error, _status(cause or error)
                if status in (404, 410) or (isinstance(reason, FileNotFoundError) and not status):
                    raise FileNotFoundError(f'{url} is not there.') from reason
                final = status is not None and status < 500 and status not in _BUSY
                if final or isinstance(reason, PermissionError) or attempt >= ATTEMPTS:
                    raise ConnectionError(
                        f'{url} could not be read (tries: {attempt}): {reason!r}. Check the '
                        'address and the network.'
                    ) from reason
            time.sleep(BACKOFF_S * 2 ** (attempt - 1))


class RemoteFile:
    """A file behind an address."""

    def __init__(self, folder: RemoteFolder, name: str, size: int, stamp: int) -> None:
        """Use `RemoteFolder.open`."""
        self.name = f'{folder.url}/{name}'
        self.size = size
        self._folder, self._file, self._stamp = folder, name, stamp
        # Replaced as a whole, never changed, so that threads need no lock (which a fork may inherit
        # locked).
        self._windows: tuple[tuple[int, bytes], ...] = ()

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill *target* with the bytes from *offset* on.

        Raises:
            ValueError: If there are fewer.
            OSError: If they cannot be read.
        """
        length = len(target)
        if offset < 0 or offset + length > self.size:
            raise ValueError(
                f'{self.name} is cut off or damaged: bytes {offset} to {offset + length} are wanted, '
                f'it has {self.size}.'
            )
        for start, content in self._windows:
            if start <= offset and offset + length <= start + len(content):
                target[:] = content[offset - start : offset - start + length]
                return
        if length > _SMALL_BYTES:
            target[:] = self._part(offset, offset + length)
            return
        start, end = offset - _AROUND_BYTES, offset + length + _AROUND_BYTES
        if end > self.size - _TAIL_BYTES:
            start, end = min(start, self.size - _TAIL_BYTES), self.size
        start, end = max(0, start), min(end, self.size)
        content = self._part(start, end)
        self._windows = ((start, content), *self._windows[: _WINDOWS - 1])
        target[:] = content[offset - start : offset - start + length]

    def _part(self, start: int, end: int) -> bytes:
        key = self.name, self.size, self._stamp, start, end
        content = self._folder.cache.get(key, end - start)
        if content is None:
            content = self._folder.fetch(self._file, start, end - start)
            self._folder.cache.put(key, content)
        return content


def _stamp(info: Mapping[str, object]) -> tuple[int, int]:
    """Return the size of a file, and a number made of whatever changes with its content."""
    size = info['size']
    mark = next((str(info[name]) for name in _MARKS if info.get(name)), '')
    digest = hashlib.blake2b(mark.encode(), digest_size=8).digest()
    # Positive as int64, the type of the tables it is kept in.
    return int(str(size)), int.from_bytes(digest, 'big') >> 1


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status that an error tells of."""
    found = getattr(error, 'status', getattr(getattr(error, 'response', None), 'status_code', None))
    return found if isinstance(found, int) else None


def _failures() -> tuple[type[Exception], ...]:
    """Return the errors of a failed request; the libraries of some schemes do not use OSError."""
    libraries = {'aiohttp': 'ClientError', 'botocore.exceptions': 'BotoCoreError'}
    libraries |= dict.fromkeys(('httpx', 'httpx2'), 'HTTPError')
    loaded = {module: name for module, name in libraries.items() if module in sys.modules}
    return (OSError, *(getattr(importlib.import_module(m), name) for m, name in loaded.items()))


def _masked(url: str) -> str:
    """Return an address without its password, for a message."""
    return re.sub(r'//[^/@]*@', '//...@', url)
