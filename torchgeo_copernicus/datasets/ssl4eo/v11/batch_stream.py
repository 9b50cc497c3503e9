"""Batches of SSL4EO-S12 v1.1 for pretraining, decoded by threads into buffers that are used again.

In worker processes every batch would be copied through shared memory, which takes longer than decoding it.
Decoding, cropping and scaling release the interpreter, so threads are enough.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets import ordering
from torchgeo_copernicus.datasets.buffers import Buffers
from torchgeo_copernicus.datasets.ordering import Position, Remainder
from torchgeo_copernicus.datasets.ssl4eo.scale import Scale
from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.batch_filler import BatchFiller
from torchgeo_copernicus.datasets.ssl4eo.v11.dataset import SSL4EOS12v11


class EpochFollower:
    """Lets a new stream begin with the epoch that Lightning is in.

    Lightning does not hand the position in a checkpoint from the end of an epoch back to the loader. Where it
    does, the position counts: Lightning takes an epoch that `max_steps` cut short for a whole one.
    """

    def __init__(self, stream: SSL4EOS12v11Stream) -> None:
        """Follow for a stream."""
        self._stream = stream

    def set_epoch(self, epoch: int) -> None:
        """Begin with an epoch, if nothing else was said."""
        self._stream.follow(epoch)


class SSL4EOS12v11Stream:
    """Iterates over batches of an `SSL4EOS12v11`, on one rank; use it in place of a DataLoader.

    Each pass is a new epoch, also after one that was left early: every sample once, shared among the ranks. The order is a function of seed, epoch,
    rank and world size, whatever the number of threads. `state_dict` after a batch, loaded into a new stream
    of the same arguments, goes on with the next batch; without `pool` also with another number of ranks.

    A batch stays as it is for as long as anything refers to it or to a part of it; only then is its memory
    used again.
    """

    #: As of a DataLoader without one: Lightning asks whoever has a sampler.
    batch_sampler = None

    def __init__(
        self,
        dataset: SSL4EOS12v11,
        batch_size: int,
        *,
        crop_size: int | None = None,
        random_crop: bool = True,
        shuffle: bool = True,
        seed: int = 0,
        pool: int | None = None,
        scales: Mapping[Modality, Scale] | None = None,
        flip: bool = False,
        concat: bool = False,
        rank: int = 0,
        world_size: int = 1,
        remainder: Remainder = 'drop',
        drop_last: bool = True,
        threads: int = 2,
        prefetch: int = 2,
        pin_memory: bool = False,
    ) -> None:
        """Prepare the stream.

        Args:
            dataset: What to read. Its `transforms` are not applied, and it must not ask for cloud masks.
            batch_size: Samples of a batch on this rank.
            crop_size: Side of the images (px); whole images when None. One window for all modalities and
                dates of a sample.
            random_crop: Crop anywhere, not in the centre.
            shuffle: Mix all with all in each epoch, or within pools of files with *pool*; else in the
                order of the dataset, and every pass is the same, with the same random dates and windows.
            seed: Seed of order and crops.
            pool: Read so many files at a time, for slow disks and networks; None mixes everything.
            scales: How the values of each modality are scaled; images in their own units when None, with
                missing values as NaN.
            flip: Flip at random up and down, left and right.
            concat: Put the channels of all modalities and dates into one image, with the metadata of the
                first modality.
            rank: Number of this rank.
            world_size: Number of ranks.
            remainder: What becomes of samples that do not divide among the ranks; see `ordering`.
            drop_last: Leave out a last batch that is not full.
            threads: Threads that decode.
            prefetch: Batches that are decoded ahead.
            pin_memory: Use memory that a GPU copies from fast.

        Raises:
            ValueError: If an argument is impossible.
        """
        for name, value in (
            ('batch_size', batch_size),
            ('threads', threads),
            ('prefetch', prefetch),
        ):
            if value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}.')
        if dataset.transforms is not None or dataset.cloud_mask:
            raise ValueError(
                'A stream gives images and metadata only: build the dataset without transforms and '
                'cloud_mask, and transform batches.'
            )
        if not shuffle and pool is not None:
            raise ValueError('pool mixes files, but shuffle is False; leave one of them.')
        self.dataset, self.batch_size = dataset, batch_size
        sizes = {dataset.size(name) for name in dataset.modalities}
        if len(sizes) > 1:
            raise ValueError(f'The modalities have images of {sorted(sizes)} px; wanted one size.')
        ((height, width),) = sizes
        self._size = (height, width)
        if crop_size is not None and not 1 <= crop_size <= min(height, width):
            raise ValueError(f'crop_size must be 1 to {min(height, width)} px, got {crop_size}.')
        self._crop = self._size if crop_size is None else (crop_size, crop_size)
        self._shuffle, self.seed, self._pool = shuffle, seed, pool
        self.rank, self.world_size = rank, world_size
        self._remainder: Remainder = remainder
        self._drop_last = drop_last
        self._threads, self._prefetch, self._concat = threads, prefetch, concat
        if scales is not None and set(scales) != set(dataset.modalities):
            raise ValueError(f'scales are of {list(scales)}, wanted {list(dataset.modalities)}.')
        self._order_options = (shuffle, pool, pool and world_size, self._crop, random_crop, flip)
        self._filler = BatchFiller(
            dataset, self._size, self._crop, scales, random_crop, flip, self.seed
        )
        self._channels = [len(dataset.bands[name]) for name in dataset.modalities]
        lead = (batch_size, dataset.dates_per_item)
        groups = [sum(self._channels)] if concat else self._channels
        self._shapes = [(*lead, count, *self._crop) for count in groups]
        self._buffers = Buffers(pin_memory)
        ordering.rank_part(np.empty(0, np.int64), rank, world_size, 0, remainder)
        self._start = Position(self._fingerprint(), seed, 0, 0)
        self._position = self._start
        self._resumed = False
        self._untouched = True
        self._step = 1 if shuffle else 0

    def __len__(self) -> int:
        """Return the number of batches of this rank in a whole epoch."""
        return self._batches_of(len(self.dataset))

    def _batches_of(self, count: int) -> int:
        """Return the number of batches of this rank when so many samples are left of an epoch."""
        world, repeats = self.world_size, self._remainder == 'repeat'
        mine = -(-count // world) if repeats else count // world
        return mine // self.batch_size if self._drop_last else -(-mine // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; iterating to the end of one starts the next by itself."""
        self._position = Position(self._start.fingerprint, self.seed, epoch, 0)
        self._resumed = self._untouched = False

    def follow(self, epoch: int) -> None:
        """Begin with an epoch, unless the stream was told where to begin, or began."""
        if self._step and self._untouched:
            self.set_epoch(epoch)

    @property
    def sampler(self) -> EpochFollower:
        """What Lightning tells the epoch to, of any loader."""
        return EpochFollower(self)

    def state_dict(self) -> dict[str, str | int]:
        """Return where the stream is, after the last batch it gave."""
        return self._position.state_dict()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on where another stream was; at the end of an epoch, with the next one.

        Raises:
            ValueError: If it was of other data or of another order.
        """
        position = Position.resume(state, self._start)
        if position.consumed and not self._batches_of(len(self.dataset) - position.consumed):
            # Lightning's checkpoints at the end of an epoch are from before the last pass was over.
            self.set_epoch(position.epoch + self._step)
            return
        self._position, self._resumed, self._untouched = position, True, False

    def __iter__(self) -> Iterator[Sample]:
        """Yield the batches that are left of this epoch.

        Yields:
            `image` (float32 `[B, T, C, h, w]`, or `[B, C, h, w]` without series), `metadata` (float32
            `[B, T, 4]` or `[B, 4]`, of the centre of the window), each a dictionary by modality unless
            the dataset has a single one. With *concat* `image` is `[B, T * C, h, w]`, all dates of all
            channels, and `metadata` that of the first modality. `sample_id` (int64 `[B]`).

        Raises:
            ValueError: If a file is damaged; names file, place and date.
        """
        if self._position.consumed and not self._resumed:
            self.set_epoch(self._position.epoch + self._step)
        self._resumed = self._untouched = False
        epoch, consumed = self._position.epoch, self._position.consumed
        self.dataset.set_epoch(epoch)
        mine = ordering.rank_part(
            self._order(epoch), self.rank, self.world_size, consumed, self._remainder
        )
        stop = len(mine) // self.batch_size * self.batch_size if self._drop_last else len(mine)
        batches = [
            mine[i : min(i + self.batch_size, stop)] for i in range(0, stop, self.batch_size)
        ]
        waiting: deque[tuple[Sample, list[Future[None]], int]] = deque()
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                left = iter(batches)
                for numbers in left:
                    waiting.append(self._begin(pool, numbers, epoch))
                    if len(waiting) > self._prefetch:
                        yield self._finish(waiting.popleft(), epoch)
                while waiting:
                    yield self._finish(waiting.popleft(), epoch)
            finally:
                for _, futures, _ in waiting:
                    for future in futures:
                        future.cancel()
        self.set_epoch(epoch + self._step)

    def _finish(self, started: tuple[Sample, list[Future[None]], int], epoch: int) -> Sample:
        batch, futures, count = started
        for future in futures:
            future.result()
        consumed = self._position.consumed + count * self.world_size
        consumed = min(consumed, len(self.dataset))
        self._position = Position(self._start.fingerprint, self.seed, epoch, consumed)
        return batch

    def _order(self, epoch: int) -> NDArray[np.int64]:
        count = len(self.dataset)
        if not self._shuffle:
            return np.arange(count, dtype=np.int64)
        if self._pool is None:
            return ordering.epoch_order(count, self.seed, epoch)
        files = self.dataset.file_numbers()
        return ordering.block_order(files, self.seed, epoch, self._pool, self.world_size)

    def _begin(
        self, pool: ThreadPoolExecutor, numbers: NDArray[np.int64], epoch: int
    ) -> tuple[Sample, list[Future[None]], int]:
        """Start to fill a batch."""
        dataset, count = self.dataset, len(numbers)
        taken = [self._buffers.take(shape)[:count] for shape in self._shapes]
        parts = taken
        if self._concat:
            parts = list(torch.split(taken[0], self._channels, dim=2))
        images = dict(zip(dataset.modalities, parts, strict=True))
        metadata = {name: torch.empty(count, dataset.dates_per_item, 4) for name in images}
        arrays = {name: image.numpy() for name, image in images.items()}
        vectors = {name: values.numpy() for name, values in metadata.items()}
        ids = np.empty(count, np.int64)

        def fill(slot: int, number: int) -> None:
            ids[slot] = self._filler.fill(
                number,
                epoch,
                {name: image[slot] for name, image in arrays.items()},
                {name: values[slot] for name, values in vectors.items()},
            )

        futures = [pool.submit(fill, slot, int(n)) for slot, n in enumerate(numbers)]
        batch: Sample = {'sample_id': torch.from_numpy(ids)}
        first = dataset.modalities[0]
        if self._concat:
            batch['image'] = taken[0].flatten(1, 2)
            batch['metadata'] = self._dates(metadata[first])
        elif dataset.plain:
            batch['image'] = self._dates(images[first])
            batch['metadata'] = self._dates(metadata[first])
        else:
            batch['image'] = {name: self._dates(image) for name, image in images.items()}
            batch['metadata'] = {name: self._dates(values) for name, values in metadata.items()}
        return batch, futures, count

    def _dates(self, values: Tensor) -> Tensor:
        """Return values without the axis of dates when items have a single one."""
        return values if self.dataset.series else values[:, 0]

    def _fingerprint(self) -> str:
        """Return a hash of the data and of all that decides the order."""
        text = f'{self.dataset.fingerprint()} {self._order_options}'
        return hashlib.sha256(text.encode()).hexdigest()[:16]
