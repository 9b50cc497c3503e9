"""Downloads from Google Drive with gdown, when that is installed."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from filelock import FileLock

from torchgeo_copernicus.models.ssl4eo.source import GoogleDriveFile

# What files of torch begin with: zip archives, and pickles of old.
_MAGIC = (b'PK\x03\x04', b'\x80\x02')


def fetch_from_drive(file: GoogleDriveFile, destination: Path, *, progress: bool = True) -> None:
    """Download a file.

    Args:
        file: Which.
        destination: Path of the file to make; nothing is there before the file is whole.
        progress: Whether to show progress.

    Raises:
        ConnectionError: If gdown is not installed, or the file does not come; says what to do by hand.
    """
    by_hand = f'or download {file.url} in a browser and put it at {destination}'
    try:
        gdown = import_module('gdown')
    except ModuleNotFoundError as error:
        raise ConnectionError(
            f'{file.file_name} is on Google Drive, which needs gdown: pip install '
            f'"torchgeo-copernicus[gdrive]", {by_hand}.'
        ) from error
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(f'{destination.name}.part')
    with FileLock(f'{destination}.lock'):
        if destination.exists():  # Another process was first.
            return
        try:
            gdown.download(id=file.drive_id, output=str(part), quiet=not progress)
        except (gdown.exceptions.DownloadError, OSError) as error:
            raise ConnectionError(
                f'{file.file_name} did not come from Google Drive ({error}); try again, {by_hand}.'
            ) from error
        # Beyond its quota Google answers with a page.
        if not part.is_file() or not _begins_like_a_checkpoint(part):
            part.unlink(missing_ok=True)
            raise ConnectionError(
                f'Google Drive sent something else than {file.file_name}, perhaps because its quota of '
                f'downloads is used up; try again later, {by_hand}.'
            )
        os.replace(part, destination)


def _begins_like_a_checkpoint(path: Path) -> bool:
    with path.open('rb') as file:
        return file.read(4).startswith(_MAGIC)
