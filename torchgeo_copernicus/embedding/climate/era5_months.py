"""Which months the climate study averages over: whole years that every variable has, each month once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.embedding.climate.published import Variable

#: datetime64[M].
Months = NDArray[Any]


def months_of(variable: xr.DataArray) -> Months:
    """Return the months of a variable's times.

    Accumulated variables have other days and hours than others, but the same months.
    """
    found: Months = variable['time'].to_numpy().astype('datetime64[M]')
    return found


def shared_months(
    parts: Mapping[Variable, Sequence[xr.DataArray]], years: tuple[int, int] | None
) -> Months:
    """Return the months of variables.

    Args:
        parts: By variable its parts, of other months each; one variable at least.
        years: First and last year; all there are when None.

    Returns:
        datetime64[M], ascending.

    Raises:
        ValueError: If they are not whole years without gaps, a month is there twice, or variables have other ones.
    """
    found: dict[Variable, Months] = {}
    for name, members in parts.items():
        months = np.sort(np.concatenate([months_of(part) for part in members]))
        if years is not None:
            first, last = _span(years)
            months = months[(months >= first) & (months <= last)]
        _check(months, name, years)
        found[name] = months
    wanted = next(iter(found.values()))
    for name, months in found.items():
        if not np.array_equal(months, wanted):
            raise ValueError(
                f'{name} has the months {_told(months)}, others {_told(wanted)}. Give years=(first, last) that all '
                'variables have.'
            )
    return wanted


def _span(years: tuple[int, int]) -> tuple[np.datetime64, np.datetime64]:
    first, last = years
    return np.datetime64(f'{first:04d}-01', 'M'), np.datetime64(f'{last:04d}-12', 'M')


def _check(months: Months, name: str, years: tuple[int, int] | None) -> None:
    if not len(months):
        raise ValueError(f'{name} has no month of {"any year" if years is None else years}.')
    steps = np.diff(months).astype(int)
    if (steps == 0).any():
        raise ValueError(
            f'{name} has {months[1:][steps == 0][0]} more than once. Targets are of monthly values: give each month '
            "once, or take means first (ds.resample(time='MS').mean())."
        )
    first, last = (months[0], months[-1]) if years is None else _span(years)
    wanted = np.arange(first, last + np.timedelta64(1, 'M'))
    lacking = np.setdiff1d(wanted, months)
    if len(lacking) or len(wanted) % 12:
        without = f', but not {lacking[0]} ({len(lacking)} are lacking)' if len(lacking) else ''
        raise ValueError(
            f'{name} has months of {first} to {last}{without}. Wanted are whole years without gaps, so that seasons '
            'weigh the same: give years=(first, last), or the files of the other months.'
        )


def _told(months: Months) -> str:
    return f'{months[0]} to {months[-1]}'
