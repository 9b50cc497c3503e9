"""Draws a map of embeddings by its first three principal components: like colours, like vectors."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from torchgeo_copernicus.datasets.embed import window_of
from torchgeo_copernicus.embedding.pictures.map_axes import (
    Outlines,
    draw_outlines,
    extent,
    map_figure,
)
from torchgeo_copernicus.embedding.pictures.map_colours import MapColours, fit_colours


def draw_pca_map(
    ds: xr.Dataset,
    colours: MapColours | None = None,
    *,
    area_weighted: bool = False,
    outlines: Outlines | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a map, or a region of one; some rows of it are in memory at a time.

    Red, green and blue are the first, second and third component, each stretched from the 2nd to the 98th
    percentile of the cells with data. The others are grey.

    Args:
        ds: From `open_map`.
        colours: From `fit_colours`: of another map or the world, or with other percentiles, so that pictures can be
            compared. Fitted on this map when None.
        area_weighted: As of `fit_colours`, when they are fitted here.
        outlines: Coast lines or borders to draw, in any system (`geopandas.read_file`); the package has none.
        title: Above the map; what is drawn when None.

    Raises:
        ValueError: If it is no map, has other channels than the colours, or an argument is not allowed.
    """
    window = window_of(ds)
    if colours is None:
        colours, picture = fit_colours(ds, area_weighted=area_weighted)
    elif not isinstance(colours, MapColours):
        raise ValueError(f'colours is a {type(colours).__name__}; give those of fit_colours.')
    elif area_weighted:
        raise ValueError('area_weighted is of the fit; give it to fit_colours with colours.')
    else:
        picture = colours.picture(ds)
    figure, axis = map_figure(window)
    axis.imshow(
        picture, extent=extent(window), aspect=axis.get_aspect(), interpolation='nearest', zorder=2
    )
    draw_outlines(axis, window, outlines)
    axis.set_title(_title(ds, colours) if title is None else title, fontsize=10, loc='left')
    return figure


def _title(ds: xr.Dataset, colours: MapColours) -> str:
    text = f'PCA of {ds.sizes["channel"]} channels'
    if colours.projection is None or colours.projection.explained_variance is None:
        return text
    shares = colours.projection.explained_variance[: len(colours.low)]
    names = ('red', 'green', 'blue')
    parts = ', '.join(f'{n} {100 * s:.0f} %' for n, s in zip(names, shares, strict=False))
    return f'{text}: {parts} of the variance'
