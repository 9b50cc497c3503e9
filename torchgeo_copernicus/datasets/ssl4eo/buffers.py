"""Memory for batches, used again once nobody refers to it: fresh memory is slower than decoding."""

from __future__ import annotations

import sys

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Buffers:
    """Tensors of one shape."""

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

    def take(self) -> Tensor:
        """Return a tensor whose memory nobody else refers to, nor to a part of it."""
        if self._pin:
            # PyTorch keeps pinned memory itself, and knows when a copy to the GPU is done with it.
            return torch.empty(self._shape, pin_memory=True)
        for array in self._owned:
            if sys.getrefcount(array) == self._idle:
                return torch.from_numpy(array)
        array = np.empty(self._shape, np.float32)
        self._owned.append(array)
        return torch.from_numpy(array)
