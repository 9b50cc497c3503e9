"""Checks a list of numbers of cells that a user gave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchgeo_copernicus.datasets.whole_number import whole


def cell_numbers(grids: object) -> list[int]:
    """Return numbers of cells, in the order given.

    Raises:
        ValueError: If it is no list of whole numbers, is empty, or names a cell twice.
    """
    if isinstance(grids, str) or not isinstance(grids, Sequence | np.ndarray) or not len(grids):
        raise ValueError(f'grids is {grids!r}; list numbers of cells, or None for all.')
    numbers = [whole('grids', number) for number in grids]
    if len(set(numbers)) < len(numbers):
        raise ValueError('grids names cells twice; each comes once.')
    return numbers
