"""Fetch one file and put it in place only when it is whole and its SHA-256 is right.

Nothing of the user's is overwritten; an interrupted download waits in ``<destination>.part``.
"""

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
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


def _verified(path: Path, sha256: str) -> Path:
    if (found := sha256_of(path) if path.is_file() else 'no file') != sha256:
        raise ValueError(f'{path}: expected SHA-256 {sha256}, found {found}; move it away first')
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
    sha256: str,
    size_bytes: int | None = None,
    progress: bool = True,
    retries: int = 3,
) -> Path:
    """Download ``url`` to ``destination``, or return at once if the right file is there.

    Args:
        url: Address with scheme ``http``, ``https`` or ``file``.
        destination: Path of the file to make; missing parent folders are created.
        sha256: Expected SHA-256, 64 hexadecimal digits.
        size_bytes: Expected size in bytes, if known; finds a wrong file before it is downloaded.
        progress: Whether to show a progress bar.
        retries: How many times to go on after a broken connection or an HTTP 5xx answer.

    Raises:
        ValueError: For a bad argument, a wrong file at ``destination`` or at ``url``.
        ConnectionError: If the file could not be had; says how to resume or place it by hand.
        OSError: If the disk has no room for it.
    """
    destination, sha256 = Path(destination), sha256.lower()
    if (scheme := url.partition(':')[0].lower()) not in ('http', 'https', 'file'):
        raise ValueError(f'{url}: unknown scheme {scheme!r}; use http, https or file')
    if not re.fullmatch('[0-9a-f]{64}', sha256):
        raise ValueError(f'sha256 is {sha256!r}; give 64 hexadecimal digits')
    if os.path.lexists(destination):
        return _verified(destination, sha256)
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
                        f'network and put it at {destination} (sha256 {sha256})'
                    ) from error
                time.sleep(BACKOFF_S * 2**attempt)
                attempt += 1
                continue
            if (found := sha256_of(part)) == sha256:
                if os.path.lexists(destination):  # Placed by hand meanwhile.
                    break
                os.replace(part, destination)
                return destination
            part.unlink()
            if restarted or not stale:
                raise ValueError(f'{url}: expected SHA-256 {sha256}, found {found}; check both')
            restarted = True
    return _verified(destination, sha256)
