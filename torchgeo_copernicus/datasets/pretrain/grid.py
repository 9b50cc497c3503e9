"""The grid of Copernicus-Pretrain and Copernicus-Embed: cells of 0.25 degrees, as ERA5 has them.

721 rows and 1440 columns of cells, centred on multiples of 0.25 degrees: cells of the first and the last row
are halved by a pole, and cells of the first column lie across the date line. Cells are counted from
(-180, -90) eastwards, then northwards; maps count their rows from the north (arXiv:2503.11849, section 3).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

CELL_DEG = 0.25
ROWS, COLUMNS = 721, 1440
#: From column and row of a map of all cells to degrees, north up, in the order of `affine.Affine`.
GEOTRANSFORM = (CELL_DEG, 0.0, -180 - CELL_DEG / 2, 0.0, -CELL_DEG, 90 + CELL_DEG / 2)

_NAME = re.compile(r'(\d{7})_(-?\d{1,3}\.\d{2})_(-?\d{1,2}\.\d{2})')


@dataclass(frozen=True, order=True)
class Cell:
    """A cell of the grid.

    Attributes:
        grid_id: Its number, 0 to 1,038,239.
    """

    grid_id: int

    def __post_init__(self) -> None:
        """Check the number.

        Raises:
            ValueError: If there is no such cell.
        """
        if not 0 <= self.grid_id < ROWS * COLUMNS:
            raise ValueError(
                f'There is no cell {self.grid_id}; they are 0 to {ROWS * COLUMNS - 1}.'
            )

    @classmethod
    def at(cls, longitude: float, latitude: float) -> Cell:
        """Return the cell a place is in.

        Args:
            longitude: In degrees; whole turns do not matter.
            latitude: In degrees, -90 to 90.

        Raises:
            ValueError: If a coordinate is not finite, or the latitude is beyond a pole.
        """
        if not (math.isfinite(longitude) and -90 <= latitude <= 90):
            raise ValueError(
                f'({longitude}, {latitude}) is no longitude and latitude in degrees, -90 to 90.'
            )
        # A place on the edge of two cells belongs to the eastern or northern one.
        row = min(math.floor((latitude + 90) / CELL_DEG + 0.5), ROWS - 1)
        column = math.floor((longitude + 180) / CELL_DEG + 0.5) % COLUMNS
        return cls(row * COLUMNS + column)

    @classmethod
    def in_map(cls, row: int, column: int) -> Cell:
        """Return the cell of a pixel of a map, whose rows count from the north.

        Raises:
            ValueError: If the pixel is outside.
        """
        if not (0 <= row < ROWS and 0 <= column < COLUMNS):
            raise ValueError(f'Pixel ({row}, {column}) is outside of a map of {ROWS} x {COLUMNS}.')
        return cls((ROWS - 1 - row) * COLUMNS + column)

    @classmethod
    def named(cls, name: str) -> Cell:
        """Return the cell of a name such as `0906994_128.50_67.25`.

        Raises:
            ValueError: If it is no such name, or number and coordinates are of different cells.
        """
        number, longitude, latitude = split_name(name)
        cell = cls(number)
        if (longitude, latitude) != (cell.longitude, cell.latitude):
            raise ValueError(f'{name} is named as cell {number}, which is {cell.name}.')
        return cell

    @property
    def row_from_south(self) -> int:
        """Its row, counted from the south pole."""
        return self.grid_id // COLUMNS

    @property
    def column(self) -> int:
        """Its column, counted from the date line."""
        return self.grid_id % COLUMNS

    @property
    def map_pixel(self) -> tuple[int, int]:
        """Row and column in a map, whose rows count from the north."""
        return ROWS - 1 - self.row_from_south, self.column

    @property
    def longitude(self) -> float:
        """Longitude of the centre (deg), -180 to 179.75."""
        return self.column * CELL_DEG - 180

    @property
    def latitude(self) -> float:
        """Latitude of the centre (deg), -90 to 90."""
        return self.row_from_south * CELL_DEG - 90

    @property
    def name(self) -> str:
        """Name of its folders: number, longitude and latitude."""
        return f'{self.grid_id:07d}_{self.longitude:.2f}_{self.latitude:.2f}'

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north (deg); west is below -180 in the first column."""
        half = CELL_DEG / 2
        south, north = max(self.latitude - half, -90.0), min(self.latitude + half, 90.0)
        return self.longitude - half, south, self.longitude + half, north

    def neighbours(self) -> tuple[Cell, ...]:
        """Return the cells around it, by number: eight, across the date line too, five at a pole's row.

        Cells of one pole's row all touch at the pole; only those beside each other count.
        """
        rows = [r for d in (-1, 0, 1) if 0 <= (r := self.row_from_south + d) < ROWS]
        columns = [(self.column + d) % COLUMNS for d in (-1, 0, 1)]
        around = (Cell(row * COLUMNS + column) for row in rows for column in columns)
        return tuple(sorted(cell for cell in around if cell != self))


def split_name(name: str) -> tuple[int, float, float]:
    """Return number, longitude and latitude (deg) in the name of a cell or of a local patch.

    Raises:
        ValueError: If it is no such name.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f'{name!r} is no name such as 0906994_128.50_67.25.')
    return int(found[1]), float(found[2]), float(found[3])
