"""A stand-in for Hugging Face: tells commit, size and SHA-256 of files, and sends them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from urllib.parse import parse_qs

from .range_server import Handler

COMMIT = 'c' * 40
_REPOSITORY = r'datasets/embed2scale/SSL4EO-S12-v1\.1(?:-Zarr)?'


class HubHandler(Handler):
    """Answers as the hub does; files named in `server.marks` have no SHA-256, as small texts have none."""

    def do_GET(self) -> None:
        path = self.path.partition('?')[0]
        if re.fullmatch(rf'/api/{_REPOSITORY}(?:/revision/\w+)?', path):
            found = '/revision/' not in path or path.rpartition('/')[2] in ('main', COMMIT)
            self.answer_json({'id': 'x/y', 'sha': COMMIT} if found else None)
        elif match := re.fullmatch(rf'/api/{_REPOSITORY}/tree/(?:main|{COMMIT})/(.+)', path):
            folder = self.server.root / match[1].replace('%2F', '/')
            files = sorted(folder.iterdir()) if folder.is_dir() else None
            self.answer_json(None if files is None else [self.described(file) for file in files])
        elif match := re.fullmatch(rf'/{_REPOSITORY}/resolve/(?:main|{COMMIT})/(.+)', path):
            self.path = f'/{match[1]}'
            super().do_GET()
        else:
            self.answer_json(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers['Content-Length'])).decode()
        paths = json.loads(body)['paths'] if body.startswith('{') else parse_qs(body)['paths']
        found = [self.server.root / path for path in paths]
        self.answer_json([self.described(path) for path in found if path.is_file()])

    def described(self, path: Path) -> dict[str, object]:
        name, size = path.relative_to(self.server.root).as_posix(), path.stat().st_size
        entry = {'type': 'file', 'path': name, 'size': size, 'oid': 'a' * 40}
        if path.name in self.server.marks or path.suffix == '.txt':
            return entry
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return {**entry, 'lfs': {'oid': digest, 'size': size, 'pointerSize': 130}}

    def answer_json(self, content: object) -> None:
        headers = {'Content-Type': 'application/json'}
        missing = {} if content is not None else {'X-Error-Code': 'EntryNotFound'}
        body = json.dumps({} if content is None else content).encode()
        self.answer(200 if content is not None else 404, {**headers, **missing}, body)
