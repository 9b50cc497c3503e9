"""Places of local patches: numbered points on the ground, kept in a table of comma-separated values."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torchgeo_copernicus.datasets.pretrain.grid import Cell

_FIELDS = ('number', 'lon', 'lat')
#: Digits of the coordinates in tables (deg): a tenth of a metre.
DIGITS = 6


@dataclass(frozen=True)
class Place:
    """Centre of a local patch.

    Attributes:
        number: Its number among all places, 0 to 9,999,999.
        longitude: In degrees, -180 to below 180.
        latitude: In degrees.
    """

    number: int
    longitude: float
    latitude: float

    def __post_init__(self) -> None:
        """Check number and coordinates.

        Raises:
            ValueError: If one is out of range.
        """
        if not 0 <= self.number < 10_000_000:
            raise ValueError(f'The number of a place is {self.number}; wanted 0 to 9999999.')
        if not (-180 <= self.longitude < 180 and -90 <= self.latitude <= 90):
            raise ValueError(
                f'Place {self.number} is at ({self.longitude}, {self.latitude}); wanted longitude -180 to '
                'below 180 and latitude -90 to 90 in degrees.'
            )

    @property
    def cell(self) -> Cell:
        """Cell it is in."""
        return Cell.at(self.longitude, self.latitude)

    @property
    def name(self) -> str:
        """Name of its folders: number, longitude and latitude."""
        # Zero has no sign in names.
        longitude, latitude = (round(x, 2) + 0.0 for x in (self.longitude, self.latitude))
        return f'{self.number:07d}_{longitude:.2f}_{latitude:.2f}'


def wrapped_longitude(longitude: float) -> float:
    """Return a longitude (deg) as -180 to below 180, with the digits that tables keep."""
    wrapped = round((longitude + 180) % 360 - 180, DIGITS) + 0.0
    return -180.0 if wrapped >= 180 else wrapped


def write_places(path: Path, places: Iterable[Place]) -> None:
    """Write a table of places, whole or not at all."""
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(_FIELDS)
        for place in places:
            row = (place.number, f'{place.longitude:.{DIGITS}f}', f'{place.latitude:.{DIGITS}f}')
            writer.writerow(row)
    os.replace(part, path)


def read_places(path: Path) -> tuple[Place, ...]:
    """Read a table of places: columns `number`, `lon` and `lat`, others are left alone.

    Raises:
        ValueError: If it is missing, a column or value is, or two places have one number.
    """
    places: dict[int, Place] = {}
    for line, row in read_table(path, _FIELDS):
        try:
            place = Place(int(row['number']), float(row['lon']), float(row['lat']))
        except ValueError as error:
            raise ValueError(f'{path}, line {line}: {error}') from error
        if place.number in places:
            raise ValueError(f'{path}, line {line}: number {place.number} is there already.')
        places[place.number] = place
    return tuple(places.values())


def read_table(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Read a table with a line of names, and return its rows with their lines.

    Raises:
        ValueError: If it is missing or no text, or a column or value is missing.
    """
    try:
        # Spreadsheets put a mark before the first name.
        with path.open(newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or ())
            if missing := [name for name in columns if name not in names]:
                raise ValueError(f'{path} has no column {missing}, only {names}.')
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{path} cannot be read as a table: {error}') from error
    for line, row in rows:
        if empty := [name for name in columns if not row[name]]:
            raise ValueError(f'{path}, line {line}: no value of {empty}.')
    return rows


def positive(value: float, what: str) -> float:
    """Return a number above zero.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f'{what} must be a number, got {value!r}.')
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f'{what} must be above 0, got {value!r}.')
    return float(value)
