"""Which patches and dates of a cell are taken: pure functions of what there is and of a key.

For both formats, so that the same arguments draw the same images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from torchgeo_copernicus.datasets.draw import drawn
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES, ModalityName

#: `all`: every image; `random`: one of them; `seasons`: one of each meteorological season of the northern
#: calendar (December to February, ...) that there is; a date: the one nearest to it.
DateRule = Literal['all', 'random', 'seasons'] | date

_PATCH, _DATE = 1, 2
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Selection:
    """What to take of each cell.

    Attributes:
        patches: Local patches of Sentinel-1 and -2, drawn anew for each key; all when None.
        dates: Rule for all modalities, or for some of them by name; `all` for those that are left out. A date
            may be a text such as `2021-06-21`.
    """

    patches: int | None = None
    dates: DateRule | str | Mapping[ModalityName, DateRule | str] = 'all'
    _rules: Mapping[str, DateRule] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            ValueError: If one is not understood.
        """
        whole = isinstance(self.patches, int) and not isinstance(self.patches, bool)
        if self.patches is not None and not (whole and self.patches >= 1):
            raise ValueError(
                f'patches must be a whole number of at least 1 or None: {self.patches!r}.'
            )
        given = (
            self.dates
            if isinstance(self.dates, Mapping)
            else dict.fromkeys(MODALITY_NAMES, self.dates)
        )
        if unknown := sorted(set(given) - set(MODALITY_NAMES)):
            raise ValueError(f'dates names {unknown}. Allowed: {list(MODALITY_NAMES)}.')
        rules = {name: _rule(value) for name, value in given.items()}
        object.__setattr__(self, '_rules', rules)

    def rule(self, modality: ModalityName) -> DateRule:
        """Return the rule for the dates of a modality."""
        return self._rules.get(modality, 'all')

    def single(self, modality: ModalityName) -> bool:
        """Return whether a cell has one image of a modality at most, whatever there is."""
        one_date = modality == 'dem' or self.rule(modality) not in ('all', 'seasons')
        return one_date and (self.patches == 1 or modality not in ('s1_grd', 's2_toa'))

    def patches_of(
        self, there: Mapping[ModalityName, Sequence[str]], *key: int
    ) -> dict[ModalityName, tuple[int, ...]]:
        """Choose local patches: the same of all modalities, as far as they have the same.

        Args:
            there: Names of the patches of each modality.
            *key: Whole numbers such as seed, epoch and number of the cell.

        Returns:
            Their positions, ascending. With *patches* drawn, those that all modalities have come first;
            only where these are too few, each modality draws the rest of its own.
        """
        if self.patches is None:
            return {name: tuple(range(len(names))) for name, names in there.items()}
        shared = set.intersection(*map(set, there.values())) if there else set()
        ranks = {n: (n not in shared, _rank(n, *key)) for names in there.values() for n in names}
        chosen = {}
        for name, names in there.items():
            by_rank = sorted(range(len(names)), key=lambda i: (ranks[names[i]], i))
            chosen[name] = tuple(sorted(by_rank[: self.patches]))
        return chosen

    def dates_of(self, modality: ModalityName, days: Sequence[float], *key: int) -> tuple[int, ...]:
        """Choose images of a modality of one place by their dates.

        Args:
            modality: Which.
            days: Day since 1970-01-01 of each image, NaN when unknown (of elevation). Each counts, also of
                several of one day: leave out repetitions before.
            *key: Whole numbers such as seed, epoch, number of the cell and of the patch.

        Returns:
            Positions in *days*, in the order of time.
        """
        known = [-math.inf if math.isnan(day) else math.floor(day) for day in days]
        order = sorted(range(len(days)), key=lambda position: (known[position], position))
        if not order:
            return ()
        rule = self.rule(modality)
        number = MODALITY_NAMES.index(modality)
        if rule == 'all':
            return tuple(order)
        elif rule == 'random':
            return (order[drawn(*key, _DATE, number) % len(order)],)
        elif rule == 'seasons':
            return _one_per_season(order, known, *key, _DATE, number)
        wanted = (rule - _EPOCH).days
        # Of two equally near ones the earlier.
        return (min(order, key=lambda position: abs(known[position] - wanted)),)


def season_of(day: float) -> int:
    """Return the meteorological season of a day since 1970-01-01: 0 for December to February, 1 to 3."""
    return (_EPOCH + timedelta(days=math.floor(day))).month % 12 // 3


def _one_per_season(order: Sequence[int], days: Sequence[float], *key: int) -> tuple[int, ...]:
    seasons: dict[int, list[int]] = {}
    for place, position in enumerate(order):
        # Images without a date are of no season, and none is left out for that.
        day = days[position]
        seasons.setdefault(season_of(day) if math.isfinite(day) else -1, []).append(place)
    chosen = sorted(there[drawn(*key, season) % len(there)] for season, there in seasons.items())
    return tuple(order[place] for place in chosen)


def _rank(name: str, *key: int) -> int:
    # Names of patches begin with their number; others count by all of their characters.
    return drawn(*key, _PATCH, int.from_bytes(name.encode(), 'big'))


def _rule(value: object) -> DateRule:
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).date()
    if isinstance(value, date):
        return value
    if value in ('all', 'random', 'seasons'):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError(
        f"Dates are {value!r}. Allowed: 'all', 'random', 'seasons', or a date such as '2021-06-21'."
    )
