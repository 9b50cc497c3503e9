"""Vectors of a map in a byte for each of a few components, made so that cosines stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed import MapWindow, project, sample, window_of
from torchgeo_copernicus.datasets.embed.row_blocks import row_blocks
from torchgeo_copernicus.datasets.whole_number import whole
from torchgeo_copernicus.embedding.pictures.map_colours import in_blocks

#: More are of no use: the error is that of the bytes then.
MOST_COMPONENTS = 64
_LEVELS = 254
_TESTED_PLACES = 32


@dataclass(frozen=True, eq=False)
class QuantisedVectors:
    """Directions of the vectors of a map, and how to get them back.

    The vectors of length 1 are projected to the directions of their largest variance, and each component is kept
    as a byte between its smallest and its largest value. What all vectors have in common is *rest*.

    Attributes:
        window: The cells of the map.
        valid: Which have data, bool `[rows, columns]`.
        values: int8 `[components, cells]`, cells with data from the north-west on, row by row.
        middle: Value of each component that is kept as 0, float64 `[components]`.
        step: Difference between two bytes, float64 `[components]`.
        rest: Length of the common part that no component has.
    """

    window: MapWindow
    valid: NDArray[np.bool_]
    values: NDArray[np.int8]
    middle: NDArray[np.float64]
    step: NDArray[np.float64]
    rest: float

    def vectors(self) -> NDArray[np.float32]:
        """Return vectors of length 1 whose products are the similarities, `[cells, components + 1]`."""
        found = np.empty((self.values.shape[1], len(self.values) + 1), np.float32)
        found[:, :-1] = (self.values * self.step[:, None] + self.middle[:, None]).T
        found[:, -1] = self.rest
        length = np.linalg.norm(found, axis=1, keepdims=True)
        found /= np.where(length > 0, length, 1)
        return found


@dataclass(frozen=True)
class SimilarityError:
    """How far similarities of quantised vectors are from those of the whole ones.

    Attributes:
        rmse: Root of the mean squared difference of the cosines.
        largest: Largest difference.
        pairs: Pairs of cells that were compared.
    """

    rmse: float
    largest: float
    pairs: int


def quantise(ds: xr.Dataset, components: int = 24) -> QuantisedVectors:
    """Quantise the vectors of a map; some rows of it are in memory at a time.

    Args:
        ds: From `open_map`, at least two cells with data.
        components: How many to keep, 1 to 64; fewer are kept where the map has fewer channels or cells.

    Raises:
        ValueError: If *components* is not allowed, or there are too few cells with data.
    """
    if not 1 <= whole('components', components) <= MOST_COMPONENTS:
        raise ValueError(f'components is {components}, must be 1 to {MOST_COMPONENTS}.')
    window = window_of(ds)
    cells = sum(int(block.valid.sum()) for block in row_blocks(ds))
    if cells < 2:
        raise ValueError(f'The map has {cells} cells with data; there is nothing to compare.')
    kept = min(components, ds.sizes['channel'], cells - 1)
    projected, projection = project(_of_length_one(in_blocks(ds)), kept)
    along = projection.components @ projection.mean
    rest = float(np.linalg.norm(projection.mean - along @ projection.components))
    blocks = [(block.valid, block.vectors) for block in row_blocks(projected)]
    found = np.concatenate([vectors for _, vectors in blocks]).T + along[:, None]
    low, high = found.min(axis=1), found.max(axis=1)
    middle, step = (low + high) / 2, (high - low) / _LEVELS
    step[step == 0] = 1
    values = np.round((found - middle[:, None]) / step[:, None]).astype(np.int8)
    valid = np.concatenate([valid for valid, _ in blocks])
    return QuantisedVectors(window, valid, values, middle, step, rest)


def similarity_error(ds: xr.Dataset, quantised: QuantisedVectors) -> SimilarityError:
    """Measure the error: all cells compared with up to 32 of them, drawn with a fixed seed.

    Args:
        ds: The map.
        quantised: Its vectors.
    """
    row, column = np.nonzero(quantised.valid)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(row), min(_TESTED_PLACES, len(row)), replace=False))
    window = quantised.window
    places = sample(ds, window.lon[column[chosen]], window.lat[row[chosen]]).astype(np.float64)
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    vectors = quantised.vectors()
    squares, largest, first = 0.0, 0.0, 0
    for block in row_blocks(ds):
        exact = block.vectors.astype(np.float64)
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
        kept = vectors[first : first + len(exact)]
        off = np.abs(kept @ vectors[chosen].T - exact @ places.T)
        squares += float((off**2).sum())
        largest = max(largest, float(off.max(initial=0)))
        first += len(exact)
    pairs = first * len(chosen)
    return SimilarityError(float(np.sqrt(squares / pairs)), largest, pairs)


def _of_length_one(ds: xr.Dataset) -> xr.Dataset:
    unit = xr.apply_ufunc(
        _unit,
        ds['embedding'],
        input_core_dims=[['channel']],
        output_core_dims=[['channel']],
        dask='parallelized',
        output_dtypes=[np.float32],
    )
    return ds.assign(embedding=unit)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    exact = values.astype(np.float64)
    length = np.linalg.norm(exact, axis=-1, keepdims=True)
    return (exact / np.where(length > 0, length, 1)).astype(np.float32)
