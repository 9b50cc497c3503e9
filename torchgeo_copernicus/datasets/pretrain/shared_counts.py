"""Whole numbers that the workers of a DataLoader share with the process that made them."""

from __future__ import annotations

import torch
from torch import Tensor


def shared_counts(*shape: int) -> Tensor:
    """Return zeros of int64 in shared memory; they stay shared through fork and spawn of workers."""
    counts = torch.zeros(shape, dtype=torch.int64)
    counts.share_memory_()  # type: ignore[no-untyped-call]
    return counts
