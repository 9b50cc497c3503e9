"""Folders of SSL4EO-S12 v1.0: places by number, their scenes by the time of acquisition.

Names sort Sentinel-1A before 1B whatever their dates, so a listing in order of names, or in that of the
disk, pairs a winter with a summer. Scenes are ordered by the time in their names here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

#: Dates of a complete place, about three months apart.
DATES = 4

_DIGITS = 7
# S1A_IW_GRDH_1SDV_<start>_<stop>_... and <sensing>_<processing>_T<tile>, as Earth Engine names them.
_NAME = re.compile(r'(?:S1[A-D]_\w{2}_\w{4}_\w{4}_)?(\d{8}T\d{6})_\w+')
_IMAGE_SUFFIXES = ('.tif', '.tiff')


@dataclass(frozen=True)
class Scene:
    """Images of a place at one date.

    Attributes:
        name: Earth Engine's name of the scene.
        path: Folder of its files, or the one file with all bands.
        time: Acquisition (UTC, without a time zone).
    """

    name: str
    path: Path
    time: datetime


def folder_name(place_id: int) -> str:
    """Return the name of a place's folder, such as `0000200`."""
    return f'{place_id:0{_DIGITS}d}'


def acquisition_time(name: str) -> datetime | None:
    """Return the time (UTC) in the name of a scene, or None where there is no such time."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], '%Y%m%dT%H%M%S')
    except ValueError:
        return None


def list_places(folder: Path) -> list[int]:
    """Return the numbers of the places in a folder, ascending; what is in them is not looked at.

    Raises:
        ValueError: If a folder has a number that is not written with seven digits.
    """
    places = []
    for entry in _folders(folder):
        if not entry.name.isdecimal():
            continue
        if len(entry.name) != _DIGITS:
            raise ValueError(
                f'{entry.path}: folders of places have {_DIGITS} digits, such as 0000200; rename it, or '
                'move it away.'
            )
        places.append(int(entry.name))
    return sorted(places)


def _folders(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.is_dir())


def list_scenes(folder: Path) -> list[Scene]:
    """Return the scenes of a place in the order of their acquisition.

    Args:
        folder: Folder of the place; hidden files and files other than images are passed over.

    Raises:
        ValueError: If the place is not there, or a scene's name has no time.
    """
    scenes = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name, suffix = os.path.splitext(entry.name)
                if entry.name.startswith('.') or (
                    suffix.lower() not in _IMAGE_SUFFIXES and not entry.is_dir()
                ):
                    continue
                name = entry.name if entry.is_dir() else name
                time = acquisition_time(name)
                if time is None:
                    raise ValueError(
                        f'{entry.path}: the name has no time of acquisition, as in '
                        '20200604T054639_20200604T054831_T43RCP or '
                        'S1A_IW_GRDH_1SDV_20200607T010800_...; move it away.'
                    )
                scenes.append(Scene(name, Path(entry.path), time))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f'{folder} is missing: this copy has no such place.') from error
    return sorted(scenes, key=lambda scene: (scene.time, scene.name))
