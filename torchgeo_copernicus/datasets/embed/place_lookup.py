"""Looks up places in a map: their vectors, and the cells that are most like one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from torchgeo_copernicus.datasets.embed.great_circle import distance_km
from torchgeo_copernicus.datasets.embed.map_dataset import window_of
from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.embed.row_blocks import row_blocks
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, COLUMNS, ROWS
from torchgeo_copernicus.datasets.whole_number import whole

#: How vectors between the centres of cells are made.
Method = Literal['nearest', 'bilinear']
#: What becomes of places without data.
Missing = Literal['nan', 'raise']
#: What makes cells alike.
Metric = Literal['cosine', 'euclidean']
# Cells of a row that are so close are read together.
_GAP_CELLS = 8


def sample(
    ds: xr.Dataset,
    lon: ArrayLike,
    lat: ArrayLike,
    method: Method = 'nearest',
    missing: Missing = 'nan',
) -> NDArray[np.float32]:
    """Return the vectors of places.

    Args:
        ds: From `open_map`. Only the cells of the places are read.
        lon: Longitudes in degrees; whole turns do not matter.
        lat: Latitudes in degrees, -90 to 90, of a shape that fits.
        method: `nearest`: the vector of the cell that the place is in; of those between two, the eastern and
            northern one. `bilinear`: between the centres of four cells; those without data are left out, and the
            weights of the others sum to 1.
        missing: What is returned where the cell that the place is in has no data: `nan`, or an error that names
            the first such place.

    Returns:
        float32 `[..., channels]`.

    Raises:
        ValueError: If an argument is not allowed, a place is outside of the map, or without data with
            `missing='raise'`.
    """
    for name, value, allowed in (('method', method, Method), ('missing', missing, Missing)):
        if value not in get_args(allowed):
            raise ValueError(f'{name} is {value!r}; allowed: {get_args(allowed)}.')
    window = window_of(ds)
    east, north = _places(lon, lat)
    rows, columns = window.positions(east.ravel(), north.ravel())
    outside = (rows < 0) | (rows >= window.rows) | (columns >= window.columns)
    if outside.any():
        first = int(outside.argmax())
        raise ValueError(
            f'({east.flat[first]}, {north.flat[first]}) is not in the map, which has {window}.'
        )
    found, has_data = _cells(ds, rows, columns)
    if method == 'bilinear':
        found = _between(ds, window, east.ravel(), north.ravel(), found)
    if missing == 'raise' and not has_data.all():
        first = int(has_data.argmin())
        raise ValueError(
            f'({east.flat[first]}, {north.flat[first]}) is in a cell without data ({int((~has_data).sum())} '
            "of the places are). Leave it out, or take missing='nan'."
        )
    found[~has_data] = np.nan
    return found.reshape(*east.shape, found.shape[-1])


def nearest(
    ds: xr.Dataset,
    k: int = 10,
    *,
    place: tuple[float, float] | None = None,
    vector: ArrayLike | None = None,
    metric: Metric = 'cosine',
    min_distance_km: float = 0,
) -> pd.DataFrame:
    """Return the cells that are most like a place, or a vector. All are compared, some rows at a time.

    Args:
        ds: From `open_map`.
        k: How many; fewer come where the map has fewer.
        place: Longitude and latitude in degrees of a cell with data; that cell comes first, unless left out.
        vector: Instead of a place, `[channels]`.
        metric: `cosine` (of the angle, 1 for the same direction) or `euclidean` (distance, 0 for the same).
        min_distance_km: Leave out cells whose centre is closer to *place*: the neighbours are alike everywhere.

    Returns:
        Rows with `grid_id`, `longitude`, `latitude` (deg, centre of the cell) and `similarity` (cosine) or
        `distance` (Euclidean), the most like first; of the same value, the lower `grid_id` first.

    Raises:
        ValueError: If an argument is not allowed, or the place is outside of the map or without data.
    """
    if whole('k', k) < 1:
        raise ValueError('k must be at least 1.')
    if (place is None) == (vector is None):
        raise ValueError('Give place or vector, and not both.')
    if not min_distance_km >= 0 or (min_distance_km and place is None):
        raise ValueError(
            f'min_distance_km is {min_distance_km!r}; give km from a place, not negative.'
        )
    window = window_of(ds)
    target = _target(ds, place, vector)
    best: list[tuple[NDArray[np.float64], NDArray[np.int32]]] = []
    for block in row_blocks(ds):
        ids = window.part(
            slice(block.row, block.row + len(block.valid)), slice(0, window.columns)
        ).grid_ids[block.valid]
        scores = alikeness(block.vectors, target, metric)
        if place is not None and min_distance_km:
            keep = distance_km(*place, *_centres(ids)) >= min_distance_km
            ids, scores = ids[keep], scores[keep]
        best.append(_top(scores, ids, k, metric))
    scores, ids = (np.concatenate(parts) for parts in zip(*best, strict=True))
    scores, ids = _top(scores, ids, k, metric)
    longitude, latitude = _centres(ids)
    return pd.DataFrame(
        {
            'grid_id': ids,
            'longitude': longitude,
            'latitude': latitude,
            'similarity' if metric == 'cosine' else 'distance': scores,
        }
    )


def alikeness(
    vectors: NDArray[np.float32], target: NDArray[np.float64], metric: Metric = 'cosine'
) -> NDArray[np.float64]:
    """Compare vectors with one.

    Args:
        vectors: `[N, channels]`.
        target: `[channels]`.
        metric: `cosine` or `euclidean`.

    Returns:
        Cosines of the angles, or distances, `[N]`, computed in float64.

    Raises:
        ValueError: If the metric is unknown, or the target has no direction.
    """
    if metric not in get_args(Metric):
        raise ValueError(f'metric is {metric!r}; allowed: {get_args(Metric)}.')
    exact = vectors.astype(np.float64)
    if metric == 'euclidean':
        return np.asarray(np.linalg.norm(exact - target, axis=1))
    length = float(np.linalg.norm(target))
    if not length:
        raise ValueError("The vector is 0 and has no direction; take metric='euclidean'.")
    lengths = np.linalg.norm(exact, axis=1)
    return np.asarray(exact @ (target / length) / np.where(lengths > 0, lengths, 1))


def _places(lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        east, north = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
    except (ValueError, TypeError) as error:
        raise ValueError(f'lon and lat must be degrees, of shapes that fit: {error}.') from error
    right = np.isfinite(east) & (np.abs(north) <= 90)
    if not right.all():
        first = int((~right).argmax())
        raise ValueError(
            f'({east.flat[first]}, {north.flat[first]}) is no longitude and latitude in degrees, -90 to 90.'
        )
    return east, north


def _cells(
    ds: xr.Dataset, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read cells, each once: `[N, channels]`, and whether they have data."""
    wanted, back = np.unique(rows * COLUMNS + columns, return_inverse=True)
    found = np.empty((len(wanted), ds.sizes['channel']), np.float32)
    for start, stop in _runs(wanted):
        row, first = divmod(int(wanted[start]), COLUMNS)
        last = int(wanted[stop - 1]) % COLUMNS
        part = ds['embedding'].isel(lat=row, lon=slice(first, last + 1)).compute().to_numpy()
        found[start:stop] = part[wanted[start:stop] % COLUMNS - first]
    has_data = np.isfinite(found).all(axis=1) & (found != 0).any(axis=1)
    back = back.reshape(-1)
    return found[back], has_data[back]


