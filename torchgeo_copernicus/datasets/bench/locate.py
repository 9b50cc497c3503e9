"""Finds the files of a task: a folder, an archive that is there, or a download."""

from __future__ import annotations

import contextlib
from pathlib import Path

from filelock import FileLock
from torchgeo.datasets import DatasetNotFoundError
from torchgeo.datasets.copernicus.base import CopernicusBenchBase

from torchgeo_copernicus.archive import extract_zip
from torchgeo_copernicus.datasets.bench.task import Archive
from torchgeo_copernicus.download import fetch, sha256_of


def locate(dataset: CopernicusBenchBase, archive: Archive, folder: str) -> Path:
    """Return the folder of a task, extracting or downloading its archive when it is not there.

    Several processes may ask at once: one does the work, the others wait.

    Args:
        dataset: Its root, and whether to download and to verify.
        archive: The zip file.
        folder: Its top folder.

    Raises:
        DatasetNotFoundError: If neither folder nor archive is there and it is not to be downloaded.
        ValueError: If the archive is not the released one.
    """
    root = Path(dataset.root)
    target = root / folder
    if target.is_dir():
        return target
    file = root / archive.name
    if not (file.exists() or dataset.download):
        raise DatasetNotFoundError(dataset)
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / f'.{folder}.lock')
    try:
        with lock:
            if not target.is_dir():  # Else another process came first.
                _obtain(dataset, archive, file, target)
    finally:
        # Whoever still waits for it does no harm: a folder that is there is never touched.
        with contextlib.suppress(PermissionError):
            Path(lock.lock_file).unlink(missing_ok=True)
    return target


def _obtain(dataset: CopernicusBenchBase, archive: Archive, file: Path, target: Path) -> None:
    """Verify the archive or download it, then extract it."""
    if not file.exists():
        fetch(dataset.url, file, sha256=archive.sha256)
    elif dataset.checksum:
        _verify(file, archive.sha256)
    try:
        extract_zip(file, target.parent, directory=target.name)
    except FileExistsError:
        # Placed by hand meanwhile; if it was anything else, the checks that follow tell.
        if not target.is_dir():
            raise


def _verify(file: Path, sha256: str) -> None:
    if (found := sha256_of(file)) != sha256:
        raise ValueError(
            f'{file} has SHA-256 {found}, wanted {sha256}: it is cut off or another version. Move it '
            'away, or pass checksum=False if you trust it.'
        )
