"""The climate study: linear regression from embeddings and coordinates to the climate of cells.

The published experiment (arXiv:2503.11849, section 5 and table 5; no code was published): 10,000 random cells with
all modalities, divided into training, validation and test; mean and standard deviation of ten years of six
variables of ERA5. What the paper does not say is an option here, and is said where it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.compat import versions
from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.whole_number import whole
from torchgeo_copernicus.embedding.climate.cell_vectors import (
    Embeddings,
    cell_vectors,
    open_embeddings,
    valid_cells,
)
from torchgeo_copernicus.embedding.climate.coordinates import centres, fourier
from torchgeo_copernicus.embedding.climate.era5_files import Era5
from torchgeo_copernicus.embedding.climate.options import ClimateOptions
from torchgeo_copernicus.embedding.climate.published import TARGETS
from torchgeo_copernicus.embedding.climate.regression import Ridge, checked_ridge, fit, rmse
from torchgeo_copernicus.embedding.climate.splits import Shares, SplitBy, split_cells
from torchgeo_copernicus.embedding.climate.targets import ClimateSource

#: What the climate is told from.
Input = Literal['coordinates', 'fourier', 'embedding', 'embedding+coordinates', 'embedding+fourier']
INPUTS: tuple[Input, ...] = get_args(Input)


@dataclass(frozen=True)
class StudyOptions:
    """How the study is done.

    Attributes:
        cells: Cells that are drawn; fewer where there are fewer in both embeddings and ERA5 is an error. All when
            None.
        cells_seed: Seed of this draw: all runs have the same cells.
        seeds: A run for each, which has its own split.
        inputs: What to compare. The paper has "Embed + coord", and does not say which coordinates: here it stands
            beside both.
        split: See `split_cells`. Published: at random; the shares are not.
        shares: Of training, validation and test.
        block_deg: Side of the blocks of split `blocks` (deg); None otherwise.
        frequencies: Of the Fourier features, see `fourier`.
        ridge: See `fit`. 0 is plain least squares, and then the validation cells are not used.
    """

    cells: int | None = 10_000
    cells_seed: int = 0
    seeds: Sequence[int] = (0, 1, 2)
    inputs: Sequence[Input] = INPUTS
    split: SplitBy = 'random'
    shares: Shares = (0.6, 0.2, 0.2)
    block_deg: float | None = None
    frequencies: int = 8
    ridge: Ridge = 0.0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: If one is not allowed.
        """
        if self.cells is not None and whole('cells', self.cells) < 3:
            raise ValueError(f'cells is {self.cells}, must be at least 3.')
        whole('cells_seed', self.cells_seed)
        for name, values in (('seeds', self.seeds), ('inputs', self.inputs)):
            listed = isinstance(values, Sequence) and not isinstance(values, str)
            if not listed or not values or len(set(values)) < len(values):
                raise ValueError(f'{name} is {values!r}; list some, each once.')
        for seed in self.seeds:
            whole('seeds', seed)
        for name in self.inputs:
            one_of('inputs', name, Input)
        one_of('split', self.split, SplitBy)
        if (self.block_deg is None) == (self.split == 'blocks'):
            raise ValueError(
                f'split is {self.split!r} and block_deg {self.block_deg!r}; blocks need their side in degrees, and '
                'nothing else has one.'
            )
        checked_ridge(self.ridge)


@dataclass(frozen=True)
class StudyResult:
    """What was found.

    Attributes:
        rmse: By input, then by target of `TARGETS`: the error on the test cells of each run, in the units of
            `UNITS`.
        ridge: By input, then by target: the strength of each run.
        spread: By target: the standard deviation over all cells, the error of someone who knows the mean only.
        cells: Cells of training, validation and test, of each run.
        months: First and last month of ERA5.
        options: Of the study and of the targets.
        data: SHA-256 of cells, embeddings and targets; where embeddings are from; numbers of cells.
        versions: Of the packages.
    """

    rmse: Mapping[str, Mapping[str, Sequence[float]]]
    ridge: Mapping[str, Mapping[str, Sequence[float]]]
    spread: Mapping[str, float]
    cells: Sequence[tuple[int, int, int]]
    months: tuple[str, str]
    options: Mapping[str, object]
    data: Mapping[str, object]
    versions: Mapping[str, str] = field(default_factory=versions)

    def mean_rmse(self, name: str) -> dict[str, tuple[float, float]]:
        """Return mean and standard deviation (of all runs, not of a sample) of the error, by target."""
        return {
            target: (float(np.mean(runs)), float(np.std(runs)))
            for target, runs in self.rmse[name].items()
        }


