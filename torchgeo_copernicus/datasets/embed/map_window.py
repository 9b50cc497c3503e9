"""A rectangle of cells of a map, north up: which cells, and where they are.

Cells are counted from the north-west corner of the whole map. A rectangle may go on eastwards across the
date line; its longitudes then go on above 179.75 degrees, so that they always ascend and agree with its
geotransform.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, COLUMNS, ROWS

#: West, south, east and north (deg); west may be east of east, across the date line.
Region = tuple[float, float, float, float]
#: Coordinates may be off by this (deg): they are often kept as float32.
TOLERANCE_DEG = 1e-4


@dataclass(frozen=True)
class MapWindow:
    """A rectangle of cells.

    Attributes:
        row: Its northernmost row, 0 to 720.
        column: Its westernmost column, 0 to 1439.
        rows: Number of rows.
        columns: Number of columns, at most 1440.
    """

    row: int = 0
    column: int = 0
    rows: int = ROWS
    columns: int = COLUMNS

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If there are no such cells.
        """
        right_rows = 0 <= self.row and 1 <= self.rows and self.row + self.rows <= ROWS
        if not (right_rows and 0 <= self.column < COLUMNS and 1 <= self.columns <= COLUMNS):
            raise ValueError(
                f'{self.rows} x {self.columns} cells from ({self.row}, {self.column}) on are not in a map of '
                f'{ROWS} x {COLUMNS}.'
            )

    @classmethod
    def of_region(cls, region: Region | Sequence[float] | None) -> MapWindow:
        """Return the cells that share an area with a box; of a box without area, those it is in.

        Args:
            region: West, south, east and north in degrees; longitudes in -180 to 180 or 0 to 360, and west
                above east across the date line (of -180 to 180) or Greenwich (of 0 to 360). None: the
                whole map.

        Raises:
            ValueError: If it is no such box.
        """
        if region is None:
            return cls()
        west, south, east, north = _box(region)
        top = _first(90 - north)
        bottom = max(top, min(_last(90 - south), ROWS - 1))
        width = east - west if east >= west else east - west + 360
        if width > 360:
            raise ValueError(f'region {tuple(region)} goes {width} degrees around the Earth.')
        left = _first(west + 180)
        right = max(left, _last(west + width + 180))
        return cls(top, left % COLUMNS, bottom - top + 1, min(right - left + 1, COLUMNS))

    @classmethod
    def of_coordinates(cls, lat: ArrayLike, lon: ArrayLike) -> MapWindow:
        """Return the cells of coordinates.

        Args:
            lat: Latitudes of the centres of the rows (deg), descending by 0.25, `[rows]`.
            lon: Longitudes of the centres of the columns (deg), ascending by 0.25, `[columns]`.

        Raises:
            ValueError: If they are not of cells that lie side by side, north up; says how they differ.
        """
        rows, columns = _numbers('lat', lat), _numbers('lon', lon)
        for name, numbers, sign in (('lat', rows, -1), ('lon', columns, 1)):
            steps = np.diff(numbers)
            if not (steps == sign).all():
                wanted = 'descend from the north' if sign < 0 else 'ascend'
                raise ValueError(
                    f'{name} must {wanted} by {CELL_DEG} degrees, got {_some(numbers * CELL_DEG)}. Sort it '
                    f'(sortby), or open the map anew.'
                )
        row = ROWS - 1 - int(rows[0] + round(90 / CELL_DEG))
        column = int(columns[0] + round(180 / CELL_DEG)) % COLUMNS
        return cls(row, column, len(rows), len(columns))

    @classmethod
    def of_geotransform(
        cls, transform: Sequence[float], rows: int, columns: int, name: str
    ) -> MapWindow:
        """Return the cells of a raster.

        Args:
            transform: Six numbers in the order of `affine.Affine` (deg).
            rows: Its height (px).
            columns: Its width (px).
            name: Of the file, for messages.

        Raises:
            ValueError: If its pixels are not cells of the map, or it is not north up.
        """
        a, b, c, d, e, f = (float(number) for number in tuple(transform)[:6])
        if e > 0 and a > 0:
            raise ValueError(
                f'{name} is south up (geotransform {(a, b, c, d, e, f)}); maps begin in the north. Flip it.'
            )
        if not np.allclose((a, b, d, e), (CELL_DEG, 0, 0, -CELL_DEG), rtol=0, atol=1e-9):
            raise ValueError(
                f'{name} has the geotransform {(a, b, c, d, e, f)}; wanted pixels of {CELL_DEG} degrees, '
                'north up: (0.25, 0, west, 0, -0.25, north).'
            )
        half = CELL_DEG / 2
        lat = f - half - CELL_DEG * np.arange(rows)
        return cls.of_coordinates(lat, c + half + CELL_DEG * np.arange(columns))

    @property
    def lat(self) -> NDArray[np.float64]:
        """Latitudes of the centres of its rows (deg), descending, `[rows]`."""
        return 90 - CELL_DEG * (self.row + np.arange(self.rows, dtype=np.float64))

    @property
    def lon(self) -> NDArray[np.float64]:
        """Longitudes of the centres of its columns (deg), ascending from -180 to 179.75 on, `[columns]`."""
        return CELL_DEG * (self.column + np.arange(self.columns, dtype=np.float64)) - 180

    @property
    def geotransform(self) -> tuple[float, float, float, float, float, float]:
        """From column and row to degrees, in the order of `affine.Affine`."""
        half = CELL_DEG / 2
        west, north = float(self.lon[0]) - half, float(self.lat[0]) + half
        return (CELL_DEG, 0.0, west, 0.0, -CELL_DEG, north)

    @property
    def grid_ids(self) -> NDArray[np.int32]:
        """Numbers of its cells, `[rows, columns]`."""
        south = ROWS - 1 - self.row - np.arange(self.rows)
        columns = (self.column + np.arange(self.columns)) % COLUMNS
        return (south[:, None] * COLUMNS + columns).astype(np.int32)

    def part(self, rows: slice, columns: slice) -> MapWindow:
        """Return a part of it, by positions in it (no steps)."""
        first = (self.column + columns.start) % COLUMNS
        height, width = rows.stop - rows.start, columns.stop - columns.start
        return MapWindow(self.row + rows.start, first, height, width)

    def pieces(self, inner: MapWindow) -> tuple[slice, tuple[slice, ...]]:
        """Return where the cells of another rectangle are in this one.

        Returns:
            Its rows, and its columns from west to east: two pieces where they are at both ends of this one.

        Raises:
            ValueError: If some are not; says what there is.
        """
        top = inner.row - self.row
        start = (inner.column - self.column) % COLUMNS
        head = min(inner.columns, self.columns - start)
        tail = inner.columns - head
        # What is behind the last column is in the first ones only where this one goes around the Earth.
        covered = head > 0 and (not tail or self.columns == COLUMNS)
        if top < 0 or top + inner.rows > self.rows or not covered:
            raise ValueError(f'The map has {self}, not all of {inner}. Choose a region within.')
        pieces = (slice(start, start + head), slice(0, tail))
        return slice(top, top + inner.rows), pieces if tail else pieces[:1]

    def positions(
        self, lon: NDArray[np.float64], lat: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows and columns in it of the cells that places are in.

        A place on the edge of two cells belongs to the eastern or northern one.

        Args:
            lon: Longitudes (deg); whole turns do not matter. Finite.
            lat: Latitudes (deg), -90 to 90. Same shape.

        Returns:
            Rows and columns, int64 of that shape; not in 0 to `rows` or `columns` where they are outside.
        """
        south = np.minimum(np.floor((lat + 90) / CELL_DEG + 0.5), ROWS - 1).astype(np.int64)
        column = np.floor((lon + 180) / CELL_DEG + 0.5).astype(np.int64)
        return ROWS - 1 - south - self.row, (column - self.column) % COLUMNS

    def __str__(self) -> str:
        """Return the latitudes and longitudes for a message."""
        lat, lon = self.lat, self.lon
        return f'{lat[-1]} to {lat[0]} degrees north and {lon[0]} to {lon[-1]} degrees east'


def _box(region: object) -> Region:
    wrong = ValueError(
        f'region is {region!r}; give (west, south, east, north) in degrees: longitudes in -180 to 360, '
        'latitudes in -90 to 90, south not above north.'
    )
    if isinstance(region, str) or not isinstance(region, Sequence | np.ndarray) or len(region) != 4:
        raise wrong
    try:
        west, south, east, north = (float(number) for number in region)
    except (TypeError, ValueError):
        raise wrong from None
    if not (-180 <= west <= 360 and -180 <= east <= 360 and -90 <= south <= north <= 90):
        raise wrong
    return west, south, east, north


def _first(distance_deg: float) -> int:
    """Return the first cell of a span, by the distance of its begin from the centre of cell 0."""
    return math.floor(distance_deg / CELL_DEG + 0.5)


def _last(distance_deg: float) -> int:
    """Return the last cell of a span, by the distance of its end from the centre of cell 0."""
    return math.ceil(distance_deg / CELL_DEG - 0.5)


def _numbers(name: str, values: ArrayLike) -> NDArray[np.int64]:
    """Return coordinates in units of cells."""
    found = np.asarray(values)
    if found.ndim != 1 or not found.size or found.dtype.kind not in 'fiu':
        raise ValueError(f'{name} must be coordinates in degrees, one axis, got {found.dtype}.')
    cells = found.astype(np.float64) / CELL_DEG
    numbers = np.round(cells)
    low, high = (-90, 90) if name == 'lat' else (-360, 720)
    fits = np.abs(cells - numbers) * CELL_DEG <= TOLERANCE_DEG
    if not (fits & (numbers * CELL_DEG >= low) & (numbers * CELL_DEG <= high)).all():
        raise ValueError(
            f'{name} is {_some(found)}, which are not multiples of {CELL_DEG} degrees in {low} to {high}: '
            'not the centres of cells.'
        )
    return numbers.astype(np.int64)


def _some(values: NDArray[np.generic]) -> str:
    """Return the first and the last of some numbers for a message."""
    shown = values.tolist()
    return str(shown if len(shown) <= 4 else [*shown[:3], '...', shown[-1]])
