"""Writes the list of collected files, `fnames_*.json.gz`, as that of the released GeoTIFFs."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

from torchgeo_copernicus.collect.manifest import read_notes
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES

_Entry = dict[str, str | list[str] | dict[str, list[str]]]


def write_file_names(root: Path | str, name: str = 'fnames_collected.json.gz') -> Path:
    """Write the list of the files that were collected into a folder.

    A dictionary by the number of the cell, seven digits: the name of the cell, and paths below the root, of
    Sentinel-1 and -2 by the name of the local patch. Modalities that are missing are empty.

    Args:
        root: Folder that was collected into.
        name: Name of the file in it: `fnames_*.json.gz`.

    Returns:
        Path of the file.

    Raises:
        ValueError: If the name is another one, nothing was collected, or a file is gone or was cut.
    """
    root = Path(root)
    if not (name.startswith('fnames_') and name.endswith('.json.gz')) or set(name) & set('/\\'):
        raise ValueError(f'name is {name!r}; wanted fnames_*.json.gz, without a folder.')
    cells: dict[str, _Entry] = {}
    for note in read_notes(root):
        if not note.files:
            continue
        if not note.is_there(root, check_hashes=False):
            raise ValueError(
                f'Files of {note.task} below {root} are gone or cut; collect them again first.'
            )
        modality, cell_name, *patch = note.task.split('/')
        entry = cells.setdefault(f'{Cell.named(cell_name).grid_id:07d}', _empty(cell_name))
        paths = [f'{note.folder}/{file}' for file in sorted(note.files)]
        by_patch = entry[modality]
        if isinstance(by_patch, dict):
            by_patch[patch[0]] = paths
        else:
            entry[modality] = paths
    if not cells:
        raise ValueError(f'Nothing was collected into {root}.')
    path = root / name
    part = path.with_name(f'{name}.{os.getpid()}.part')
    text = json.dumps({key: cells[key] for key in sorted(cells)})
    # Without the time, so that the same files make the same list.
    part.write_bytes(gzip.compress(text.encode(), mtime=0))
    os.replace(part, path)
    return path


def _empty(cell_name: str) -> _Entry:
    entry: _Entry = {'grid_id_coord': cell_name}
    for modality in MODALITY_NAMES:
        entry[modality] = {} if MODALITIES[modality].local else []
    return entry
