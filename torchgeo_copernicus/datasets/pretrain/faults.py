"""What was wrong with shards and files: counted by kind, told with place, too much of it an error."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from torch.utils.data import get_worker_info

from torchgeo_copernicus.datasets.pretrain.shared_counts import shared_counts

_LOGGER = logging.getLogger(__name__)

#: Faults that lose something: what is behind the end of a shard that is cut off, tensors that are
#: damaged, dates and places that are not understood, reads that fail.
Loss = Literal['cut off', 'damaged', 'metadata', 'unreadable']
#: Known oddities of the published shards, which are put right: tensors of the cell before, cells under the
#: key of the one before, cells that come again, images without a single value.
Oddity = Literal['stale', 'wrong key', 'repeated', 'void']
Kind = Literal[Loss, Oddity]
LOSSES: tuple[Loss, ...] = get_args(Loss)
KINDS: tuple[Kind, ...] = (*LOSSES, *get_args(Oddity))
#: As many cells count as seen from the start, so that a single fault among the first few ends no run.
ALLOWANCE_CELLS = 100
#: Processes that count: one and the workers of a DataLoader.
PROCESSES = 257
_TOLD = 10


@dataclass(frozen=True)
class Fault:
    """Something wrong.

    Attributes:
        kind: What kind of thing.
        shard: Path or address of the shard, or of the list of files.
        key: Key of the sample, or an empty text where it is of the whole shard.
        offset: First byte in the shard of what is wrong; None where it is of a file of its own.
        reason: What is wrong.
    """

    kind: Kind
    shard: str
    key: str
    offset: int | None
    reason: str

    def __str__(self) -> str:
        """Return a line for a log."""
        key = f', key {self.key}' if self.key else ''
        byte = '' if self.offset is None else f', byte {self.offset}'
        return f'{self.kind}: {self.shard}{key}{byte}: {self.reason}'


class FaultError(ValueError):
    """More is wrong with the data than was allowed."""


class Faults:
    """Counts what is wrong, over the workers of a DataLoader too."""

    def __init__(self, max_share: float) -> None:
        """Start at nothing.

        Args:
            max_share: Largest share of cells with a loss, 0 to 1.

        Raises:
            ValueError: If it is no share.
        """
        if isinstance(max_share, bool) or not (
            isinstance(max_share, int | float) and 0 <= max_share <= 1
        ):
            raise ValueError(f'max_fault_share must be 0 to 1, got {max_share!r}.')
        self.max_share = max_share
        #: The first faults of each kind that this process saw.
        self.first: list[Fault] = []
        # In memory that workers share, a row for the start and one for each process, so that none waits for
        # another: counts by kind, cells with a loss, cells seen.
        self._counts = shared_counts(PROCESSES + 1, len(KINDS) + 2)

    @property
    def counts(self) -> dict[Kind, int]:
        """How often each kind occurred, in all processes that read."""
        total = self._counts.sum(0).tolist()
        return {kind: total[column] for column, kind in enumerate(KINDS) if total[column]}

    def report(self) -> str:
        """Return a text of counts and of the first faults of this process."""
        counts = ', '.join(f'{count} x {kind}' for kind, count in self.counts.items())
        return '\n'.join([counts or 'no faults', *map(str, self.first)])

    def count(self, found: Iterable[Fault], cells: int = 1) -> None:
        """Count faults.

        Args:
            found: Those of some cells.
            cells: Number of cells they were found among.

        Raises:
            FaultError: If the share of cells with a loss is above the limit.
        """
        worker = get_worker_info()
        self._count(1 if worker is None else worker.id + 2, found, cells)

    def count_at_start(self, found: Iterable[Fault], cells: int) -> None:
        """Count what is known before anything is read, apart: many whole cells then excuse no losses later.

        Raises:
            FaultError: If the share of cells with a loss is above the limit.
        """
        self._count(0, found, cells)

    def _count(self, row_number: int, found: Iterable[Fault], cells: int) -> None:
        row = self._counts[row_number]
        with_loss = set()
        for fault in found:
            column = KINDS.index(fault.kind)
            row[column] += 1
            number = int(row[column])
            if number <= _TOLD:
                self.first.append(fault)
                _LOGGER.warning('%s', fault)
            elif not number & (number - 1):
                _LOGGER.warning('%d such faults so far; the latest is %s', number, fault)
            if fault.kind in LOSSES:
                with_loss.add((fault.shard, fault.key))
        row[-2] += len(with_loss)
        row[-1] += cells
        lost, seen = int(row[-2]), int(row[-1])
        if with_loss and lost > self.max_share * max(seen, ALLOWANCE_CELLS):
            raise FaultError(
                f'{lost} of {seen} cells lost something, more than max_fault_share={self.max_share} '
                f'allows:\n{self.report()}\nGet these files again, or allow more.'
            )
