"""Where does it look like here: the cosine of every cell with the one of a place."""

from __future__ import annotations

import numpy as np
import xarray as xr

from torchgeo_copernicus.datasets.embed import map_dataset, sample, window_of
from torchgeo_copernicus.datasets.embed.great_circle import distance_km
from torchgeo_copernicus.datasets.embed.place_lookup import alikeness
from torchgeo_copernicus.datasets.embed.row_blocks import row_blocks
from torchgeo_copernicus.datasets.pretrain.grid import Cell


def similarity_to(ds: xr.Dataset, lon: float, lat: float) -> xr.DataArray:
    """Compare all cells with the one that a place is in; some rows are in memory at a time.

    Args:
        ds: From `open_map`.
        lon: Longitude of the place (deg); whole turns do not matter.
        lat: Its latitude (deg).

    Returns:
        Cosines, float64 `(lat, lon)`, 1 for the same direction and NaN where there is no data, with the
        coordinates of the map; attributes `grid_id`, `longitude` and `latitude` are of the cell compared with.

    Raises:
        ValueError: If it is no map, or the place is none, outside of it, or in a cell without data: then it says
            which cell with data is the nearest.
    """
    window = window_of(ds)
    if np.ndim(lon) or np.ndim(lat):
        raise ValueError('lon and lat must be a number each, of one place.')
    target = sample(ds, lon, lat).astype(np.float64)
    place = Cell.at(float(lon), float(lat))
    if np.isnan(target).any():
        raise ValueError(f'({lon}, {lat}) is in a cell without data. {_advice(ds, place)}')
    rows = []
    for block in row_blocks(ds):
        found = np.full(block.valid.shape, np.nan)
        found[block.valid] = alikeness(block.vectors, target)
        rows.append(found)
    # For the coordinates, whatever else the given Dataset has.
    layout = map_dataset(
        np.zeros((window.rows, window.columns, 0), np.float32), window, source='similarity'
    )
    similarity = layout['valid'].copy(data=np.concatenate(rows)).rename('similarity')
    similarity.attrs = {
        'long_name': f'cosine similarity to cell {place.name}',
        'units': '1',
        'grid_mapping': 'spatial_ref',
        'grid_id': place.grid_id,
        'longitude': place.longitude,
        'latitude': place.latitude,
    }
    return similarity


def _advice(ds: xr.Dataset, place: Cell) -> str:
    """Return which cell with data is nearest to a place."""
    window = window_of(ds)
    best: tuple[float, float, float] | None = None
    for block in row_blocks(ds):
        row, column = np.nonzero(block.valid)
        if not len(row):
            continue
        lat, lon = window.lat[block.row + row], window.lon[column]
        away = distance_km(place.longitude, place.latitude, lon, lat)
        first = int(away.argmin())
        candidate = (float(away[first]), float(lon[first]), float(lat[first]))
        best = candidate if best is None else min(best, candidate)
    if best is None:
        return 'No cell of the map has data.'
    away_km, east, north = best
    return f'The nearest one that has is at ({(east + 180) % 360 - 180}, {north}), {away_km:.0f} km away.'
