"""Divides cells into training, validation and test: at random, or by blocks that lie together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.whole_number import whole

#: How cells are divided. Published: at random.
SplitBy = Literal['random', 'blocks']
#: Shares of training, validation and test.
Shares = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Split:
    """Positions of cells.

    Attributes:
        train: Fitted on.
        val: The ridge is chosen on.
        test: Measured on.
    """

    train: NDArray[np.intp]
    val: NDArray[np.intp]
    test: NDArray[np.intp]


def split_cells(
    coordinates: NDArray[np.float64],
    seed: int,
    by: SplitBy = 'random',
    shares: Shares | Sequence[float] = (0.6, 0.2, 0.2),
    block_deg: float = 10.0,
) -> Split:
    """Divide cells.

    Args:
        coordinates: Longitudes and latitudes of their centres (deg), `[N, 2]`.
        seed: One seed gives one division.
        by: `random`: each cell by itself, so that neighbours of a test cell are often fitted on. `blocks`: all
            cells of a block of longitudes and latitudes together, which is harder and says more of places
            without data.
        shares: Of training, validation and test; their sum is 1. Of blocks, these are met as well as their sizes
            allow.
        block_deg: Side of a block (deg).

    Raises:
        ValueError: If an argument is not allowed, or a part would have no cell.
    """
    one_of('split', by, SplitBy)
    whole('seed', seed)
    wanted = _checked(shares)
    rng = np.random.default_rng(seed)
    if by == 'random':
        order = rng.permutation(len(coordinates))
        edges = np.round(np.cumsum(wanted)[:2] * len(order)).astype(int)
        parts = np.split(order, edges)
    else:
        parts = _blocks(coordinates, rng, wanted, block_deg)
    if any(not len(part) for part in parts):
        sizes = [len(part) for part in parts]
        raise ValueError(
            f'Training, validation and test would have {sizes} of {len(coordinates)} cells; take more cells, '
            'other shares, or smaller blocks.'
        )
    return Split(*(np.sort(part) for part in parts))


def _checked(shares: object) -> NDArray[np.float64]:
    numbers = list(shares) if isinstance(shares, Sequence) and not isinstance(shares, str) else []
    right = len(numbers) == 3 and all(
        isinstance(n, int | float) and not isinstance(n, bool) and 0 < n < 1 for n in numbers
    )
    if not right or abs(sum(numbers) - 1) > 1e-6:
        raise ValueError(
            f'shares is {shares!r}; give those of training, validation and test, each above 0, that sum to 1.'
        )
    return np.array(numbers, np.float64)


def _blocks(
    coordinates: NDArray[np.float64],
    rng: np.random.Generator,
    shares: NDArray[np.float64],
    block_deg: float,
) -> list[NDArray[np.intp]]:
    if isinstance(block_deg, bool) or not isinstance(block_deg, int | float):
        raise ValueError(f'block_deg is {block_deg!r}, wanted degrees.')
    if not 0.25 <= block_deg <= 180:
        raise ValueError(f'block_deg is {block_deg}, must be 0.25 to 180.')
    corners = np.floor((coordinates + np.array([180, 90])) / block_deg).astype(np.int64)
    _, block, sizes = np.unique(corners, axis=0, return_inverse=True, return_counts=True)
    number = np.empty(len(sizes), np.intp)
    filled = np.zeros(3)
    for one in rng.permutation(len(sizes)):
        # To the part that lacks most of its share.
        lacking = shares - filled / len(coordinates)
        number[one] = int(lacking.argmax())
        filled[number[one]] += sizes[one]
    of_cell = number[block.reshape(-1)]
    return [np.flatnonzero(of_cell == part) for part in range(3)]
