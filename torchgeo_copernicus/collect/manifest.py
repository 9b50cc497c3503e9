"""What was collected: one note for each task, with the size and SHA-256 of its files.

Notes are files of their own below `.collection`, so that tasks on many machines need not share one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torchgeo_copernicus.collect.task import Task
from torchgeo_copernicus.download import sha256_of

#: Folder of the notes, of unfinished images and of the lock.
WORK = '.collection'
_VERSION = 1


@dataclass(frozen=True)
class Note:
    """A task that is done.

    Attributes:
        task: Its key.
        folder: Its folder below the root, with `/`.
        options: What decided its images.
        files: Size in bytes and SHA-256 of each file in the folder.
        reason: Why there is none.
        resampled: Names of files whose scenes have other pixels.
    """

    task: str
    folder: str
    options: Mapping[str, object]
    files: Mapping[str, tuple[int, str]]
    reason: str = ''
    resampled: tuple[str, ...] = ()

    def is_there(self, root: Path, check_hashes: bool) -> bool:
        """Return whether the files are there with their sizes, and their hashes if wanted."""
        for name, (size, sha256) in self.files.items():
            path = root / self.folder / name
            if not path.is_file() or path.stat().st_size != size:
                return False
            if check_hashes and sha256_of(path) != sha256:
                return False
        return True

    def differences(self, options: Mapping[str, object]) -> list[str]:
        """Return the names of options that have other values here."""
        names = sorted({*options, *self.options})
        return [name for name in names if options.get(name) != self.options.get(name)]


def note_path(root: Path, task: Task) -> Path:
    """Return where the note of a task is."""
    return root / WORK / 'notes' / f'{task.key}.json'


def write_note(root: Path, task: Task, note: Note) -> None:
    """Write the note of a task, whole or not at all."""
    path = note_path(root, task)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    text = json.dumps({'version': _VERSION, **asdict(note)}, indent=1)
    part.write_text(f'{text}\n', encoding='utf-8')
    os.replace(part, path)


def read_note(root: Path, task: Task) -> Note | None:
    """Return the note of a task, or None when it was never done.

    Raises:
        ValueError: If it is damaged.
    """
    path = note_path(root, task)
    return _read(path) if path.exists() else None


def read_notes(root: Path) -> Iterator[Note]:
    """Return all notes below a root, by task.

    Raises:
        ValueError: If one is damaged.
    """
    for path in sorted((root / WORK / 'notes').rglob('*.json')):
        yield _read(path)


def _read(path: Path) -> Note:
    try:
        row: object = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is damaged ({error}); delete it to collect anew.') from error
    names = {field.name for field in fields(Note)}
    if isinstance(row, dict) and row.pop('version', None) == _VERSION and set(row) == names:
        options, files, resampled = row['options'], row['files'], row['resampled']
        lists = isinstance(files, dict) and isinstance(resampled, list)
        if isinstance(options, dict) and lists and all(map(_is_file, files.values())):
            whole = {name: (int(size), str(digest)) for name, (size, digest) in files.items()}
            return Note(
                str(row['task']),
                str(row['folder']),
                options,
                whole,
                str(row['reason']),
                tuple(map(str, resampled)),
            )
    raise ValueError(f'{path} is no note of this version; delete it to collect anew.')


def _is_file(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], int)
        and isinstance(value[1], str)
    )
