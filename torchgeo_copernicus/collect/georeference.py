"""Pixel grids that are exact: pixels asked for, pixels written and coordinates are of one affine transform.

Local patches lie on the lattice of Sentinel-2 in the UTM zone of the place: multiples of 60 m from the central
meridian's false easting and from the equator. So bands of 10, 20 and 60 m share their corner, are copied
without resampling, and all dates of a place lie on the same pixels. In the scripts of SSL4EO-S12 bands were
shifted by half a pixel each (zhu-xlab/SSL4EO-S12, issue 22).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from affine import Affine
from pyproj import CRS, Transformer

from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.metadata import METRES_PER_DEGREE

#: Side (m) of the largest pixels of Sentinel-2, whose corners all its bands share.
LATTICE_M = 60.0
_UTM_SOUTH_DEG, _UTM_NORTH_DEG = -80.0, 84.0
_EQUATOR_IN_THE_SOUTH_M = 10_000_000.0
_LONLAT = 'EPSG:4326'
# What a quotient of whole pixels may be off by rounding.
_TINY = 1e-6


@dataclass(frozen=True)
class PixelGrid:
    """Where the pixels of an image lie.

    Attributes:
        crs: Coordinate reference system, such as EPSG:32633.
        transform: From column and row to its coordinates; north up.
        width: Columns.
        height: Rows.
    """

    crs: str
    transform: Affine
    width: int
    height: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north in coordinates of the CRS."""
        west, north = self.transform @ (0, 0)
        east, south = self.transform @ (self.width, self.height)
        return west, south, east, north

    @property
    def lonlat_bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north (deg) of a box around it; west is above east across the date line."""
        if self.crs == _LONLAT:
            return self.bounds
        to_lonlat = Transformer.from_crs(self.crs, _LONLAT, always_xy=True)
        west, south, east, north = to_lonlat.transform_bounds(*self.bounds)
        return west, south, east, north

    def request(self) -> dict[str, object]:
        """Return it as Earth Engine's `PixelGrid`."""
        return {
            'dimensions': {'width': self.width, 'height': self.height},
            'affineTransform': {
                'scaleX': self.transform.a,
                'shearX': self.transform.b,
                'translateX': self.transform.c,
                'shearY': self.transform.d,
                'scaleY': self.transform.e,
                'translateY': self.transform.f,
            },
            'crsCode': self.crs,
        }

    def parts(self) -> tuple[PixelGrid, ...]:
        """Return it in parts, from west to east, of which none reaches over the date line.

        Longitudes of the parts are -180 to 180 as far as the centres of pixels go.
        """
        if self.crs != _LONLAT:
            return (self,)
        step, west = self.transform.a, self.transform.c
        centres = west + step / 2
        # Columns whose centres are west of -180, or those that are west of +180.
        edge = -180.0 if west < -180 else 180.0
        before = min(max(math.ceil((edge - centres) / step - _TINY), 0), self.width)
        turns = (360.0, 0.0) if edge < 0 else (0.0, -360.0)
        sides = ((0, before, turns[0]), (before, self.width, turns[1]))
        return tuple(
            replace(
                self,
                transform=Affine.translation(turn, 0)
                @ self.transform
                @ Affine.translation(start, 0),
                width=stop - start,
            )
            for start, stop, turn in sides
            if stop > start
        )


