"""Which rank this process is, and of how many."""

from __future__ import annotations

from dataclasses import dataclass

from torch import distributed


@dataclass(frozen=True)
class Ranks:
    """A rank.

    Attributes:
        rank: Its number.
        world_size: Number of ranks.
        given: Whether they were given, not taken from torch.distributed.
    """

    rank: int
    world_size: int
    given: bool

    @classmethod
    def of(cls, rank: int | None, world_size: int | None) -> Ranks:
        """Return those given, or else those of torch.distributed, or the only one.

        Raises:
            ValueError: If one alone is given, or they are impossible.
        """
        if (rank is None) != (world_size is None):
            raise ValueError('rank and world_size go together; give both or none.')
        if rank is None or world_size is None:
            return cls(*(_distributed() or (0, 1)), given=False)
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (rank, world_size))
        if not whole or not 0 <= rank < world_size:
            raise ValueError(f'rank {rank!r} is not one of {world_size!r} ranks.')
        return cls(rank, world_size, given=True)

    def check(self) -> None:
        """Check that torch.distributed says the same now: it may have been started later.

        Raises:
            ValueError: If it does not, when all ranks would read the same.
        """
        found = _distributed()
        # In a spawned worker there is no torch.distributed to ask; its parent was asked.
        if not self.given and found is not None and found != (self.rank, self.world_size):
            raise ValueError(
                f'This is rank {found[0]} of {found[1]} now, and was {self.rank} of {self.world_size} when '
                'the stream was made. Make it after torch.distributed was started (in Lightning: in setup), '
                'or give rank and world_size.'
            )


def _distributed() -> tuple[int, int] | None:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return None
