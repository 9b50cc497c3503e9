"""Reads a store as a table with places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import shapely

from torchgeo_copernicus.embedding.rows import schema
from torchgeo_copernicus.embedding.sources.pretrain_cell import checked_region
from torchgeo_copernicus.embedding.store import EmbeddingStore

# Else a number that is missing in one row makes fractions of all.
_NULLABLE = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}


def read_store(
    folder: Path | str,
    columns: Sequence[str] | None = None,
    region: Sequence[float] | None = None,
    modalities: Sequence[str] | None = None,
) -> gpd.GeoDataFrame:
    """Read rows of a store.

    Args:
        folder: Of the store.
        columns: Which columns besides the geometry, in the wanted order; all when None. Leaving out
            `embedding` reads much less.
        region: West, south, east and north (deg) that the centre of an image is in, across the date line where
            west is above east; everywhere when None.
        modalities: Those to read; all when None.

    Returns:
        The rows in EPSG:4326, by unit; embeddings as arrays.

    Raises:
        FileNotFoundError: If there is no store.
        ValueError: If a column or the region is not as it should be, or no unit is written yet.
    """
    store = EmbeddingStore(folder)
    known = [name for name in schema('float32').names if name != 'geometry']
    wanted = known if columns is None else [name for name in columns if name != 'geometry']
    if isinstance(columns, str) or (unknown := [name for name in wanted if name not in known]):
        raise ValueError(
            f'columns is {columns!r}; list some of {known}.'
            if isinstance(columns, str)
            else f'Unknown columns {unknown}. Allowed: {known}.'
        )
    paths = store.unit_paths()
    if not paths:
        raise ValueError(f'{folder} has no rows yet.')
    table = ds.dataset(paths, format='parquet').to_table(
        [*wanted, 'geometry'], filter=_filter(region, modalities)
    )
    geometry = shapely.from_wkb(table.column('geometry').to_numpy())
    frame = table.select(wanted).to_pandas(types_mapper=_NULLABLE.get)
    return gpd.GeoDataFrame(frame, geometry=geometry, crs='EPSG:4326')


def _filter(
    region: Sequence[float] | None, modalities: Sequence[str] | None
) -> pc.Expression | None:
    conditions = []
    if modalities is not None:
        if isinstance(modalities, str):
            raise ValueError(f'modalities is {modalities!r}; give a list of names.')
        conditions.append(pc.field('modality').isin(pa.array(list(modalities), pa.string())))
    if region is not None:
        west, south, east, north = checked_region(region)
        longitude, latitude = pc.field('longitude'), pc.field('latitude')
        beyond_west, before_east = longitude >= west, longitude <= east
        conditions.append(beyond_west & before_east if west <= east else beyond_west | before_east)
        conditions.append((latitude >= south) & (latitude <= north))
    if not conditions:
        return None
    whole = conditions[0]
    for condition in conditions[1:]:
        whole &= condition
    return whole
