"""Pairs of true and predicted values, a bounded number of them, for a figure."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Agreement:
    """Keeps some known pixels of every batch, chosen evenly, not by chance."""

    def __init__(self, per_batch: int = 4096) -> None:
        """Start empty.

        Args:
            per_batch: Most pixels kept of a batch.
        """
        self.per_batch = per_batch
        self._truth: list[Tensor] = []
        self._prediction: list[Tensor] = []

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Add a batch: two tensors of one shape, NaN in the truth where it is unknown."""
        known = truth.isfinite()
        values, true = prediction[known].float().cpu(), truth[known].float().cpu()
        step = -(-len(true) // self.per_batch) or 1
        self._prediction.append(values[::step])
        self._truth.append(true[::step])

    def pairs(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (true, predicted) values."""
        empty = torch.empty(0)
        truth, prediction = (
            np.asarray(torch.cat([empty, *tensors]).numpy(), dtype=np.float32)
            for tensors in (self._truth, self._prediction)
        )
        return truth, prediction
