"""Fetch one file and put it in place only when it is whole and its SHA-256, or another check, is right.

Nothing of the user's is overwritten; an interrupted download waits in ``<destination>.part``.
"""

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from urllib.response import addinfourl

from filelock import FileLock
from tqdm import tqdm

BACKOFF_S, TIMEOUT_S = 1.0, 60.0


class _Interrupted(Exception):
    """A request that ended before ``total`` bytes (None: unknown) were on disk."""

    def __init__(self, reason: str, total: int | None, retryable: bool = True) -> None:
        super().__init__(reason)
        self.total, self.retryable = total, retryable


def sha256_of(path: Path | str) -> str:
    """Return the SHA-256 of a file of any size as 64 lower-case hexadecimal digits."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


@dataclass(frozen=True)
class _Wanted:
    """What a file must be: one SHA-256, or right for a check where none is published."""

    sha256: str | None
    check: Callable[[Path], None] | None
    size_bytes: int | None

    def problem(self, path: Path) -> str:
        """Return what is wrong with a file; nothing when it is right."""
        if not path.is_file():
            return f'expected {self}, found no file'
        if self.check is None:
            found = sha256_of(path)
            return '' if found == self.sha256 else f'expected {self}, found {found}'
        if self.size_bytes is not None and path.stat().st_size != self.size_bytes:
            return f'expected {self.size_bytes} bytes, found {path.stat().st_size}'
        try:
            self.check(path)
        except ValueError as error:
            return str(error)
        return ''

    def __str__(self) -> str:
        """Return the hash for a message."""
        return 'a whole file' if self.sha256 is None else f'SHA-256 {self.sha256}'

    def verified(self, path: Path) -> Path:
        """Return the path of a right file."""
        if problem := self.problem(path):
            raise ValueError(f'{path}: {problem}; move it away first')
        return path


def _span(response: HTTPResponse | addinfourl, size: int | None) -> tuple[int, int | None]:
    """Return the first byte an answer holds (-1: unclear) and the file's size, or else ``size``."""
    if response.status == 206:
        match = re.match(r'bytes (\d+)-\d+/(\d+)', response.headers.get('Content-Range', ''))
        return (int(match[1]), int(match[2])) if match else (-1, size)
    length = response.headers.get('Content-Length', '')
    return 0, int(length) if length.isdecimal() else size


def _check_room(part: Path, need: int) -> None:
    """Raise before a download that the disk has no room for, rather than hours into it."""
    free = shutil.disk_usage(part.parent).free
    if need > free:
        raise OSError(
            errno.ENOSPC,
            f'{part} needs {need} bytes more, {free} are free; make room or choose another folder',
        )


def _chunks(response: HTTPResponse | addinfourl, total: int | None) -> Iterator[bytes]:
    # Apart from the writing: a full disk is no broken connection. A cut loses at most one chunk.
    try:
        while chunk := response.read(1 << 16):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _Interrupted(f'the connection broke ({error!r})', total) from error


def _request(url: str, part: Path, size_bytes: int | None, progress: bool) -> bool:
    """Ask once for the bytes ``part`` lacks; True if it holds older bytes, which may be stale."""
    start = part.stat().st_size if part.exists() else 0
    if start and size_bytes is not None and start >= size_bytes:
        return True
    try:
        headers = {'Range': f'bytes={start}-'} if start else {}
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT_S)
    except (OSError, HTTPException) as error:
        code = error.code if isinstance(error, HTTPError) else 500
        if start and code == 416:  # Nothing left to send: complete or stale.
            return True
        raise _Interrupted(f'no file came ({error})', size_bytes, retryable=code >= 500) from error
    with response:
        first, total = _span(response, size_bytes)
        if first not in (0, start):
            part.unlink(missing_ok=True)  # The next try starts anew.
            raise _Interrupted('the server sent other bytes than asked for', total)
        if size_bytes is not None and total != size_bytes:
            raise ValueError(f'{url}: expected {size_bytes} bytes, found {total}; check the URL')
        _check_room(part, (total or 0) - first)
        bar = tqdm(total=total, initial=first, unit='B', unit_scale=True, disable=not progress)
        with bar, part.open('ab' if first else 'wb') as file:
            for chunk in _chunks(response, total):
                bar.update(file.write(chunk))
            file.flush()
            os.fsync(file.fileno())  # Or a power cut after the renaming leaves an empty file.
    if total and part.stat().st_size < total:
        raise _Interrupted('the connection was cut', total)
    return first > 0


def fetch(
    url: str,
    destination: Path | str,
    *,
    sha256: str | None = None,
    check: Callable[[Path], None] | None = None,
    size_bytes: int | None = None,
    progress: bool = True,
    retries: int = 3,
) -> Path:
    """Download ``url`` to ``destination``, or return at once if the right file is there.

    Args:
        url: Address with scheme ``http``, ``https`` or ``file``.
        destination: Path of the file to make; missing parent folders are created.
        sha256: Expected SHA-256, 64 hexadecimal digits.
        check: Instead of a hash that is not published: called with the path of the whole download, and
            of a file that is there already; raises ValueError if it is damaged.
        size_bytes: Expected size in bytes, if known; finds a wrong file before it is downloaded.
        progress: Whether to show a progress bar.
        retries: How many times to go on after a broken connection or an HTTP 5xx answer.

    Raises:
        ValueError: For a bad argument, a wrong file at ``destination`` or at ``url``.
        ConnectionError: If the file could not be had; says how to resume or place it by hand.
        OSError: If the disk has no room for it.
    """
    destination = Path(destination)
    if (scheme := url.partition(':')[0].lower()) not in ('http', 'https', 'file'):
        raise ValueError(f'{url}: unknown scheme {scheme!r}; use http, https or file')
    if (sha256 is None) == (check is None):
        raise ValueError(
            'give sha256 or check, and not both: an unverified file may be half a file'
        )
    sha256 = None if sha256 is None else sha256.lower()
    if sha256 is not None and not re.fullmatch('[0-9a-f]{64}', sha256):
        raise ValueError(f'sha256 is {sha256!r}; give 64 hexadecimal digits')
    wanted = _Wanted(sha256, check, size_bytes)
    if os.path.lexists(destination):
        return wanted.verified(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(f'{destination.name}.part')
    attempt, restarted = 0, False
    with FileLock(f'{destination}.lock'):
        while not os.path.lexists(destination):  # Another process may have been first.
            try:
                stale = _request(url, part, size_bytes, progress)
            except _Interrupted as error:
                if not error.retryable or attempt >= retries or scheme == 'file':
                    have = part.stat().st_size if part.exists() else 0
                    raise ConnectionError(
                        f'{url}: {error}; {have} of {error.total or "unknown"} bytes arrived. Run '
                        f'again to resume, or, without network: download {url} on a machine with '
                        f'network and put it at {destination}'
                        f'{f" (sha256 {sha256})" if sha256 else ""}'
                    ) from error
                time.sleep(BACKOFF_S * 2**attempt)
                attempt += 1
                continue
            if not (problem := wanted.problem(part)):
                if os.path.lexists(destination):  # Placed by hand meanwhile.
                    break
                os.replace(part, destination)
                return destination
            part.unlink()
            if restarted or not stale:
                raise ValueError(f'{url}: {problem}; check both')
            restarted = True
    return wanted.verified(destination)
