"""A web server of a folder that sends ranges, counts what it sends, and fails when told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class RangeServer(ThreadingHTTPServer):
    """Serves a folder; the lists hold what befalls the next requests for files, one entry for each."""

    daemon_threads = True
    block_on_close = False  # Clients keep connections open.

    def __init__(self, root: Path, handler: type[Handler] | None = None) -> None:
        super().__init__(('127.0.0.1', 0), handler or Handler)
        self.root = root
        self.lists_folders = True
        self.sends_ranges: bool | None = True  # None: without saying so.
        self.statuses: list[int] = []
        self.cuts: list[int] = []  # Bytes after which the connection is cut.
        self.marks: dict[str, str] = {}  # ETag by name.
        self.requests: list[tuple[str, str, str]] = []  # Method, path, range.
        self.sent_bytes = 0
        self.guard = threading.Lock()
        self.url = f'http://127.0.0.1:{self.server_port}'

    def count(self, method: str) -> int:
        return sum(entry[0] == method for entry in self.requests)

    def start_counting(self) -> None:
        self.requests.clear()
        self.sent_bytes = 0


class Handler(BaseHTTPRequestHandler):
    server: RangeServer
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True  # Or every answer waits 40 ms.

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get('Range', '')
        with server.guard:
            server.requests.append((self.command, self.path, asked))
            status = server.statuses.pop(0) if server.statuses else 200
        path = server.root / self.path.strip('/')
        if status == 200 and path.is_dir():
            status = 200 if server.lists_folders else 403
            links = ''.join(f'<a href="{p.name}">x</a>' for p in sorted(path.iterdir()))
            links += '<a href="?C=N;O=D">Name</a><a href="http://other.example/a.zarr.zip">y</a>'
            self.answer(status, {'Content-Type': 'text/html'}, links.encode())
        elif status != 200 or not path.is_file():
            self.answer(404 if status == 200 else status, {}, b'')
        else:
            self.send_file(path, asked)

    def send_file(self, path: Path, asked: str) -> None:
        server, size = self.server, path.stat().st_size
        headers = {'ETag': server.marks.get(path.name, '"1"')}
        if server.sends_ranges is not None:
            headers['Accept-Ranges'] = 'bytes' if server.sends_ranges else 'none'
        match = re.fullmatch(r'bytes=(\d+)-(\d*)', asked)
        if not match or not server.sends_ranges:
            self.answer(200, headers, path.read_bytes())
            return
        start, last = int(match[1]), min(int(match[2] or size), size - 1)
        headers['Content-Range'] = f'bytes {start}-{last}/{size}'
        with path.open('rb') as file:
            file.seek(start)
            content = file.read(max(0, last + 1 - start))
        self.answer(206 if start <= last else 416, headers, content)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, 'Content-Length': str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == 'HEAD':
            return
        with self.server.guard:
            cut = self.server.cuts.pop(0) if self.server.cuts and status < 300 else len(body)
            self.server.sent_bytes += min(cut, len(body))
        try:
            self.wfile.write(body[:cut])
        except ConnectionError:  # A client may hang up.
            self.close_connection = True
        if cut < len(body):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""


@contextmanager
def serving(root: Path, handler: type[Handler] | None = None) -> Iterator[RangeServer]:
    """Run a server until the end of the block."""
    with RangeServer(root, handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
