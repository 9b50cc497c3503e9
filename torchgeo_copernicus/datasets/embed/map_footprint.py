"""Outlines of a map in any coordinate reference system.

A map of the world has none in most systems: those of a zone or a region end, fold or go to infinity far from
it. The outline is of the part of the map where the system is meant to be used.
"""

from __future__ import annotations

import numpy as np
import shapely
from pyproj import CRS, Transformer
from shapely import Geometry

from torchgeo_copernicus.datasets.embed.map_window import MapWindow, Region
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG

# Images go beyond the zone that their system is of.
_MARGINS_DEG = (3.0, 0.0)
_STEP_DEG = 0.25


def footprints(window: MapWindow, crs: CRS) -> list[Geometry]:
    """Return the outlines of a map.

    Args:
        window: Its cells.
        crs: Coordinate reference system.

    Returns:
        One or more shapes in units of the system, side by side; two where the cells go across the date line and the
        system is in longitude and latitude.

    Raises:
        ValueError: If the system says not where it is used, or is used elsewhere only.
    """
    west, north = window.geotransform[2], window.geotransform[5]
    east, south = west + CELL_DEG * window.columns, north - CELL_DEG * window.rows
    if crs.is_geographic:
        # The one part of most maps is as GDAL has it, the half cell beyond the date line with it.
        if east <= 180 + CELL_DEG / 2:
            return [shapely.box(west, south, east, north)]
        return [shapely.box(west, south, 180, north), shapely.box(-180, south, east - 360, north)]
    if (area := _area_of_use(crs)) is None:
        raise ValueError(
            f'{crs.name} says not where on Earth it is used. Put the map first (map & images), or give the '
            'images a system of EPSG.'
        )
    used_west, used_south, used_east, used_north = area
    to_crs = Transformer.from_crs('EPSG:4326', crs, always_xy=True)
    for margin in _MARGINS_DEG:
        width = (used_east - used_west) % 360 or 360.0
        width = min(width + 2 * margin, 360.0)
        left = used_west - margin if width < 360 else -180.0
        low = max(used_south - margin, south, -90.0)
        high = min(used_north + margin, north, 90.0)
        found = []
        for turn in (-360, 0, 360):
            if window.columns * CELL_DEG == 360:
                first, last = left, left + width
            else:
                first, last = max(left, west + turn), min(left + width, east + turn)
            if first >= last or low >= high:
                continue
            outline = shapely.segmentize(shapely.box(first, low, last, high), _STEP_DEG)
            x, y = to_crs.transform(*shapely.get_coordinates(outline).T)
            if not (np.isfinite(x).all() and np.isfinite(y).all()):
                break
            found.append(shapely.make_valid(shapely.Polygon(np.column_stack([x, y]))))
            if window.columns * CELL_DEG == 360:
                return found
        else:
            if not found:
                raise ValueError(f'{crs.name} is not used where the map is: {window}.')
            return found
    raise ValueError(
        f'The outline of the map cannot be found in {crs.name}. Put the map first (map & images).'
    )


def _area_of_use(crs: CRS) -> Region | None:
    """Return where a system is used; that of a GeoTIFF does not say, but can be found by its parameters."""
    number = crs.to_epsg() if crs.area_of_use is None else None
    area = (crs if number is None else CRS.from_epsg(number)).area_of_use
    return None if area is None else (area.west, area.south, area.east, area.north)
