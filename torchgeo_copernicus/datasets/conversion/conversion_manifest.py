"""Which files a conversion made: `conversion.json` in its folder, and notes of a run that goes on.

Tasks write notes of their own, because those in other processes and on other machines cannot share a file;
the notes join the manifest at the end of the run, or at the start of the next when it was killed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torchgeo_copernicus.download import sha256_of

_VERSION = 1
#: Folder of the notes, and of the lock of a run.
NOTES = '.conversion'


@dataclass(frozen=True)
class Output:
    """A file that was made.

    Attributes:
        options: What decided its content, besides the sources.
        sources: SHA-256 of the stamps of the sources.
        bytes: Its size.
        sha256: Of its content.
        counts: What happened while it was made.
    """

    options: Mapping[str, object]
    sources: str
    bytes: int
    sha256: str
    counts: Mapping[str, int]

    def is_at(self, path: Path) -> bool:
        """Return whether this very file is there, by its size and SHA-256."""
        return (
            path.is_file() and path.stat().st_size == self.bytes and sha256_of(path) == self.sha256
        )

    def differences(self, options: Mapping[str, object]) -> list[str]:
        """Return the names of options that have other values here."""
        theirs = json.loads(json.dumps(dict(options)))
        names = sorted({*theirs, *self.options})
        return [name for name in names if theirs.get(name) != self.options.get(name)]


class ConversionManifest(Mapping[str, Output]):
    """Files of a folder that conversions made, by path below it."""

    def __init__(self, folder: Path) -> None:
        """Read what is known, with the notes of a run that was killed.

        Raises:
            ValueError: If the manifest is damaged.
        """
        self.folder = folder
        self.path = folder / 'conversion.json'
        self._outputs: dict[str, Output] = {}
        if self.path.exists():
            document = _read(self.path)
            if document.get('version') != _VERSION:
                raise ValueError(
                    f'{self.path} has version {document.get("version")!r}, this code knows {_VERSION}. '
                    'Choose another folder.'
                )
            outputs = document.get('outputs')
            if not isinstance(outputs, dict):
                raise ValueError(f'{self.path} lists no outputs; it is damaged.')
            self._outputs = {name: _output(row, self.path) for name, row in outputs.items()}
        self.collect()

    def __getitem__(self, name: str) -> Output:
        """Return what is known of a file."""
        return self._outputs[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the files."""
        return iter(self._outputs)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._outputs)

    @staticmethod
    def note(folder: Path, name: str, output: Output) -> None:
        """Note down a file, for the manifest to collect."""
        path = folder / NOTES / f'{hashlib.sha256(name.encode()).hexdigest()}.json'
        path.parent.mkdir(exist_ok=True)
        _write(path, {'name': name, **asdict(output)})

    def collect(self) -> None:
        """Take in the notes, and write the manifest when there are any."""
        notes = sorted((self.folder / NOTES).glob('*.json'))
        if not notes:
            return
        for path in notes:
            row = _read(path)
            name = str(row.pop('name', ''))
            self._outputs[name] = _output(row, path)
        rows = {name: asdict(self._outputs[name]) for name in sorted(self._outputs)}
        _write(self.path, {'version': _VERSION, 'outputs': rows})
        for path in notes:
            path.unlink()


def _read(path: Path) -> dict[str, object]:
    try:
        document: object = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is damaged ({error}). Convert into another folder.') from error
    if not isinstance(document, dict):
        raise ValueError(f'{path} is damaged: it holds no JSON object.')
    return document


def _output(row: object, path: Path) -> Output:
    if isinstance(row, dict) and set(row) == {field.name for field in fields(Output)}:
        options, sources, size, digest, counts = (row[field.name] for field in fields(Output))
        if isinstance(options, dict) and isinstance(size, int) and isinstance(counts, dict):
            return Output(options, str(sources), size, str(digest), counts)
    raise ValueError(f'{path} is damaged: {row!r} describes no file. Convert into another folder.')


def _write(path: Path, document: Mapping[str, object]) -> None:
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    part.write_text(json.dumps(document, indent=1) + '\n', encoding='utf-8')
    os.replace(part, path)
