"""The GeoTIFFs of folders: what their heads say, and their days and common grid by TorchGeo."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.errors import RasterioIOError
from torchgeo.datasets import RasterDataset

_SUFFIXES = ('.tif', '.tiff')


@dataclass(frozen=True)
class RasterFile:
    """What the head of a file says.

    Attributes:
        path: Of the file.
        name: Below the folder that was searched.
        bytes: Its size.
        day: Of acquisition; None when unknown.
        height: Rows.
        width: Columns.
        crs: WKT.
        transform: From pixel to CRS coordinates.
        nodata: Value that means no data, if the file says one.
        box: Left, bottom, right and top in the common grid.
    """

    path: str
    name: str
    bytes: int
    day: date | None
    height: int
    width: int
    crs: str
    transform: Affine
    nodata: float | None
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class RasterFiles:
    """Files in the order of their names.

    Attributes:
        files: The files.
        crs: WKT of the common grid, that of the first file.
        resolution: Width and height of its pixels.
    """

    files: tuple[RasterFile, ...]
    crs: str
    resolution: tuple[float, float]

    @classmethod
    def find(
        cls,
        paths: str | Sequence[str],
        bands: Sequence[str],
        filename_regex: str | None = None,
        date_format: str = '%Y%m%d',
        day: date | None = None,
    ) -> RasterFiles:
        """Read the heads of files.

        Args:
            paths: Files, and folders that are searched for `.tif` and `.tiff`.
            bands: What the channels are, of which every file must have as many.
            filename_regex: Expression that all file names match, with the group `date`, or `start` and `stop`.
            date_format: Of the groups.
            day: Of all files.

        Raises:
            ValueError: If there is no file, one is not readable, not georeferenced, of another number of
                channels, or its name says no date.
        """
        listed = _listed(paths)
        heads = {path: _head(path, name, bands) for path, name in listed}
        dataset = _dataset(list(heads), filename_regex, date_format)
        found = {str(path): number for number, path in enumerate(dataset.index.filepath)}
        files = []
        for path, (name, height, width, crs, transform, nodata) in heads.items():
            number = found[path]
            start = dataset.index.index[number].left
            known = filename_regex is not None and start != pd.Timestamp.min
            files.append(
                RasterFile(
                    path,
                    name,
                    Path(path).stat().st_size,
                    start.date() if known else day,
                    height,
                    width,
                    crs,
                    transform,
                    nodata,
                    dataset.index.geometry.iloc[number].bounds,
                )
            )
        width_res, height_res = dataset.res
        common = CRS.from_user_input(dataset.crs).to_wkt()
        return cls(tuple(files), common, (float(width_res), float(height_res)))


def _listed(paths: str | Sequence[str]) -> list[tuple[str, str]]:
    """Return paths of files, and their names below the folders that were searched, by name."""
    found: dict[str, str] = {}
    for given in [paths] if isinstance(paths, str) else paths:
        path = Path(given)
        if path.is_dir():
            inside = [p for p in path.rglob('*') if p.suffix.lower() in _SUFFIXES]
            found |= {str(p): p.relative_to(path).as_posix() for p in inside}
        elif path.is_file():
            found[str(path)] = path.name
        else:
            raise ValueError(f'There is no file or folder {path}.')
    if not found:
        raise ValueError(f'{paths} has no files with the endings {list(_SUFFIXES)}.')
    return sorted(found.items(), key=lambda item: (item[1], item[0]))


def _head(
    path: str, name: str, bands: Sequence[str]
) -> tuple[str, int, int, str, Affine, float | None]:
    try:
        with rasterio.open(path) as file:
            crs, transform, count = file.crs, file.transform, file.count
            nodata, (height, width) = file.nodata, file.shape
    except RasterioIOError as error:
        raise ValueError(f'{path} is no readable raster ({error}); remove it.') from error
    if crs is None or transform.is_identity:
        raise ValueError(f'{path} is not georeferenced, so its place is unknown.')
    if count != len(bands):
        raise ValueError(
            f'{path} has {count} channels, but {len(bands)} bands are named: {list(bands)}. Name those of the '
            'files with bands.'
        )
    return name, height, width, crs.to_wkt(), transform, nodata


class _Dated(RasterDataset):
    """Files whose days are in their names."""

    def __init__(self, paths: Sequence[str], filename_regex: str | None, date_format: str) -> None:
        if filename_regex is not None:
            self.filename_regex = filename_regex
        self.date_format = date_format
        super().__init__(list(paths), cache=False)


def _dataset(paths: Sequence[str], filename_regex: str | None, date_format: str) -> RasterDataset:
    if filename_regex is not None:
        _check_names(paths, filename_regex)
    try:
        made = _Dated(paths, filename_regex, date_format)
    except ValueError as error:
        raise ValueError(f'A day of these files is not understood: {error}') from error
    if len(made.index) != len(paths):
        lost = sorted(set(paths) - set(map(str, made.index.filepath)))
        raise ValueError(f'TorchGeo cannot read {lost[:3]}; remove them.')
    return made


def _check_names(paths: Sequence[str], filename_regex: str) -> None:
    try:
        groups = set(re.compile(filename_regex, re.VERBOSE).groupindex)
    except re.error as error:
        raise ValueError(f'filename_regex {filename_regex!r} is not understood: {error}') from error
    if not ('date' in groups or {'start', 'stop'} <= groups):
        raise ValueError(
            f'filename_regex {filename_regex!r} has the groups {sorted(groups)}; wanted (?P<date>...), or '
            '(?P<start>...) and (?P<stop>...).'
        )
    # RasterDataset would leave out files with other names, and not say so.
    other = [p for p in paths if not re.match(filename_regex, Path(p).name, re.VERBOSE)]
    if other:
        raise ValueError(
            f'{len(other)} files do not match filename_regex, such as {other[0]}; change it, or leave them '
            'out of paths.'
        )
