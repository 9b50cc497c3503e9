"""A folder of files that are read by position, on disk or behind an address."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, LocalFile


class Folder(Protocol):
    """A folder on disk or behind an address."""

    def stamps(self, suffix: str, names: Sequence[str] | None = None) -> dict[str, tuple[int, int]]:
        """Return (bytes, a number that changes with the content) of each file, sorted by name.

        Args:
            suffix: End of the wanted names.
            names: Files to look at; all there are when None. A server that lists no folder has only these.
        """

    def open(self, name: str) -> ByteSource:
        """Open a file.

        Raises:
            OSError: If it cannot be opened.
        """

    def text(self, name: str) -> str | None:
        """Return the text of a file, given relative to the folder, or None when there is none."""


@dataclass(frozen=True)
class LocalFolder:
    """A folder on disk.

    Attributes:
        path: The folder; may be absent, and then has no files.
    """

    path: Path

    def stamps(self, suffix: str, names: Sequence[str] | None = None) -> dict[str, tuple[int, int]]:
        """Return (bytes, time of modification in ns) of each file; see `Folder`."""
        if not self.path.is_dir():
            return {}
        with os.scandir(self.path) as entries:
            found = [entry for entry in entries if entry.name.endswith(suffix) and entry.is_file()]
        if names is not None:
            found = [entry for entry in found if entry.name in set(names)]
        sizes = {entry.name: entry.stat() for entry in sorted(found, key=lambda e: e.name)}
        return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in sizes.items()}

    def open(self, name: str) -> ByteSource:
        """Open a file; see `Folder`."""
        return LocalFile(self.path / name)

    def text(self, name: str) -> str | None:
        """Return the text of a file; see `Folder`."""
        path = self.path / name
        return path.read_text(encoding='utf-8') if path.is_file() else None


def folder_at(root: Path | str) -> Folder:
    """Return a folder on disk, or behind an address such as `https://...`, `s3://...`, `hf://...`."""
    if '://' in str(root):
        from torchgeo_copernicus.datasets.storage.remote import RemoteFolder

        return RemoteFolder(str(root))
    return LocalFolder(Path(root))
