"""Maps and ERA5 files meet cell by cell, in every order of axes, and other grids are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed import MapWindow, join_era5, map_dataset, open_map, to_era5
from torchgeo_copernicus.datasets.pretrain.grid import Cell


def era5(
    lat: NDArray[np.floating],
    lon: NDArray[np.floating],
    names: tuple[str, str] = ('latitude', 'longitude'),
) -> xr.Dataset:
    """Two dates of a variable that tells its place."""
    temperature = np.stack([lat[:, None] * 1000 + lon % 360, lat[:, None] * 1000 + lon % 360 + 1])
    return xr.Dataset(
        {'t2m': (('time', *names), temperature)},
        {'time': [0, 1], names[0]: lat, names[1]: lon},
        {'Conventions': 'CF-1.7'},
    )


def located() -> xr.Dataset:
    """A map of the world whose vectors tell their cell."""
    window = MapWindow()
    ids = window.grid_ids
    # Exact in float32: row and column apart.
    cells = np.stack([ids // 1440, ids % 1440 + 1], axis=-1).astype(np.float32)
    return map_dataset(cells, window, source='made')


MAP = located()


@pytest.mark.parametrize('chunks', ['auto', None])
def test_a_whole_map_is_rolled_by_half_a_turn(
    maps: dict[str, Path], values: NDArray[np.float32], chunks: Any
) -> None:
    found = to_era5(open_map(maps['npz'], chunks=chunks))
    assert found['embedding'].dims == ('latitude', 'longitude', 'channel')
    np.testing.assert_array_equal(found['longitude'], 0.25 * np.arange(1440))
    np.testing.assert_array_equal(found['latitude'], 90 - 0.25 * np.arange(721))
    np.testing.assert_array_equal(found['embedding'], np.roll(values, 720, axis=1))
    np.testing.assert_array_equal(found['valid'], np.roll((values != 0).any(axis=2), 720, axis=1))
    assert found.attrs['geotransform'] == [0.25, 0, -0.125, 0, -0.25, 90.125]
    assert found['spatial_ref'].attrs['GeoTransform'] == '-0.125 0.25 0.0 90.125 0.0 -0.25'


def test_the_greenwich_map_is_left_in_its_order() -> None:
    ds = open_like((0, -90, 360, 90))
    found = to_era5(ds)
    np.testing.assert_array_equal(found['longitude'], ds['lon'])
    np.testing.assert_array_equal(found['embedding'], ds['embedding'])


def open_like(region: tuple[float, float, float, float]) -> xr.Dataset:
    window = MapWindow.of_region(region)
    rows, pieces = MapWindow().pieces(window)
    cells = np.concatenate([MAP['embedding'].to_numpy()[rows, piece] for piece in pieces], axis=1)
    return map_dataset(cells, window, source='made')


@pytest.mark.parametrize(
    ('region', 'first'), [((-30, 0, -10, 5), 330), ((10, 0, 20, 5), 10), ((170, 0, -170, 5), 170)]
)
def test_a_region_on_one_side_ascends(
    region: tuple[float, float, float, float], first: float
) -> None:
    ds = open_like(region)
    found = to_era5(ds)
    assert found['longitude'][0] == first and (np.diff(found['longitude']) == 0.25).all()
    assert float(found['longitude'][-1]) < 360
    np.testing.assert_array_equal(found['embedding'], ds['embedding'])
    assert found.attrs['geotransform'][2] == first - 0.125


def test_a_region_across_greenwich_is_not_torn_apart() -> None:
    with pytest.raises(ValueError, match='across Greenwich'):
        to_era5(open_like((-10, 0, 10, 5)))


def _check(joined: xr.Dataset, names: tuple[str, str]) -> None:
    """Compare every vector with the cell that its own coordinates are in."""
    lat, lon = joined[names[0]].to_numpy(), joined[names[1]].to_numpy()
    vectors = joined['embedding'].transpose(*names, 'channel').to_numpy()
    for i in range(0, len(lat), 7):
        for j in range(0, len(lon), 5):
            cell = Cell.at(round(float(lon[j]) * 4) / 4, round(float(lat[i]) * 4) / 4)
            assert vectors[i, j].tolist() == [cell.row_from_south, cell.column + 1]
    assert bool(joined['valid'].all())


@pytest.mark.parametrize('rising', [False, True])
@pytest.mark.parametrize('first_lon', [-180.0, 0.0, -10.0, 170.0])
@pytest.mark.parametrize('noise', [0.0, 9e-5])
@pytest.mark.parametrize('names', [('latitude', 'longitude'), ('lat', 'lon')])
def test_every_convention_of_era5_finds_its_cells(
    rising: bool, first_lon: float, noise: float, names: tuple[str, str]
) -> None:
    lat = 60 - 0.25 * np.arange(60) + noise
    lon = first_lon + 0.25 * np.arange(100) - noise
    field = era5(lat[::-1] if rising else lat, lon, names)
    joined = join_era5(MAP, field)
    _check(joined, names)
    # What was there is as it was, coordinates too.
    xr.testing.assert_identical(joined[['t2m']], field)
    assert joined['embedding'].dims == (*names, 'channel')


def test_a_rising_longitude_that_wraps_and_a_falling_one_find_their_cells() -> None:
    lat = np.array([10, 9.75, 9.5])
    wrapped = np.array([179.25, 179.5, 179.75, -180, -179.75, -179.5])
    for lon in (wrapped, wrapped[::-1], wrapped % 360):
        _check(join_era5(MAP, era5(lat, lon)), ('latitude', 'longitude'))


def test_the_whole_world_and_a_lazy_map_join(
    maps: dict[str, Path], values: NDArray[np.float32]
) -> None:
    field = era5(90 - 0.25 * np.arange(721), (0.25 * np.arange(1440)).astype(np.float32))
    for chunks in ('auto', None):
        joined = join_era5(open_map(maps['npz'], chunks=chunks), field)  # type: ignore[arg-type]
        np.testing.assert_array_equal(joined['embedding'], np.roll(values, 720, axis=1))
    single = join_era5(MAP, era5(np.array([10.0]), np.array([20.0])))
    assert single['embedding'].shape == (1, 1, 2)


def test_a_region_of_the_map_joins_what_is_within() -> None:
    region = open_like((-10, 0, 10, 5))
    lat, lon = 4 - 0.25 * np.arange(9), np.array([359.5, 359.75, 0, 0.25])
    _check(join_era5(region, era5(lat, lon)), ('latitude', 'longitude'))
    lon = 0.25 * np.arange(4)
    with pytest.raises(ValueError, match='Open the map with a region'):
        join_era5(region, era5(lat, lon - 20))


@pytest.mark.parametrize(
    ('lat', 'lon', 'message'),
    [
        (np.arange(10, 5, -1.0), np.arange(0, 5, 1.0), r'steps of .* wanted -0\.25.*remapbil'),
        (np.arange(10, 9, -0.25), np.arange(0, 2, 0.5), 'longitude of era5 goes in steps'),
        (np.arange(10, 9, -0.1), np.arange(0, 1, 0.1), 'not in multiples of 0.25'),
        (10.125 - 0.25 * np.arange(4), 0.25 * np.arange(4), 'not in multiples of 0.25'),
        (np.arange(10, 9, -0.25), 0.25 * np.arange(1441), 'a place twice'),
        (np.array([10, 10.25, 10]), 0.25 * np.arange(3), 'steps'),
        (np.array([90.25, 90]), 0.25 * np.arange(3), 'beyond 90'),
        (np.array(['a', 'b']), 0.25 * np.arange(3), 'wanted degrees'),
    ],
)
def test_other_grids_are_refused_with_advice(
    lat: NDArray[Any], lon: NDArray[Any], message: str
) -> None:
    field = xr.Dataset(coords={'latitude': lat, 'longitude': lon})
    with pytest.raises(ValueError, match=message):
        join_era5(MAP, field)


def test_names_that_are_taken_or_missing_raise() -> None:
    field = era5(np.array([10.0, 9.75]), np.array([0.0, 0.25]))
    with pytest.raises(ValueError, match=r"\['embedding'\] already"):
        join_era5(MAP, field.rename(t2m='embedding'))
    with pytest.raises(ValueError, match=r"\['channel'\] already"):
        join_era5(MAP, field.rename(time='channel'))
    with pytest.raises(ValueError, match='wanted one of'):
        join_era5(MAP, field.rename(latitude='y'))
    with pytest.raises(ValueError, match='wanted an xarray Dataset'):
        join_era5(MAP, field['t2m'])  # type: ignore[arg-type]
