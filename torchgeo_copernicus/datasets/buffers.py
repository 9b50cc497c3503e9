"""Memory for images, used again once nobody refers to it: fresh memory is slower than reading."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Smaller ones come from the heap, which uses its memory again by itself.
_SMALLEST = 1 << 16


class Buffers:
    """Tensors of any shape; safe for threads, without a lock that a fork may inherit locked."""

    def __init__(self, pin: bool = False) -> None:
        """Start without any.

        Args:
            pin: Use memory that a GPU copies from fast.
        """
        self._pin = pin
        # Whoever looks at an array takes it out, which is atomic, and so is the only one who does.
        self._owned: dict[int, NDArray[np.float32]] = {}
        probe = {0: np.empty(0, np.float32)}
        array = probe.pop(0)
        self._idle = sys.getrefcount(array)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the memory, which is of this process."""
        return {**self.__dict__, '_owned': {}}

    @property
    def owned_bytes(self) -> int:
        """How much memory is kept or in use."""
        return sum(array.nbytes for array in list(self._owned.values()))

    def take(self, shape: Sequence[int]) -> Tensor:
        """Return a float32 tensor whose memory nobody else refers to, nor to a part of it; not filled."""
        count = math.prod(shape)
        if self._pin:
            # PyTorch keeps pinned memory itself, and knows when a copy to the GPU is done with it.
            return torch.empty(*shape, pin_memory=True)
        if count < _SMALLEST:
            return torch.empty(*shape)
        spare = 0
        for key in list(self._owned):
            array = self._owned.pop(key, None)
            if array is None:
                continue
            idle = sys.getrefcount(array) == self._idle
            if idle and count <= array.size <= 2 * count:
                return self._lent(key, array, shape)
            spare += array.size if idle else 0
            # Of what lies idle and does not fit, no more is kept than is asked for.
            if not idle or spare <= 2 * count:
                self._owned[key] = array
        array = np.empty(count, np.float32)
        return self._lent(id(array), array, shape)

    def _lent(self, key: int, array: NDArray[np.float32], shape: Sequence[int]) -> Tensor:
        found = torch.from_numpy(array[: math.prod(shape)].reshape(shape))
        self._owned[key] = array
        return found
