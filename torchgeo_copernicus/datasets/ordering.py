"""In which order samples are read: pure functions of seed, epoch, rank and world size, without any I/O.

Every sample comes once in an epoch; each rank gets the same number, because a rank with one batch less
would stop the others for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.draw import drawn

#: What becomes of samples that do not divide among the ranks: left out of this epoch (others are in the
#: next), or some repeated from the start of the order.
Remainder = Literal['drop', 'repeat']

# Apart from each other, so that no two uses of one seed see the same numbers.
_ORDER, _BLOCKS = 1, 2


def _generator(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    if min(seed, epoch) < 0:
        raise ValueError(f'seed {seed} and epoch {epoch} must not be negative.')
    sequence = np.random.SeedSequence([seed, purpose, epoch])
    return np.random.Generator(np.random.Philox(sequence))


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the numbers 0 to *count* - 1 in the order of an epoch, all mixed with all.

    Raises:
        ValueError: If a number is negative.
    """
    if count < 0:
        raise ValueError(f'count must not be negative, got {count}.')
    return _generator(seed, epoch, _ORDER).permutation(count)


def block_order(
    blocks: NDArray[np.integer], seed: int, epoch: int, pool: int, world_size: int = 1
) -> NDArray[np.int64]:
    """Return an order that reads a few blocks at a time, for disks and networks that are slow to seek.

    Blocks come in random order; samples are mixed within pools of *pool* blocks. Each rank reads its own
    part of a pool's blocks: of the result, every `world_size`-th sample belongs to one rank.

    Args:
        blocks: Block of each sample, such as the number of its file, `[N]`.
        seed: Seed.
        epoch: Epoch.
        pool: Blocks in a pool.
        world_size: Number of ranks.

    Returns:
        The numbers 0 to N - 1, each once.

    Raises:
        ValueError: If a number is negative, or *pool* or *world_size* is below one.
    """
    if pool < 1 or world_size < 1:
        raise ValueError(f'pool {pool} and world_size {world_size} must be at least 1.')
    generator = _generator(seed, epoch, _BLOCKS)
    names, numbers = np.unique(blocks, return_inverse=True)
    rank_of_block = np.empty(len(names), np.int64)
    rank_of_block[generator.permutation(len(names))] = np.arange(len(names))
    # Samples sorted by the random rank of their block.
    position = rank_of_block[numbers.reshape(-1)]
    ordered = np.argsort(position, kind='stable')
    bounds = np.searchsorted(position[ordered], np.arange(0, len(names) + pool, pool))
    found, left = [], np.empty(0, np.int64)
    for start, stop in pairwise(bounds):
        chosen = np.concatenate([left, ordered[start:stop]])
        each = len(chosen) // world_size
        parts = chosen[: each * world_size].reshape(world_size, each)
        left = chosen[each * world_size :]
        # Mixed within each rank's part, then dealt out in turn.
        found.append(generator.permuted(parts, axis=1).T.reshape(-1))
    return np.concatenate([*found, left]).astype(np.int64)


def rank_part(
    order: NDArray[np.int64],
    rank: int,
    world_size: int,
    start: int = 0,
    remainder: Remainder = 'drop',
) -> NDArray[np.int64]:
    """Return what one rank reads of an epoch.

    Args:
        order: Order of the epoch, the same on all ranks.
        rank: Number of this rank.
        world_size: Number of ranks.
        start: Samples that all ranks together have read already.
        remainder: What becomes of samples that do not divide among the ranks.

    Raises:
        ValueError: If rank, world size, start or remainder is impossible.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f'rank {rank} is not one of {world_size} ranks.')
    if not 0 <= start <= len(order):
        raise ValueError(f'start {start} is not within the {len(order)} samples.')
    if remainder not in ('drop', 'repeat'):
        raise ValueError(f"Unknown remainder {remainder!r}. Allowed: ['drop', 'repeat'].")
    rest = order[start:]
    missing = -len(rest) % world_size
    if missing and remainder == 'repeat':
        rest = np.concatenate([rest, np.resize(order, missing)])
    return rest[: len(rest) // world_size * world_size][rank::world_size]


def draw(choices: int, seed: int, epoch: int, index: int, purpose: int = 0) -> int:
    """Return one of 0 to *choices* - 1 for a sample, the same whoever asks and in whatever order.

    Args:
        choices: Number of choices.
        seed: Seed.
        epoch: Epoch.
        index: Number of the sample.
        purpose: What the draw is for: draws for different things are independent.

    Raises:
        ValueError: If there is no choice, or a number is negative.
    """
    if choices < 1:
        raise ValueError(f'choices must be at least 1, got {choices}.')
    if min(seed, epoch, index, purpose) < 0:
        raise ValueError(
            f'seed {seed}, epoch {epoch}, index {index} and purpose {purpose} must not be negative.'
        )
    return drawn(seed, purpose, epoch, index) % choices


@dataclass(frozen=True)
class Position:
    """Where a run is in its data; enough to go on with the very next sample.

    Attributes:
        fingerprint: Of the data and of all that decides the order.
        seed: Seed of the order.
        epoch: Epoch.
        consumed: Samples of this epoch that all ranks together have read.
    """

    fingerprint: str
    seed: int
    epoch: int
    consumed: int

    def state_dict(self) -> dict[str, str | int]:
        """Return plain values for a checkpoint."""
        return dict(asdict(self))

    @classmethod
    def resume(cls, state: Mapping[str, object], expected: Position) -> Position:
        """Read a state, if it is of the same data and order.

        Args:
            state: From `state_dict`.
            expected: Position at the start of this run.

        Raises:
            ValueError: If it is damaged, or of other data, another seed or another order.
        """
        try:
            found = cls(
                str(state['fingerprint']),
                int(str(state['seed'])),
                int(str(state['epoch'])),
                int(str(state['consumed'])),
            )
        except (KeyError, ValueError) as error:
            raise ValueError(f'{dict(state)} is no position in a stream of samples.') from error
        if (found.fingerprint, found.seed) != (expected.fingerprint, expected.seed):
            raise ValueError(
                f'The checkpoint is of other data or another order (fingerprint {found.fingerprint}, '
                f'seed {found.seed}) than this run ({expected.fingerprint}, seed {expected.seed}). Use '
                'the data and arguments of the run that is resumed, or start a new one.'
            )
        return found
