"""Batches of SSL4EO-S12 v1.1 for pretraining, decoded by threads into buffers that are used again.

In worker processes every batch would be copied through shared memory, which takes longer than decoding it.
Decoding, cropping and scaling release the interpreter, so threads are enough.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets import ordering
from torchgeo_copernicus.datasets.ordering import Position, Remainder
from torchgeo_copernicus.datasets.ssl4eo.layout_v11 import GSD_M
from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.datasets.ssl4eo.v11 import SSL4EOS12v11

_METRES_PER_DEGREE = 111_319.49
# Apart from the draw of a date.
_CROP = 1


class _Buffers:
    """Arrays of one shape, given out again once nobody refers to them."""

    def __init__(self, shape: tuple[int, ...], pin: bool) -> None:
        self._shape, self._pin = shape, pin
        self._owned: list[NDArray[np.float32]] = []
        # References to an array that only a list and a loop over it know.
        for array in [np.empty(0)]:
            self._idle = sys.getrefcount(array)

    def take(self) -> NDArray[np.float32]:
        for array in self._owned:
            if sys.getrefcount(array) == self._idle:
                return array
        if self._pin:
            array = torch.empty(self._shape, pin_memory=True).numpy()
        else:
            array = np.empty(self._shape, np.float32)
        self._owned.append(array)
        return array


class SSL4EOS12v11Stream:
    """Iterates over batches of an `SSL4EOS12v11`, on one rank; use it in place of a DataLoader.

    Each pass is a new epoch, also after one that was left early: every sample once, shared among the ranks. The order is a function of seed, epoch,
    rank and world size, whatever the number of threads. `state_dict` after a batch, loaded into a new stream
    of the same arguments, goes on with the next batch; without `pool` also with another number of ranks.

    A batch stays as it is for as long as anything refers to it or to a part of it; only then is its memory
    used again.
    """

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
        standardise: bool = True,
        fill: float | None = None,
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
                order of the dataset.
            seed: Seed of order and crops.
            pool: Read so many files at a time, for slow disks and networks; None mixes everything.
            standardise: Subtract the published mean and divide by the deviation; else physical units.
            fill: What takes the place of missing values (NaN); None leaves them. With *standardise* 0 is
                the mean.
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
        self._random_crop = random_crop
        self._shuffle, self.seed, self._pool = shuffle, seed, pool
        self.rank, self.world_size = rank, world_size
        self._remainder: Remainder = remainder
        self._drop_last = drop_last
        self._threads, self._prefetch, self._fill = threads, prefetch, fill
        self._affine = {
            name: self._scale_and_shift(name, standardise) for name in dataset.modalities
        }
        lead = (batch_size, 4) if dataset.dates == 'all' else (batch_size,)
        self._buffers = {
            name: _Buffers((*lead, len(dataset.bands[name]), *self._crop), pin_memory)
            for name in dataset.modalities
        }
        ordering.rank_part(np.empty(0, np.int64), rank, world_size, 0, remainder)
        self._start = Position(self._fingerprint(), seed, 0, 0)
        self._position = self._start
        self._resumed = False

    def __len__(self) -> int:
        """Return the number of batches of this rank in a whole epoch."""
        count = len(self.dataset)
        mine = (
            math.ceil(count / self.world_size)
            if self._remainder == 'repeat'
            else (count // self.world_size)
        )
        return mine // self.batch_size if self._drop_last else math.ceil(mine / self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; iterating to the end of one starts the next by itself."""
        self._position = Position(self._start.fingerprint, self.seed, epoch, 0)
        self._resumed = False

    def state_dict(self) -> dict[str, str | int]:
        """Return where the stream is, after the last batch it gave."""
        return self._position.state_dict()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on where another stream was.

        Raises:
            ValueError: If it was of other data or of another order.
        """
        self._position = Position.resume(state, self._start)
        self._resumed = True

    def __iter__(self) -> Iterator[Sample]:
        """Yield the batches that are left of this epoch.

        Yields:
            `image` (float32 `[B, T, C, h, w]`, or `[B, C, h, w]` without series), `metadata` (float32
            `[B, T, 4]` or `[B, 4]`, of the centre of the crop), each a dictionary by modality unless the
            dataset has a single one; `sample_id` (int64 `[B]`).

        Raises:
            ValueError: If a file is damaged; names file, place and date.
        """
        if self._position.consumed and not self._resumed:
            self.set_epoch(self._position.epoch + 1)
        self._resumed = False
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
        self.set_epoch(epoch + 1)

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
        images = {name: buffers.take()[:count] for name, buffers in self._buffers.items()}
        series = images[dataset.modalities[0]].ndim == 5
        shape = (count, 4, 4) if series else (count, 4)
        metadata = {name: np.empty(shape, np.float32) for name in images}
        ids = np.empty(count, np.int64)

        def fill(slot: int, number: int) -> None:
            place, dates = dataset.place_and_dates(number)
            ids[slot] = dataset.place_id(place)
            top, left = self._corner(epoch, number)
            box = (slice(top, top + self._crop[0]), slice(left, left + self._crop[1]))
            for name, image in images.items():
                target = image[slot] if series else image[slot][None]
                for position, date in enumerate(dates):
                    dataset.read_into(name, place, date, target[position], box, *self._affine[name])
                    if self._fill is not None:
                        np.nan_to_num(target[position], copy=False, nan=self._fill)
                where = dataset.metadata(name, place, dates).numpy()
                self._move(where, top, left)
                metadata[name][slot] = where if series else where[0]

        futures = [pool.submit(fill, slot, int(n)) for slot, n in enumerate(numbers)]
        batch: Sample = {
            'image': {name: torch.from_numpy(image) for name, image in images.items()},
            'metadata': {name: torch.from_numpy(value) for name, value in metadata.items()},
            'sample_id': torch.from_numpy(ids),
        }
        if dataset.plain:
            first = dataset.modalities[0]
            batch |= {key: batch[key][first] for key in ('image', 'metadata')}
        return batch, futures, count

    def _corner(self, epoch: int, number: int) -> tuple[int, int]:
        """Return the first row and column of a sample's window."""
        rows, columns = (a - b for a, b in zip(self._size, self._crop, strict=True))
        if not self._random_crop:
            return rows // 2, columns // 2
        chosen = ordering.draw((rows + 1) * (columns + 1), self.seed, epoch, number, _CROP)
        return divmod(chosen, columns + 1)

    def _move(self, metadata: NDArray[np.float32], top: int, left: int) -> None:
        """Move longitude and latitude from the centre of the image to that of the window.

        Up is north within the few degrees by which the UTM grid is turned: less than 10 m here.
        """
        south = (top + self._crop[0] / 2 - self._size[0] / 2) * GSD_M / _METRES_PER_DEGREE
        east = (left + self._crop[1] / 2 - self._size[1] / 2) * GSD_M / _METRES_PER_DEGREE
        latitude = np.radians(metadata[:, 1].astype(np.float64))
        metadata[:, 0] += east / np.cos(latitude)
        metadata[:, 1] -= south

    def _scale_and_shift(
        self, name: Modality, standardise: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return factor and summand of each band, from stored values to those of a batch."""
        bands, offset = self.dataset.bands[name], self.dataset.offset(name)
        if not standardise:
            return np.ones(len(bands), np.float32), np.full(len(bands), -offset, np.float32)
        statistics = self.dataset.statistics[name]
        mean = np.array([statistics.mean[band] for band in bands])
        std = np.array([statistics.std[band] for band in bands])
        return (1 / std).astype(np.float32), (-(mean + offset) / std).astype(np.float32)

    def _fingerprint(self) -> str:
        """Return a hash of the data and of all that decides the order."""
        order: Sequence[object] = (self._shuffle, self._pool, self._pool and self.world_size)
        text = f'{self.dataset.fingerprint()} {order} {self._crop} {self._random_crop}'
        return hashlib.sha256(text.encode()).hexdigest()[:16]
