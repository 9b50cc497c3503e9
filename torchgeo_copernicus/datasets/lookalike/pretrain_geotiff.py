"""Make a look-alike of the GeoTIFFs of Copernicus-Pretrain: a tree of folders and the list of its files.

Names, folders and shapes are those of the release: boxes of 28 km in longitude and latitude get wider
towards the poles, and the list names a folder of Sentinel-3 that is called otherwise on disk.
"""

from __future__ import annotations

import gzip
import json
import math
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio import Affine

from torchgeo_copernicus.datasets.lookalike.geotiff import Grid, Place, grid_around, write_geotiff
from torchgeo_copernicus.datasets.lookalike.olci import WGS84
from torchgeo_copernicus.datasets.lookalike.pretrain_cell import PaintedCell, paint_cell
from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import S3_LISTED, S3_ON_DISK
from torchgeo_copernicus.datasets.pretrain.grid import Cell, split_name
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName

_SIDE_PX = MODALITIES['s1_grd'].size_px
#: A smaller file is damaged; small images are filled up to this.
SMALLEST_FILE_BYTES = 1000
# Side of a box (deg), 28 km.
_BOX_DEG = 0.2515
# Rows of a box in the release, relative to the side in the shards.
_ROWS: dict[ModalityName, float] = {'s3_olci': 94 / 96, 'dem': 936 / 960}
_OTHER_ROWS = 26 / 28
_MONTHS = [date(2021, month, 1) for month in range(1, 13)] + [date(2021, 12, 31)]