def utm_zone(longitude: float, latitude: float) -> int:
    """Return the UTM zone of a place, with the exceptions of Norway and Svalbard, as Sentinel-2 has them.

    Raises:
        ValueError: If the place is beyond UTM: north of 84 or south of 80 degrees.
    """
    if not _UTM_SOUTH_DEG <= latitude <= _UTM_NORTH_DEG:
        raise ValueError(
            f'Latitude {latitude} is beyond UTM, which is of {_UTM_SOUTH_DEG} to {_UTM_NORTH_DEG} degrees; '
            'there are no images of Sentinel-2 either.'
        )
    longitude = (longitude + 180) % 360 - 180
    if 56 <= latitude < 64 and 3 <= longitude < 12:
        return 32
    if latitude >= 72 and 0 <= longitude < 42:
        return 31 + 2 * sum(longitude >= edge for edge in (9, 21, 33))
    return int((longitude + 180) // 6) + 1


def utm_crs(longitude: float, latitude: float) -> str:
    """Return the coordinate reference system of the UTM zone of a place, such as EPSG:32633.

    Raises:
        ValueError: If the place is beyond UTM.
    """
    zone = utm_zone(longitude, latitude)
    return f'EPSG:{(32600 if latitude >= 0 else 32700) + zone}'


def patch_grid(longitude: float, latitude: float, side_m: float, gsd_m: float) -> PixelGrid:
    """Return the pixels of a square around a place; grids of other *gsd_m* cover the same ground.

    Args:
        longitude: In degrees.
        latitude: In degrees.
        side_m: Side of the square (m), a multiple of 60. Its centre is within 30 m of the place both ways.
        gsd_m: Side of a pixel (m), such as 10, 20 or 60: 60 must be a multiple of it.

    Raises:
        ValueError: If the place is beyond UTM, or a size does not divide.
    """
    for size, part, name in ((side_m, LATTICE_M, 'side_m'), (LATTICE_M, gsd_m, 'gsd_m')):
        if not (part > 0 and size > 0 and math.isclose(size / part, max(round(size / part), 1))):
            raise ValueError(
                f'side_m {side_m} and gsd_m {gsd_m}: {name} does not fit the lattice of {LATTICE_M} m; '
                'side_m must be a multiple of it, and it one of gsd_m.'
            )
    crs = utm_crs(longitude, latitude)
    x, y = Transformer.from_crs(_LONLAT, crs, always_xy=True).transform(longitude, latitude)
    equator = 0.0 if latitude >= 0 else _EQUATOR_IN_THE_SOUTH_M
    west = LATTICE_M * round((x - side_m / 2) / LATTICE_M)
    north = equator + LATTICE_M * round((y - equator + side_m / 2) / LATTICE_M)
    count = round(side_m / gsd_m)
    return PixelGrid(crs, Affine(gsd_m, 0.0, west, 0.0, -gsd_m, north), count, count)


def cell_grid(cell: Cell, half_side_m: float, pixel_deg: float) -> PixelGrid:
    """Return pixels along longitude and latitude that cover a box around the centre of a cell.

    Pixels are squares in degrees, as in the published images: towards the poles there are more columns.
    Corners are multiples of the pixel size.

    Args:
        cell: Cell.
        half_side_m: Half the side of the box on the ground (m).
        pixel_deg: Side of a pixel (deg).

    Raises:
        ValueError: If a size is not positive, or the box reaches over a pole.
    """
    if not (half_side_m > 0 and pixel_deg > 0):
        raise ValueError(f'half_side_m {half_side_m} and pixel_deg {pixel_deg} must be above 0.')
    height_deg = half_side_m / METRES_PER_DEGREE
    if abs(cell.latitude) + height_deg + pixel_deg > 90:
        raise ValueError(
            f'A box of {half_side_m} m around cell {cell.name} reaches over the pole; leave the cell out.'
        )
    width_deg = height_deg / math.cos(math.radians(cell.latitude))
    left = math.floor((cell.longitude - width_deg) / pixel_deg + _TINY)
    right = math.ceil((cell.longitude + width_deg) / pixel_deg - _TINY)
    top = math.ceil((cell.latitude + height_deg) / pixel_deg - _TINY)
    bottom = math.floor((cell.latitude - height_deg) / pixel_deg + _TINY)
    transform = Affine(pixel_deg, 0.0, left * pixel_deg, 0.0, -pixel_deg, top * pixel_deg)
    return PixelGrid(_LONLAT, transform, right - left, top - bottom)


def on_grid(grid: PixelGrid, crs: str, transform: Affine) -> bool:
    """Return whether pixels of a grid are those of an image, or lie within its pixels without a remainder.

    Args:
        grid: Pixels that are asked for.
        crs: Coordinate reference system of the image.
        transform: From column and row to its coordinates.
    """
    same = crs == grid.crs or CRS.from_user_input(crs) == CRS.from_user_input(grid.crs)
    if not same or transform.b or transform.d or not transform.a or not transform.e:
        return False
    column, row = (~transform @ grid.transform) @ (0, 0)
    finer = (transform.a / grid.transform.a, transform.e / grid.transform.e)
    return all(abs(value - round(value)) < 1e-3 for value in (column, row, *finer))
