"""Brings a map of embeddings and ERA5 together: the same cells, in another order and under other names."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.map_dataset import spatial_reference, window_of
from torchgeo_copernicus.datasets.embed.map_window import TOLERANCE_DEG, MapWindow
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, COLUMNS

_NAMES = {'lat': 'latitude', 'lon': 'longitude'}
_ADVICE = (
    f'Bring it to the grid of {CELL_DEG} degrees first: download it so, or interpolate '
    '(era5.interp, or cdo remapbil), and then join.'
)


def to_era5(ds: xr.Dataset) -> xr.Dataset:
    """Order a map as ERA5 is: longitudes 0 to 359.75 ascending, axes `latitude` and `longitude`.

    The numbers are moved, not interpolated; a whole map is rolled by 720 columns.

    Args:
        ds: From `open_map`: the whole map, or a region that does not go on across Greenwich.

    Returns:
        The same Dataset in that order, with `spatial_ref` and `geotransform` to fit.

    Raises:
        ValueError: If it is no map, or a region across Greenwich, whose longitudes would not ascend.
    """
    window = window_of(ds)
    # Columns up to Greenwich, which come last.
    head = (COLUMNS // 2 - window.column) % COLUMNS
    if window.columns == COLUMNS:
        pieces = [slice(head, COLUMNS), slice(0, head)]
        moved = MapWindow(window.row, COLUMNS // 2, window.rows, COLUMNS)
    elif 0 < head < window.columns:
        raise ValueError(
            f'The map has {window}, across Greenwich: in 0 to 359.75 it would be in two parts. Take the whole '
            'map or one side, or use join_era5, which finds the cells in any order.'
        )
    else:
        pieces, moved = [slice(0, window.columns)], window
    parts = [ds.isel(lon=piece) for piece in pieces if piece.start < piece.stop]
    found = _side_by_side(parts, 'lon')
    lon = moved.lon % 360
    found = found.assign_coords(lon=('lon', lon, ds['lon'].attrs)).rename(_NAMES)
    shifted = (*moved.geotransform[:2], float(lon[0]) - CELL_DEG / 2, *moved.geotransform[3:])
    found.attrs = {**ds.attrs, 'geotransform': list(shifted)}
    if 'spatial_ref' in found.coords:
        attributes = spatial_reference(moved)
        a, b, c, d, e, f = shifted
        attributes['GeoTransform'] = ' '.join(map(str, (c, a, b, f, d, e)))
        found['spatial_ref'] = ((), np.int32(0), attributes)
        found = found.set_coords('spatial_ref')
    return found


def join_era5(ds: xr.Dataset, era5: xr.Dataset) -> xr.Dataset:
    """Add a map to variables of ERA5, cell by cell.

    Args:
        ds: From `open_map`; has to have all cells of *era5*.
        era5: Variables over `latitude` and `longitude` (or `lat` and `lon`) in steps of 0.25 degrees, in either order,
            with longitudes in -180 to 180 or 0 to 360; other axes (time, level) as they are.

    Returns:
        *era5* with its own coordinates, untouched, and with `embedding` (its latitude and longitude, `channel`) and
        `valid`. Nothing is interpolated, and no cell is filled in.

    Raises:
        ValueError: If it is another grid, the map has not all of its cells, or a name is there twice.
    """
    window = window_of(ds)
    if not isinstance(era5, xr.Dataset):
        raise ValueError(f'era5 is a {type(era5).__name__}, wanted an xarray Dataset.')
    lat_name, lon_name = (
        _axis(era5, names) for names in (('latitude', 'lat'), ('longitude', 'lon'))
    )
    taken = {'embedding', 'valid', 'channel'} & ({*era5.variables, *era5.dims})
    if taken:
        raise ValueError(f'era5 has {sorted(taken)} already; rename or drop them.')
    lat, lon = (_degrees(era5, name) for name in (lat_name, lon_name))
    _check_steps(lat_name, np.diff(lat))
    _check_steps(lon_name, (np.diff(lon) + 180) % 360 - 180)
    rows, columns = window.positions(
        np.round(lon / CELL_DEG) * CELL_DEG, np.round(lat[:, None] / CELL_DEG) * CELL_DEG
    )
    rows = rows[:, 0]
    if len(np.unique(columns)) < len(columns):
        raise ValueError(f'{lon_name} has a place twice (such as 0 and 360); drop one of them.')
    if (rows < 0).any() or (rows >= window.rows).any() or (columns >= window.columns).any():
        raise ValueError(
            f'era5 has {lat.min()} to {lat.max()} degrees north and {lon.min()} to {lon.max()} degrees east, '
            f'the map {window}. Open the map with a region that has all of it, or cut era5.'
        )
    found = _taken(_taken(ds[['embedding', 'valid']], 'lat', rows), 'lon', columns)
    found = found.drop_vars(['lat', 'lon', 'spatial_ref'], errors='ignore')
    found = found.rename({'lat': lat_name, 'lon': lon_name})
    for variable in found.data_vars.values():
        variable.attrs.pop('grid_mapping', None)
    return era5.assign(found.data_vars)


def _taken(ds: xr.Dataset, axis: str, positions: NDArray[np.int64]) -> xr.Dataset:
    """Select positions that rise or fall by one, but for jumps, as slices: those are read by position."""
    edges = [0, *(np.flatnonzero(np.abs(np.diff(positions)) != 1) + 1), len(positions)]
    parts = []
    for start, stop in pairwise(edges):
        first, last = sorted((int(positions[start]), int(positions[stop - 1])))
        part = ds.isel({axis: slice(first, last + 1)})
        falling = positions[start] > positions[stop - 1]
        parts.append(part.isel({axis: slice(None, None, -1)}) if falling else part)
    return _side_by_side(parts, axis)


def _side_by_side(parts: list[xr.Dataset], axis: str) -> xr.Dataset:
    if len(parts) == 1:
        return parts[0]
    return xr.concat(
        parts, axis, data_vars='minimal', coords='minimal', compat='override', join='exact'
    )


def _axis(era5: xr.Dataset, names: tuple[str, str]) -> str:
    found = [name for name in names if name in era5.dims]
    if len(found) != 1 or found[0] not in era5.coords:
        raise ValueError(
            f'era5 has the axes {list(era5.dims)}; wanted one of {names}, with coordinates in degrees.'
        )
    return found[0]


def _degrees(era5: xr.Dataset, name: str) -> NDArray[np.float64]:
    found = era5[name].to_numpy()
    if found.ndim != 1 or not found.size or found.dtype.kind not in 'fiu':
        raise ValueError(f'{name} of era5 is {found.dtype} {found.shape}, wanted degrees.')
    degrees: NDArray[np.float64] = found.astype(np.float64)
    limit = 90 if name.startswith('lat') else 360
    if not (np.abs(degrees) <= limit + TOLERANCE_DEG).all():
        raise ValueError(f'{name} of era5 goes beyond {limit} degrees: {degrees[:3]} ...')
    off = np.abs(degrees - np.round(degrees / CELL_DEG) * CELL_DEG)
    if (off > TOLERANCE_DEG).any():
        raise ValueError(
            f'{name} of era5 ({degrees[:3]} ...) is not in multiples of {CELL_DEG} degrees. {_ADVICE}'
        )
    return degrees


def _check_steps(name: str, steps: NDArray[np.float64]) -> None:
    if not len(steps):
        return
    wanted = CELL_DEG if steps[0] > 0 else -CELL_DEG
    if not (np.abs(steps - wanted) <= 2 * TOLERANCE_DEG).all():
        raise ValueError(
            f'{name} of era5 goes in steps of {np.unique(np.round(steps, 4))[:4]} degrees, wanted {wanted}. '
            f'{_ADVICE}'
        )
