"""Refuses places that are too near to others, by distance on the ground; places come one by one.

The scripts of SSL4EO-S12 looked for near places, and then used the place all the same: 28 % of the places
of the released set overlap another one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from itertools import product

from torchgeo_copernicus.collect.place import positive

_EARTH_RADIUS_M = 6_371_000.0
#: Squares of 2640 m whose centres are further apart (m) share no ground: their diagonal, and what snapping to
#: the pixel grid and a round Earth are off.
APART_M = 3_900.0
_FURTHEST_M = 1_000_000.0
_STEPS = tuple(product((-1, 0, 1), repeat=3))

_Point = tuple[float, float, float]


class SpacedPlaces:
    """Places that are all at least some distance apart, but for those that were there before."""

    def __init__(
        self, min_distance_m: float = APART_M, there: Iterable[tuple[float, float]] = ()
    ) -> None:
        """Start with the places that are there.

        Args:
            min_distance_m: Smallest distance (m) between two places, at most 1000 km.
            there: Longitude and latitude (deg) of places that others must keep away from, whatever is
                between them.

        Raises:
            ValueError: If the distance or a coordinate is impossible.
        """
        self.min_distance_m = positive(min_distance_m, 'min_distance_m')
        if self.min_distance_m > _FURTHEST_M:
            raise ValueError(f'min_distance_m must be at most {_FURTHEST_M:.0f}.')
        # Distances are compared along straight lines in space, where neither the poles nor the date line are
        # special.
        self._chord_m = 2 * _EARTH_RADIUS_M * math.sin(self.min_distance_m / _EARTH_RADIUS_M / 2)
        self._boxes: dict[tuple[int, ...], list[_Point]] = defaultdict(list)
        self._count = 0
        for longitude, latitude in there:
            self._put(_point(longitude, latitude))

    def __len__(self) -> int:
        """Return the number of places."""
        return self._count

    def nearest_m(self, longitude: float, latitude: float) -> float | None:
        """Return the distance (m) to the nearest place that is too near, or None when there is none.

        Args:
            longitude: In degrees; whole turns do not matter.
            latitude: In degrees, -90 to 90.

        Raises:
            ValueError: If a coordinate is impossible.
        """
        point = _point(longitude, latitude)
        a, b, c = self._box(point)
        nearest = min(
            (
                math.dist(point, other)
                for i, j, k in _STEPS
                for other in self._boxes.get((a + i, b + j, c + k), ())
            ),
            default=math.inf,
        )
        if nearest >= self._chord_m:
            return None
        return 2 * _EARTH_RADIUS_M * math.asin(nearest / 2 / _EARTH_RADIUS_M)

    def add(self, longitude: float, latitude: float) -> bool:
        """Take a place in unless one is too near; return whether it was taken.

        Raises:
            ValueError: If a coordinate is impossible.
        """
        if self.nearest_m(longitude, latitude) is not None:
            return False
        self._put(_point(longitude, latitude))
        return True

    def _put(self, point: _Point) -> None:
        self._boxes[self._box(point)].append(point)
        self._count += 1

    def _box(self, point: _Point) -> tuple[int, int, int]:
        x, y, z = (math.floor(value / self._chord_m) for value in point)
        return x, y, z


def _point(longitude: float, latitude: float) -> _Point:
    if not (math.isfinite(longitude) and -90 <= latitude <= 90):
        raise ValueError(
            f'({longitude}, {latitude}) is no longitude and latitude in degrees, -90 to 90.'
        )
    lon, lat = math.radians(longitude), math.radians(latitude)
    flat = _EARTH_RADIUS_M * math.cos(lat)
    return flat * math.cos(lon), flat * math.sin(lon), _EARTH_RADIUS_M * math.sin(lat)
