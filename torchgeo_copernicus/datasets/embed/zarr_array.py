"""Opens a map in a Zarr group, as `write_map` and xarray write it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.geotiff_array import check_crs
from torchgeo_copernicus.datasets.embed.map_array import Layout
from torchgeo_copernicus.datasets.embed.map_window import MapWindow

_AXES = ('lat', 'lon', 'channel')


@dataclass(frozen=True)
class ZarrArray:
    """A map or a part of it in a Zarr group.

    Attributes:
        name: Its folder.
        window: The cells it has.
        channels: Numbers of a cell.
        layout: Size of its chunks.
    """

    name: str
    window: MapWindow
    channels: int
    layout: Layout

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Read a part; see `MapArray`."""
        stored = _array(zarr.open_group(self.name, mode='r'), 'embedding', self.name)
        return np.array(stored[rows, columns, :], np.float32)


def open_zarr(path: str) -> ZarrArray:
    """Open a Zarr group with `embedding` (lat, lon, channel), `lat` and `lon`.

    Args:
        path: Its folder.

    Raises:
        ValueError: If it lacks one of them, axes are swapped, or it lies elsewhere.
    """
    if not Path(path).is_dir():
        raise ValueError(f'{path} is no folder of a Zarr group.')
    try:
        group = zarr.open_group(path, mode='r')
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f'{path} is no Zarr group ({error!r}).') from error
    stored, *axes = (_array(group, name, path) for name in ('embedding', 'lat', 'lon'))
    attributes = dict(stored.attrs)
    metadata = getattr(stored, 'metadata', None)
    listed = attributes.get('_ARRAY_DIMENSIONS') or getattr(metadata, 'dimension_names', None)
    named = tuple(listed) if isinstance(listed, list | tuple) else ()
    if (named and named != _AXES) or len(stored.shape) != 3:
        raise ValueError(
            f'{path} has embedding {named} of shape {stored.shape}; wanted {_AXES}. Transpose it.'
        )
    if stored.dtype.kind != 'f':
        raise ValueError(f'{path} holds {stored.dtype}; a map is of floats.')
    reference = str(attributes.get('grid_mapping', 'spatial_ref'))
    if reference in group:
        check_crs(path, str(dict(group[reference].attrs).get('crs_wkt', '')) or None)
    lat, lon = (np.asarray(axis[...]) for axis in axes)
    if stored.shape[:2] != (len(lat), len(lon)):
        raise ValueError(f'{path}: {len(lat)} lat and {len(lon)} lon for a map of {stored.shape}.')
    try:
        window = MapWindow.of_coordinates(lat, lon)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return ZarrArray(path, window, int(stored.shape[2]), Layout(stored.chunks[0], stored.chunks[1]))


def _array(group: zarr.Group, name: str, path: str) -> zarr.Array[Any]:
    found = group.get(name)
    if not isinstance(found, zarr.Array):
        raise ValueError(f'{path} has no array {name}; a map has embedding, lat and lon.')
    return found
