"""How the targets of the climate study are made of ERA5: what the paper does not say, as options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torchgeo_copernicus.datasets.bench.dataset import one_of

#: What precipitation is told as: m in a year at the rate of each month, m in each month, m in a day.
Precipitation = Literal['year', 'month', 'day']
#: What the values of the files are accumulated over; monthly means of the CDS: a day.
Accumulation = Literal['day', 'hour', 'month']
#: What the standard deviation is of: the values of all months, or the means of years.
DeviationOf = Literal['months', 'years']


@dataclass(frozen=True)
class ClimateOptions:
    """How targets are made.

    Attributes:
        years: First and last year; all there are when None. The paper has ten, and does not say which.
        precipitation: `year`: at the rate of each month, m in a year of 365.2425 days. The paper's "P avg (m)" is
            taken to be this: an error of 0.79 m is too much for anything shorter (inferred). Else m in each
            `month`, or m in a `day`.
        accumulation: What precipitation in the files is accumulated over. Monthly means of the CDS: `day`. An
            `hour` in means of hourly files, a `month` in monthly sums.
        deviation_of: `months`: of the values of all months, in which the seasons dominate. The paper does not say
            so, but its errors of the deviation of temperature (3.06 °C from raw coordinates) are too large
            for anything else (inferred). `years`: of the means of years.
    """

    years: tuple[int, int] | None = None
    precipitation: Precipitation = 'year'
    accumulation: Accumulation = 'day'
    deviation_of: DeviationOf = 'months'

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: If one is not allowed.
        """
        one_of('precipitation', self.precipitation, Precipitation)
        one_of('accumulation', self.accumulation, Accumulation)
        one_of('deviation_of', self.deviation_of, DeviationOf)
        if self.years is None:
            return
        years = tuple(self.years) if isinstance(self.years, Sequence) else ()
        whole = all(isinstance(year, int) and not isinstance(year, bool) for year in years)
        if len(years) != 2 or not whole or years[0] > years[1]:
            raise ValueError(f'years is {self.years!r}; give the first and the last, or None.')