def make_pretrain_geotiff(directory: Path, n: int, seed: int, size: int = _SIDE_PX) -> Path:
    """Write `pretrain_geotiff/`, with `fnames_<n>_union.json.gz` and the files it lists.

    Every other cell lacks modalities, and every fourth is polar.

    Args:
        directory: Existing folder to write into.
        n: Number of cells.
        seed: Seed, not negative; cell i depends on the seed, i and the size only.
        size: Side of an image of Sentinel-1 or -2 in pixels; other images are smaller alike. That of the
            release is 264.

    Returns:
        The folder `<directory>/pretrain_geotiff`.

    Raises:
        ValueError: If there is no cell, or images are too small.
        FileExistsError: If the folder is there already.
    """
    if n < 1 or not 8 <= size <= _SIDE_PX:
        raise ValueError(
            f'pretrain_geotiff needs n >= 1 cells and a size of 8 to {_SIDE_PX}, got {n}, {size}'
        )
    root = Path(directory) / 'pretrain_geotiff'
    root.mkdir()
    listed = {}
    for number in range(n):
        painted = paint_cell(seed, number, _SIDE_PX // size)
        listed[f'{painted.cell.grid_id:07d}'] = write_cell(root, painted)
    with gzip.open(root / f'fnames_{n}_union.json.gz', 'wt', encoding='utf-8') as file:
        json.dump(listed, file)
    return root


def write_cell(root: Path, painted: PaintedCell) -> dict[str, object]:
    """Write the images of a cell below a root, and return its entry in the list of files."""
    entry: dict[str, object] = {'grid_id_coord': painted.cell.name}
    for name, modality in MODALITIES.items():
        series: list[list[str]] = []
        for place in range(len(painted.patches.get(name, ('',)))):
            series.append(
                _write_series(root, painted, name, place) if name in painted.images else []
            )
        if modality.local:
            entry[name] = dict(zip(painted.patches.get(name, ()), series, strict=False))
        else:
            entry[name] = series[0]
    return entry


def geotiff_images(
    painted: PaintedCell, name: ModalityName, place: int = 0
) -> dict[str, NDArray[np.generic]]:
    """Return the images of a place as the GeoTIFFs have them, `[C, H, W]` by date; repetitions once.

    Args:
        painted: The cell.
        name: Which modality.
        place: Number of the local patch, 0 for the whole cell.
    """
    images = painted.images[name]
    if name == 'dem':
        return {'': stretched(images[None], name, painted.cell)}
    stack = images[place] if MODALITIES[name].local else images
    found: dict[str, NDArray[np.generic]] = {}
    for day, image in zip(painted.dates[name][place], stack, strict=True):
        found.setdefault(day, stretched(image, name, painted.cell))
    return found


def stretched(image: NDArray[np.generic], name: ModalityName, cell: Cell) -> NDArray[np.generic]:
    """Return an image `[C, H, W]` with the shape that it has in the release at that latitude."""
    size = image.shape[-1]
    narrowed = math.cos(math.radians(cell.latitude))
    if MODALITIES[name].local:
        # 268 x 267 at 67 degrees; boxes of 2.64 km in UTM are turned against the meridian.
        rows, columns = (size + 4, size + 3) if cell.latitude > 60 else (size, size)
    else:
        rows = max(4, round(size * _ROWS.get(name, _OTHER_ROWS)))
        if name == 's3_olci':
            # Brought from UTM: a fit to 94 rows at the equator and the 67 that were seen at 67 degrees.
            rows = max(4, round(rows * narrowed**0.36))
        columns = round(rows / narrowed)
    down, right = (np.arange(count) * size // count for count in (rows, columns))
    return image[:, down][:, :, right]


def _write_series(root: Path, painted: PaintedCell, name: ModalityName, place: int) -> list[str]:
    """Write the images of a place, and return their paths as the list has them."""
    modality, cell = MODALITIES[name], painted.cell
    parts = [modality.folder, cell.name]
    longitude, latitude = cell.longitude, cell.latitude
    if modality.local:
        parts.append(painted.patches[name][place])
        _, longitude, latitude = split_name(parts[-1])
    folder = '/'.join(parts)
    (root / folder).mkdir(parents=True)
    bands = modality.sensor.band_names
    if name == 's1_grd' and painted.is_polar:
        bands = ('HH', 'HV')
    paths: list[str] = []
    for day, image in geotiff_images(painted, name, place).items():
        if image.dtype == np.int16:
            image = image.astype(np.uint16)
        height, width = image.shape[1:]
        around = Place(longitude, latitude)
        grid = grid_around(around, width) if modality.local else _box(around, height, width)
        path = f'{folder}/{_file_name(name, day, painted, len(paths))}'
        write_geotiff(root / path, np.asarray(image), grid, bands)
        _fill_up(root / path)
        paths.append(path.replace(S3_ON_DISK, S3_LISTED, 1) if name == 's3_olci' else path)
    # Lists are in the order of names, and so are dates of one satellite.
    return sorted(paths)


def _box(place: Place, height: int, width: int) -> Grid:
    pixel = _BOX_DEG / height
    west, north = place.lon - pixel * width / 2, place.lat + pixel * height / 2
    return Grid(WGS84, Affine(pixel, 0.0, west, 0.0, -pixel, north))


def _fill_up(path: Path) -> None:
    """Lengthen a small file; GDAL does not read what follows the image."""
    lacking = SMALLEST_FILE_BYTES - path.stat().st_size
    if lacking > 0:
        with path.open('ab') as file:
            file.write(bytes(lacking))


def _file_name(name: ModalityName, day: str, painted: PaintedCell, number: int) -> str:
    if name == 'dem':
        return 'dem.tif'
    if name.startswith('s5p'):
        month = int(day[4:6])
        return f'{_MONTHS[month - 1]}_{_MONTHS[month]}.tif'
    satellite = 'AB'[number % 2]
    if name == 's3_olci':
        return f'S3{satellite}_{day}T0{number}5736_{day}T0{number}5744.tif'
    if name == 's1_grd':
        mode = 'EW_GRDM_1SDH' if painted.is_polar else 'IW_GRDH_1SDV'
        return f'S1{satellite}_{mode}_{day}T053142_{day}T053207_0{35_000 + number}_042C5A_3B7F.tif'
    zone = Place(painted.cell.longitude, painted.cell.latitude).utm_zone
    return f'{day}T101419_{day}T101417_T{zone:02d}UMB.tif'
