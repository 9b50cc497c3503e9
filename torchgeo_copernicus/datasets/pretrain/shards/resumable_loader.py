"""Batches of a stream by a DataLoader, with a position that counts what was used, not what was read ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch.utils.data import DataLoader

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.ordering import Position
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream

#: Makes a batch of samples.
Collate = Callable[[Sequence[Sample]], object]


class ResumableLoader:
    """Iterates over batches of one rank; use it in place of a DataLoader.

    Each pass is a new epoch, also after one that was left early. Batches and their order are the same with
    any number of workers, also of a run that is resumed with another number. Lightning saves and loads its
    state.
    """

    def __init__(
        self,
        stream: CopernicusPretrainStream,
        batch_size: int,
        collate_fn: Collate | None = None,
        *,
        num_workers: int = 0,
        drop_last: bool = False,
        pin_memory: bool = False,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        multiprocessing_context: str | None = None,
    ) -> None:
        """Prepare; see `torch.utils.data.DataLoader` for the arguments.

        Args:
            stream: What to read.
            batch_size: Samples of a batch on this rank.
            collate_fn: Makes a batch of samples; lists of them when None, for cells lack modalities.
            num_workers: Processes that read; 0 reads in this one, with the threads of the stream.
            drop_last: Leave out a last batch that is not full.
            pin_memory: Use memory that a GPU copies from fast.
            prefetch_factor: Batches that each worker reads ahead.
            persistent_workers: Keep workers from one epoch to the next.
            multiprocessing_context: How workers are started: `fork`, `spawn` or `forkserver`.

        Raises:
            ValueError: If an argument is impossible.
        """
        if not isinstance(stream, CopernicusPretrainStream):
            raise ValueError(
                f'stream is a {type(stream).__name__}, not a CopernicusPretrainStream.'
            )
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(
                f'batch_size must be a whole number of at least 1, got {batch_size!r}.'
            )
        self.stream, self.batch_size, self._drop_last = stream, batch_size, drop_last
        self._loader: DataLoader[Sample] = DataLoader(
            stream,
            batch_size,
            collate_fn=list if collate_fn is None else collate_fn,
            num_workers=num_workers,
            drop_last=drop_last,
            pin_memory=pin_memory,
            prefetch_factor=prefetch_factor,
            persistent_workers=persistent_workers,
            multiprocessing_context=multiprocessing_context,
            # Of its own: the global one shall draw the same after a resume.
            generator=torch.Generator(),
        )
        self._position = stream.position
        self._resumed = True

    def __len__(self) -> int:
        """Return the number of batches of this rank in a whole epoch."""
        return self._batches_of(len(self.stream))

    def _batches_of(self, count: int) -> int:
        return count // self.batch_size if self._drop_last else -(-count // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be that of an epoch, from its start.

        Raises:
            ValueError: If it is negative.
        """
        self.stream.set_epoch(epoch)
        self._position, self._resumed = self.stream.position, True

    def state_dict(self) -> dict[str, str | int]:
        """Return the position for a checkpoint: behind the batch that was given last."""
        return self._position.state_dict()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on where another loader or stream was; at the end of an epoch, with the next one.

        Raises:
            ValueError: If it was of other data or of another order.
        """
        self._position = Position.resume(state, self._position)
        self._resumed = True
        left = self.stream.samples_left(self._position.consumed)
        if self._position.consumed and not self._batches_of(left):
            # Lightning's checkpoints at the end of an epoch are from before the last pass was over.
            self.set_epoch(self._position.epoch + self.stream.epoch_step)

    def __iter__(self) -> Iterator[object]:
        """Yield the batches that are left of this epoch.

        Raises:
            FaultError: If more cells than allowed are damaged.
            ValueError: If there are more workers than batches.
        """
        if self._position.consumed and not self._resumed:
            self._go(self._position.epoch + self.stream.epoch_step, 0)
        self._resumed = False
        start = self._position
        self.stream.loader_batch_size = self.batch_size
        self.stream.go_to(start)
        count = len(self.stream.grid_ids)
        for number, batch in enumerate(self._loader, 1):
            read = number * self.batch_size * self.stream.ranks.world_size
            self._go(start.epoch, min(start.consumed + read, count))
            yield batch
        self._go(start.epoch + self.stream.epoch_step, 0)

    def _go(self, epoch: int, consumed: int) -> None:
        self._position = Position(self._position.fingerprint, self._position.seed, epoch, consumed)
