"""The places most like one, far enough from it and from each other to be different places."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from torchgeo_copernicus.datasets.embed import MapWindow
from torchgeo_copernicus.datasets.embed.great_circle import distance_km
from torchgeo_copernicus.datasets.whole_number import whole

#: Around a place everything is alike, and the same place would be listed again and again.
MIN_DISTANCE_KM = 1000.0


def similar_places(
    similarity: xr.DataArray, k: int = 5, min_distance_km: float = MIN_DISTANCE_KM
) -> pd.DataFrame:
    """List the cells with the highest similarity, one after another, without those close to one before.

    `datasets.embed.nearest` lists cells without that last condition.

    Args:
        similarity: From `similarity_to`.
        k: How many; fewer come where there are no more.
        min_distance_km: Between the centres of any two of them, and from the cell compared with; 0 for all cells,
            that one among them.

    Returns:
        Rows with `grid_id`, `longitude`, `latitude` (deg, centre of the cell), `similarity` and `distance_km` (from
        the cell compared with), the most like first; of the same similarity, the lower `grid_id` first.

    Raises:
        ValueError: If an argument is not allowed.
    """
    if whole('k', k) < 1:
        raise ValueError('k must be at least 1.')
    if not isinstance(min_distance_km, int | float | np.number) or not min_distance_km >= 0:
        raise ValueError(f'min_distance_km is {min_distance_km!r}; give km, not negative.')
    if not isinstance(similarity, xr.DataArray) or 'longitude' not in similarity.attrs:
        raise ValueError('similarity must be what similarity_to returns.')
    window = MapWindow.of_coordinates(similarity['lat'].to_numpy(), similarity['lon'].to_numpy())
    values = similarity.to_numpy()
    row, column = np.nonzero(np.isfinite(values))
    scores, ids = values[row, column], window.grid_ids[row, column]
    lat, lon = window.lat[row], (window.lon[column] + 180) % 360 - 180
    here = distance_km(similarity.attrs['longitude'], similarity.attrs['latitude'], lon, lat)
    left = here >= min_distance_km
    order = np.lexsort((ids, -scores))
    chosen: list[int] = []
    while len(chosen) < k and left.any():
        best = int(order[left[order].argmax()])
        chosen.append(best)
        left[best] = False
        if min_distance_km:
            left &= distance_km(float(lon[best]), float(lat[best]), lon, lat) >= min_distance_km
    return pd.DataFrame(
        {
            'grid_id': ids[chosen],
            'longitude': lon[chosen],
            'latitude': lat[chosen],
            'similarity': scores[chosen],
            'distance_km': here[chosen],
        }
    )
