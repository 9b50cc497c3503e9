"""PCA block by block is that of all vectors at once, and a projection can be kept and used again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.typing import NDArray
from safetensors.numpy import save_file

from torchgeo_copernicus.datasets.embed import (
    MapWindow,
    Projection,
    map_dataset,
    open_map,
    project,
    row_blocks,
    write_map,
)

REGION = (-60.0, 20.0, 60.0, 80.0)


@pytest.fixture
def ds(maps: dict[str, Path]) -> xr.Dataset:
    found = open_map(maps['npz'], REGION)
    assert 1000 < int(found['valid'].sum()) < found['valid'].size
    return found


def reference(
    vectors: NDArray[np.float32], weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, directions and shares of variance by NumPy."""
    exact = vectors.astype(np.float64)
    mean = np.average(exact, axis=0, weights=weights)
    variance, directions = np.linalg.eigh(np.cov(exact.T, aweights=weights, ddof=0))
    return mean, directions.T[::-1], variance[::-1] / variance.sum()


@pytest.mark.parametrize('weighted', [False, True])
def test_pca_of_blocks_is_that_of_all_vectors(
    ds: xr.Dataset, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_blocks, '_BLOCK_BYTES', 100_000)
    assert len(list(row_blocks.row_blocks(ds))) > 10
    found, projection = project(ds, 3, area_weighted=weighted)
    loaded = ds.compute()
    valid = loaded['valid'].to_numpy()
    vectors = loaded['embedding'].to_numpy()[valid]
    lat = np.broadcast_to(loaded['lat'].to_numpy()[:, None], valid.shape)[valid]
    weights = np.cos(np.radians(lat)) if weighted else None
    mean, directions, share = reference(vectors, weights)
    np.testing.assert_allclose(projection.mean, mean, rtol=1e-6)
    assert projection.explained_variance is not None
    np.testing.assert_allclose(projection.explained_variance, share[:3], rtol=1e-5)
    for own, other in zip(projection.components, directions, strict=False):
        np.testing.assert_allclose(abs(own @ other), 1, rtol=1e-6)
        assert own[np.abs(own).argmax()] > 0
    wanted = (vectors - mean) @ projection.components.T
    np.testing.assert_allclose(found['embedding'].to_numpy()[valid], wanted, atol=1e-5)


def test_weights_change_the_result(ds: xr.Dataset) -> None:
    plain, weighted = (project(ds, 2, area_weighted=flag)[1] for flag in (False, True))
    assert np.abs(plain.mean - weighted.mean).max() > 1e-3


def test_the_rows_of_the_poles_have_the_area_of_their_cells() -> None:
    cells = np.random.default_rng(0).normal(size=(721, 3, 2)).astype(np.float32)
    _, projection = project(
        map_dataset(cells, MapWindow(0, 0, 721, 3), source='x'), 1, area_weighted=True
    )
    weights = np.cos(np.radians(90 - 0.25 * np.arange(721)))
    # Half a cell of an eighth of a degree, seen from the pole.
    weights[[0, -1]] = np.sin(np.radians(0.0625)) ** 2 / np.sin(np.radians(0.125))
    mean = np.average(cells.astype(np.float64).mean(axis=1), axis=0, weights=weights)
    np.testing.assert_allclose(projection.mean, mean, rtol=1e-5)


def test_a_mean_far_from_zero_does_not_spoil_the_directions() -> None:
    rng = np.random.default_rng(0)
    cells = (rng.normal(size=(400, 50, 3)) * (3, 1, 0.1)).astype(np.float32) + np.float32(5000)
    _, projection = project(map_dataset(cells, MapWindow(0, 0, 400, 50), source='x'), 1)
    assert projection.explained_variance is not None
    np.testing.assert_allclose(projection.explained_variance, [9 / 10.01], rtol=0.02)
    assert projection.components[0, 0] > 0.999


def test_a_projected_map_keeps_its_cells(ds: xr.Dataset, tmp_path: Path) -> None:
    for method in ('pca', 'random'):
        found, _ = project(ds, 2, method)  # type: ignore[arg-type]
        assert found['embedding'].chunks is not None and found.sizes['channel'] == 2
        assert found['embedding'].dtype == np.float32
        loaded = found.compute()
        np.testing.assert_array_equal(loaded['valid'], ds['valid'])
        assert (loaded['embedding'].to_numpy()[~loaded['valid'].to_numpy()] == 0).all()
        again = open_map(write_map(found, tmp_path / f'{method}.tif')).compute()
        xr.testing.assert_equal(again, loaded)
        assert method in found.attrs['source']


