"""What the climate study predicts: mean and standard deviation over time of six variables of ERA5, at cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.embedding.climate.era5_files import Era5, open_era5
from torchgeo_copernicus.embedding.climate.era5_grid import grid_ids_of
from torchgeo_copernicus.embedding.climate.era5_months import months_of, shared_months
from torchgeo_copernicus.embedding.climate.era5_units import precipitation, to_unit
from torchgeo_copernicus.embedding.climate.options import ClimateOptions
from torchgeo_copernicus.embedding.climate.published import VARIABLES, Variable

# Of values read at a time.
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class ClimateTargets:
    """Targets of some cells.

    Attributes:
        grid_id: Numbers of the cells, int32 `[N]`.
        values: float64 `[N, 12]`, in the order of `TARGETS`, in the units of `UNITS`.
    """

    grid_id: NDArray[np.int32]
    values: NDArray[np.float64]


class ClimateSource:
    """Monthly ERA5, checked: six variables, whole years, cells of 0.25 degrees.

    Attributes:
        options: How targets are made.
        months: That are averaged over, datetime64[M].
        cells: Numbers of the cells that all variables have, ascending, int32.
    """

    def __init__(self, era5: Era5, options: ClimateOptions | None = None) -> None:
        """Look through files; no values are read.

        Args:
            era5: See `open_era5`.
            options: How targets are made.

        Raises:
            ValueError: If a file cannot be read, lacks a variable, a month or units, or is of another grid.
            OSError: If a file cannot be read.
        """
        self.options = ClimateOptions() if options is None else options
        self._parts = open_era5(era5)
        self.months = shared_months(self._parts, self.options.years)
        self._grids = {
            name: [grid_ids_of(part, name) for part in parts] for name, parts in self._parts.items()
        }
        grids = [(name, np.sort(ids)) for name, found in self._grids.items() for ids in found]
        self.cells = grids[0][1]
        for name, ids in grids:
            if not np.array_equal(ids, self.cells):
                raise ValueError(
                    f'{name} has {len(ids)} cells, others have other ones ({len(self.cells)}). Cut all variables to '
                    'one region.'
                )
        for name, parts in self._parts.items():
            for part in parts:
                to_unit(part, name, self.options)

    def targets(self, grid_ids: NDArray[np.integer]) -> ClimateTargets:
        """Read the targets of cells; some months of one variable are in memory at a time.

        Args:
            grid_ids: Numbers of cells.

        Raises:
            ValueError: If a cell is not there, a value is missing, or precipitation is more than it can be.
        """
        ids = np.asarray(grid_ids, np.int32)
        if absent := np.setdiff1d(ids, self.cells).tolist():
            raise ValueError(f'ERA5 has no values of {len(absent)} cells, such as {absent[:3]}.')
        columns = []
        for name in VARIABLES:
            series = self._series(name, ids)
            varied = series
            if self.options.deviation_of == 'years':
                varied = series.reshape(-1, 12, len(ids)).mean(axis=1)
            columns += [series.mean(axis=0), varied.std(axis=0)]
        return ClimateTargets(ids, np.stack(columns, axis=1))

    def _series(self, name: Variable, grid_ids: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the values of a variable in the unit of its targets, `[months, N]`."""
        found = np.empty((len(self.months), len(grid_ids)))
        for part, ids in zip(self._parts[name], self._grids[name], strict=True):
            factor, shift = to_unit(part, name, self.options)
            order = np.argsort(ids)
            places = order[np.searchsorted(ids, grid_ids, sorter=order)]
            months = months_of(part)
            inside = np.flatnonzero((months >= self.months[0]) & (months <= self.months[-1]))
            step = max(1, _BLOCK_BYTES // (8 * len(ids)))
            for first in range(0, len(inside), step):
                chosen = inside[first : first + step]
                block = part.isel(time=chosen).to_numpy().reshape(len(chosen), -1)
                at = np.searchsorted(self.months, months[chosen])
                found[at] = block[:, places].astype(np.float64) * factor + shift
        missing = ~np.isfinite(found)
        if missing.any():
            month, cell = (int(one[0]) for one in np.nonzero(missing))
            raise ValueError(
                f'{name} has no value in {self.months[month]} at cell {grid_ids[cell]}, and lacks some at '
                f'{int(missing.any(axis=0).sum())} of {len(grid_ids)} cells. ERA5 has values everywhere; '
                'ERA5-Land, or a file that was masked, has not.'
            )
        return precipitation(found, self.months, self.options) if name == 'tp' else found
