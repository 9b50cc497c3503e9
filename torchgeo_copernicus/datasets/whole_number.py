"""A demand on arguments that count something."""

from __future__ import annotations

import numpy as np


def whole(name: str, value: object) -> int:
    """Return a number that must be whole and not negative.

    Raises:
        ValueError: If it is not; names it.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f'{name} must be a whole number, not negative, got {value!r}.')
    return int(value)
