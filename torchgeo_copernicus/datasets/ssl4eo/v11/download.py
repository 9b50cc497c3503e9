"""Downloads chosen files of SSL4EO-S12 v1.1: resumed when broken off, in place only when whole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from torchgeo_copernicus.datasets.ssl4eo.statistics import Edition, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import Split
from torchgeo_copernicus.datasets.ssl4eo.v11.sources import (
    JUELICH,
    RemoteEntry,
    files_on_hub,
    files_on_server,
)
from torchgeo_copernicus.download import fetch


def download_v11(
    root: Path | str,
    split: Split,
    modalities: Sequence[Modality],
    files: Sequence[str] | int | None = None,
    *,
    edition: Edition = 'zarr',
    source: str = 'huggingface',
    revision: str = 'main',
    checksum: bool = True,
    progress: bool = True,
) -> list[Path]:
    """Download files of a split, with its list and table where there are.

    Args:
        root: Folder that will hold `train`, `val` and `splits`.
        split: `train` or `val`.
        modalities: Which images.
        files: Names of files, the same of each modality, or how many (the first ones); all when None:
            17 GB (val) or 2 TB (train) for three modalities.
        edition: `zarr` or `webdataset`.
        source: `huggingface`, `juelich` (Zarr edition only), or the address of a copy with the same
            folders (http, https or file).
        revision: Branch, tag or commit on Hugging Face.
        checksum: Check the hash, or the CRC, of files that are there already too. They were right when
            they got their name, so only their size is compared otherwise.
        progress: Show progress bars.

    Returns:
        Paths of the images.

    Raises:
        ValueError: If an argument is impossible, or a file is wrong, there or at the source.
        ConnectionError: If a file could not be had; running again goes on where it ended.
        OSError: If the disk has no room.
    """
    for name, value, allowed in (
        ('split', split, Split),
        ('edition', edition, Edition),
        *(('modality', modality, Modality) for modality in modalities),
    ):
        if value not in get_args(allowed):
            raise ValueError(f'Unknown {name} {value!r}. Allowed: {list(get_args(allowed))}.')
    if isinstance(modalities, str) or not modalities or len(set(modalities)) < len(modalities):
        raise ValueError(f'modalities is {modalities!r}; list at least one, and each once.')
    whole = isinstance(files, int) and not isinstance(files, bool) and files > 0
    if files is not None and not whole and (not isinstance(files, list | tuple) or not files):
        raise ValueError(f'files is {files!r}; give names, or how many (1 or more).')
    if source == 'huggingface':
        tables, images = files_on_hub(split, modalities, files, edition, revision)
    else:
        if revision != 'main':
            raise ValueError(f'revision is for Hugging Face; {source} has none.')
        if source == 'juelich' and edition != 'zarr':
            raise ValueError('The Jülich server has the Zarr edition only; use huggingface.')
        address = (JUELICH if source == 'juelich' else source).rstrip('/')
        if not address.startswith(('http://', 'https://', 'file://')):
            raise ValueError(f'source is {source!r}; give huggingface, juelich, or an address.')
        tables, images = files_on_server(address, Path(root), split, modalities, files, edition)
    _check_room(Path(root), [*tables, *images])
    for entry in tables:
        _get(entry, Path(root), checksum, False)
    bar = tqdm(images, f'SSL4EO-S12 v1.1 {split}', unit='file', disable=not progress)
    return [_get(entry, Path(root), checksum, progress) for entry in bar]


def _get(entry: RemoteEntry, root: Path, checksum: bool, progress: bool) -> Path:
    path = root / entry.path
    if path.is_file() and not checksum and entry.size_bytes in (None, path.stat().st_size):
        return path
    return fetch(
        entry.url,
        path,
        sha256=entry.sha256,
        check=entry.check,
        size_bytes=entry.size_bytes,
        progress=progress,
    )


def _check_room(root: Path, entries: Sequence[RemoteEntry]) -> None:
    """Raise before the first of many files, where the sizes are known."""
    missing = [entry for entry in entries if not (root / entry.path).exists()]
    need = sum(entry.size_bytes or 0 for entry in missing)
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if need > (free := shutil.disk_usage(there).free):
        raise OSError(
            f'{len(missing)} files need {need / 1e9:.1f} GB, {root} has {free / 1e9:.1f} GB free. '
            'Choose fewer with files= and modalities=, or another folder.'
        )
