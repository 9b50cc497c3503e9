"""Writes an image of a shard as a GeoTIFF: the same numbers, and where they must have been.

Shards tell cell, local patch and day of an image and no georeference, so this one is made again of how the
images were collected (arXiv:2503.11849, section 3): local patches are squares of 10 m pixels in UTM around the
place in their name, and images of whole cells are the middle of boxes of 28 km in longitude and latitude.
"""

from __future__ import annotations

import warnings
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning

from torchgeo_copernicus.datasets.pretrain.geotiffs.image_reader import SMALLEST_FILE_BYTES
from torchgeo_copernicus.datasets.pretrain.grid import split_name
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName

#: Side of the square that an image of a whole cell covers (deg), 28 km of latitude.
BOX_DEG = 0.2515
#: What the files say of themselves, in the tag ImageDescription.
DESCRIPTION = (
    'Copernicus-Pretrain, from a shard. The georeference is reconstructed from the place in the name and the '
    'way of collection; it was not stored.'
)
_WGS84, _NORTH_UTM, _SOUTH_UTM = 4326, 32600, 32700
_EPOCH = date(1970, 1, 1)


def file_name(name: ModalityName, days: float, number: int) -> str:
    """Return the name of a GeoTIFF, which tells its day as names of the release do.

    Args:
        name: Its modality.
        days: Day since 1970-01-01; not looked at for elevation.
        number: How many images of the place and the day come before it.
    """
    if name == 'dem':
        return 'dem.tif'
    day = _EPOCH + timedelta(days=days)
    if not MODALITIES[name].monthly:
        # The time of day is not known; after the T come only images that were before.
        return f'{day:%Y%m%d}T_{number:02d}.tif'
    # The last month of the release ends with the year.
    end = date(day.year, 12, 31) if day.month == 12 else date(day.year, day.month + 1, 1)
    again = f'_{number:02d}' if number else ''
    return f'{day}_{end}{again}.tif'


def write_image(path: Path, pixels: NDArray[np.generic], name: ModalityName, place: str) -> None:
    """Write an image.

    Args:
        path: File to write; its folder must exist.
        pixels: `[C, H, W]`, int16, float32 or float64, as stored.
        name: Its modality.
        place: Name of its local patch, or of its cell.
    """
    count, height, width = pixels.shape
    crs, transform = _georeference(name, place, height, width)
    with warnings.catch_warnings():
        # At a pole; see below.
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(
            path,
            'w',
            driver='GTiff',
            count=count,
            height=height,
            width=width,
            dtype=pixels.dtype.name,
            crs=crs,
            transform=transform,
            compress='deflate',
            predictor=2 if pixels.dtype.kind == 'i' else 3,
            interleave='band',
        ) as file:
            file.write(pixels)
            file.update_tags(TIFFTAG_IMAGEDESCRIPTION=DESCRIPTION)
            # Radar bands are others near the poles, and a shard does not tell.
            if name != 's1_grd':
                file.descriptions = MODALITIES[name].sensor.band_names
    _lengthen(path)


def _georeference(
    name: ModalityName, place: str, height: int, width: int
) -> tuple[CRS | None, Affine]:
    _, longitude, latitude = split_name(place)
    if MODALITIES[name].local:
        code = _utm(longitude, latitude)
        pixel = MODALITIES[name].sensor.gsd_m
        x, y = _from_degrees(code).transform(longitude, latitude)
    elif abs(latitude) == 90:
        # No square of degrees lies around a pole; readers know the place from the name.
        return None, Affine.identity()
    else:
        code, pixel = _WGS84, BOX_DEG / min(height, width)
        x, y = longitude, latitude
    west, north = x - pixel * width / 2, y + pixel * height / 2
    return CRS.from_epsg(code), Affine(pixel, 0.0, west, 0.0, -pixel, north)


def _utm(longitude: float, latitude: float) -> int:
    """Return the EPSG code of the UTM zone of a place."""
    zone = int((longitude + 180) // 6) % 60 + 1
    return (_NORTH_UTM if latitude >= 0 else _SOUTH_UTM) + zone


@lru_cache(maxsize=120)
def _from_degrees(code: int) -> Transformer:
    return Transformer.from_crs(_WGS84, code, always_xy=True)


def _lengthen(path: Path) -> None:
    """Lengthen a file that is so small that it would be taken for a damaged one; GDAL does not read the end."""
    lacking = SMALLEST_FILE_BYTES - path.stat().st_size
    if lacking > 0:
        with path.open('ab') as file:
            file.write(bytes(lacking))
