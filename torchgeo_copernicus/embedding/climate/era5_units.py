"""Units of ERA5, and what they become in the climate study: degrees Celsius, Pa, m/s, and m of precipitation."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.embedding.climate.options import ClimateOptions
from torchgeo_copernicus.embedding.climate.published import Variable

_DAYS_OF_A_YEAR = 365.2425
_MONTH = np.timedelta64(1, 'M')
# Above the wettest place on Earth (m in a year): the accumulation is told wrongly.
_WETTEST_M = 15.0
_WIND = dict.fromkeys(('m s**-1', 'm s-1', 'm s^-1', 'm/s'), (1.0, 0.0))
_PRESSURE = {'Pa': (1.0, 0.0), 'hPa': (100.0, 0.0)}
_KELVIN = dict.fromkeys(('K', 'kelvin', 'Kelvin'), (1.0, -273.15))
_CELSIUS = dict.fromkeys(('C', 'degC', '°C', 'celsius', 'degrees_celsius'), (1.0, 0.0))
# By unit: a factor, and what is added then.
_UNITS: dict[Variable, dict[str, tuple[float, float]]] = {
    't2m': _KELVIN | _CELSIUS,
    'tp': {'m': (1.0, 0.0), 'mm': (1e-3, 0.0)},
    'sp': _PRESSURE,
    'msl': _PRESSURE,
    'u10': _WIND,
    'v10': _WIND,
}
_PER_DAY = ('/day', ' day-1', ' day**-1', ' d-1')


def to_unit(variable: xr.DataArray, name: Variable, options: ClimateOptions) -> tuple[float, float]:
    """Return the factor that makes values those of the study, and what is added then.

    Precipitation becomes m over what it is accumulated over.

    Args:
        variable: With the attribute `units`.
        name: What it is.
        options: Say what precipitation is accumulated over.

    Raises:
        ValueError: If the unit is missing, unknown, or says another accumulation than the options.
    """
    unit = str(variable.attrs.get('units', '')).strip()
    key = unit
    if name == 'tp':
        ending = next((one for one in _PER_DAY if unit.endswith(one)), '')
        key = unit.removesuffix(ending)
        if ending and options.accumulation != 'day':
            raise ValueError(
                f"tp has the unit {unit!r}, but accumulation is {options.accumulation!r}; set it to 'day'."
            )
    allowed = _UNITS[name]
    if key not in allowed:
        raise ValueError(
            f'{name} has the unit {unit!r}; wanted one of {list(allowed)}. Set attrs["units"], or convert it.'
        )
    return allowed[key]


def precipitation(
    series: NDArray[np.float64], months: NDArray[Any], options: ClimateOptions
) -> NDArray[np.float64]:
    """Return precipitation as the options tell it.

    Args:
        series: m over what it is accumulated over, `[months, N]`.
        months: datetime64[M].
        options: From what to what.

    Raises:
        ValueError: If it is more than there is anywhere, so that the options must be wrong.
    """
    starts, ends = (moment.astype('datetime64[D]') for moment in (months, months + _MONTH))
    days = (ends - starts).astype(np.float64)[:, None]
    rate = series * {'day': 1.0, 'hour': 24.0, 'month': 1 / days}[options.accumulation]
    wettest = float(rate.mean(axis=0).max()) * _DAYS_OF_A_YEAR
    if wettest > _WETTEST_M:
        raise ValueError(
            f'A cell would have {wettest:.0f} m of precipitation in a year: the values of tp are not '
            f'accumulated over a {options.accumulation}. Set accumulation.'
        )
    scale = {'day': 1.0, 'month': days, 'year': _DAYS_OF_A_YEAR}[options.precipitation]
    found: NDArray[np.float64] = rate * scale
    return found
