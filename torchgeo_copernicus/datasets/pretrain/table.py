"""The listed images as a table, to choose from by region, date or modality before anything is opened."""

from __future__ import annotations

import math
from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from shapely import Geometry, MultiPolygon, Point, box

from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import WHOLE_CELL
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.grid import Cell, split_name
from torchgeo_copernicus.datasets.pretrain.modality import (
    MODALITIES,
    MODALITY_NAMES,
    ModalityName,
    chosen_modalities,
)
from torchgeo_copernicus.metadata import Date, days_since_epoch

#: Columns of a table of images.
COLUMNS = ('grid_id', 'modality', 'local_id', 'date', 'path', 'geometry')
#: West, south, east and north (deg); west may be east of east, across the date line.
Box = tuple[float, float, float, float]


def image_table(
    files: FileList,
    modalities: Sequence[ModalityName] | None = None,
    grids: Sequence[int] | None = None,
) -> gpd.GeoDataFrame:
    """Return a row for each listed image.

    Args:
        files: The list.
        modalities: Which; all when None.
        grids: Numbers of cells; all of the list when None. All of 310,000 make 18.7 million rows.

    Returns:
        `grid_id` (int64), `modality` (categorical), `local_id` (Int64, missing where an image is of the whole
        cell), `date` (day of acquisition, the first of the month for Sentinel-5P; missing for elevation), `path`
        (below the root) and `geometry` (longitude and latitude: the centre of a local patch, or the outline of
        the cell, in two parts where that lies across the date line).

    Raises:
        ValueError: If a modality is unknown, or a cell is not listed.
    """
    wanted = chosen_modalities(modalities)
    rows: list[int] = list(range(len(files))) if grids is None else files.rows(grids).tolist()
    numbers, names, local, days, paths, shapes = [], [], [], [], [], []
    for row in rows:
        cell_files = files.cell(row)
        outline: Geometry | None = None
        for name in wanted:
            for place, images in cell_files.images.get(name, {}).items():
                if place == WHOLE_CELL:
                    outline = shape = cell_outline(cell_files.cell) if outline is None else outline
                    patch = None
                else:
                    patch, longitude, latitude = split_name(place)
                    shape = Point(longitude, latitude)
                for image in images:
                    numbers.append(cell_files.cell.grid_id)
                    names.append(name)
                    local.append(patch)
                    days.append(None if math.isnan(image.days) else int(image.days))
                    paths.append(image.path)
                    shapes.append(shape)
    since = pd.to_timedelta(pd.array(days, dtype='Int64'), unit='D')
    columns = {
        'grid_id': np.array(numbers, np.int64),
        'modality': pd.Categorical(names, MODALITY_NAMES),
        'local_id': pd.array(local, dtype='Int64'),
        'date': pd.Timestamp('1970-01-01') + since,
        'path': paths,
    }
    return gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(shapes, dtype=object), crs='EPSG:4326')


def cell_outline(cell: Cell) -> Geometry:
    """Return the outline of a cell (deg), in two parts where it lies across the date line."""
    west, south, east, north = cell.bounds
    if west >= -180:
        return box(west, south, east, north)
    return MultiPolygon([box(-180, south, east, north), box(west + 360, south, 180, north)])


def filtered(
    table: gpd.GeoDataFrame,
    region: Box | Geometry | None = None,
    start: Date | None = None,
    end: Date | None = None,
    modalities: Sequence[ModalityName] | None = None,
) -> gpd.GeoDataFrame:
    """Return the rows of images in a region, of some days and of some modalities.

    Args:
        table: From `image_table`.
        region: Box or shape (longitude and latitude in degrees) that centres of patches or outlines of cells
            must touch.
        start: First day.
        end: Last day. Elevation has no date, and stays whatever the days.
        modalities: Which.

    Raises:
        ValueError: If an argument is not understood, or *table* is no such table.
    """
    _check(table)
    keep = np.ones(len(table), bool)
    if region is not None:
        keep &= np.asarray(table.intersects(_shape(region)), bool)
    if modalities is not None:
        keep &= np.asarray(table['modality'].isin(chosen_modalities(modalities)), bool)
    first, last = (None if day is None else days_since_epoch(day) for day in (start, end))
    if first is not None and last is not None and first > last:
        raise ValueError(f'start {start} is after end {end}.')
    days = _days(table)
    for wrong in (
        days < first if first is not None else None,
        days > last if last is not None else None,
    ):
        # NaN compares false, and so stays.
        if wrong is not None:
            keep &= ~wrong
    return table[keep]


def listed_in(table: gpd.GeoDataFrame) -> FileList:
    """Return a list of the files in a table, for a dataset of just these.

    Args:
        table: From `image_table` or `filtered`, or a part of such.

    Raises:
        ValueError: If it is no such table, has no row, or a path is not of its cell.
    """
    _check(table)
    if not len(table):
        raise ValueError('The table has no images left; filter it less.')
    entries: dict[int, dict[str, object]] = {}
    local: dict[tuple[int, str], dict[str, list[str]]] = {}
    plain: dict[tuple[int, str], list[str]] = {}
    columns = (table[name].tolist() for name in ('grid_id', 'modality', 'path'))
    for grid_id, name, path in zip(*columns, strict=True):
        number = int(grid_id)
        entry = entries.setdefault(number, {'grid_id_coord': Cell(number).name})
        if name not in MODALITY_NAMES:
            raise ValueError(f'Unknown modality {name!r} in the table. Allowed: {MODALITY_NAMES}.')
        if MODALITIES[name].local:
            # The folder that a file is in has the name of its patch.
            patch = str(path).rsplit('/', 2)[-2:][0]
            entry[name] = places = local.setdefault((number, name), {})
            places.setdefault(patch, []).append(path)
        else:
            entry[name] = paths = plain.setdefault((number, name), [])
            paths.append(path)
    return FileList.of('the table', entries)


def _check(table: gpd.GeoDataFrame) -> None:
    if not isinstance(table, gpd.GeoDataFrame) or (lacking := set(COLUMNS) - set(table.columns)):
        raise ValueError(
            f'The table is a {type(table).__name__}'
            + (f' without {sorted(lacking)}' if isinstance(table, gpd.GeoDataFrame) else '')
            + '; make one with image_table, and keep its columns.'
        )


def _days(table: gpd.GeoDataFrame) -> NDArray[np.float64]:
    """Return days since 1970-01-01, NaN where there is no date."""
    since = table['date'] - pd.Timestamp('1970-01-01')
    return np.asarray(since / pd.Timedelta(days=1), np.float64)


def _shape(region: object) -> Geometry:
    if isinstance(region, Geometry):
        return region
    if not isinstance(region, tuple | list) or len(region) != 4:
        raise ValueError(
            f'region is {region!r}; give (west, south, east, north) in degrees, or a shape.'
        )
    west, south, east, north = region
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise ValueError(
            f'region {tuple(region)} is not west, south, east, north in -180 to 180 and -90 to 90 degrees.'
        )
    if west <= east:
        return box(west, south, east, north)
    return MultiPolygon([box(west, south, 180, north), box(-180, south, east, north)])
