"""Samples of Copernicus-Pretrain from WebDataset shards, in an order that can be resumed.

A tar archive can be read anywhere, so nothing is unpacked, and there is no buffer to shuffle in: the order
mixes all cells with all, and of each only the patches and dates that were drawn are read.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets import ordering
from torchgeo_copernicus.datasets.buffers import Buffers
from torchgeo_copernicus.datasets.ordering import Position, Remainder
from torchgeo_copernicus.datasets.pretrain.faults import PROCESSES, Fault, FaultError, Faults
from torchgeo_copernicus.datasets.pretrain.modality import ModalityName, chosen_modalities
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.ranks import Ranks
from torchgeo_copernicus.datasets.pretrain.shards.shard_names import shard_names
from torchgeo_copernicus.datasets.pretrain.shards.shard_sample import ShardSample
from torchgeo_copernicus.datasets.pretrain.shards.shard_set import ShardSet
from torchgeo_copernicus.datasets.pretrain.shared_counts import shared_counts

_LOCAL_THREADS, _REMOTE_THREADS = 2, 16
_EPOCH, _CONSUMED, _PASSES = 0, 1, 2


class CopernicusPretrainStream(IterableDataset[Sample]):
    """Iterates over cells of Copernicus-Pretrain, on one rank.

    A sample is a dictionary:

    - `grid_id`: int, number of the cell.
    - `image`: by modality, float32 `[n, C, H, W]` in physical units: dB, DN (reflectance x 1e4), radiance
      (mW m-2 sr-1 nm-1), mol/m2, m. `n` counts local patches, and of each the dates in the order of time.
    - `metadata`: by modality, float32 `[n, 4]`: longitude and latitude (deg) of the local patch or of the
      cell, days since 1970-01-01 (NaN for elevation), ground sampling distance (m).
    - `local_id`: of `s1_grd` and `s2_toa`, int64 `[n]`, number of the local patch.

    Where the selection takes one image at most, the first axis is left out: `[C, H, W]`, `[4]` and an int. A
    modality that a cell lacks is absent from all.

    Each pass is a new epoch, also after one that was left early: every cell once, shared among the ranks,
    which all get the same number (see *remainder*). The order is a function of seed, epoch and, with *pool*,
    of the number of ranks. Read it as it is, or through a `ResumableLoader`, which has workers and keeps the
    order and the position with any number of them. A plain DataLoader with workers needs `set_epoch` before
    each pass, and gives batches in the same order where *loader_batch_size* is its batch size.

    A cell of which nothing can be read is replaced by the next one of its rank, so that ranks stay in step.
    """

    def __init__(
        self,
        shards: str | Path | Sequence[str | Path],
        modalities: ModalityName | Sequence[ModalityName] | None = None,
        selection: Selection | None = None,
        *,
        require: ModalityName | Sequence[ModalityName] | None = None,
        shuffle: bool = True,
        pool: int | None = None,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        remainder: Remainder = 'drop',
        loader_batch_size: int = 1,
        threads: int | None = None,
        max_fault_share: float = 0.01,
        index_folder: Path | str | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
    ) -> None:
        """Find the cells.

        The first time, the headers of the shards are read, which takes a request for each tensor where they
        are on a server.

        Args:
            shards: Published set (`220k_aligned`, `220k_310k_union`, `310k_union`, `100_example`), path,
                folder, address (http, https, s3, hf), pattern of these with braces, or a list.
            modalities: Which modalities; all when None. Cells that have none of them are left out.
            selection: Which patches and dates; all when None.
            require: Modalities that a cell must have; others are left out.
            shuffle: Mix all cells with all in each epoch, or within pools of shards with *pool*; else in the
                order of the shards, and every pass is the same, with the same draws.
            pool: Read so many shards at a time, for slow disks and networks; None mixes everything.
            seed: Seed of order and draws.
            rank: Number of this rank; that of torch.distributed when None, or 0.
            world_size: Number of ranks; that of torch.distributed when None, or 1.
            remainder: What becomes of cells that do not divide among the ranks: with `drop` they are left out
                of this epoch, with `repeat` some come twice.
            loader_batch_size: Batch size of the DataLoader, for the order of its batches with workers.
            threads: Threads that read ahead, a sample each; 0 reads when asked. None: 2, or 16 from servers.
            max_fault_share: Largest share of cells that lose something to damage, 0 to 1.
            index_folder: Where the indices of shards are kept. None: `.index` beside shards on a disk that
                can be written to, else the user's cache folder.
            transforms: Applied to each sample.

        Raises:
            UnsafePickleError: If a tensor is a program that does something else.
            FaultError: If too many cells are damaged.
            ValueError: If an argument is impossible, a shard is not there, or there are fewer cells than
                ranks.
            OSError: If a shard cannot be read.
        """
        self.modalities = chosen_modalities(modalities)
        self.selection = Selection() if selection is None else selection
        self.require = () if require is None else chosen_modalities(require)
        if not isinstance(self.selection, Selection):
            raise ValueError(
                f'selection is {selection!r}; give a Selection(patches=..., dates=...).'
            )
        if not shuffle and pool is not None:
            raise ValueError('pool mixes shards, but shuffle is False; leave one of them.')
        for name, value, least in (
            ('seed', seed, 0),
            ('pool', 1 if pool is None else pool, 1),
            ('loader_batch_size', loader_batch_size, 1),
            ('threads', 0 if threads is None else threads, 0),
        ):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(
                    f'{name} must be a whole number of at least {least}, got {value!r}.'
                )
        self.seed, self.loader_batch_size, self.transforms = seed, loader_batch_size, transforms
        self._shuffle, self._pool = shuffle, pool
        self._remainder: Remainder = remainder
        self.ranks = Ranks.of(rank, world_size)
        ordering.rank_part(np.empty(0, np.int64), 0, 1, 0, remainder)
        self.faults = Faults(max_fault_share)
        self._shards = ShardSet(shard_names(shards), index_folder)
        self.faults.count_at_start(self._shards.faults, len(self._shards.cells))
        remote = any('://' in name for name in self._shards.names)
        self._threads = (
            (_REMOTE_THREADS if remote else _LOCAL_THREADS) if threads is None else threads
        )
        self._cells = self._wanted()
        if len(self._cells) < self.ranks.world_size:
            raise ValueError(
                f'{len(self._cells)} cells of {len(self._shards.cells)} in {len(self._shards.names)} shards '
                f'have what is wanted (modalities {list(self.modalities)}, require '
                f'{list(self.require)}), too few for {self.ranks.world_size} ranks. Use more shards, fewer '
                'ranks, or require less.'
            )
        # Seen by all workers, also by those that stay from epoch to epoch: where the next pass begins, and
        # how often each process has begun one since it was set.
        self._state = shared_counts(_PASSES + PROCESSES)
        self._resumed = False
        self._buffers = Buffers()
        #: Epochs from one pass to the next: without shuffle all passes are the same.
        self.epoch_step = 1 if shuffle else 0
        self._fingerprint = self._hash()

    def __len__(self) -> int:
        """Return the number of samples of this rank in a whole epoch."""
        return self.samples_left(0)

    def samples_left(self, consumed: int) -> int:
        """Return the number of samples of this rank after so many of all ranks in an epoch."""
        count, world = len(self._cells) - consumed, self.ranks.world_size
        return -(-count // world) if self._remainder == 'repeat' else count // world

    @property
    def grid_ids(self) -> NDArray[np.int64]:
        """Numbers of all cells, in the order of the shards."""
        found: NDArray[np.int64] = self._shards.cells['grid_id'][self._cells].astype(np.int64)
        return found

    @property
    def position(self) -> Position:
        """Where the next pass begins, or where this one is."""
        epoch, consumed = self._state[: _CONSUMED + 1].tolist()
        return Position(self._fingerprint, self.seed, epoch, consumed)

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be that of an epoch, from its start.

        Raises:
            ValueError: If it is negative.
        """
        if epoch < 0:
            raise ValueError(f'epoch must not be negative, got {epoch}.')
        self._resumed = False
        self._state.zero_()
        self._state[_EPOCH] = epoch

    def go_to(self, position: Position) -> None:
        """Let the next pass go on at a position."""
        self.set_epoch(position.epoch)
        self._state[_CONSUMED] = position.consumed
        self._resumed = True

    def state_dict(self) -> dict[str, str | int]:
        """Return the position for a checkpoint, after a sample that this process read.

        Raises:
            ValueError: If workers of a DataLoader read, whose progress is not known here.
        """
        if self._state[_PASSES + 1 :].any():
            raise ValueError(
                'Workers of a DataLoader read this stream, so how much of it was used is not known here. '
                'Use a ResumableLoader in place of the DataLoader, and its state_dict.'
            )
        return self.position.state_dict()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on where another stream was.

        Raises:
            ValueError: If it was of other data or of another order.
        """
        self.go_to(Position.resume(state, self.position))

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples that are left of this epoch; in a worker of a DataLoader its share of them.

        Raises:
            FaultError: If more cells than allowed are damaged.
            UnsafePickleError: If a tensor is a program that does something else.
            ValueError: If workers would read an epoch twice, or there are more workers than batches.
        """
        self.ranks.check()
        worker = get_worker_info()
        if worker is None:
            if self.position.consumed and not self._resumed:
                self.set_epoch(self.position.epoch + self.epoch_step)
            self._resumed = False
        position = self.position
        order = self._order(position.epoch)
        rank, world = self.ranks.rank, self.ranks.world_size
        mine = ordering.rank_part(order, rank, world, position.consumed, self._remainder)
        numbers = np.arange(len(mine))
        if worker is not None:
            self._begin(worker.id, worker.num_workers)
            batches = numbers // self.loader_batch_size
            numbers = numbers[batches % worker.num_workers == worker.id]

        def read(number: int) -> tuple[Sample | None, list[Fault]]:
            return self._read(int(mine[number]), position.epoch)

        for number, (sample, faults) in zip(
            numbers.tolist(), _ahead(read, numbers.tolist(), self._threads), strict=True
        ):
            self.faults.count(faults)
            if sample is None:
                place = position.consumed + number * world + rank
                sample = self._replacement(order, place, position.epoch)
            if worker is None:
                consumed = min(position.consumed + (number + 1) * world, len(order))
                self._state[_CONSUMED] = consumed
            yield sample if self.transforms is None else self.transforms(sample)
        if worker is None:
            self.set_epoch(position.epoch + self.epoch_step)

    def _replacement(self, order: NDArray[np.int64], place: int, epoch: int) -> Sample:
        """Read the next cell of a rank that can be: always the same for the same place in the order."""
        for _ in range(len(order)):
            place = (place + self.ranks.world_size) % len(order)
            sample, faults = self._read(int(order[place]), epoch)
            self.faults.count(faults)
            if sample is not None:
                return sample
        raise FaultError(f'No cell can be read:\n{self.faults.report()}')

    def _begin(self, worker: int, workers: int) -> None:
        """Check that a worker may read."""
        if worker + 1 >= PROCESSES:
            raise ValueError(f'There are {workers} workers, at most {PROCESSES - 1} can be.')
        passes = self._state[_PASSES + worker + 1]
        if passes and self._shuffle:
            raise ValueError(
                f'Epoch {self.position.epoch} was read before. Call set_epoch before each pass of a '
                'DataLoader with workers, or use a ResumableLoader, which does.'
            )
        passes += 1
        batches = -(-len(self) // self.loader_batch_size)
        if batches < workers:
            raise ValueError(
                f'{len(self)} cells of this rank make {batches} batches of {self.loader_batch_size}, too few '
                f'for {workers} workers. Use at most {batches} workers, a smaller batch, or more shards.'
            )

    def _read(self, number: int, epoch: int) -> tuple[Sample | None, list[Fault]]:
        """Read a cell; what is wrong with it comes along."""
        row = int(self._cells[number])
        shard = int(self._shards.shard[row])
        cell = self._shards.cells[row]
        try:
            source = self._shards.source(shard)
        except OSError as error:
            key = f'{int(cell["key"]):07d}'
            name = self._shards.names[shard]
            return None, [Fault('unreadable', name, key, 0, str(error))]
        reader = ShardSample(source, cell, self.selection, self.seed, epoch, self._buffers)
        return reader.read(self.modalities), reader.faults

    def _wanted(self) -> NDArray[np.int64]:
        """Return the numbers of the cells that have what is wanted."""
        found = np.any([self._shards.present(name) for name in self.modalities], axis=0)
        for name in self.require:
            found = found & self._shards.present(name)
        return np.flatnonzero(found)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        count = len(self._cells)
        if not self._shuffle:
            return np.arange(count, dtype=np.int64)
        if self._pool is None:
            return ordering.epoch_order(count, self.seed, epoch)
        shards = self._shards.shard[self._cells]
        return ordering.block_order(shards, self.seed, epoch, self._pool, self.ranks.world_size)

    def _hash(self) -> str:
        """Return a hash of the data, and of all that decides order and draws."""
        names = [name.rpartition('/')[2] for name in self._shards.names]
        sizes = [size for size, _ in self._shards.stamps]
        rules = [(name, str(self.selection.rule(name))) for name in self.modalities]
        options = (
            *(self.modalities, rules, self.selection.patches, self.require, self._remainder),
            *(self._shuffle, self._pool, self._pool and self.ranks.world_size),
        )
        text = f'{names} {sizes} {options}'.encode() + self.grid_ids.tobytes()
        return hashlib.sha256(text).hexdigest()[:16]


def _ahead(
    read: Callable[[int], tuple[Sample | None, list[Fault]]], numbers: Sequence[int], threads: int
) -> Iterator[tuple[Sample | None, list[Fault]]]:
    """Yield what is read, in order; each thread reads a sample ahead."""
    if not threads:
        yield from map(read, numbers)
        return
    waiting: deque[Future[tuple[Sample | None, list[Fault]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for number in numbers:
                waiting.append(pool.submit(read, number))
                if len(waiting) >= threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
