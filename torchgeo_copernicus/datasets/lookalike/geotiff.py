"""Put look-alike files on disk: georeferenced rasters and the lists of the splits.

A place is on land; its raster lies on a grid around it, by default of 10 m in the UTM zone.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
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


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a raster lie.

    Attributes:
        crs: Coordinate reference system; None for a raster without georeference.
        transform: From pixel to CRS coordinates.
    """

    crs: CRS | None
    transform: Affine


#: Of rasters that tell nothing about where they are.
NOWHERE = Grid(None, Affine.identity())


def grid_around(
    place: Place,
    size: int,
    pixel: float = 10.0,
    crs: CRS | None = None,
    *,
    step: float | None = None,
) -> Grid:
    """Lay a square grid around a place.

    Args:
        place: Centre of the raster, to the nearest step.
        size: Side of the raster in pixels.
        pixel: Side of a pixel in units of the CRS (m, or degrees).
        crs: Coordinate reference system; UTM of the place when None.
        step: Corners lie on multiples of this; *pixel* when None.
    """
    system = place.crs if crs is None else crs
    step = pixel if step is None else step
    x, y = reproject(CRS.from_epsg(4326), system, [place.lon], [place.lat])
    west = step * round(x[0] / step - size * pixel / (2 * step))
    north = step * round(y[0] / step + size * pixel / (2 * step))
    return Grid(system, Affine(pixel, 0.0, west, 0.0, -pixel, north))


def write_geotiff(
    path: Path,
    raster: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32],
    grid: Grid,
    bands: Sequence[str] = (),
) -> None:
    """Write one deflate-compressed GeoTIFF.

    Args:
        path: File to write; its folder must exist.
        raster: Pixels, `[C, H, W]` or `[H, W]`.
        grid: Where they lie.
        bands: Name of each of the C bands, kept as the bands' descriptions; empty for none.

    Raises:
        ValueError: If the raster is neither `[C, H, W]` nor `[H, W]`, its type is not uint8, uint16 or
            float32, or the number of names is not C.
    """
    if raster.ndim not in (2, 3):
        raise ValueError(f'raster must be [C, H, W] or [H, W], got shape {raster.shape}')
    if raster.dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(f'raster must be uint8, uint16 or float32, got {raster.dtype}')
    pixels = raster if raster.ndim == 3 else raster[None]
    count, height, width = pixels.shape
    if bands and len(bands) != count:
        raise ValueError(f'{len(bands)} band names {tuple(bands)} for {count} bands')
    with warnings.catch_warnings():
        # Some archives are without georeference, and so are their look-alikes.
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(
            path,
            'w',
            driver='GTiff',
            count=count,
            height=height,
            width=width,
            dtype=pixels.dtype.name,
            crs=grid.crs,
            transform=grid.transform,
            compress='deflate',
            predictor=3 if pixels.dtype == np.float32 else 2,
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
