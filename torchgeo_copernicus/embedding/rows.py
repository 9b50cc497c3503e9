"""Rows of a store: an image each, as an Arrow table that is GeoParquet once written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.embedding.footprint import polygons
from torchgeo_copernicus.embedding.image import Corners

#: What an embedding is stored as.
Dtype = Literal['float16', 'float32']


@dataclass(frozen=True, eq=False)
class RowFacts:
    """What is known of an image besides its embedding; see `schema` and `EmbeddingImage`."""

    key: str
    grid_id: int | None
    modality: str
    local_id: int | None
    local_id_coord: str | None
    metadata: tuple[float, float, float, float]
    source: str
    missing_share: float
    corners: Corners | None


def schema(dtype: Dtype) -> pa.Schema:
    """Return the columns of a store and their types."""
    value = pa.float16() if dtype == 'float16' else pa.float32()
    return pa.schema(
        [
            pa.field('key', pa.string(), nullable=False),
            ('grid_id', pa.int32()),
            ('grid_id_coord', pa.string()),
            pa.field('modality', pa.string(), nullable=False),
            ('local_id', pa.int64()),
            ('local_id_coord', pa.string()),
            ('date', pa.date32()),
            ('longitude', pa.float64()),
            ('latitude', pa.float64()),
            ('gsd_m', pa.float32()),
            pa.field('source', pa.string(), nullable=False),
            ('embedding', pa.list_(value)),
            ('map_height', pa.int16()),
            ('map_width', pa.int16()),
            ('missing_share', pa.float32()),
            ('geometry', pa.binary()),
        ]
    )


def rows_table(
    facts: Sequence[RowFacts], embeddings: Mapping[str, NDArray[np.float32]], dtype: Dtype
) -> pa.Table:
    """Return the rows of images, in their order.

    Args:
        facts: Of N images.
        embeddings: By modality those of its images, in the order of *facts*: `[n, D]`, or `[n, D, h, w]` maps.
        dtype: What they are stored as.

    Raises:
        ValueError: If an embedding is not finite, or out of the range of *dtype*; names the image.
    """
    metadata = np.array([one.metadata for one in facts], np.float64).reshape(-1, 4)
    cells = [_cell(one) for one in facts]
    geometry = polygons([one.corners for one in facts])
    numbers = {
        name: [i for i, one in enumerate(facts) if one.modality == name] for name in embeddings
    }
    sizes = np.zeros((len(facts), 3), np.int64)
    for name, found in embeddings.items():
        maps = found.reshape(*found.shape, 1, 1) if found.ndim == 2 else found
        sizes[numbers[name]] = maps.shape[1:]
    days = metadata[:, 2]
    unknown = np.isnan(days)
    columns = [
        [one.key for one in facts],
        [None if cell is None else cell.grid_id for cell in cells],
        [None if cell is None else cell.name for cell in cells],
        [one.modality for one in facts],
        [one.local_id for one in facts],
        [one.local_id_coord for one in facts],
        pa.array(np.nan_to_num(days).astype(np.int32), pa.int32(), mask=unknown).cast(pa.date32()),
        _known(metadata[:, 0]),
        _known(metadata[:, 1]),
        _known(metadata[:, 3].astype(np.float32)),
        [one.source for one in facts],
        _lists(facts, embeddings, numbers, sizes.prod(axis=1), dtype),
        sizes[:, 1].astype(np.int16),
        sizes[:, 2].astype(np.int16),
        np.array([one.missing_share for one in facts], np.float32),
        list(shapely.to_wkb(geometry)) if len(facts) else [],
    ]
    made = schema(dtype)
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, made, strict=True)
    ]
    return pa.table(arrays, schema=made.with_metadata({'geo': _geo(geometry)}))


def _known(values: NDArray[np.floating]) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _cell(one: RowFacts) -> Cell | None:
    longitude, latitude = one.metadata[:2]
    if one.grid_id is not None:
        return Cell(one.grid_id)
    known = math.isfinite(longitude) and math.isfinite(latitude)
    return Cell.at(longitude, latitude) if known else None


def _lists(
    facts: Sequence[RowFacts],
    embeddings: Mapping[str, NDArray[np.float32]],
    numbers: Mapping[str, Sequence[int]],
    lengths: NDArray[np.int64],
    dtype: Dtype,
) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.empty(offsets[-1], dtype)
    largest = np.finfo(dtype).max
    for name, found in embeddings.items():
        flat = found.reshape(len(found), -1)
        # NaN compares false.
        fits = (np.abs(flat) <= largest).all(axis=1)
        if not fits.all():
            row = int(np.flatnonzero(~fits)[0])
            worst = float(np.abs(flat[row]).max())
            raise ValueError(
                f'The embedding of {facts[numbers[name][row]].key} has {worst:.6g}, but {dtype} holds finite '
                f'values up to {largest:.6g}. Store float32; if that is not it, look at the weights.'
            )
        places = offsets[np.asarray(numbers[name], np.int64)]
        if flat.size:
            values[places[:, None] + np.arange(flat.shape[1])] = flat
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))


def _geo(geometry: NDArray[np.object_]) -> str:
    known = [one for one in geometry if one is not None]
    column: dict[str, object] = {
        'encoding': 'WKB',
        'geometry_types': sorted({one.geom_type for one in known}),
        'crs': CRS.from_epsg(4326).to_json_dict(),
    }
    if known:
        column['bbox'] = shapely.total_bounds(known).tolist()
    return json.dumps(
        {'version': '1.1.0', 'primary_column': 'geometry', 'columns': {'geometry': column}}
    )
