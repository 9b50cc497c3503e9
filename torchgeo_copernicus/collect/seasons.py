"""Of which days images are looked for.

Copernicus-Pretrain takes one image around each of four dates, of 2022 or else of one or two years earlier;
near the poles one of each of four years. SSL4EO-S12 shifts the dates of each place by up to a year.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from torchgeo_copernicus.datasets.draw import drawn

SEASON_DATES = (date(2022, 12, 21), date(2022, 9, 22), date(2022, 6, 21), date(2022, 3, 20))
POLAR_DATES = tuple(date(year, 3, 20) for year in (2023, 2022, 2021, 2020))
HALF_WIDTH_DAYS, POLAR_HALF_WIDTH_DAYS = 30, 180
#: This year, and one and two years earlier.
YEARS = 3

_SHIFT = 11


@dataclass(frozen=True)
class Window:
    """Days from one until before another.

    Attributes:
        start: First day.
        stop: Day after the last.
    """

    start: date
    stop: date

    def __post_init__(self) -> None:
        """Check that there are days in it.

        Raises:
            ValueError: If there is none.
        """
        if self.start >= self.stop:
            raise ValueError(f'A window from {self.start} until before {self.stop} has no day.')

    @classmethod
    def around(cls, day: date, half_width_days: int) -> Window:
        """Return the days that are at most some days away from one.

        Raises:
            ValueError: If the number is negative.
        """
        if half_width_days < 0:
            raise ValueError(f'half_width_days must not be negative, got {half_width_days}.')
        width = timedelta(days=half_width_days)
        return cls(day - width, day + width + timedelta(days=1))

    @property
    def name(self) -> str:
        """Name of the file of its mean, such as 2021-01-01_2021-02-01."""
        return f'{self.start.isoformat()}_{self.stop.isoformat()}'


def season_windows(
    dates: Sequence[date] = SEASON_DATES,
    half_width_days: int = HALF_WIDTH_DAYS,
    years: int = YEARS,
    shift_days: int = 0,
) -> tuple[tuple[Window, ...], ...]:
    """Return the windows of each season, those to look in first first.

    Args:
        dates: A day of each season.
        half_width_days: How far (days) an image may be from it.
        years: How many years to look in, each one earlier than the one before.
        shift_days: How many days earlier all dates are.

    Raises:
        ValueError: If there is no date or no year, or a number is negative.
    """
    if not dates or years < 1 or shift_days < 0:
        raise ValueError(
            f'{len(dates)} dates, years {years} and shift_days {shift_days}: wanted at least one date and '
            'year, and a shift that is not negative.'
        )
    shift = timedelta(days=shift_days)
    return tuple(
        tuple(
            Window.around(years_earlier(day, back) - shift, half_width_days)
            for back in range(years)
        )
        for day in dates
    )


def polar_windows() -> tuple[tuple[Window, ...], ...]:
    """Return the windows of each of four years near the poles."""
    return season_windows(POLAR_DATES, POLAR_HALF_WIDTH_DAYS, years=1)


def drawn_shift(seed: int, number: int) -> int:
    """Return by how many days (0 to 364) the dates of a place are earlier, as SSL4EO-S12 draws them.

    Args:
        seed: Seed.
        number: Number of the place.
    """
    return drawn(seed, _SHIFT, number) % 365


def months(year: int) -> tuple[Window, ...]:
    """Return the twelve months of a year, whole ones.

    The published images of December lack its last day.
    """
    firsts = [date(year, month, 1) for month in range(1, 13)] + [date(year + 1, 1, 1)]
    return tuple(Window(start, stop) for start, stop in pairwise(firsts))


def whole_year(year: int) -> Window:
    """Return all days of a year."""
    return Window(date(year, 1, 1), date(year + 1, 1, 1))


def years_earlier(day: date, years: int) -> date:
    """Return the same day some years earlier; 28 February for a 29th that is not there."""
    year = day.year - years
    missing = (day.month, day.day) == (2, 29) and not isleap(year)
    return day.replace(year=year, day=28 if missing else day.day)
