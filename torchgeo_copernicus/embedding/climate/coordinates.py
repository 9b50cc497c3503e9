"""Features of places that know nothing of the land: coordinates, raw or as waves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, COLUMNS
from torchgeo_copernicus.datasets.whole_number import whole


def centres(grid_ids: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return longitudes and latitudes of the centres of cells (deg), `[N, 2]`."""
    ids = np.asarray(grid_ids, np.int64)
    return np.stack([ids % COLUMNS * CELL_DEG - 180, ids // COLUMNS * CELL_DEG - 90], axis=1)


def fourier(coordinates: NDArray[np.float64], frequencies: int) -> NDArray[np.float64]:
    """Return sines and cosines of longitude and latitude at frequencies that double.

    The k-th is `sin(2^k x)` and `cos(2^k x)` with x in radians, so that the longest wave goes around the Earth once
    and nothing jumps at the date line. The paper does not say how its Fourier features are made.

    Args:
        coordinates: Longitudes and latitudes (deg), `[N, 2]`.
        frequencies: Number of frequencies; 8 go down to waves of 2.8 degrees.

    Returns:
        `[N, 4 * frequencies]`.

    Raises:
        ValueError: If there is no frequency, or more than 10, whose waves are shorter than two cells.
    """
    if not 1 <= whole('frequencies', frequencies) <= 10:
        raise ValueError(f'frequencies is {frequencies}, must be 1 to 10.')
    angles = np.radians(coordinates)[:, :, None] * 2.0 ** np.arange(frequencies)
    flat = angles.reshape(len(coordinates), -1)
    return np.concatenate([np.sin(flat), np.cos(flat)], axis=1)