def _runs(cells: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Group sorted cells of one row that are close: begin and end of each group."""
    breaks = (np.diff(cells // COLUMNS) > 0) | (np.diff(cells) > _GAP_CELLS)
    group = np.concatenate([[0], np.cumsum(breaks)]) if len(cells) else np.empty(0, np.int64)
    runs = []
    for _, members in groupby(range(len(cells)), key=lambda i: int(group[i])):
        positions = list(members)
        runs.append((positions[0], positions[-1] + 1))
    return runs


def _between(
    ds: xr.Dataset,
    window: MapWindow,
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    fallback: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return vectors between the centres of the four cells around each place."""
    south = (lat + 90) / CELL_DEG
    column = (lon + 180) / CELL_DEG
    low = np.clip(np.floor(south), 0, ROWS - 2)
    left = np.floor(column)
    total = np.zeros((len(lon), ds.sizes['channel']))
    weights = np.zeros(len(lon))
    for up in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - up - (south - low)) * np.abs(1 - right - (column - left))
            rows = (ROWS - 1 - (low + up) - window.row).astype(np.int64)
            columns = ((left + right).astype(np.int64) - window.column) % COLUMNS
            inside = (rows >= 0) & (rows < window.rows) & (columns < window.columns)
            inside &= weight > 0
            values, has_data = _cells(ds, rows[inside], columns[inside])
            at = np.flatnonzero(inside)[has_data]
            total[at] += weight[at, None] * values[has_data]
            weights[at] += weight[at]
    known = weights > 0
    found = fallback.copy()
    found[known] = (total[known] / weights[known, None]).astype(np.float32)
    return found


def _target(ds: xr.Dataset, place: object, vector: ArrayLike | None) -> NDArray[np.float64]:
    channels = ds.sizes['channel']
    if place is not None:
        if (
            not isinstance(place, Sequence | np.ndarray)
            or isinstance(place, str)
            or len(place) != 2
        ):
            raise ValueError(f'place is {place!r}; give longitude and latitude in degrees.')
        return sample(ds, place[0], place[1], missing='raise').astype(np.float64)
    found = np.asarray(vector)
    if found.shape != (channels,) or found.dtype.kind not in 'fiu' or not np.isfinite(found).all():
        raise ValueError(
            f'vector is {found.dtype} {found.shape}; give {channels} finite numbers, as the map has.'
        )
    return found.astype(np.float64)


def _top(
    scores: NDArray[np.float64], ids: NDArray[np.int32], k: int, metric: Metric
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    order = np.lexsort((ids, -scores if metric == 'cosine' else scores))[:k]
    return scores[order], ids[order]


def _centres(ids: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes (deg) of the centres of cells."""
    exact = ids.astype(np.float64)
    return exact % COLUMNS * CELL_DEG - 180, exact // COLUMNS * CELL_DEG - 90
