"""Vectors of places, whatever the convention of longitudes, and the cells that are most like one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed import (
    MapWindow,
    map_dataset,
    nearest,
    open_map,
    row_blocks,
    sample,
)
from torchgeo_copernicus.datasets.pretrain.grid import Cell


def full(seed: int = 0, land: float = 0.7) -> xr.Dataset:
    """A map of the world in memory, with two channels and single cells of sea."""
    rng = np.random.default_rng(seed)
    cells = rng.normal(size=(721, 1440, 2)).astype(np.float32)
    cells[rng.random((721, 1440)) > land] = 0
    return map_dataset(cells, MapWindow(), source='made')


MAP = full()
VALUES = MAP['embedding'].to_numpy()


@settings(deadline=None)
@given(st.floats(-180, 180), st.floats(-90, 90), st.sampled_from([-360, 0, 360, 720]))
def test_a_place_has_the_vector_of_its_cell_in_every_convention(
    lon: float, lat: float, turn: int
) -> None:
    found = sample(MAP, lon + turn, lat)
    wanted = VALUES[Cell.at(lon + turn, lat).map_pixel]
    np.testing.assert_array_equal(found, wanted if wanted.any() else np.full(2, np.nan))


def test_poles_and_the_date_line_are_on_the_map(maps: dict[str, Path]) -> None:
    for lon, lat, pixel in (
        (0, 90, (0, 720)),
        (0, -90, (720, 720)),
        (180, 0, (360, 0)),
        (-180, 0, (360, 0)),
        (179.9, 0, (360, 0)),
        (179.87, 0, (360, 1439)),
        (359.99, 10, (320, 720)),
    ):
        cell = VALUES[pixel]
        wanted = cell if cell.any() else np.full(2, np.nan)
        np.testing.assert_array_equal(sample(MAP, lon, lat), wanted)


def test_many_places_keep_their_order_and_shape(
    maps: dict[str, Path], values: NDArray[np.float32]
) -> None:
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-180, 540, (20, 5)), rng.uniform(-90, 90, (20, 1))
    wanted = np.array(
        [[values[Cell.at(x, y[0]).map_pixel] for x in row] for row, y in zip(lon, lat, strict=True)]
    )
    wanted[(wanted == 0).all(axis=2)] = np.nan
    for chunks in ('auto', None):
        found = sample(open_map(maps['npz'], chunks=chunks), lon, lat)  # type: ignore[arg-type]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, wanted)
    assert sample(MAP, [], []).shape == (0, 2)


THREES = map_dataset(np.where(VALUES != 0, np.float32(3), 0), MapWindow(), source='made')


@settings(deadline=None)
@given(st.floats(-180, 180), st.floats(-90, 90))
def test_between_centres_the_weights_sum_to_one(lon: float, lat: float) -> None:
    found = sample(THREES, lon, lat, 'bilinear')
    if sample(MAP, lon, lat)[0] == sample(MAP, lon, lat)[0]:
        np.testing.assert_allclose(found, 3, rtol=1e-6)
    else:
        assert np.isnan(found).all()


@settings(deadline=None)
@given(st.floats(-179, 179), st.floats(-89.75, 89.75))
def test_bilinear_follows_a_plane(lon: float, lat: float) -> None:
    found = sample(PLANE, lon, lat, 'bilinear')
    np.testing.assert_allclose(found, [lon + 500, lat + 500], rtol=1e-6)


PLANE = map_dataset(
    np.stack(
        np.broadcast_arrays(MapWindow().lon + 500, MapWindow().lat[:, None] + 500), axis=-1
    ).astype(np.float32),
    MapWindow(),
    source='made',
)


def test_bilinear_goes_on_across_the_date_line_and_to_the_pole() -> None:
    a, b = PLANE['embedding'].to_numpy()[360, [-1, 0], 0]
    found = sample(PLANE, 179.875, 0, 'bilinear')
    np.testing.assert_allclose(found[0], (a + b) / 2)
    np.testing.assert_allclose(sample(PLANE, 10, 90, 'bilinear'), [510, 590])
    np.testing.assert_allclose(sample(PLANE, 10, -89.95, 'bilinear'), [510, 410.05], rtol=1e-6)
    at = sample(PLANE, 10, 20, 'bilinear')
    np.testing.assert_array_equal(at, sample(PLANE, 10, 20))


def test_bilinear_leaves_out_the_sea_and_what_is_beside_the_region() -> None:
    cells = np.zeros((2, 2, 1), np.float32)
    cells[0, 0], cells[0, 1] = 1, 3
    ds = map_dataset(cells, MapWindow(360, 720, 2, 2), source='made')
    # Between two cells of land and two of sea.
    np.testing.assert_allclose(sample(ds, 0.0625, -0.1, 'bilinear'), [1.5])
    # At the edge of the region.
    np.testing.assert_allclose(sample(ds, 0.3, 0.1, 'bilinear'), [3])


def test_a_place_without_data_is_nan_or_raises() -> None:
    row, column = np.argwhere(VALUES[..., 0] == 0)[5]
    lon, lat = column * 0.25 - 180, 90 - row * 0.25
    assert np.isnan(sample(MAP, lon, lat)).all()
    with pytest.raises(ValueError, match=r'cell without data \(2 of the places'):
        sample(MAP, [lon, lon], [lat, lat], missing='raise')


def test_a_place_outside_of_a_region_raises_instead_of_nan() -> None:
    region = MAP.isel(lat=slice(100, 200), lon=slice(100, 200))
    for lon, lat in ((0, 50), (-150, -50), (-150, 89), (-129, 50)):
        with pytest.raises(ValueError, match='is not in the map'):
            sample(region, [-150, lon], [50, lat])
    np.testing.assert_array_equal(sample(region, 210, 50), sample(MAP, -150, 50))


@pytest.mark.parametrize(
    'arguments',
    [(0, 90.1), (float('nan'), 0), (0, float('inf')), ([0, 1], [0, 1, 2]), ('a', 0), (None, 0)],
)
def test_what_is_no_place_raises(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match='lon'):
        sample(MAP, *arguments)
    with pytest.raises(ValueError, match='method'):
        sample(MAP, 0, 0, method='cubic')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='missing'):
        sample(MAP, 0, 0, missing='zero')  # type: ignore[arg-type]


REGION = MAP.isel(lat=slice(300, 360), lon=slice(700, 760))


def naive(ds: xr.Dataset, target: NDArray[np.float64], metric: str) -> pd.DataFrame:
    """Compare with each cell, one by one."""
    rows = []
    for lat in ds['lat'].to_numpy():
        for lon in ds['lon'].to_numpy():
            vector = ds['embedding'].sel(lat=lat, lon=lon).to_numpy().astype(float)
            if vector.any():
                cosine = vector @ target / np.linalg.norm(vector) / np.linalg.norm(target)
                value = cosine if metric == 'cosine' else np.linalg.norm(vector - target)
                rows.append((Cell.at(lon, lat).grid_id, lon, lat, value))
    name = 'similarity' if metric == 'cosine' else 'distance'
    table = pd.DataFrame(rows, columns=['grid_id', 'longitude', 'latitude', name])
    return table.sort_values([name, 'grid_id'], ascending=[metric != 'cosine', True])


@pytest.mark.parametrize('metric', ['cosine', 'euclidean'])
def test_block_by_block_finds_what_one_by_one_finds(
    metric: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_blocks, '_BLOCK_BYTES', 5000)
    small = REGION.isel(lat=slice(20), lon=slice(20))
    target = np.array([0.3, -0.8])
    found = nearest(small, 7, vector=target, metric=metric)
    wanted = naive(small, target, metric)[:7].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    assert len(nearest(small, 10_000, vector=target)) == int(small['valid'].sum())


def test_a_place_is_most_like_itself_and_neighbours_can_be_left_out(
    maps: dict[str, Path], values: NDArray[np.float32]
) -> None:
    land = (values != 0).any(axis=2)
    row, column = np.argwhere(land[200:500, 100:1300])[50_000] + (200, 100)
    ds = open_map(maps['npz']).isel(
        lat=slice(row - 90, row + 90), lon=slice(column - 90, column + 90)
    )
    place = (column * 0.25 - 180, 90 - row * 0.25)
    found = nearest(ds, 5, place=place)
    assert found['grid_id'][0] == Cell.at(*place).grid_id
    np.testing.assert_allclose(found['similarity'][0], 1)
    assert found['similarity'].is_monotonic_decreasing
    far = nearest(ds, 5, place=place, min_distance_km=500)
    away = np.hypot(far['longitude'] - place[0], far['latitude'] - place[1])
    assert (away > 4).all() and far['similarity'][0] < 1
    assert nearest(ds, 1, place=place, metric='euclidean')['distance'][0] == 0


def test_of_the_same_value_the_lower_cell_comes_first() -> None:
    ds = map_dataset(np.ones((5, 6, 2), np.float32), MapWindow(10, 20, 5, 6), source='made')
    found = nearest(ds, 4, vector=[1, 1])
    assert found['grid_id'].tolist() == sorted(MapWindow(10, 20, 5, 6).grid_ids.ravel())[:4]


def test_cells_that_were_masked_are_not_found() -> None:
    masked = REGION.assign(valid=REGION['valid'] & (REGION['lat'] > 5))
    found = nearest(masked, 20, vector=[1, 0])
    assert (found['latitude'] > 5).all() and len(found) == 20


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({}, 'place or vector'),
        ({'place': (0, 5), 'vector': [1, 2]}, 'place or vector'),
        ({'vector': [1, 2, 3]}, 'give 2 finite numbers'),
        ({'vector': [1, np.nan]}, 'give 2 finite numbers'),
        ({'vector': ['a', 'b']}, 'give 2 finite numbers'),
        ({'vector': [0, 0]}, 'has no direction'),
        ({'vector': [1, 2], 'metric': 'dot'}, 'metric'),
        ({'vector': [1, 2], 'k': 0}, 'at least 1'),
        ({'vector': [1, 2], 'k': 1.5}, 'whole number'),
        ({'vector': [1, 2], 'min_distance_km': 5}, 'km from a place'),
        ({'place': (0, 5), 'min_distance_km': -5}, 'not negative'),
        ({'place': 'Rome'}, 'longitude and latitude'),
        ({'place': (100, 5)}, 'is not in the map'),
    ],
)
def test_wrong_arguments_raise(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest(REGION, **options)