def climate_study(
    embeddings: Embeddings,
    era5: Era5,
    options: StudyOptions | None = None,
    targets: ClimateOptions | None = None,
) -> StudyResult:
    """Do the study.

    Args:
        embeddings: Map or table of averages. The paper draws from cells with all modalities, which are those of
            `embeddings_avg_220k_aligned.parquet`.
        era5: Monthly files of the six variables, see `open_era5`.
        options: How it is done.
        targets: How the targets are made.

    Raises:
        ValueError: If an option is not allowed, files cannot be read or do not fit, there are too few cells, or a
            part has fewer cells than a model has weights and there is no ridge.
        OSError: If a file cannot be read.
    """
    options = StudyOptions() if options is None else options
    source = ClimateSource(era5, targets)
    ds = open_embeddings(embeddings)
    valid = valid_cells(ds)
    both = np.intersect1d(valid, source.cells)
    drawn = _drawn(both, options)
    found = cell_vectors(ds, drawn)
    values = source.targets(found.grid_id).values
    places = centres(found.grid_id)
    features = _features(found.vectors, places, options)
    errors: dict[str, dict[str, list[float]]] = {
        name: {target: [] for target in TARGETS} for name in options.inputs
    }
    strengths: dict[str, dict[str, list[float]]] = {
        name: {target: [] for target in TARGETS} for name in options.inputs
    }
    sizes = []
    for seed in options.seeds:
        block_deg = {} if options.block_deg is None else {'block_deg': options.block_deg}
        split = split_cells(places, seed, options.split, options.shares, **block_deg)
        sizes.append((len(split.train), len(split.val), len(split.test)))
        for name in options.inputs:
            inputs = features[name]
            _check_enough(name, inputs.shape[1], len(split.train), options.ridge)
            model = fit(
                inputs[split.train], values[split.train], options.ridge, inputs[split.val], values[split.val],
            )  # fmt: skip
            wrong = rmse(model.predict(inputs[split.test]), values[split.test])
            for target, error, strength in zip(TARGETS, wrong, model.ridge, strict=True):
                errors[name][target].append(float(error))
                strengths[name][target].append(float(strength))
    return StudyResult(
        errors,
        strengths,
        dict(zip(TARGETS, values.std(axis=0).tolist(), strict=True)),
        sizes,
        (str(source.months[0]), str(source.months[-1])),
        {'study': asdict(options), 'targets': asdict(source.options)},
        {
            'sha256': _digest(found.grid_id, found.vectors, values),
            'embeddings': _source(ds, embeddings),
            'dimension': found.vectors.shape[1],
            'cells_with_embedding': len(valid),
            'cells_of_era5': len(source.cells),
            'cells_of_both': len(both),
            'cells': len(drawn),
        },
    )


def _drawn(cells: NDArray[np.int32], options: StudyOptions) -> NDArray[np.int32]:
    if options.cells is None:
        if not len(cells):
            raise ValueError('Embeddings and ERA5 have no cell in common.')
        return cells
    if len(cells) < options.cells:
        raise ValueError(
            f'Embeddings and ERA5 have {len(cells)} cells in common, {options.cells} were to be drawn. Give fewer '
            'cells, or None for all.'
        )
    rng = np.random.default_rng(options.cells_seed)
    return np.sort(rng.choice(cells, options.cells, replace=False))


def _features(
    vectors: NDArray[np.float32], places: NDArray[np.float64], options: StudyOptions
) -> dict[str, NDArray[np.float64]]:
    parts = {'coordinates': places, 'embedding': vectors.astype(np.float64)}
    if any('fourier' in name for name in options.inputs):
        parts['fourier'] = fourier(places, options.frequencies)
    return {
        name: np.concatenate([parts[part] for part in name.split('+')], axis=1)
        for name in options.inputs
    }


def _check_enough(name: str, weights: int, cells: int, ridge: Ridge) -> None:
    if ridge == 0.0 and cells <= weights:
        raise ValueError(
            f'{name} has {weights} weights, but there are {cells} training cells: least squares would fit anything. '
            "Draw more cells, or set ridge (a number, or 'validation')."
        )


def _digest(*arrays: NDArray[np.generic]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f'{array.dtype.str} {array.shape}\n'.encode())
        digest.update(np.ascontiguousarray(array).data.cast('B'))
    return digest.hexdigest()


def _source(ds: xr.Dataset, given: Embeddings) -> str:
    """Return the name of what embeddings are from, without folders."""
    name = str(ds.attrs.get('source', given if isinstance(given, str) else ''))
    return name.rstrip('/').rpartition('/')[2]
