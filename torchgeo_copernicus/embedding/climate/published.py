"""The published numbers of the climate study: arXiv:2503.11849, table 5 (also `assets/climate_task.png`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

#: Variables of ERA5, by the names that they have in files of the CDS.
Variable = Literal['t2m', 'tp', 'sp', 'msl', 'u10', 'v10']
VARIABLES: tuple[Variable, ...] = get_args(Variable)
#: What is predicted of each variable: its mean, and its standard deviation, over time.
STATISTICS = ('mean', 'std')
#: Names of what is predicted, in the order of the published table.
TARGETS = tuple(f'{name} {statistic}' for name in VARIABLES for statistic in STATISTICS)
#: Units of the variables.
UNITS: Mapping[Variable, str] = {
    't2m': '°C',
    'tp': 'm',
    'sp': 'Pa',
    'msl': 'Pa',
    'u10': 'm/s',
    'v10': 'm/s',
}

# Mean and spread of the RMSE over three runs, in the order of TARGETS.
_ROWS = {
    'Coord raw': (
        '8.36 0 3.06 0 0.79 0 0.50 0 7305.91 0.37 141.38 0.01 290.68 0.02 164.84 0.01 '
        '1.12 0 0.55 0 0.95 0 0.58 0'
    ),
    'Coord Fourier': (
        '3.99 0 2.09 0 0.61 0 0.42 0 6537.54 1.78 101.09 0.18 200.93 0.09 108.12 0.01 '
        '0.96 0 0.51 0 0.80 0 0.54 0'
    ),
    'Embed': (
        '2.66 0.01 1.72 0 0.47 0 0.33 0 1627.21 30.13 97.53 0.71 197.17 0.62 117.57 0.86 '
        '0.94 0 0.43 0 0.78 0 0.43 0'
    ),
    'Embed + coord': (
        '1.98 0.01 1.35 0 0.46 0 0.32 0 1676.39 33.64 78.53 0.08 174.80 0.21 90.37 0.15 '
        '0.91 0 0.42 0 0.76 0 0.43 0'
    ),
    'Coord SatCLIP': (
        '3.67 0.03 1.58 0 0.48 0 0.32 0 3178.91 8.75 97.74 0.19 202.76 0.27 110.71 0.41 '
        '0.92 0 0.43 0 0.79 0 0.45 0'
    ),
}


def _pairs(text: str) -> dict[str, tuple[float, float]]:
    numbers = [float(number) for number in text.split()]
    return dict(zip(TARGETS, zip(numbers[::2], numbers[1::2], strict=True), strict=True))


#: By input as the paper names it, then by target: mean RMSE of three runs, and its spread. It is so small that
#: the runs seem to share one split (inferred), where ours have a split each.
PUBLISHED: Mapping[str, Mapping[str, tuple[float, float]]] = {
    name: _pairs(text) for name, text in _ROWS.items()
}
