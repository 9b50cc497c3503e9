"""What an entry in a list of files says: the GeoTIFFs of a cell, by modality, place and date.

The entry is checked before anything is opened: paths stay below the root, below the folder of their modality
and in the folder of their cell, and names have dates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import NamedTuple, TypeGuard

from torchgeo_copernicus.datasets.pretrain.grid import Cell, split_name
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.metadata import days_since_epoch

#: Place of images of the whole cell, where those of local patches have the name of the patch.
WHOLE_CELL = ''
#: Sentinel-3 is in another folder on disk than the published lists say.
S3_LISTED, S3_ON_DISK = 's3_olci_utm/', 's3_olci_wgs/'

_CELL_NAME = 'grid_id_coord'
_KEYS = (_CELL_NAME, *MODALITY_NAMES)
_DAY = re.compile(r'(\d{4})(\d{2})(\d{2})T')
_FILE = re.compile(r'[^\\/:\0]+\.tif')
# Of a month, whose first day comes first.
_PERIOD = re.compile(r'^(\d{4})-(\d{2})-(\d{2})_')


class ImageFile(NamedTuple):
    """A GeoTIFF.

    Attributes:
        days: Day of acquisition since 1970-01-01, the first of the month for Sentinel-5P; NaN of elevation.
        path: Below the root, with slashes, as listed.
    """

    days: float
    path: str


#: Images of a place, by date, then by path.
Images = tuple[ImageFile, ...]


@dataclass(frozen=True)
class CellFiles:
    """The files of a cell.

    Attributes:
        cell: Which cell.
        images: Modality -> place -> its images; what is missing is absent. Places are the names of local
            patches, in the order of the list, or `WHOLE_CELL`.
    """

    cell: Cell
    images: Mapping[ModalityName, Mapping[str, Images]]


def read_entry(key: str, entry: object) -> CellFiles:
    """Read the entry of a cell.

    Args:
        key: Number of the cell.
        entry: As JSON has it: `grid_id_coord`, for `s1_grd` and `s2_toa` a list of paths by local patch, and
            for the other modalities a list of paths.

    Raises:
        ValueError: If it is no such entry, or a path leads elsewhere; names it.
    """
    if not isinstance(entry, dict):
        raise ValueError(
            f'cell {key} is a {type(entry).__name__}, wanted lists of paths by modality.'
        )
    if unknown := [name for name in entry if name not in _KEYS]:
        raise ValueError(f'cell {key} has unknown keys {unknown[:5]}. Allowed: {list(_KEYS)}.')
    name = entry.get(_CELL_NAME)
    if not isinstance(name, str):
        raise ValueError(f'cell {key} has no name: {_CELL_NAME} is {name!r}.')
    cell = Cell.named(name)
    if not key.isascii() or not key.isdigit() or int(key) != cell.grid_id:
        raise ValueError(f'cell {key} is called {name}, which is another.')
    images: dict[ModalityName, dict[str, Images]] = {}
    for modality in MODALITY_NAMES:
        # A missing modality is an empty list, an empty object, null or absent.
        if not (value := entry.get(modality)):
            continue
        try:
            places = _places(modality, value, cell)
        except ValueError as error:
            raise ValueError(f'cell {key}, {modality}: {error}') from error
        if places:
            images[modality] = places
    return CellFiles(cell, images)


def _places(modality: ModalityName, value: object, cell: Cell) -> dict[str, Images]:
    if not MODALITIES[modality].local:
        return {WHOLE_CELL: _images(modality, value, cell, WHOLE_CELL)}
    if not isinstance(value, dict):
        raise ValueError(f'it is a {type(value).__name__}, wanted lists of paths by local patch.')
    for patch in value:
        split_name(patch)
    # Patches without an image are as if not there.
    return {patch: _images(modality, paths, cell, patch) for patch, paths in value.items() if paths}


def _images(modality: ModalityName, paths: object, cell: Cell, place: str) -> Images:
    if not _is_list(paths):
        raise ValueError(f'{place} is a {type(paths).__name__}, wanted a list of paths.'.lstrip())
    folder = '/'.join(filter(None, (MODALITIES[modality].folder, cell.name, place))) + '/'
    # The folder is compared as a whole, so that neither `..` nor a drive nor another cell gets through.
    folders = folder, folder.replace(S3_ON_DISK, S3_LISTED, 1)
    found = [ImageFile(_day(modality, _name(path, folders)), str(path)) for path in paths]
    if len({image.path for image in found}) < len(found):
        raise ValueError(f'{place} lists a path twice.'.lstrip())
    if modality == 'dem' and len(found) > 1:
        raise ValueError(f'there are {len(found)} files, wanted one.')
    return tuple(sorted(found))


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _name(path: object, folders: tuple[str, str]) -> str:
    """Return the name of a file that is right in one of the folders."""
    if isinstance(path, str):
        for folder in folders:
            if path.startswith(folder) and _FILE.fullmatch(name := path[len(folder) :]):
                return name
    raise ValueError(f'{path!r} is not a .tif right in {folders[0]}, below the root.')


def _day(modality: ModalityName, name: str) -> float:
    if modality == 'dem':
        return math.nan
    pattern = _PERIOD if modality.startswith('s5p') else _DAY
    found = pattern.search(name)
    if found is None:
        like = '2021-01-01_2021-02-01.tif' if pattern is _PERIOD else 'S3A_20210507T135736.tif'
        raise ValueError(f'{name!r} has no date, such as {like} has.')
    return _days(*found.groups())


@lru_cache(maxsize=1 << 14)
def _days(year: str, month: str, day: str) -> float:
    return days_since_epoch(date(int(year), int(month), int(day)))
