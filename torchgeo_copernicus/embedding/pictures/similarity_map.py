"""Draws where it looks like at a place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed import MapWindow
from torchgeo_copernicus.embedding.pictures.map_axes import (
    Outlines,
    draw_outlines,
    extent,
    latitude_label,
    longitude_label,
    map_figure,
)
from torchgeo_copernicus.embedding.pictures.similar_places import MIN_DISTANCE_KM, similar_places

#: Colours of similarities.
COLOUR_MAP = 'viridis'
#: Similarities up to this one of all cells (percent) have the darkest colour; 1 has the lightest.
LOW_PERCENTILE = 2.0


def draw_similarity_map(
    similarity: xr.DataArray,
    k: int = 5,
    min_distance_km: float = MIN_DISTANCE_KM,
    *,
    outlines: Outlines | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the cosine similarity of all cells to the one of a place, and the places most like it.

    The place is a cross, the others are numbered; below they are listed.

    Args:
        similarity: From `similarity_to`.
        k: Places to list.
        min_distance_km: As of `similar_places`.
        outlines: Coast lines or borders to draw, in any system.
        title: Above the map; which place it is when None.

    Raises:
        ValueError: As `similar_places`, and of outlines without a system.
    """
    places = similar_places(similarity, k, min_distance_km)
    window = MapWindow.of_coordinates(similarity['lat'].to_numpy(), similarity['lon'].to_numpy())
    figure, axis = map_figure(window, room=0.6 + 0.16 * -(-len(places) // 2))
    low, high = similarity_range(similarity.to_numpy())
    drawn = axis.imshow(
        similarity.to_numpy(),
        extent=extent(window),
        aspect=axis.get_aspect(),
        interpolation='nearest',
        cmap=COLOUR_MAP,
        vmin=low,
        vmax=high,
        zorder=2,
    )
    draw_outlines(axis, window, outlines)
    here = (similarity.attrs['longitude'], similarity.attrs['latitude'])
    _mark(axis, window, here, places)
    bar = figure.colorbar(drawn, ax=axis, location='bottom', shrink=0.5, aspect=40, extend='min')
    bar.set_label('cosine similarity', fontsize=9)
    bar.ax.tick_params(labelsize=8)
    if len(places):
        figure.supxlabel(_listed(places), fontsize=8, family='monospace')
    axis.set_title(f'Like {_place(*here)}' if title is None else title, fontsize=10, loc='left')
    return figure


def similarity_range(similarity: NDArray[np.float64]) -> tuple[float, float]:
    """Return the similarities that have the first and the last colour.

    Args:
        similarity: Any shape, NaN where there is no data; at least one is not.
    """
    low = float(np.nanpercentile(similarity, LOW_PERCENTILE))
    # All cells alike: any range does, but one of no width.
    return min(low, 1 - 1e-3), 1.0


def _mark(axis: Axes, window: MapWindow, here: tuple[float, float], places: pd.DataFrame) -> None:
    def mark(lon: float, lat: float, shape: str) -> tuple[float, float]:
        # As the map counts it, which may go on above 180 degrees.
        west = float(window.lon[0])
        east = west + (lon - west) % 360
        axis.plot(
            east,
            lat,
            shape,
            markersize=11,
            color='white',
            markeredgecolor='black',
            zorder=5,
            clip_on=False,
        )
        return east, lat

    mark(*here, 'P')
    for number, (lon, lat) in enumerate(places[['longitude', 'latitude']].to_numpy(), 1):
        east, north = mark(lon, lat, 'o')
        axis.text(east, north, str(number), fontsize=7, ha='center', va='center_baseline', zorder=6)


def _listed(places: pd.DataFrame) -> str:
    """Return the places as lines, two in a line."""
    columns = places[['similarity', 'longitude', 'latitude', 'distance_km']].to_numpy()
    texts = [
        f'{number}  {similarity:.3f}  {_place(lon, lat):<18}{away_km:>7,.0f} km'
        for number, (similarity, lon, lat, away_km) in enumerate(columns, 1)
    ]
    width = max(map(len, texts))
    padded = [text.ljust(width) for text in texts] + [' ' * width] * (len(texts) % 2)
    return '\n'.join('     '.join(padded[i : i + 2]) for i in range(0, len(padded), 2))


def _place(longitude: float, latitude: float) -> str:
    return f'{latitude_label(latitude)} {longitude_label(longitude)}'
