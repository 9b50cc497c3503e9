"""What a map is in memory: an xarray `Dataset` of one layout, made and checked here alone.

`embedding` float32 and `valid` bool over `lat` (descending) and `lon` (ascending), with coordinates in degrees
and a CF grid mapping `spatial_ref`. Cells without data are 0 and not valid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from pyproj import CRS

from torchgeo_copernicus.datasets.embed.map_window import MapWindow

#: Axes of `embedding`.
AXES = ('lat', 'lon', 'channel')
_LAT = {'standard_name': 'latitude', 'long_name': 'latitude', 'units': 'degrees_north'}
_LON = {'standard_name': 'longitude', 'long_name': 'longitude', 'units': 'degrees_east'}


# `Any`: whatever xarray takes for an array, from NumPy to Dask.
def map_dataset(
    embedding: Any,  # noqa: ANN401
    window: MapWindow,
    valid: Any = None,  # noqa: ANN401
    *,
    source: str,
) -> xr.Dataset:
    """Make a map.

    Args:
        embedding: float32 `[rows, columns, channels]` of NumPy, Dask or xarray's own; 0 where there is no data,
            and finite.
        window: The cells it is of.
        valid: bool `[rows, columns]`; cells with any number but 0 when None.
        source: Where it is from, for the attributes.

    Raises:
        ValueError: If shapes or types do not fit.
    """
    shape = (window.rows, window.columns)
    if len(embedding.shape) != 3 or embedding.shape[:2] != shape or embedding.dtype != np.float32:
        raise ValueError(
            f'embedding is {embedding.dtype} {embedding.shape}; wanted float32 {(*shape, "channels")}.'
        )
    if valid is None:
        valid = (embedding != 0).any(axis=2)
    if valid.shape != shape or valid.dtype != np.bool_:
        raise ValueError(f'valid is {valid.dtype} {valid.shape}; wanted bool {shape}.')
    found = xr.Dataset(
        {
            'embedding': (AXES, embedding, {'grid_mapping': 'spatial_ref'}),
            'valid': (AXES[:2], valid, {'grid_mapping': 'spatial_ref'}),
        },
        {
            'lat': ('lat', window.lat, _LAT),
            'lon': ('lon', window.lon, _LON),
            'spatial_ref': ((), np.int32(0), spatial_reference(window)),
        },
    )
    found['embedding'].attrs['long_name'] = 'embedding of the cell'
    found['valid'].attrs['long_name'] = 'whether the cell has data'
    found.attrs = {'source': source, 'geotransform': list(window.geotransform)}
    return found


def spatial_reference(window: MapWindow) -> dict[str, str]:
    """Return the attributes of a CF grid mapping, in which GDAL and rioxarray find place and system."""
    wkt = CRS.from_epsg(4326).to_wkt()
    a, b, c, d, e, f = window.geotransform
    return {
        'crs_wkt': wkt,
        'spatial_ref': wkt,
        'grid_mapping_name': 'latitude_longitude',
        'GeoTransform': ' '.join(map(str, (c, a, b, f, d, e))),
    }


def window_of(ds: xr.Dataset) -> MapWindow:
    """Return the cells of a map, and check that it is one.

    Args:
        ds: From `open_map`, or made alike.

    Raises:
        ValueError: If it is something else; says what.
    """
    if not isinstance(ds, xr.Dataset):
        raise ValueError(f'A {type(ds).__name__} is no map; open one with open_map.')
    for name, axes in (('embedding', AXES), ('valid', AXES[:2])):
        if name not in ds.data_vars:
            raise ValueError(f'The dataset has no {name}, but {list(ds.data_vars)}; see open_map.')
        if ds[name].dims != axes:
            raise ValueError(f'{name} has the axes {ds[name].dims}, wanted {axes}. Transpose it.')
    if lacking := [name for name in AXES[:2] if name not in ds.coords]:
        raise ValueError(f'The dataset has no coordinates {lacking}.')
    if ds['embedding'].dtype.kind != 'f' or ds['valid'].dtype != np.bool_:
        kinds = (ds['embedding'].dtype, ds['valid'].dtype)
        raise ValueError(f'embedding and valid are {kinds}, wanted floats and bool.')
    return MapWindow.of_coordinates(ds['lat'].to_numpy(), ds['lon'].to_numpy())
