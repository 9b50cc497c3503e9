"""A made-up Earth for look-alikes of embeddings: land, sea, and vectors that vary smoothly over land.

Places that are close have similar vectors, so that searches, projections and pictures have something to find.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Share of the cells of a map that are land, as in the release (310,000 of 1,038,240).
LAND_SHARE = 0.3
_WAVES, _LONGEST = 24, 4.0


@dataclass(frozen=True)
class EmbedWorld:
    """A made-up Earth.

    Attributes:
        channels: Numbers of a vector; 768 in the release.
        seed: Seed, not negative.
    """

    channels: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the number of channels.

        Raises:
            ValueError: If there is none.
        """
        if self.channels < 1:
            raise ValueError(f'channels is {self.channels}, must be at least 1.')

    def vectors(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float32]:
        """Return the vectors of places, 0 at sea.

        Args:
            lon: Longitudes (deg).
            lat: Latitudes (deg), of a shape that fits.

        Returns:
            float32 `[..., channels]`.
        """
        rng = np.random.default_rng(self.seed)
        directions = rng.normal(size=(3, _WAVES)) * rng.uniform(1, _LONGEST, _WAVES)
        phases = rng.uniform(0, 2 * np.pi, _WAVES)
        height = rng.normal(size=_WAVES)
        mix = rng.normal(size=(_WAVES, self.channels)) / np.sqrt(_WAVES)
        shift = rng.normal(size=self.channels)

        def waves(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float32]:
            found = _sphere(lon, lat) @ directions.astype(np.float32)
            return np.sin(found + phases.astype(np.float32))

        # The level of the sea comes from a coarse map, so that it is the same whatever is asked for.
        coarse = waves(np.arange(-180, 180, 4), np.arange(90, -91, -4)[:, None])
        level = np.quantile(coarse @ height, 1 - LAND_SHARE)
        here = waves(lon, lat)
        land = here @ height.astype(np.float32) > level
        values = np.tanh(here @ mix.astype(np.float32)) + shift.astype(np.float32)
        return np.where(land[..., None], values, np.float32(0))


def _sphere(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float32]:
    """Return places on a sphere of radius 1, `[..., 3]`."""
    east, north = np.broadcast_arrays(np.radians(lon), np.radians(lat))
    parts = (np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north))
    return np.stack(parts, axis=-1).astype(np.float32)
