"""Reads the user's table of cities; none comes with the package."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from torchgeo_copernicus.collect.place import read_table

_COLUMNS = ('name', 'lon', 'lat', 'population')


@dataclass(frozen=True)
class City:
    """A city.

    Attributes:
        name: Its name.
        longitude: In degrees, -180 to 180.
        latitude: In degrees, -90 to 90.
        population: How many people live there.
    """

    name: str
    longitude: float
    latitude: float
    population: float

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: If one is out of range.
        """
        if not (-180 <= self.longitude <= 180 and -90 <= self.latitude <= 90):
            raise ValueError(
                f'{self.name} is at ({self.longitude}, {self.latitude}); wanted longitude and latitude in '
                'degrees. Are they swapped?'
            )
        if not (math.isfinite(self.population) and self.population >= 0):
            raise ValueError(f'{self.name} has the population {self.population}.')


def read_cities(path: Path | str) -> tuple[City, ...]:
    """Read a table of comma-separated values with columns `name`, `lon`, `lat` and `population`.

    Raises:
        ValueError: If it is missing or has no city, or a column or value is missing or wrong.
    """
    path = Path(path)
    cities = []
    for line, row in read_table(path, _COLUMNS):
        try:
            longitude, latitude, population = (float(row[name]) for name in _COLUMNS[1:])
            cities.append(City(row['name'], longitude, latitude, population))
        except ValueError as error:
            raise ValueError(f'{path}, line {line}: {error}') from error
    if not cities:
        raise ValueError(f'{path} lists no city.')
    return tuple(cities)
