"""Guards of `torchgeo_copernicus.download`, against a misbehaving server on this machine."""

import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from torchgeo_copernicus import download
from torchgeo_copernicus.download import fetch, sha256_of

BODY = bytes(range(256)) * 1200
SHA256 = hashlib.sha256(BODY).hexdigest()
STALE = b'\xff' * 1000


class Server(ThreadingHTTPServer):
    """Serves ``body``; the lists hold what befalls the next requests, one entry for each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.body = BODY
        self.cuts: list[int] = []  # Bytes after which the connection is cut.
        self.statuses: list[int] = []
        self.ignores_range = False
        self.chunked = False
        self.range_shift = 0
        self.ranges: list[str | None] = []  # What was asked, one entry for each request.
        self.gate: threading.Barrier | None = None
        self.url = f'http://127.0.0.1:{self.server_port}/file.zip'


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        server, asked = self.server, self.headers['Range']
        server.ranges.append(asked)
        self.close_connection = True
        if server.gate:
            try:
                server.gate.wait(timeout=0.3)
            except threading.BrokenBarrierError:
                pass
        start = int(asked[len('bytes=') : -1]) if asked and not server.ignores_range else 0
        status = server.statuses.pop(0) if server.statuses else 206 if start else 200
        if start >= len(server.body):
            status = 416
        if status >= 400:
            self.send_response(status)
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        start = start + server.range_shift if status == 206 else start
        body = server.body[start:]
        self.send_response(status)
        if status == 206:
            total = len(server.body)
            self.send_header('Content-Range', f'bytes {start}-{total - 1}/{total}')
        if server.chunked:
            self.send_header('Transfer-Encoding', 'chunked')
        else:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        sent = body[: server.cuts.pop(0)] if server.cuts else body
        if server.chunked:
            self.wfile.write(b'%x\r\n' % len(body) + sent)
            if sent == body:
                self.wfile.write(b'\r\n0\r\n\r\n')
        else:
            self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, 'BACKOFF_S', 0.0)
    # A proxy of the environment must not stand between the tests and their server.
    for name in ('no_proxy', 'NO_PROXY'):
        monkeypatch.setenv(name, '*')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'deep' / 'file.zip'


@pytest.fixture
def part(path: Path) -> Path:
    path.parent.mkdir()
    return path.with_name('file.zip.part')


def ranges(*starts: int) -> list[str | None]:
    return [f'bytes={start}-' if start else None for start in starts]


def test_a_whole_file_arrives_and_leaves_no_part(server: Server, path: Path) -> None:
    assert fetch(server.url, str(path), sha256=SHA256.upper(), size_bytes=len(BODY)) == path
    assert path.read_bytes() == BODY
    assert {p.name for p in path.parent.iterdir()} <= {'file.zip', 'file.zip.lock'}


def test_a_right_existing_file_needs_no_network(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert fetch('http://127.0.0.1:9/none', path, sha256=SHA256) == path
    assert list(path.parent.iterdir()) == [path]


def test_a_wrong_existing_file_is_not_overwritten(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'mine')
    with pytest.raises(ValueError, match='move it away') as caught:
        fetch(server.url, path, sha256=SHA256)
    for what in (str(path), SHA256, sha256_of(path)):
        assert what in str(caught.value)
    assert path.read_bytes() == b'mine'
    assert server.ranges == []


@pytest.mark.parametrize('kind', ['folder', 'dangling link'])
def test_what_is_no_file_is_not_replaced(server: Server, path: Path, kind: str) -> None:
    path.parent.mkdir()
    if kind == 'folder':
        path.mkdir()
    else:
        path.symlink_to(path.parent / 'unmounted')
    with pytest.raises(ValueError, match='found no file; move it away'):
        fetch(server.url, path, sha256=SHA256)
    assert os.path.lexists(path)
    assert server.ranges == []


def test_a_file_placed_by_hand_meanwhile_is_not_overwritten(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_hash(hashed: Path | str) -> str:
        if not path.exists():
            path.write_bytes(b'mine')
        return sha256_of(hashed)

    monkeypatch.setattr(download, 'sha256_of', slow_hash)
    with pytest.raises(ValueError, match='move it away'):
        fetch(server.url, path, sha256=SHA256)
    assert path.read_bytes() == b'mine'


def test_a_cut_connection_resumes_instead_of_restarting(server: Server, path: Path) -> None:
    server.cuts = [100_000, 70_000]
    fetch(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert server.ranges == ranges(0, 100_000, 170_000)


def test_a_truncated_download_is_never_taken_for_a_whole_file(server: Server, path: Path) -> None:
    server.cuts = [1000] * 3
    with pytest.raises(ConnectionError) as caught:
        fetch(server.url, path, sha256=SHA256, retries=2)
    assert not path.exists()
    assert len(server.ranges) == 3
    message = str(caught.value)
    assert f'3000 of {len(BODY)} bytes arrived' in message
    assert 'Run again to resume' in message
    assert f'download {server.url} on a machine with network and put it at {path}' in message
    assert f'(sha256 {SHA256})' in message

    fetch(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert server.ranges[3:] == ranges(3000)


def test_a_cut_without_content_length_is_noticed(server: Server, path: Path) -> None:
    server.chunked = True
    server.cuts = [1000]
    with pytest.raises(ConnectionError, match=r'bytes arrived'):
        fetch(server.url, path, sha256=SHA256, retries=0)
    assert not path.exists()
    fetch(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY


def test_a_server_that_ignores_range_does_not_double_the_start(
    server: Server, path: Path, part: Path
) -> None:
    part.write_bytes(BODY[:1000])
    server.ignores_range = True
    fetch(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert server.ranges == ranges(1000)


def test_an_answer_from_the_wrong_byte_is_not_appended(
    server: Server, path: Path, part: Path
) -> None:
    part.write_bytes(BODY[:1000])
    server.range_shift = 7
    fetch(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert server.ranges == ranges(1000, 0)


def test_a_server_that_never_sends_the_first_byte_does_not_loop(server: Server, path: Path) -> None:
    server.range_shift = 7
    server.statuses = [206] * 9
    with pytest.raises(ConnectionError, match='other bytes than asked for'):
        fetch(server.url, path, sha256=SHA256)
    assert server.ranges == ranges(0, 0, 0, 0)


@pytest.mark.parametrize('size_bytes', [None, len(BODY)])
def test_a_complete_part_is_not_downloaded_again(
    server: Server, path: Path, part: Path, size_bytes: int | None
) -> None:
    part.write_bytes(BODY)
    fetch(server.url, path, sha256=SHA256, size_bytes=size_bytes)
    assert path.read_bytes() == BODY
    assert not part.exists()
    assert server.ranges == ([] if size_bytes else ranges(len(BODY)))


@pytest.mark.parametrize('size_bytes', [None, len(BODY)])
@pytest.mark.parametrize('stale', [STALE, b'\xff' * len(BODY), BODY + b'tail'])
def test_a_stale_part_is_thrown_away_once(
    server: Server, path: Path, part: Path, stale: bytes, size_bytes: int | None
) -> None:
    part.write_bytes(stale)
    fetch(server.url, path, sha256=SHA256, size_bytes=size_bytes)
    assert path.read_bytes() == BODY
    assert server.ranges[-1:] == ranges(0)


def test_a_stale_part_is_not_restarted_for_ever(server: Server, path: Path, part: Path) -> None:
    part.write_bytes(STALE)
    server.body = BODY[::-1]
    server.cuts = [len(BODY), 5000]
    with pytest.raises(ValueError, match='found'):
        fetch(server.url, path, sha256=SHA256)
    assert server.ranges == ranges(1000, 0, 5000)
    assert not part.exists()


def test_a_wrong_file_at_the_url_is_named_and_not_kept(server: Server, path: Path) -> None:
    server.body = b'<html>log in</html>'
    with pytest.raises(ValueError, match='check both') as caught:
        fetch(server.url, path, sha256=SHA256)
    for what in (server.url, SHA256, hashlib.sha256(server.body).hexdigest()):
        assert what in str(caught.value)
    assert {p.name for p in path.parent.iterdir()} <= {'file.zip.lock'}
    assert server.ranges == ranges(0)


def test_a_wrong_size_is_found_before_the_download(server: Server, path: Path, part: Path) -> None:
    part.write_bytes(BODY[:1000])
    with pytest.raises(ValueError, match=f'expected 9000 bytes, found {len(BODY)}'):
        fetch(server.url, path, sha256=SHA256, size_bytes=9000)
    assert part.read_bytes() == BODY[:1000]


@pytest.mark.parametrize('status', [401, 404, 416])
def test_a_client_error_is_not_retried(server: Server, path: Path, status: int) -> None:
    server.statuses = [status]
    with pytest.raises(ConnectionError, match=f'{status}.*put it at {path}'):
        fetch(server.url, path, sha256=SHA256)
    assert server.ranges == ranges(0)


def test_a_server_error_is_retried(server: Server, path: Path) -> None:
    server.statuses = [500, 503]
    fetch(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert server.ranges == ranges(0, 0, 0)


def test_being_offline_says_how_to_place_the_file_by_hand(server: Server, path: Path) -> None:
    server.server_close()
    with pytest.raises(ConnectionError, match=f'0 of 42 bytes.*put it at {path}'):
        fetch(server.url, path, sha256=SHA256, size_bytes=42)
    assert not path.exists()


def test_a_full_disk_is_not_taken_for_a_broken_connection(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left') as caught:
        fetch(server.url, path, sha256=SHA256)
    assert not isinstance(caught.value, ConnectionError)
    assert len(server.ranges) == 1


def test_two_downloads_at_once_do_not_write_into_each_other(server: Server, path: Path) -> None:
    # Opens at once if two requests are under way, which the lock must prevent.
    server.gate = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(fetch, server.url, path, sha256=SHA256) for _ in range(2)]
    assert [run.result() for run in runs] == [path, path]
    assert path.read_bytes() == BODY
    assert len(server.ranges) == 1


def test_a_mirror_on_disk_is_read_and_a_missing_one_not_retried(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / 'mirror.zip'
    mirror.write_bytes(BODY)
    fetch(mirror.as_uri(), path, sha256=SHA256, size_bytes=len(BODY), progress=False)
    assert path.read_bytes() == BODY
    waits: list[float] = []
    monkeypatch.setattr(download.time, 'sleep', waits.append)
    with pytest.raises(ConnectionError, match='absent'):
        fetch((tmp_path / 'absent').as_uri(), tmp_path / 'other', sha256=SHA256)
    assert waits == []


@pytest.mark.parametrize('url', ['ftp://host/a', 'data:,x', '/a/path', 'C:/a', ''])
def test_an_unknown_scheme_is_refused(path: Path, url: str) -> None:
    with pytest.raises(ValueError, match='use http, https or file'):
        fetch(url, path, sha256=SHA256)
    assert not path.parent.exists()


@pytest.mark.parametrize('sha256', ['', 'abc', 'g' * 64, SHA256 + '\n', SHA256 + '0'])
def test_a_hash_that_is_no_sha256_is_refused(server: Server, path: Path, sha256: str) -> None:
    with pytest.raises(ValueError, match='64 hexadecimal digits'):
        fetch(server.url, path, sha256=sha256)
    assert server.ranges == []


@pytest.mark.parametrize('progress', [True, False])
def test_the_progress_bar_can_be_switched_off(
    server: Server, path: Path, capsys: pytest.CaptureFixture[str], progress: bool
) -> None:
    fetch(server.url, path, sha256=SHA256, progress=progress)
    assert bool(capsys.readouterr().err) is progress


def test_a_file_larger_than_one_chunk_is_hashed_whole(tmp_path: Path) -> None:
    path = tmp_path / 'big'
    path.write_bytes(BODY * 10)
    assert sha256_of(str(path)) == hashlib.sha256(BODY * 10).hexdigest()


def test_a_full_disk_is_named_before_the_first_byte_is_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=len(BODY) - 1)
    monkeypatch.setattr(download.shutil, 'disk_usage', lambda path: usage)
    with pytest.raises(OSError, match=f'needs {len(BODY)} bytes more, {len(BODY) - 1} are free'):
        fetch(server.url, tmp_path / 'file.zip', sha256=SHA256, progress=False)
    assert not list(tmp_path.glob('file.zip*part'))
    assert len(server.ranges) == 1


def even(path: Path) -> None:
    """A check where no hash is published."""
    if len(path.read_bytes()) != len(BODY):
        raise ValueError(f'{path.name} is cut off')


def test_a_file_without_a_hash_is_checked_before_it_gets_its_name(
    server: Server, path: Path
) -> None:
    server.body = BODY[:-1]
    with pytest.raises(ValueError, match=r'file\.zip\.part is cut off; check both'):
        fetch(server.url, path, check=even)
    assert not path.exists()
    server.body = BODY
    assert fetch(server.url, path, check=even).read_bytes() == BODY
    server.ranges.clear()
    fetch(server.url, path, check=even)
    assert server.ranges == []


def test_a_stale_part_of_a_file_without_a_hash_is_thrown_away_once(
    server: Server, path: Path, part: Path
) -> None:
    part.write_bytes(BODY + b'tail')
    fetch(server.url, path, check=even)
    assert path.read_bytes() == BODY
    assert server.ranges == [f'bytes={len(BODY) + 4}-', None]


@pytest.mark.parametrize('content', [b'mine', None])
def test_a_wrong_existing_file_without_a_hash_is_not_overwritten(
    server: Server, path: Path, content: bytes | None
) -> None:
    path.parent.mkdir()
    path.mkdir() if content is None else path.write_bytes(content)
    message = 'a whole file, found no file' if content is None else 'is cut off'
    with pytest.raises(ValueError, match=f'{message}.*move it away'):
        fetch(server.url, path, check=even)
    assert server.ranges == []


def test_a_known_size_is_compared_without_a_hash_too(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(BODY)
    with pytest.raises(ValueError, match=f'expected 5 bytes, found {len(BODY)}; move it away'):
        fetch('http://127.0.0.1:9/none', path, check=even, size_bytes=5)


def test_being_offline_without_a_hash_still_says_where_to_put_the_file(path: Path) -> None:
    with pytest.raises(ConnectionError, match=f'put it at {path}$'):
        fetch('http://127.0.0.1:9/none', path, check=even, retries=0)


def test_a_download_that_nothing_verifies_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match='give sha256 or check'):
        fetch('http://127.0.0.1:9/none', path)
    with pytest.raises(ValueError, match='give sha256 or check'):
        fetch('http://127.0.0.1:9/none', path, sha256=SHA256, check=even)
