"""Memory for batches, used again once nobody refers to it: fresh memory is slower than decoding."""

from __future__ import annotations

import sys

import numpy as np
import torch
from numpy.typing import NDArray


class Buffers:
    """Arrays of one shape."""

    def __init__(self, shape: tuple[int, ...], pin: bool = False) -> None:
        """Start without any.

        Args:
            shape: Their shape.
            pin: Use memory that a GPU copies from fast.
        """
        self._shape, self._pin = shape, pin
        self._owned: list[NDArray[np.float32]] = []
        # References to an array that only a list and a loop over it know.
        for array in [np.empty(0)]:
            self._idle = sys.getrefcount(array)

    def take(self) -> NDArray[np.float32]:
        """Return an array that nobody else refers to, neither to a part of it nor as a tensor."""
        for array in self._owned:
            if sys.getrefcount(array) == self._idle:
                return array
        if self._pin:
            array = torch.empty(self._shape, pin_memory=True).numpy()
        else:
            array = np.empty(self._shape, np.float32)
        self._owned.append(array)
        return array
