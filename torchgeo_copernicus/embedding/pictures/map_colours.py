"""Colours of a map: its first three principal components as red, green and blue."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed import Projection, project, window_of
from torchgeo_copernicus.datasets.embed.row_blocks import row_blocks

#: Share of the values of a component that the stretch leaves dark, and full (percent).
PERCENTILES = (2.0, 98.0)
_CHUNK_BYTES = 32 << 20
# A component that spreads less than this, relative to the length of the vectors, is noise of rounding.
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class MapColours:
    """How vectors become colours: the same vector has the same colour in every map that is drawn with them.

    Attributes:
        projection: To at most three components; None where there were fewer than two cells to find them.
        low: Value of each component that is drawn as 0, float64 `[components]`.
        high: Value that is drawn as 255; not above *low* where all cells are the same: drawn as the middle.
        percentiles: Those of the values that *low* and *high* are.
    """

    projection: Projection | None
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    percentiles: tuple[float, float] = PERCENTILES

    def picture(self, ds: xr.Dataset) -> NDArray[np.uint8]:
        """Return the colours of a map; some rows of it are in memory at a time.

        Args:
            ds: From `open_map`, with the channels that this was fitted on.

        Returns:
            Red, green, blue and opacity, uint8 `[rows, columns, 4]`: 0 in all four where there is no data. A
            component that is not there is in the middle, 128.

        Raises:
            ValueError: If it is no map, or has other channels.
        """
        valid, scores = _scores(ds, self.projection)
        return self._drawn(valid, scores)

    def _drawn(self, valid: NDArray[np.bool_], scores: NDArray[np.float32]) -> NDArray[np.uint8]:
        found = np.zeros((*valid.shape, 4), np.uint8)
        shades = np.full((len(scores), 3), 128, np.uint8)
        for number, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if high > low:
                share = np.clip((scores[:, number] - low) / (high - low), 0, 1)
                shades[:, number] = np.round(255 * share)
        found[valid, :3] = shades
        found[valid, 3] = 255
        return found


def fit_colours(
    ds: xr.Dataset, percentiles: tuple[float, float] = PERCENTILES, *, area_weighted: bool = False
) -> tuple[MapColours, NDArray[np.uint8]]:
    """Find the colours of a map, and colour it. Some rows of it are in memory at a time.

    Args:
        ds: From `open_map`, with any number of channels.
        percentiles: Of the cells with data: what is darker or lighter is cut off, so that a few odd cells do not
            take all the contrast.
        area_weighted: Weigh cells by their area (the cosine of the latitude), for the components and for the
            percentiles; else all weigh the same, and so high latitudes more.

    Returns:
        The colours, for other maps and regions, and the picture (see `MapColours.picture`).

    Raises:
        ValueError: If an argument is not allowed, or a cell with data has numbers that are not finite.
    """
    checked = _checked(percentiles)
    window = window_of(ds)
    cells = _cells_up_to(ds, 4)
    components = min(3, ds.sizes['channel'], cells - 1)
    if components < 1:
        colours = MapColours(None, np.empty(0), np.empty(0), checked)
        return colours, colours.picture(ds)
    _, projection = project(in_blocks(ds), components, area_weighted=area_weighted)
    valid, scores = _scores(ds, projection)
    weights = np.ones(len(scores))
    if area_weighted:
        weights = np.cos(np.radians(window.lat))[np.nonzero(valid)[0]]
    low, high = _weighted_percentiles(scores, weights, checked)
    length = float(np.linalg.norm(projection.mean)) + float(np.abs(scores).max())
    high = np.where(high - low > _LEAST_SPREAD * length, high, low)
    colours = MapColours(projection, low, high, checked)
    return colours, colours._drawn(valid, scores)


def in_blocks(ds: xr.Dataset) -> xr.Dataset:
    """Let Dask cut a map that was opened without, so that its projection is not computed in one piece."""
    if ds['embedding'].chunks is not None or find_spec('dask') is None:
        return ds
    row_bytes = 4 * ds.sizes['lon'] * ds.sizes['channel']
    return ds.chunk({'lat': max(1, _CHUNK_BYTES // row_bytes)})


def _scores(
    ds: xr.Dataset, projection: Projection | None
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return which cells have data, `[rows, columns]`, and their components, `[cells, components]`."""
    valid, scores = [], []
    for block in row_blocks(ds):
        valid.append(block.valid)
        vectors = block.vectors
        nothing = np.empty((len(vectors), 0), np.float32)
        scores.append(nothing if projection is None else projection.vectors(vectors))
    return np.concatenate(valid), np.concatenate(scores)


def _cells_up_to(ds: xr.Dataset, most: int) -> int:
    """Count the cells with data, from the north on until there are enough."""
    found = 0
    for block in row_blocks(ds):
        found += int(block.valid.sum())
        if found >= most:
            break
    return found


def _weighted_percentiles(
    values: NDArray[np.float32], weights: NDArray[np.float64], percentiles: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest values that so much of the weight is at or below, for each component."""
    found = np.empty((2, values.shape[1]))
    for number, column in enumerate(values.T):
        order = np.argsort(column)
        share = np.cumsum(weights[order])
        wanted = np.array(percentiles) / 100 * share[-1]
        at = np.minimum(np.searchsorted(share, wanted), len(column) - 1)
        found[:, number] = column[order[at]]
    return found[0], found[1]


def _checked(percentiles: object) -> tuple[float, float]:
    wrong = ValueError(
        f'percentiles is {percentiles!r}; give two numbers of 0 to 100, the lower one first, such as '
        f'{PERCENTILES}.'
    )
    if not isinstance(percentiles, tuple | list) or len(percentiles) != 2:
        raise wrong
    if not all(isinstance(n, int | float | np.number) for n in percentiles):
        raise wrong
    low, high = (float(n) for n in percentiles)
    if not 0 <= low < high <= 100:
        raise wrong
    return low, high
