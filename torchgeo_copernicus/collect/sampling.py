"""Draws places: around cities as SSL4EO-S12 did, and evenly in cells that have none.

Each draw depends on the seed and its own number alone: more places continue the same list, on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pyproj import Geod

from torchgeo_copernicus.collect.cities import City
from torchgeo_copernicus.collect.overlap import SpacedPlaces
from torchgeo_copernicus.collect.place import DIGITS, Place, positive, wrapped_longitude
from torchgeo_copernicus.datasets.draw import drawn
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.metadata import METRES_PER_DEGREE

#: `ground`: as far in all directions; `degrees`: as many degrees of longitude as of latitude, as the published
#: scripts have it, which makes less of it on the ground away from the equator.
Spread = Literal['ground', 'degrees']

_EARTH = Geod(ellps='WGS84')
_CITY, _CELL = 21, 22
# So many in a row that are refused mean that there is no room.
_MISSES = 10_000


def places_around_cities(
    cities: Sequence[City],
    count: int,
    seed: int,
    *,
    sigma_km: float = 50.0,
    largest: int = 10_000,
    spread: Spread = 'ground',
    spaced: SpacedPlaces | None = None,
    first_number: int = 0,
) -> tuple[Place, ...]:
    """Draw places around the largest cities, Gaussian with the city in the middle (arXiv:2211.07044).

    Args:
        cities: Cities, in any order.
        count: How many places.
        seed: Which ones.
        sigma_km: Standard deviation in each of two directions (km).
        largest: How many cities, the most populous, of which all are as likely.
        spread: How distances become degrees.
        spaced: Places that are there; the new ones are added. None for an empty one, which keeps images
            apart.
        first_number: Number of the first place.

    Raises:
        ValueError: If an argument is impossible, or there is no room for so many.
    """
    sigma_m = 1000 * positive(sigma_km, 'sigma_km')
    if spread not in ('ground', 'degrees'):
        raise ValueError(f"Unknown spread {spread!r}. Allowed: ['ground', 'degrees'].")
    if min(count, largest) < 1 or not cities:
        raise ValueError(
            f'{len(cities)} cities, count {count} and largest {largest}: wanted at least one of each.'
        )
    chosen = sorted(cities, key=lambda city: (-city.population, city.longitude, city.latitude))
    chosen = chosen[:largest]
    spaced = SpacedPlaces() if spaced is None else spaced
    places: list[Place] = []
    attempt = misses = 0
    while len(places) < count:
        city = chosen[drawn(seed, _CITY, 0, attempt) % len(chosen)]
        distance_m = sigma_m * math.sqrt(-2 * math.log1p(-_share(seed, _CITY, 1, attempt)))
        azimuth_deg = 360 * _share(seed, _CITY, 2, attempt)
        attempt += 1
        longitude, latitude = _moved(city, distance_m, azimuth_deg, spread)
        if abs(latitude) > 90 or not spaced.add(longitude, latitude):
            misses += 1
            if misses >= _MISSES:
                raise ValueError(
                    f'There is no room for more than {len(places)} of {count} places that are '
                    f'{spaced.min_distance_m:.0f} m apart; take more cities, a larger sigma_km or a smaller '
                    'distance.'
                )
            continue
        misses = 0
        places.append(Place(first_number + len(places), longitude, latitude))
    return tuple(places)


@dataclass(frozen=True)
class FilledCells:
    """What came of filling cells.

    Attributes:
        places: New places.
        full: Cells where no place was far enough from those of other cells.
    """

    places: tuple[Place, ...]
    full: tuple[Cell, ...]


def fill_empty_cells(
    cells: Iterable[Cell],
    seed: int,
    *,
    per_cell: int = 1,
    there: Sequence[Place] = (),
    spaced: SpacedPlaces | None = None,
    first_number: int = 0,
) -> FilledCells:
    """Draw places in cells that have none, evenly over their area.

    Args:
        cells: Cells that should have places, such as those on land.
        seed: Which places.
        per_cell: How many in each.
        there: Places that are there already.
        spaced: Distances to keep; the new places are added. None for one that has the places in *there*
            and keeps images apart.
        first_number: Number of the first place.

    Raises:
        ValueError: If an argument is impossible.
    """
    if per_cell < 1:
        raise ValueError(f'per_cell must be at least 1, got {per_cell}.')
    if spaced is None:
        spaced = SpacedPlaces(there=[(place.longitude, place.latitude) for place in there])
    occupied = {place.cell for place in there}
    places: list[Place] = []
    full: list[Cell] = []
    for cell in sorted(set(cells) - occupied):
        before = len(places)
        for attempt in range(100 * per_cell):
            longitude, latitude = _within(cell, seed, attempt)
            # Rounding may carry a place over the edge.
            if Cell.at(longitude, latitude) == cell and spaced.add(longitude, latitude):
                places.append(Place(first_number + len(places), longitude, latitude))
            if len(places) - before == per_cell:
                break
        else:
            full.append(cell)
    return FilledCells(tuple(places), tuple(full))


def _moved(
    city: City, distance_m: float, azimuth_deg: float, spread: Spread
) -> tuple[float, float]:
    if spread == 'ground':
        longitude, latitude, _ = _EARTH.fwd(city.longitude, city.latitude, azimuth_deg, distance_m)
    else:
        angle, distance_deg = math.radians(azimuth_deg), distance_m / METRES_PER_DEGREE
        longitude = city.longitude + distance_deg * math.sin(angle)
        latitude = city.latitude + distance_deg * math.cos(angle)
    return wrapped_longitude(float(longitude)), round(float(latitude), DIGITS)


def _within(cell: Cell, seed: int, attempt: int) -> tuple[float, float]:
    west, south, east, north = cell.bounds
    longitude = west + (east - west) * _share(seed, _CELL, cell.grid_id, 0, attempt)
    # Evenly over the area, which shrinks towards the poles.
    low, high = (math.sin(math.radians(edge)) for edge in (south, north))
    sine = low + (high - low) * _share(seed, _CELL, cell.grid_id, 1, attempt)
    return wrapped_longitude(longitude), round(math.degrees(math.asin(sine)), DIGITS)


def _share(*key: int) -> float:
    return drawn(*key) / 2**64
