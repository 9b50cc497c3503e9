"""What `write_map` writes lies at the right place for GDAL, and is whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed import (
    MapWindow,
    map_dataset,
    open_map,
    row_blocks,
    write_map,
)
from torchgeo_copernicus.datasets.pretrain.grid import Cell


def test_gdal_finds_the_published_geotransform_and_the_right_cells(
    maps: dict[str, Path], values: NDArray[np.float32]
) -> None:
    with rasterio.open(maps['tif']) as file:
        assert tuple(file.transform)[:6] == (0.25, 0, -180.125, 0, -0.25, 90.125)
        assert file.get_transform() == [-180.125, 0.25, 0, 90.125, 0, -0.25]
        assert file.crs == 'EPSG:4326' and (file.height, file.width) == (721, 1440)
        assert file.block_shapes == [(16, 16)] * 4 and file.interleaving.name == 'pixel'
        for lon, lat in ((11.6, 48.1), (-180, 90), (179.74, -89.9), (-70.3, -15)):
            assert file.index(lon, lat) == Cell.at(lon, lat).map_pixel
            row, column = Cell.at(lon, lat).map_pixel
            (found,) = file.sample([(lon, lat)])
            np.testing.assert_array_equal(found, values[row, column])
        np.testing.assert_array_equal(file.dataset_mask() > 0, (values != 0).any(axis=2))


@pytest.mark.parametrize('suffix', ['npz', 'tif', 'zarr'])
def test_many_small_blocks_write_the_same_map(
    maps: dict[str, Path], tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small blocks of a narrow map; the release keeps no place and so has to be whole.
    monkeypatch.setattr(row_blocks, '_BLOCK_BYTES', 4 << 20 if suffix == 'npz' else 100_000)
    ds = open_map(maps['npz'], None if suffix == 'npz' else (-180, -15, -120, 15))
    assert len(list(row_blocks.row_blocks(ds, 16))) > 3
    found = open_map(write_map(ds, tmp_path / f'map.{suffix}')).compute()
    xr.testing.assert_equal(found, ds.compute())
    assert found.attrs['geotransform'] == ds.attrs['geotransform']
    assert found['spatial_ref'].attrs == ds['spatial_ref'].attrs
    assert [path.name for path in tmp_path.iterdir()] == [f'map.{suffix}']
    if suffix == 'zarr':
        # What GDAL and rioxarray read: of the whole, not of the rows that were written last.
        stored = xr.open_zarr(tmp_path / 'map.zarr')
        assert stored['spatial_ref'].attrs == ds['spatial_ref'].attrs
        assert stored.attrs['geotransform'] == ds.attrs['geotransform']


@pytest.mark.parametrize('suffix', ['tif', 'zarr'])
def test_a_region_across_the_date_line_comes_back(
    maps: dict[str, Path], tmp_path: Path, suffix: str
) -> None:
    ds = open_map(maps['npz'], (175, -30, -175, 20))
    path = write_map(ds, tmp_path / f'map.{suffix}')
    xr.testing.assert_equal(open_map(path).compute(), ds.compute())
    inner = (179, 0, -179, 1)
    xr.testing.assert_equal(open_map(path, inner).compute(), open_map(maps['npz'], inner).compute())


def test_a_npz_is_as_numpy_writes_it(maps: dict[str, Path], tmp_path: Path) -> None:
    path = write_map(open_map(maps['npz']), tmp_path / 'map.npz')
    with np.load(path) as found, np.load(maps['npz']) as wanted:
        assert found.files == ['arr_0']
        np.testing.assert_array_equal(found['arr_0'], wanted['arr_0'])


def test_a_region_is_not_written_where_its_place_would_be_lost(
    maps: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match='keeps no place'):
        write_map(open_map(maps['npz'], (0, 0, 5, 5)), tmp_path / 'map.npz')
    with pytest.raises(ValueError, match=r"ends with '\.nc'"):
        write_map(open_map(maps['npz']), tmp_path / 'map.nc')


@pytest.mark.parametrize('suffix', ['tif', 'zarr'])
def test_what_is_there_is_only_replaced_when_told_so(tmp_path: Path, suffix: str) -> None:
    window = MapWindow(10, 20, 3, 5)
    one, two = (
        map_dataset(np.full((3, 5, 2), number, np.float32), window, source='made')
        for number in (1, 2)
    )
    path = write_map(one, tmp_path / 'new' / f'map.{suffix}')
    with pytest.raises(FileExistsError, match='overwrite=True'):
        write_map(two, path)
    assert float(open_map(path)['embedding'].max()) == 1
    write_map(two, path, overwrite=True)
    assert float(open_map(path)['embedding'].min()) == 2
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize('suffix', ['tif', 'zarr'])
def test_a_cell_that_would_not_come_back_raises_and_leaves_nothing(
    tmp_path: Path, suffix: str
) -> None:
    window = MapWindow(0, 0, 2, 2)
    cells = np.ones((2, 2, 3), np.float32)
    for wrong, message in ((np.nan, 'not finite'), (0, 'is 0 in all channels')):
        values = cells.copy()
        values[1, 1] = wrong
        ds = map_dataset(values, window, np.ones((2, 2), bool), source='made')
        with pytest.raises(ValueError, match=message):
            write_map(ds, tmp_path / f'map.{suffix}')
        assert list(tmp_path.iterdir()) == []
    # What is masked is written as no data.
    values[0, 0] = 7
    valid = np.array([[False, True], [True, False]])
    path = write_map(map_dataset(values, window, valid, source='made'), tmp_path / f'map.{suffix}')
    np.testing.assert_array_equal(open_map(path)['valid'], valid)


def test_what_is_no_map_raises(maps: dict[str, Path]) -> None:
    ds = open_map(maps['npz'], (0, 0, 5, 5))
    for wrong, message in (
        (ds['embedding'], 'DataArray is no map'),
        (ds.drop_vars('valid'), 'has no valid'),
        (ds.transpose('channel', 'lat', 'lon'), 'Transpose it'),
        (ds.drop_vars('lat'), 'no coordinates'),
        (ds.assign(valid=ds['valid'].astype(int)), 'wanted floats and bool'),
        (ds.sortby('lat'), 'lat must descend'),
        (ds.isel(lon=slice(None, None, 2)), 'lon must ascend by 0.25'),
    ):
        with pytest.raises(ValueError, match=message):
            write_map(wrong, 'never.tif')


def test_numbers_that_do_not_fit_their_cells_raise() -> None:
    window = MapWindow(0, 0, 2, 3)
    for array in (
        np.zeros((3, 2, 1), np.float32),
        np.zeros((2, 3, 1)),
        np.zeros((2, 3), np.float32),
    ):
        with pytest.raises(ValueError, match='embedding is'):
            map_dataset(array, window, source='made')
    with pytest.raises(ValueError, match='valid is'):
        map_dataset(np.zeros((2, 3, 1), np.float32), window, np.zeros((2, 3)), source='made')


def test_coordinates_of_a_zarr_map_are_a_file_each(maps: dict[str, Path]) -> None:
    # All of them are read to open it: in pieces that took half of the time of a region.
    for name in ('lat', 'lon'):
        assert len([p for p in (maps['zarr'] / name).iterdir() if p.name.isdecimal()]) == 1
