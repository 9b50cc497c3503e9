"""Shuffles, and tells the dataset which epoch it is: for datasets that draw anew in each.

Lightning calls `set_epoch` of a loader's sampler when an epoch begins, also of one that is resumed, and
leaves a distributed sampler in its place.
"""

from __future__ import annotations

from typing import Protocol

from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from torchgeo_copernicus.compat import Sample


class DrawingDataset(Protocol):
    """A dataset whose samples depend on the epoch."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, index: int) -> Sample:
        """Return a sample."""

    def set_epoch(self, epoch: int) -> None:
        """Draw for an epoch from now on, in loader processes too."""


class EpochSampler(DistributedSampler[Sample]):
    """Every sample once in each epoch, in an order drawn from seed and epoch."""

    def __init__(
        self, dataset: Dataset[Sample] | DrawingDataset, replicas: int, rank: int, seed: int
    ) -> None:
        """Set the dataset.

        Args:
            dataset: With `set_epoch`.
            replicas: Number of processes that train.
            rank: Number of this one.
            seed: One seed gives one order for each epoch.
        """
        super().__init__(dataset, replicas, rank, shuffle=True, seed=seed)  # type: ignore[arg-type]
        self._drawing = dataset

    def set_epoch(self, epoch: int) -> None:
        """Shuffle and draw for an epoch.

        Args:
            epoch: Its number.
        """
        super().set_epoch(epoch)
        self._drawing.set_epoch(epoch)  # type: ignore[union-attr]
