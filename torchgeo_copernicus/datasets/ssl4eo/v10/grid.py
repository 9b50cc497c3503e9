"""Where a place of SSL4EO-S12 v1.0 lies, as a grid of 10 m in its UTM zone; approximate.

The pixels of v1.0 are UTM pixels, but the files say longitude and latitude of a box that is off by up to
25 m, and the true origin was not kept. The grid is laid around the mean of what the files say.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from torchgeo_copernicus.datasets.ssl4eo.v10.scene import GSD_M

# As at the end of 20200604T054639_20200604T054831_T43RCP: zone, latitude band (from N on in the north).
_TILE = re.compile(r'_T(\d{2})([C-HJ-NP-X])[A-Z]{2}$')


@dataclass(frozen=True)
class PlaceGrid:
    """A square of pixels of 10 m, on whole multiples of 10 m.

    Attributes:
        crs: EPSG code of its UTM zone.
        left_m: Easting of its left edge (m).
        top_m: Northing of its upper edge (m).
        size: Side (px).
    """

    crs: int
    left_m: float
    top_m: float
    size: int

    @property
    def x(self) -> NDArray[np.float64]:
        """Eastings of the middle of each column (m), `[W]`."""
        return np.asarray(self.left_m + GSD_M * (np.arange(self.size) + 0.5), np.float64)

    @property
    def y(self) -> NDArray[np.float64]:
        """Northings of the middle of each row (m), `[H]`."""
        return np.asarray(self.top_m - GSD_M * (np.arange(self.size) + 0.5), np.float64)

    @property
    def lonlat(self) -> tuple[float, float]:
        """Longitude and latitude (deg) of its centre."""
        half = GSD_M * self.size / 2
        lon, lat = _utm(self.crs).transform(
            self.left_m + half, self.top_m - half, direction='INVERSE'
        )
        return float(lon), float(lat)


def grid_around(
    centres: Sequence[tuple[float, float]], scene_names: Sequence[str], size: int
) -> PlaceGrid:
    """Lay a grid around a place.

    Args:
        centres: Longitude and latitude (deg) of each scene.
        scene_names: Names of the scenes. The zone is that of most tiles of Sentinel-2 among them; where
            there is none, the one of the longitude.
        size: Side (px).

    Raises:
        ValueError: If no scene has coordinates.
    """
    if not centres or not all(math.isfinite(value) for centre in centres for value in centre):
        raise ValueError(
            f'{list(scene_names)[:2]}: no coordinates, so v1.1 cannot say where it is.'
        )
    first = centres[0][0]
    # Differences, because of places on the date line.
    east = [(lon - first + 180) % 360 - 180 for lon, _ in centres]
    lon = (first + sum(east) / len(east) + 180) % 360 - 180
    lat = sum(latitude for _, latitude in centres) / len(centres)
    crs = _zone(scene_names, lon, lat)
    x, y = _utm(crs).transform(lon, lat)
    half = GSD_M * size / 2
    left, top = (GSD_M * round(edge / GSD_M) for edge in (x - half, y + half))
    return PlaceGrid(crs, left, top, size)


def _zone(scene_names: Sequence[str], lon: float, lat: float) -> int:
    tiles = [match for name in scene_names if (match := _TILE.search(name))]
    found = Counter((32600 if tile[2] >= 'N' else 32700) + int(tile[1]) for tile in tiles)
    if found:
        # Of equally many, the lowest, whatever the order of the scenes.
        return min(found, key=lambda epsg: (-found[epsg], epsg))
    return (32600 if lat >= 0 else 32700) + int((lon + 180) // 6) % 60 + 1


@lru_cache(maxsize=128)
def _utm(epsg: int) -> Transformer:
    return Transformer.from_crs(4326, epsg, always_xy=True)
