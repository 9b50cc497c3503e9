"""The index of a copy: GeoParquet with a row for each image, written in parts and read back as one table.

Rows have the columns of `image_table`, so what filters that filters the index, too.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import geopandas as gpd
import numpy as np
import pandas as pd
from pyproj import CRS
from shapely import Geometry, Point

from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import WHOLE_CELL
from torchgeo_copernicus.datasets.pretrain.grid import Cell, split_name
from torchgeo_copernicus.datasets.pretrain.index.image_statistics import ImageStatistics
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.table import COLUMNS, Box, cell_outline, filtered
from torchgeo_copernicus.metadata import Date

#: Folder of the parts below that of the index: libraries that read folders want nothing else in it.
PARTS = 'images'
_SHARES, _LISTS = ('missing_share', 'zero_share'), ('count', 'min', 'max', 'mean', 'std')
#: Columns of an index besides those of every table of images.
MEASURED = ('key', 'first_byte', 'height', 'width', 'gsd_m', 'fault', 'void', *_SHARES, *_LISTS)
_PART = re.compile(r'part-(\d{5})-of-(\d{5})\.parquet')


@dataclass(frozen=True)
class ImageRow:
    """A row of an index.

    Attributes:
        grid_id: Number of the cell.
        modality: Which.
        place: Name of the local patch, or `WHOLE_CELL`.
        days: Day since 1970-01-01, NaN of elevation.
        path: Of the GeoTIFF, as listed; or of the shard, below the folder that all shards have in common.
        statistics: Of the image, in the unit of samples; those of none where it could not be read.
        key: Key of the sample in the shard.
        first_byte: First byte of the image in the shard; None where it cannot be read by itself.
        shape: Height and width (px); None where it could not be read.
        gsd_m: Ground sampling distance (m), NaN where it could not be read.
        fault: Why it could not be read.
    """

    grid_id: int
    modality: ModalityName
    place: str
    days: float
    path: str
    statistics: ImageStatistics
    key: str | None = None
    first_byte: int | None = None
    shape: tuple[int, int] | None = None
    gsd_m: float = math.nan
    fault: str | None = None


def part_name(number: int, parts: int) -> str:
    """Return the path of a part below the folder of the index; it tells how many there are."""
    return f'{PARTS}/part-{number:05d}-of-{parts:05d}.parquet'


def write_part(rows: Sequence[ImageRow], path: Path) -> None:
    """Write rows as GeoParquet 1.0, with a checksum of every page.

    Raises:
        ValueError: If pyarrow is missing.
    """
    arrow = _arrow()
    frame = _frame(rows)
    geometry = gpd.GeoSeries([_shape(row) for row in rows], crs='EPSG:4326')
    frame.insert(len(COLUMNS) - 1, 'geometry', geometry.to_wkb())
    # Types are given, for those of a part without a single fault or patch could not be told from it.
    table = arrow.Table.from_pandas(frame, _schema(arrow), preserve_index=False)
    column = {
        'encoding': 'WKB',
        'crs': CRS.from_epsg(4326).to_json_dict(),
        'geometry_types': sorted(set(geometry.geom_type)),
    }
    if rows:
        column['bbox'] = [float(edge) for edge in geometry.total_bounds]
    geo = {'version': '1.0.0', 'primary_column': 'geometry', 'columns': {'geometry': column}}
    table = table.replace_schema_metadata({**table.schema.metadata, 'geo': json.dumps(geo)})
    import_module('pyarrow.parquet').write_table(
        table, path, compression='zstd', write_page_checksum=True
    )


def index_parts(folder: Path | str) -> tuple[Path, ...]:
    """Return the files of an index.

    Args:
        folder: That was converted into.

    Raises:
        ValueError: If there is no index, or parts of it are missing.
    """
    paths = sorted((Path(folder) / PARTS).glob('*.parquet'))
    found = [_PART.fullmatch(path.name) for path in paths]
    numbers = [int(match[1]) for match in found if match]
    totals = {int(match[2]) for match in found if match}
    if not paths or None in found or len(totals) != 1:
        raise ValueError(
            f'{folder} holds no index ({PARTS}/part-*.parquet), or more than one. Give the folder that '
            'convert_index wrote into.'
        )
    (total,) = totals
    if numbers != list(range(total)):
        lacking = sorted(set(range(total)) - set(numbers))
        raise ValueError(
            f'{folder} lacks {len(lacking)} of {total} parts, such as {lacking[:3]}: the conversion was '
            'stopped. Start it again; it goes on where it was.'
        )
    return tuple(paths)


def read_index(
    folder: Path | str,
    columns: Sequence[str] | None = None,
    region: Box | Geometry | None = None,
    start: Date | None = None,
    end: Date | None = None,
    modalities: Sequence[ModalityName] | None = None,
) -> gpd.GeoDataFrame:
    """Return the images of an index, or those of a region, of some days and of some modalities.

    Args:
        folder: That `convert_index` wrote into.
        columns: Of `MEASURED`, those to read; all when None. Those of `image_table` always come along.
        region: As of `filtered`.
        start: First day.
        end: Last day. Elevation has no date, and stays whatever the days.
        modalities: Which; all when None.

    Returns:
        Columns of `image_table`, where `path` may be that of a shard; `key` and `first_byte` (Int64) in a
        shard; `height` and `width` (Int32, px), `gsd_m`; `fault` (text where the image could not be read);
        `void` (bool: read, and without a finite value); `missing_share` and `zero_share` of its values;
        `count`, `min`, `max`, `mean` and `std` (lists, one number for each band; see `ImageStatistics`).

    Raises:
        ValueError: If an argument is not understood, there is no index, or it is incomplete or damaged.
    """
    frames = [
        filtered(read_part(path, columns), region, start, end, modalities)
        for path in index_parts(folder)
    ]
    return gpd.GeoDataFrame(pd.concat(frames, ignore_index=True))


def read_part(path: Path, columns: Sequence[str] | None = None) -> gpd.GeoDataFrame:
    """Return the images of one file of an index; see `read_index`.

    Raises:
        ValueError: If a column is unknown, pyarrow is missing, or the file is damaged or something else.
    """
    arrow = _arrow()
    wanted = MEASURED if columns is None else columns
    if isinstance(wanted, str) or (unknown := [name for name in wanted if name not in MEASURED]):
        raise ValueError(
            f'columns is {columns!r}; list some of {list(MEASURED)}, or nothing for all.'
            if isinstance(wanted, str)
            else f'Unknown columns {unknown}. Allowed: {list(MEASURED)}; {list(COLUMNS)} always come.'
        )
    names = [*COLUMNS, *(name for name in MEASURED if name in wanted)]
    try:
        table = gpd.read_parquet(path, columns=names, page_checksum_verification=True)
    except (OSError, ValueError, arrow.lib.ArrowException) as error:
        raise ValueError(
            f'{path} cannot be read ({error}); it is damaged, or no part of an index. Delete it, and '
            'convert again.'
        ) from error
    table['modality'] = pd.Categorical(table['modality'], MODALITY_NAMES)
    return table


def _frame(rows: Sequence[ImageRow]) -> pd.DataFrame:
    """Return all columns but the geometry."""
    days = [None if math.isnan(row.days) else int(row.days) for row in rows]
    since = pd.to_timedelta(pd.array(days, dtype='Int64'), unit='D')
    shapes = [(None, None) if row.shape is None else row.shape for row in rows]
    measured = [row.statistics for row in rows]
    columns: dict[str, object] = {
        'grid_id': np.array([row.grid_id for row in rows], np.int64),
        'modality': pd.Categorical([row.modality for row in rows], MODALITY_NAMES),
        'local_id': pd.array(
            [None if row.place == WHOLE_CELL else split_name(row.place)[0] for row in rows],
            dtype='Int64',
        ),
        'date': pd.Timestamp('1970-01-01') + since,
        'path': pd.Series([row.path for row in rows], dtype=object),
        'key': pd.Series([row.key for row in rows], dtype=object),
        'first_byte': pd.array([row.first_byte for row in rows], dtype='Int64'),
        'height': pd.array([height for height, _ in shapes], dtype='Int32'),
        'width': pd.array([width for _, width in shapes], dtype='Int32'),
        'gsd_m': np.array([row.gsd_m for row in rows], np.float64),
        'fault': pd.Series([row.fault for row in rows], dtype=object),
        'void': np.array([row.fault is None and row.statistics.void for row in rows], bool),
    }
    for names, dtype in ((_SHARES, np.float64), (_LISTS, object)):
        columns |= {
            name: pd.Series([getattr(numbers, name) for numbers in measured], dtype=dtype)
            for name in names
        }
    return pd.DataFrame(columns)


def _shape(row: ImageRow) -> Geometry:
    if row.place == WHOLE_CELL:
        return cell_outline(Cell(row.grid_id))
    return Point(split_name(row.place)[1:])


def _schema(arrow: ModuleType) -> object:
    numbers = arrow.list_(arrow.float64())
    types = {
        'grid_id': arrow.int64(),
        'modality': arrow.dictionary(arrow.int8(), arrow.string()),
        'local_id': arrow.int64(),
        'date': arrow.timestamp('ms'),
        'path': arrow.string(),
        'geometry': arrow.binary(),
        'key': arrow.string(),
        'first_byte': arrow.int64(),
        'height': arrow.int32(),
        'width': arrow.int32(),
        'gsd_m': arrow.float64(),
        'fault': arrow.string(),
        'void': arrow.bool_(),
        'missing_share': arrow.float64(),
        'zero_share': arrow.float64(),
        'count': arrow.list_(arrow.int64()),
        **dict.fromkeys(('min', 'max', 'mean', 'std'), numbers),
    }
    return arrow.schema(list(types.items()))


def _arrow() -> ModuleType:
    try:
        return import_module('pyarrow')
    except ModuleNotFoundError as error:
        raise ValueError(
            'An index is GeoParquet, which needs pyarrow: pip install "torchgeo-copernicus[convert]".'
        ) from error
