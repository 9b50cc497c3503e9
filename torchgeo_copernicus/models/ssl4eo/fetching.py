"""Brings released checkpoints into torch hub's cache, and makes sure that they stay the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url

from torchgeo_copernicus.download import fetch
from torchgeo_copernicus.models.ssl4eo.google_drive import fetch_from_drive
from torchgeo_copernicus.models.ssl4eo.pinned_hash import check_sha256, read_pin, verify
from torchgeo_copernicus.models.ssl4eo.source import GoogleDriveFile, HuggingFaceFile, ReleasedFile


def path_of(file: ReleasedFile) -> Path:
    """Return where a file is, or belongs, in torch hub's cache."""
    return Path(torch.hub.get_dir()) / 'checkpoints' / file.file_name


def fetch_released(
    files: Sequence[ReleasedFile], *, sha256: str | None = None, progress: bool = True
) -> Path:
    """Return one of several files, downloading the first when none of them is there.

    Args:
        files: Files any of which will do.
        sha256: Hash of the file, as the user knows it.
        progress: Whether to show progress.

    Raises:
        ValueError: If the file is not the one it was before, or has another hash.
        ConnectionError: If it cannot be had; says which files to put where.
    """
    known = None if sha256 is None else check_sha256(sha256, 'sha256')
    file = next((file for file in files if path_of(file).exists()), files[0])
    path = path_of(file)
    if not path.exists():
        wanted = known or read_pin(path)
        try:
            if isinstance(file, GoogleDriveFile):
                fetch_from_drive(file, path, progress=progress)
            else:
                _fetch_from_hugging_face(file, path, wanted, progress)
        except ConnectionError as error:
            others = [f'{other.url} at {path_of(other)}' for other in files if other is not file]
            hint = f' These do as well: {"; ".join(others)}.' if others else ''
            raise ConnectionError(f'{error}{hint}') from error
    verify(path, sha256=known, prefix=file.sha256_prefix)
    return path


def _fetch_from_hugging_face(
    file: HuggingFaceFile, path: Path, sha256: str | None, progress: bool
) -> None:
    # Honours HF_ENDPOINT, the address of a mirror.
    url = hf_hub_url(file.repository, file.file_name, revision=file.revision)
    try:
        stated = get_hf_file_metadata(url)
    except OSError as error:
        raise ConnectionError(
            f'{url}: no answer ({error}). Without network: download it on another machine and put it at '
            f'{path}.'
        ) from error
    # Of a large file this is its SHA-256.
    etag = stated.etag or ''
    if not re.fullmatch('[0-9a-f]{64}', etag) or not etag.startswith(file.sha256_prefix):
        raise ConnectionError(
            f'{url}: the server states the hash {etag!r}, wanted a SHA-256 that begins with '
            f'{file.sha256_prefix!r}. Is it another server than Hugging Face? Put the file at {path} by hand.'
        )
    fetch(url, path, sha256=sha256 or etag, size_bytes=stated.size, progress=progress)
