"""Splits places by geographic blocks, so that no image of one split shows ground of the other.

28 % of the places of SSL4EO-S12 overlap another one: a split of places at random would test on the
training ground (arXiv:2211.07044 sampled around cities; measured on v1.1).
"""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import product

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.draw import drawn

_EARTH_RADIUS_M = 6_371_000.0
#: Centres that are further apart than this (m) have images that do not overlap: the diagonal of 2640 m, and
#: what the approximate coordinates of v1.0 are off.
APART_M = 3_900.0


def split_by_block(
    lonlat: NDArray[np.float64], val_fraction: float, block_deg: float, seed: int
) -> NDArray[np.bool_]:
    """Choose places for validation as `places_in_drawn_blocks` does, and some for each split.

    Raises:
        ValueError: If an argument is impossible, a place has no coordinates, or a split stays empty.
    """
    chosen = places_in_drawn_blocks(lonlat, val_fraction, block_deg, seed)
    if not chosen.any() or chosen.all():
        raise ValueError(
            f'{len(lonlat)} places in blocks of {block_deg} degrees leave a split empty; choose smaller '
            'blocks, or another val_fraction or seed.'
        )
    return chosen


def places_in_drawn_blocks(
    lonlat: NDArray[np.float64], val_fraction: float, block_deg: float, seed: int
) -> NDArray[np.bool_]:
    """Choose places for validation by whole blocks; places near those for training go to training.

    A block is drawn from the seed and its own corner, so that it does not change sides when places come or
    go, and a larger fraction holds a smaller one.

    Args:
        lonlat: Longitude and latitude (deg) of the places, `[N, 2]`.
        val_fraction: Share of the blocks wanted for validation, above 0 and below 1. What lies at the edges
            of blocks makes it a little less, and few blocks more or less by chance.
        block_deg: Side of a block (deg of latitude; in longitude it is as long on the ground).
        seed: Which blocks.

    Returns:
        Which places are for validation, `[N]`; it may be none or all of a few.

    Raises:
        ValueError: If an argument is impossible, or a place has no coordinates.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f'val_fraction must be above 0 and below 1, got {val_fraction}.')
    if not 0 < block_deg <= 90:
        raise ValueError(f'block_deg must be above 0 and at most 90, got {block_deg}.')
    if not np.isfinite(lonlat).all():
        raise ValueError('A place has no coordinates, so it cannot be split by region.')
    rows = np.floor(lonlat[:, 1] / block_deg).astype(int)
    widths = block_deg / np.cos(np.radians(np.minimum(np.abs(rows + 0.5) * block_deg, 89)))
    columns = np.floor((lonlat[:, 0] + 180) % 360 / widths).astype(int)
    limit = val_fraction * 2**64
    corners = zip(rows.tolist(), columns.tolist(), strict=True)
    chosen = np.array([drawn(seed, *corner) < limit for corner in corners], bool)
    return chosen & ~_near(lonlat, ~chosen)


def _near(lonlat: NDArray[np.float64], start: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the places that are near those of *start*, or near one that is, and so on."""
    lon, lat = np.radians(lonlat).T
    flat = np.cos(lat)
    # In space, where neither the poles nor the date line are special.
    points = _EARTH_RADIUS_M * np.stack([flat * np.cos(lon), flat * np.sin(lon), np.sin(lat)], 1)
    cells = [tuple(cell) for cell in np.floor(points / APART_M).astype(int).tolist()]
    waiting: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place in np.flatnonzero(~start).tolist():
        waiting[cells[place]].append(place)
    near = start.copy()
    queue = deque(np.flatnonzero(start).tolist())
    steps = list(product((-1, 0, 1), repeat=3))
    while queue:
        place = queue.popleft()
        a, b, c = cells[place]
        for i, j, k in steps:
            for other in waiting.get((a + i, b + j, c + k), []):
                if not near[other] and np.linalg.norm(points[place] - points[other]) < APART_M:
                    near[other] = True
                    queue.append(other)
    return near
