"""Finds the files of a split, and reads or makes the tables of its places."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from torchgeo_copernicus.datasets.ssl4eo.statistics import Edition, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import SUFFIX, Split, split_list, split_table
from torchgeo_copernicus.datasets.ssl4eo.v11.place_index import PlaceIndex
from torchgeo_copernicus.datasets.ssl4eo.v11.place_table import listed_files
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource
from torchgeo_copernicus.datasets.storage.folder import Folder, folder_at

_LOGGER = logging.getLogger(__name__)
# Below this the table is made faster than a bar is read.
_BAR_FROM_FILES = 50


@dataclass(frozen=True)
class OpenSplit:
    """A split whose places are known.

    Attributes:
        edition: Edition of the files.
        where: Name of the split, for messages.
        indices: Table of places of each modality.
        open: Opens a file of a modality by name.
        kept: Where the table of a modality is kept.
    """

    edition: Edition
    where: str
    indices: Mapping[Modality, PlaceIndex]
    open: Mapping[Modality, Callable[[str], ByteSource]]
    kept: Mapping[Modality, Path]


def open_split(
    root: Path | str,
    split: Split,
    modalities: Sequence[Modality],
    edition: Edition | None,
    files: Sequence[str] | None,
    index_folder: Path | str | None,
) -> OpenSplit:
    """Find the files of a split.

    Args:
        root: Folder or address with `train`, `val` and `splits`.
        split: Which split.
        modalities: Which modalities.
        edition: Which edition; told by the names of the files when None.
        files: Which files; those of the split's list that are there when None.
        index_folder: Where tables are kept; see `SSL4EOS12v11`.

    Raises:
        ValueError: If a modality has no files, files are missing, or of another edition.
    """
    if edition is not None and edition not in get_args(Edition):
        raise ValueError(f'Unknown edition {edition!r}. Allowed: {list(get_args(Edition))}.')
    if files is not None and (isinstance(files, str) or not files):
        raise ValueError(f'files must be a list of file names, not {files!r}.')
    top = folder_at(root)
    where = f'{root}/{split}'
    text = top.text(split_list(split))
    listed = text.split() if text is not None else _listed_in_table(root, split)
    indices, opens, kept = {}, {}, {}
    found: Edition | None = edition
    for modality in modalities:
        folder = folder_at(f'{where}/{modality}')
        by_edition: dict[Edition, dict[str, tuple[int, int]]] = {
            name: folder.stamps(SUFFIX[name], _of(name, listed) if files is None else files)
            for name in get_args(Edition)
        }
        there = [name for name, stamps in by_edition.items() if stamps]
        if not there:
            if files is not None:
                raise ValueError(f'{where}/{modality} has no files {list(files)[:3]}.')
            if listed is not None and (others := folder.stamps('')):
                raise ValueError(
                    f'{where}/{modality} has none of the {len(listed)} files of the split list, such as '
                    f'{listed[:1]}; it has {list(others)[:3]}. Is this the right split?'
                )
            raise ValueError(
                f'{where}/{modality} has no files *{SUFFIX["zarr"]} or *{SUFFIX["webdataset"]}. Give the '
                'folder that holds train, val and splits as root, or download them with '
                'torchgeo_copernicus.datasets.ssl4eo.download_v11.'
            )
        if found is None:
            if len(there) > 1:
                raise ValueError(
                    f'{where}/{modality} holds both editions; choose one with edition=.'
                )
            found = there[0]
        if found not in there:
            raise ValueError(
                f'{where}/{modality} holds the edition {there[0]!r} (*{SUFFIX[there[0]]}), not '
                f'{found!r} (*{SUFFIX[found]}).'
            )
        stamps = _chosen(by_edition[found], files, _of(found, listed), f'{where}/{modality}')
        kept[modality] = _keep(root, split, modality, index_folder)
        indices[modality] = _index(folder, stamps, kept[modality], f'{where}/{modality}')
        opens[modality] = folder.open
    if found is None:
        raise ValueError('modalities is empty; name at least one.')
    return OpenSplit(found, where, indices, opens, kept)


def _listed_in_table(root: Path | str, split: Split) -> Sequence[str] | None:
    return None if '://' in str(root) else listed_files(Path(root) / split_table(split))


def _of(edition: Edition, names: Sequence[str] | None) -> Sequence[str] | None:
    """Return the names that are of an edition: a list of one says nothing of the other."""
    if names is None:
        return None
    return [name for name in names if name.endswith(SUFFIX[edition])] or None


def _chosen(
    stamps: dict[str, tuple[int, int]],
    files: Sequence[str] | None,
    listed: Sequence[str] | None,
    where: str,
) -> dict[str, tuple[int, int]]:
    """Return the files to read, in the order of their names."""
    if files is not None:
        if missing := [name for name in files if name not in stamps]:
            raise ValueError(f'{where} has no files {missing[:3]}; there are {list(stamps)[:3]}.')
        return stamps
    if listed is not None and len(stamps) < len(listed):
        _LOGGER.warning('%s: %d of %d files are there.', where, len(stamps), len(listed))
    return stamps


def _keep(root: Path | str, split: Split, modality: Modality, folder: Path | str | None) -> Path:
    """Return where the table of a modality is kept."""
    name = f'{split}-{modality}.npz'
    if folder is not None:
        return Path(folder) / name
    if '://' not in str(root) and os.access(root, os.W_OK):
        return Path(root) / '.index' / name
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    key = hashlib.sha256(str(root).encode()).hexdigest()[:16]
    return Path(cache) / 'torchgeo_copernicus' / 'ssl4eo_v11' / key / name


def _index(
    folder: Folder, stamps: dict[str, tuple[int, int]], path: Path, where: str
) -> PlaceIndex:
    index = PlaceIndex.load(path, stamps)
    if index is not None:
        return index

    def progress(results: Iterable[object], count: int) -> Iterable[object]:
        off = None if count >= _BAR_FROM_FILES else True
        bar: Iterable[object] = tqdm(results, f'Reading the places of {where}', count, disable=off)
        return bar

    index = PlaceIndex.build(stamps, folder.open, progress)
    index.save(path)
    return index
