"""Axes of a picture of cells: every pixel at its place, with longitudes and latitudes at the edges."""

from __future__ import annotations

from typing import TypeAlias

import geopandas as gpd
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from torchgeo_copernicus.datasets.embed import MapWindow
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG

#: Colour of cells without data, mostly sea.
NO_DATA = '#e3e8ec'
_LINES = '#30363c'
# Width of a figure and room around the map (inches).
_WIDTH, _MARGIN_WIDTH, _MARGIN_HEIGHT = 10.0, 0.7, 0.9
_TALLEST = 12.0
# Of the latitude in the middle (deg): nearer to a pole a cell would be drawn as a line.
_MOST_STRETCHED = 75.0

# Of the marks at the edges (deg), and how many there are to be at least.
_TICK_STEPS, _LEAST_TICKS = (60, 30, 15, 10, 5, 2, 1, 0.5), 4

Outlines: TypeAlias = gpd.GeoDataFrame | gpd.GeoSeries


def map_figure(window: MapWindow, room: float = 0.0) -> tuple[Figure, Axes]:
    """Make a figure with axes for a map.

    Args:
        window: The cells of the map.
        room: Height to leave below it (inches).
    """
    height = _WIDTH * window.rows / window.columns * aspect(window)
    size = (_WIDTH + _MARGIN_WIDTH, float(np.clip(height, 1.5, _TALLEST)) + _MARGIN_HEIGHT + room)
    figure = Figure(figsize=size, layout='constrained')
    axis = figure.subplots()
    west, east, south, north = extent(window)
    axis.set_xlim(west, east)
    axis.set_ylim(south, north)
    # A degree of longitude is shorter than one of latitude, as in the middle of the map.
    axis.set_aspect(aspect(window))
    axis.set_facecolor(NO_DATA)
    for side, name, span in (
        (axis.xaxis, longitude_label, east - west),
        (axis.yaxis, latitude_label, north - south),
    ):
        side.set_major_locator(MultipleLocator(_tick_step(span)))
        side.set_major_formatter(FuncFormatter(lambda value, _, name=name: name(value)))
    axis.tick_params(labelsize=8)
    return figure, axis


def extent(window: MapWindow) -> tuple[float, float, float, float]:
    """Return the edges of a map for `imshow`: west, east, south and north (deg)."""
    step, _, west, _, _, north = window.geotransform
    return west, west + step * window.columns, north - step * window.rows, north


def draw_outlines(axis: Axes, window: MapWindow, outlines: Outlines | None) -> None:
    """Draw coast lines, borders or areas of the user.

    Args:
        axis: Of `map_figure`.
        window: The cells of the map.
        outlines: In any system; nothing is drawn when None.

    Raises:
        ValueError: If they are no geometries of geopandas, or in no system.
    """
    if outlines is None:
        return
    if not isinstance(outlines, gpd.GeoDataFrame | gpd.GeoSeries):
        raise ValueError(
            f'outlines is a {type(outlines).__name__}; give a GeoDataFrame or GeoSeries, such as from '
            'geopandas.read_file.'
        )
    if outlines.crs is None:
        raise ValueError('outlines has no coordinate reference system; give it one with set_crs.')
    shapes = outlines.geometry.to_crs('EPSG:4326')
    lines = shapes.boundary.where(shapes.geom_type.str.contains('Polygon'), shapes)
    _, east, _, _ = extent(window)
    limits = axis.get_xlim(), axis.get_ylim()
    # A map across the date line goes on above 180 degrees.
    for shift in (0, 360) if east > 180 else (0,):
        lines.translate(shift).plot(ax=axis, color=_LINES, linewidth=0.6, aspect=None, zorder=3)
    axis.set_xlim(limits[0])
    axis.set_ylim(limits[1])


def longitude_label(degrees: float) -> str:
    """Return a longitude such as `60°W`; whole turns do not matter."""
    turned = (degrees + 180) % 360 - 180
    if turned in (0, -180):
        return f'{abs(turned):g}°'
    return f'{abs(turned):g}°{"E" if turned > 0 else "W"}'


def latitude_label(degrees: float) -> str:
    """Return a latitude such as `30°S`."""
    if degrees == 0:
        return '0°'
    return f'{abs(degrees):g}°{"N" if degrees > 0 else "S"}'


def aspect(window: MapWindow) -> float:
    """Return how many times as long as a degree of longitude one of latitude is, in the middle of a map."""
    middle = float(np.abs(window.lat.mean()))
    return 1 / float(np.cos(np.radians(min(middle, _MOST_STRETCHED))))


def _tick_step(span_deg: float) -> float:
    return next((step for step in _TICK_STEPS if span_deg / step >= _LEAST_TICKS), CELL_DEG)
