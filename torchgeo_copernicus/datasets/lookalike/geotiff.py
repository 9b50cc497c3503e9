"""Put look-alike files on disk: georeferenced rasters and the lists of the splits.

A raster lies on land, in the UTM zone of its centre, on a grid of exactly 10 m.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as reproject

#: Boxes well inside the continents: west, south, east, north (degrees).
EUROPE = ((5.0, 46.0, 20.0, 52.0), (-5.0, 38.5, -2.0, 42.0), (21.0, 45.5, 27.0, 53.0))
LAND = (
    *EUROPE,
    (-104.0, 35.0, -92.0, 46.0),
    (-60.0, -22.0, -48.0, -8.0),
    (16.0, -22.0, 28.0, 12.0),
    (75.0, 17.0, 83.0, 25.0),
    (105.0, 26.0, 114.0, 36.0),
    (138.0, -31.0, 147.0, -20.0),
)

#: Splits that successive samples go to, over and over: 60/20/20, whatever the total.
SPLIT_CYCLE = ('train', 'val', 'test', 'train', 'train')


@dataclass(frozen=True)
class Place:
    """Centre of a raster.

    Attributes:
        lon: Longitude in degrees east.
        lat: Latitude in degrees north.
    """

    lon: float
    lat: float

    @property
    def utm_zone(self) -> int:
        """Number of the UTM zone, 1..60."""
        return int((self.lon + 180) // 6) % 60 + 1

    @property
    def crs(self) -> CRS:
        """WGS 84 / UTM of the zone and the hemisphere."""
        return CRS.from_epsg((32600 if self.lat >= 0 else 32700) + self.utm_zone)


def random_place(
    rng: np.random.Generator, boxes: Sequence[tuple[float, float, float, float]] = LAND
) -> Place:
    """Draw a place on land.

    Args:
        rng: Source of the draw.
        boxes: West, south, east, north of each allowed box (degrees).

    Returns:
        A place inside one of the boxes.
    """
    west, south, east, north = boxes[int(rng.integers(len(boxes)))]
    return Place(lon=float(rng.uniform(west, east)), lat=float(rng.uniform(south, north)))


def write_geotiff(
    path: Path,
    raster: NDArray[np.uint8] | NDArray[np.uint16],
    place: Place,
    bands: Sequence[str] = (),
) -> None:
    """Write one deflate-compressed GeoTIFF.

    Args:
        path: File to write; its folder must exist.
        raster: Pixels, `[C, H, W]` or `[H, W]`.
        place: Centre of the raster, to the nearest 10 m.
        bands: Name of each of the C bands, kept as the bands' descriptions; empty for none.

    Raises:
        ValueError: If the raster is neither `[C, H, W]` nor `[H, W]`, its type is not uint8 or
            uint16, or the number of names is not C.
    """
    if raster.ndim not in (2, 3):
        raise ValueError(f'raster must be [C, H, W] or [H, W], got shape {raster.shape}')
    if raster.dtype not in (np.uint8, np.uint16):
        raise ValueError(f'raster must be uint8 or uint16, got {raster.dtype}')
    pixels = raster if raster.ndim == 3 else raster[None]
    count, height, width = pixels.shape
    if bands and len(bands) != count:
        raise ValueError(f'{len(bands)} band names {tuple(bands)} for {count} bands')
    x, y = reproject(CRS.from_epsg(4326), place.crs, [place.lon], [place.lat])
    west = 10.0 * round(x[0] / 10 - width / 2)
    north = 10.0 * round(y[0] / 10 + height / 2)
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=count,
        height=height,
        width=width,
        dtype=pixels.dtype.name,
        crs=place.crs,
        transform=Affine(10.0, 0.0, west, 0.0, -10.0, north),
        compress='deflate',
        predictor=2,
        interleave='band',
    ) as file:
        file.write(pixels)
        for index, band in enumerate(bands, start=1):
            file.set_band_description(index, band)


def write_list(path: Path, lines: Iterable[str]) -> None:
    """Write one name per line, without a header.

    Args:
        path: File to write; its folder must exist.
        lines: Names in the order of the file.
    """
    path.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')
