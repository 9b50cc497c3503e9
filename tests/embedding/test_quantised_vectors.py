"""A byte for each of a few components keeps the cosines."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('xarray', reason='maps of embeddings need the extra `embed`')
pytest.importorskip('dask', reason='maps of embeddings need the extra `embed`')

from tests.embedding.random_map import random_map
from torchgeo_copernicus.embedding.pictures.quantised_vectors import quantise, similarity_error


def test_quantised_vectors_have_the_cosines_of_the_whole_ones() -> None:
    ds = random_map()
    quantised = quantise(ds, 24)
    kept = quantised.vectors().astype(np.float64)
    cells = ds['embedding'].to_numpy()[ds['valid'].to_numpy()].astype(np.float64)
    cells /= np.linalg.norm(cells, axis=1, keepdims=True)
    off = np.abs(kept @ kept.T - cells @ cells.T)
    error = similarity_error(ds, quantised)
    assert off.max() < 0.005
    assert error.largest <= off.max() + 1e-9
    assert error.rmse == pytest.approx(np.sqrt((off**2).mean()), rel=0.3)
    assert error.pairs == 32 * len(cells)
    np.testing.assert_array_equal(quantised.valid, ds['valid'])


def test_vectors_of_any_length_are_compared_by_direction() -> None:
    ds = random_map(8)
    lengths = np.random.default_rng(0).uniform(1e-3, 1e3, ds['valid'].shape)
    scaled = ds.assign(embedding=(ds['embedding'] * lengths[..., None]).astype(np.float32))
    np.testing.assert_allclose(quantise(scaled).vectors(), quantise(ds).vectors(), atol=0.02)
