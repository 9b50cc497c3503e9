"""Where an image lies: corners from what is known of it, and polygons that stop at the date line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from torchgeo_copernicus.datamodules.pretrain_crop import PixelWindow, SquareIn
from torchgeo_copernicus.embedding.image import Corners
from torchgeo_copernicus.metadata import METRES_PER_DEGREE

# Nearer to a pole than this, an image goes all around it.
_LEAST_COSINE = math.cos(math.radians(89.9))


def box_corners(west: float, south: float, east: float, north: float) -> Corners:
    """Return the corners of a box in degrees."""
    return np.array([(west, north), (east, north), (east, south), (west, south)])


def square_corners(
    metadata: Sequence[float], height: int, width: int, square_in: SquareIn
) -> Corners | None:
    """Return the corners of an image of which only centre and sampling distance are known.

    North is taken to be up, which in UTM is off by up to three degrees.

    Args:
        metadata: Longitude and latitude (deg) of the centre, day, ground sampling distance (m).
        height: Rows.
        width: Columns.
        square_in: What pixels are squares of.

    Returns:
        The corners; None when place or distance are unknown.
    """
    longitude, latitude, _, gsd_m = metadata
    if not all(map(math.isfinite, (longitude, latitude, gsd_m))):
        return None
    cosine = max(math.cos(math.radians(latitude)), _LEAST_COSINE)
    # A pixel that is a square in degrees is narrower in metres, by the cosine.
    north_deg = gsd_m / METRES_PER_DEGREE / (math.sqrt(cosine) if square_in == 'degrees' else 1)
    east_deg = north_deg / cosine if square_in == 'metres' else north_deg
    half_height, half_width = height * north_deg / 2, min(width * east_deg / 2, 180.0)
    south, north = max(latitude - half_height, -90.0), min(latitude + half_height, 90.0)
    return box_corners(longitude - half_width, south, longitude + half_width, north)


def raster_corners(crs: CRS, transform: Affine, height: int, width: int) -> Corners:
    """Return the corners of a georeferenced image."""
    columns, rows = np.array([0, width, width, 0]), np.array([0, 0, height, height])
    x = transform.a * columns + transform.b * rows + transform.c
    y = transform.d * columns + transform.e * rows + transform.f
    longitude, latitude = Transformer.from_crs(crs, 'EPSG:4326', always_xy=True).transform(x, y)
    # The nearest turn, so that an image on the date line is no band around the globe.
    turned = longitude - 360 * np.round((longitude - longitude[0]) / 360)
    return np.stack([turned, latitude], axis=1)


def cropped_corners(corners: Corners, window: PixelWindow, height: int, width: int) -> Corners:
    """Return the corners of a window of an image, in between those of the image."""
    left, right = window.left / width, (window.left + window.width) / width
    top, bottom = window.top / height, (window.top + window.height) / height
    upper_left, upper_right, lower_right, lower_left = corners
    return np.stack(
        [
            (1 - v) * ((1 - u) * upper_left + u * upper_right)
            + v * ((1 - u) * lower_left + u * lower_right)
            for u, v in ((left, top), (right, top), (right, bottom), (left, bottom))
        ]
    )


def polygons(corners: Sequence[Corners | None]) -> NDArray[np.object_]:
    """Return a polygon for each image, two of them (a multipolygon) across the date line.

    Args:
        corners: `[4, 2]` each; None gives None.
    """
    found = np.full(len(corners), None, dtype=object)
    known = [position for position, one in enumerate(corners) if one is not None]
    if not known:
        return found
    rings = np.stack([one for one in corners if one is not None])
    found[known] = shapely.polygons(rings)
    across = (rings[..., 0] < -180).any(axis=1) | (rings[..., 0] > 180).any(axis=1)
    for position in np.array(known)[across]:
        found[position] = _split(found[position])
    return found


def _split(polygon: shapely.Polygon) -> shapely.Geometry:
    parts = []
    for turn in (-360, 0, 360):
        part = shapely.intersection(polygon, shapely.box(turn - 180, -90, turn + 180, 90))
        if shapely.area(part) > 0:
            parts.append(shapely.transform(part, lambda xy, turn=turn: xy - (turn, 0)))
    return parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
