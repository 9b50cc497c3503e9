"""Batches of a map-style dataset of cells, in an order that can be resumed exactly.

For streams of shards there is `ResumableLoader`, which does the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.pretrain_batch import PretrainCollate
from torchgeo_copernicus.datasets import ordering
from torchgeo_copernicus.datasets.draw import drawn
from torchgeo_copernicus.datasets.ordering import Position


class CellDataset(Protocol):
    """A dataset of cells whose samples may depend on the epoch."""

    def __len__(self) -> int:
        """Return the number of cells."""

    def __getitem__(self, index: int) -> Sample:
        """Return a cell: `grid_id` and, by modality, `image`, `metadata` and `local_id`."""

    def set_epoch(self, epoch: int) -> None:
        """Draw patches and dates for an epoch from now on."""

    @property
    def grid_ids(self) -> NDArray[np.int64]:
        """Numbers of the cells, in the order of the samples."""


class CellLoader:
    """Iterates over batches of one rank; use it in place of a DataLoader.

    Each pass is a new epoch, also after one that was left early: every cell once, mixed anew and shared among
    the ranks. What does not divide among ranks and batches is left out of an epoch, so that ranks stay in
    step. Order and batches are the same with any number of workers. `state_dict` after a batch, loaded into
    another loader of the same data and arguments, goes on with the next batch, also with another number of
    workers or ranks; Lightning saves and loads it.
    """

    def __init__(
        self,
        dataset: CellDataset,
        batch_size: int,
        collate: PretrainCollate,
        *,
        num_workers: int = 0,
        rank: int = 0,
        world_size: int = 1,
        pin_memory: bool = False,
    ) -> None:
        """Prepare.

        Args:
            dataset: What to read.
            batch_size: Cells of a batch on this rank.
            collate: Makes a batch; its seed is that of the order.
            num_workers: Processes that read; 0 reads in this one.
            rank: Number of this rank.
            world_size: Number of ranks.
            pin_memory: Use memory that a GPU copies from fast.

        Raises:
            ValueError: If an argument is impossible, or there are fewer cells than a batch for each rank.
        """
        for name, value, least in (('batch_size', batch_size, 1), ('num_workers', num_workers, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(
                    f'{name} must be a whole number of at least {least}, got {value!r}.'
                )
        if not 0 <= rank < world_size:
            raise ValueError(f'rank {rank} is not one of {world_size} ranks.')
        if len(dataset) // world_size < batch_size:
            raise ValueError(
                f'There are {len(dataset)} cells for {world_size} processes, fewer than one batch of '
                f'{batch_size} for each; set a smaller batch_size.'
            )
        self.dataset, self.batch_size, self.collate = dataset, batch_size, collate
        self.rank, self.world_size = rank, world_size
        self._workers, self._pin_memory = num_workers, pin_memory
        made_of = str(collate.at(0)).encode() + dataset.grid_ids.tobytes()
        fingerprint = hashlib.sha256(made_of).hexdigest()[:16]
        self._position = Position(fingerprint, collate.seed, 0, 0)
        self._resumed = False

    def __len__(self) -> int:
        """Return the number of batches of this rank in a whole epoch."""
        return len(self.dataset) // self.world_size // self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be that of an epoch, from its start."""
        self._go(epoch, 0)
        self._resumed = False

    def state_dict(self) -> dict[str, str | int]:
        """Return the position for a checkpoint: behind the batch that was given last."""
        return self._position.state_dict()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on where another loader was.

        Raises:
            ValueError: If it was of other data, or of other arguments.
        """
        self._position = Position.resume(state, self._position)
        self._resumed = True

    def __iter__(self) -> Iterator[Sample]:
        """Yield the batches that are left of this epoch, or those of the next where none are.

        Yields:
            See `PretrainCollate`.
        """
        left = (len(self.dataset) - self._position.consumed) // self.world_size
        if (self._position.consumed and not self._resumed) or left < self.batch_size:
            self._go(self._position.epoch + 1, 0)
        self._resumed = False
        start = self._position
        order = ordering.epoch_order(len(self.dataset), start.seed, start.epoch)
        mine = ordering.rank_part(order, self.rank, self.world_size, start.consumed).tolist()
        stop = len(mine) // self.batch_size * self.batch_size
        self.dataset.set_epoch(start.epoch)
        # Of its own, so that a run that is resumed finds PyTorch's as it was.
        generator = torch.Generator().manual_seed(drawn(start.seed, start.epoch, self.rank) >> 1)
        loader: DataLoader[Sample] = DataLoader(
            self.dataset,  # type: ignore[arg-type]
            batch_sampler=[mine[i : i + self.batch_size] for i in range(0, stop, self.batch_size)],
            collate_fn=self.collate.at(start.epoch),
            num_workers=self._workers,
            pin_memory=self._pin_memory,
            generator=generator,
        )
        for number, batch in enumerate(loader, 1):
            self._go(start.epoch, start.consumed + number * self.batch_size * self.world_size)
            yield batch
        self._go(start.epoch + 1, 0)

    def _go(self, epoch: int, consumed: int) -> None:
        self._position = Position(self._position.fingerprint, self._position.seed, epoch, consumed)
