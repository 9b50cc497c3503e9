"""Which cells of the map the places of an ERA5 file are, in whatever order it has them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.era5 import join_era5
from torchgeo_copernicus.datasets.embed.map_dataset import map_dataset
from torchgeo_copernicus.datasets.embed.map_window import MapWindow


def grid_ids_of(part: xr.DataArray, name: str) -> NDArray[np.int32]:
    """Return the numbers of cells, int32 `[latitude * longitude]`.

    Args:
        part: A variable over `latitude` and `longitude`, in steps of 0.25 degrees, in any order and either
            convention of longitudes.
        name: Of it, for messages.

    Raises:
        ValueError: If it is on another grid, or has a place twice.
    """
    window = MapWindow()
    # A map of the cells' own numbers, joined as any other; they are below 2^24, and so exact as float32.
    numbers = window.grid_ids.astype(np.float32)[:, :, None]
    everywhere = np.ones(numbers.shape[:2], bool)
    world = map_dataset(numbers, window, everywhere, source='numbers of cells')
    grid = xr.Dataset(coords={axis: part[axis] for axis in ('latitude', 'longitude')})
    try:
        joined = join_era5(world, grid)['embedding']
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from error
    found = joined.transpose('latitude', 'longitude', 'channel').to_numpy()
    return found.astype(np.int32).reshape(-1)