def test_a_random_projection_keeps_distances_on_average() -> None:
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(20, 10, 512)).astype(np.float32)
    ds = map_dataset(cells, MapWindow(0, 0, 20, 10), source='x')
    found, projection = project(ds, 256, 'random', seed=3)
    before = np.linalg.norm(np.diff(cells.reshape(-1, 512), axis=0), axis=1)
    after = np.linalg.norm(np.diff(found['embedding'].to_numpy().reshape(-1, 256), axis=0), axis=1)
    np.testing.assert_allclose((after / before).mean(), 1, atol=0.02)
    same, other = (project(ds, 256, 'random', seed=seed)[1] for seed in (3, 4))
    np.testing.assert_array_equal(projection.components, same.components)
    assert np.abs(projection.components - other.components).max() > 0.01
    default = project(ds, 256, 'random')[1].components
    np.testing.assert_array_equal(default, project(ds, 256, 'random', seed=0)[1].components)
    assert (projection.mean == 0).all()


@pytest.mark.parametrize('method', ['pca', 'random'])
def test_a_saved_projection_does_the_same(ds: xr.Dataset, tmp_path: Path, method: Any) -> None:
    found, projection = project(ds, 2, method)
    path = projection.save(tmp_path / 'p.safetensors')
    assert [p.name for p in tmp_path.iterdir()] == ['p.safetensors']
    again = Projection.load(path)
    assert again.method == method
    assert (again.explained_variance is None) == (method == 'random')
    xr.testing.assert_identical(again.apply(ds).compute(), found.compute())


def test_what_is_no_projection_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / 'p.safetensors'
    path.write_bytes(b'not a file of tensors')
    with pytest.raises(ValueError, match='damaged'):
        Projection.load(path)
    save_file({'mean': np.zeros(3)}, path)
    with pytest.raises(ValueError, match='no projection'):
        Projection.load(path)
    about = {'kind': 'torchgeo-copernicus projection 1', 'method': 'pca'}
    save_file({'mean': np.zeros(3), 'components': np.zeros((2, 4))}, path, about)
    with pytest.raises(ValueError, match='do not fit'):
        Projection.load(path)
    save_file({'mean': np.zeros(3), 'components': np.zeros((2, 3))}, path, {**about, 'method': 'x'})
    with pytest.raises(ValueError, match='no projection'):
        Projection.load(path)
    torch.save({'mean': 1}, tmp_path / 'p.pt')
    with pytest.raises(ValueError, match='damaged'):
        Projection.load(tmp_path / 'p.pt')
    with pytest.raises(ValueError, match=r'end with \.safetensors'):
        Projection('pca', np.zeros(2), np.zeros((1, 2))).save(tmp_path / 'p.pkl')


def test_other_channels_raise(ds: xr.Dataset) -> None:
    _, projection = project(ds, 2)
    with pytest.raises(ValueError, match='3 channels'):
        projection.apply(ds.isel(channel=slice(3)))
    with pytest.raises(ValueError, match='3 channels'):
        projection.vectors(np.zeros((5, 3)))


@pytest.mark.parametrize(
    ('n', 'options', 'message'),
    [
        (5, {}, 'must be 1 to 4'),
        (0, {}, 'must be 1 to 4'),
        (1.5, {}, 'whole number'),
        (2, {'method': 'ica'}, 'method'),
        (2, {'seed': 1}, 'no chance'),
        (2, {'method': 'random', 'area_weighted': True}, 'not fitted'),
        (2, {'method': 'random', 'seed': -1}, 'seed'),
    ],
)
def test_an_option_without_effect_raises(
    ds: xr.Dataset, n: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        project(ds, n, **options)


def test_too_few_cells_raise() -> None:
    cells = np.zeros((2, 3, 4), np.float32)
    cells[0, 0] = 1
    with pytest.raises(ValueError, match='needs more than 2 cells'):
        project(map_dataset(cells, MapWindow(0, 0, 2, 3), source='x'), 2)
    cells[0, 0, 0] = np.nan
    ds = map_dataset(cells, MapWindow(0, 0, 2, 3), source='x')
    with pytest.raises(ValueError, match='not finite'):
        project(ds, 2)
