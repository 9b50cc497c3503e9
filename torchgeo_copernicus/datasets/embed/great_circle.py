"""Distances along the sphere between a place and many cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Mean radius of the Earth (Moritz, Geodetic Reference System 1980); the page computes with it, too.
EARTH_RADIUS_KM = 6371.0088


def distance_km(
    longitude: float, latitude: float, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the way from a place to others along the sphere (haversine formula).

    Args:
        longitude: Of the place (deg); whole turns do not matter.
        latitude: Of the place (deg).
        lon: Longitudes of the others (deg).
        lat: Their latitudes (deg), of a shape that fits.

    Returns:
        Distances in km, of the shape of both.
    """
    east, here, north = np.radians(lon - longitude), np.radians(latitude), np.radians(lat)
    half = np.sin((north - here) / 2) ** 2 + np.cos(north) * np.cos(here) * np.sin(east / 2) ** 2
    found: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(half, 1)))
    return found
