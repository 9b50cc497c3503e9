"""Places of SSL4EO-S12 v1.1 as a table, to choose from before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import Transformer
from shapely import polygons

from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import GSD_M
from torchgeo_copernicus.datasets.ssl4eo.v11.place_index import PlaceIndex


def place_table(
    indices: Mapping[Modality, PlaceIndex],
    rows: Mapping[Modality, NDArray[np.int64]],
    size: tuple[int, int],
) -> gpd.GeoDataFrame:
    """Return a row for each place, with its outline in longitude and latitude.

    Args:
        indices: Index of each modality.
        rows: Number of each place in these indices.
        size: Height and width (px) of images.

    Returns:
        Index `sample_id` (str); `file`, `crs` (EPSG code of the grid), `<modality>_time_0` and so on
        (acquisition times, UTC), `geometry`.
    """
    first = next(iter(indices))
    index, chosen = indices[first], rows[first]
    columns: dict[str, object] = {
        'file': index.files[index.container_file[index.container[chosen]]],
        'crs': index.crs[chosen],
    }
    for name, other in indices.items():
        times = other.seconds[rows[name]].astype('datetime64[s]')
        columns |= {f'{name}_time_{date}': times[:, date] for date in range(times.shape[1])}
    ids = pd.Index([f'{number:07d}' for number in index.sample_id[chosen]], name='sample_id')
    squares = polygons(outlines(index.lonlat[chosen], index.crs[chosen], size))
    return gpd.GeoDataFrame(columns, index=ids, geometry=squares, crs='EPSG:4326')


def outlines(
    lonlat: NDArray[np.float64], crs: NDArray[np.int32], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the corners (deg) of images, `[N, 4, 2]`.

    Args:
        lonlat: Longitude and latitude of their centres (deg), `[N, 2]`.
        crs: EPSG codes of their grids, `[N]`.
        size: Height and width (px).
    """
    height, width = (GSD_M * side / 2 for side in size)
    east = np.array([-width, width, width, -width])
    north = np.array([height, height, -height, -height])
    corners = np.empty((len(lonlat), 4, 2))
    for code in np.unique(crs):
        here = np.flatnonzero(crs == code)
        grid = Transformer.from_crs('EPSG:4326', f'EPSG:{code}', always_xy=True)
        x, y = grid.transform(lonlat[here, 0], lonlat[here, 1])
        back = grid.transform(
            np.asarray(x)[:, None] + east, np.asarray(y)[:, None] + north, direction='INVERSE'
        )
        corners[here] = np.stack(back, axis=-1)
    return corners


def listed_files(path: Path) -> Sequence[str] | None:
    """Return the names of the files that a published table names, sorted, or None without it.

    Args:
        path: GeoParquet file of a split.

    Raises:
        ValueError: If it is there but is no such table.
    """
    if not path.is_file():
        return None
    try:
        table = pd.read_parquet(path)
    except ImportError:
        # Without pyarrow: the folder itself is listed.
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f'{path} cannot be read ({error}).') from error
    # The WebDataset edition names the archive.
    for column in ('file', 'tar'):
        if column in table:
            return sorted(set(table[column].astype(str)))
    raise ValueError(f'{path} has neither a column file nor tar; it has {list(table)}.')
