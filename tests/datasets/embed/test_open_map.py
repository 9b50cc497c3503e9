"""A map opens the same from every format, reads no more than it has to, and refuses what is no map."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
import zarr
from numpy.typing import NDArray

from tests.datasets.storage.range_server import serving
from torchgeo_copernicus.datasets import open_map as exported
from torchgeo_copernicus.datasets.embed import embed_map, open_map
from torchgeo_copernicus.datasets.embed.embed_map import open_array
from torchgeo_copernicus.datasets.embed.npz_array import DeflatedArray
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import UnsafePickleError
from torchgeo_copernicus.datasets.storage.byte_source import LocalFile

KINDS = ('npz', 'compressed', 'pt', 'tif', 'zarr')
REGION = (0.0, 40.0, 20.0, 60.0)
ROWS, COLUMNS = slice(120, 201), slice(720, 801)


def test_the_look_alike_has_land_and_sea(values: NDArray[np.float32]) -> None:
    assert 0.2 < (values != 0).any(axis=2).mean() < 0.4


@pytest.mark.parametrize(
    ('kind', 'chunks'),
    [
        *((kind, 'auto') for kind in KINDS),
        ('pt', None),
        ('zarr', None),
        ('npz', 300),
        ('tif', (100, 360)),
    ],
)
def test_every_format_opens_equal(
    maps: dict[str, Path], values: NDArray[np.float32], kind: str, chunks: Any
) -> None:
    ds = exported(maps[kind], chunks=chunks)
    assert ds['embedding'].dims == ('lat', 'lon', 'channel')
    assert (ds['embedding'].chunks is None) == (chunks is None)
    assert ds['embedding'].dtype == np.float32 and ds['valid'].dtype == bool
    loaded = ds.compute()
    np.testing.assert_array_equal(loaded['embedding'], values)
    np.testing.assert_array_equal(loaded['valid'], (values != 0).any(axis=2))
    np.testing.assert_array_equal(ds['lat'], 90 - 0.25 * np.arange(721))
    np.testing.assert_array_equal(ds['lon'], 0.25 * np.arange(1440) - 180)
    assert ds.attrs['geotransform'] == [0.25, 0, -180.125, 0, -0.25, 90.125]
    assert ds['spatial_ref'].attrs['GeoTransform'] == '-180.125 0.25 0.0 90.125 0.0 -0.25'
    assert 'WGS 84' in ds['spatial_ref'].attrs['crs_wkt']


@pytest.mark.parametrize('chunks', ['auto', None])
@pytest.mark.parametrize('kind', KINDS)
def test_a_region_has_its_cells_in_every_format(
    maps: dict[str, Path], values: NDArray[np.float32], kind: str, chunks: Any
) -> None:
    ds = open_map(maps[kind], REGION, chunks)
    np.testing.assert_array_equal(ds['embedding'], values[ROWS, COLUMNS])
    assert ds['lat'].to_numpy()[[0, -1]].tolist() == [60, 40]
    assert ds['lon'].to_numpy()[[0, -1]].tolist() == [0, 20]
    across = open_map(maps[kind], (170, -20, -170, 0), chunks)
    wanted = np.concatenate([values[360:441, 1400:], values[360:441, :41]], axis=1)
    np.testing.assert_array_equal(across['embedding'], wanted)
    np.testing.assert_array_equal(across['valid'], (wanted != 0).any(axis=2))
    assert across['lon'].to_numpy()[[0, -1]].tolist() == [170, 190]
    # Parts, single cells and steps of a lazy array, on both sides of the date line.
    part = across['embedding'].isel(lat=slice(70, 3, -7), lon=slice(30, 60, 3), channel=2)
    np.testing.assert_array_equal(part, wanted[70:3:-7, 30:60:3, 2])
    np.testing.assert_array_equal(across['embedding'].isel(lat=3, lon=45), wanted[3, 45])
    np.testing.assert_array_equal(across['valid'].isel(lat=3), (wanted[3] != 0).any(axis=1))
    assert across['embedding'].isel(lon=slice(5, 5)).to_numpy().shape == (81, 0, 4)


class Counted:
    """Counts the bytes that are read of files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, original = 0, LocalFile.read_into

        def read_into(source: LocalFile, offset: int, target: memoryview) -> None:
            self.count += len(target)
            original(source, offset, target)

        monkeypatch.setattr(LocalFile, 'read_into', read_into)


@pytest.mark.parametrize('kind', ['npz', 'pt'])
def test_a_region_reads_no_other_cells(
    maps: dict[str, Path], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    counted = Counted(monkeypatch)
    ds = open_map(maps[kind], REGION)
    opened = counted.count
    assert opened < 12_000
    ds.compute()
    assert counted.count - opened == 81 * 81 * 4 * 4
    counted.count = 0
    ds['embedding'].isel(lat=3, lon=4).compute()
    assert counted.count == 4 * 4


@pytest.mark.parametrize('kind', ['npz', 'pt'])
def test_a_region_is_read_from_a_server_without_the_rest(
    maps: dict[str, Path],
    values: NDArray[np.float32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setenv('COPERNICUS_RANGE_CACHE', str(tmp_path))
    with serving(maps[kind].parent) as server:
        ds = open_map(f'{server.url}/{maps[kind].name}', (0, 40, 5, 45))
        np.testing.assert_array_equal(ds['embedding'], values[180:201, 720:741])
        assert server.sent_bytes < 500_000 < maps[kind].stat().st_size / 10


@pytest.mark.parametrize('kind', ['npz', 'compressed'])
def test_an_archive_whose_parts_are_elsewhere_raises(
    maps: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    content = bytearray(maps[kind].read_bytes())
    content[:4] = b'XXXX'
    path = tmp_path / 'map.npz'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'map\.npz'):
        open_map(path)


def test_compressed_numbers_that_end_early_raise(maps: dict[str, Path]) -> None:
    array = open_array(str(maps['compressed']))
    assert isinstance(array, DeflatedArray)
    short = replace(array, packed_size=array.packed_size // 2)
    with pytest.raises(ValueError, match='ends early'):
        short.read(slice(0, 721), slice(0, 1440))
    with pytest.raises(ValueError, match='CRC-32'):
        replace(array, crc=array.crc ^ 1).read(slice(700, 721), slice(0, 10))


def test_blocks_of_a_written_map_are_read_once(
    maps: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small chunks of Dask, whose edges have to be those of the blocks.
    monkeypatch.setattr(embed_map, '_CHUNK_BYTES', 100_000)
    ds = open_map(maps['tif'], (-179, -10, 170, 10))
    ends = 90 - 0.25 * (ds['lat'].size and np.cumsum(ds.chunks['lat'])) - (90 - ds['lat'][0].item())
    rows = (90 - ends[:-1]) / 0.25
    assert len(rows) > 3
    assert (np.round(rows) % 16 == 0).all()
    assert sum(ds.chunks['lon']) == ds['lon'].size
    columns = 4 + np.cumsum(ds.chunks['lon'])[:-1]
    assert len(columns) > 1
    assert (columns % 16 == 0).all()


def test_a_lazy_map_goes_to_other_processes(
    maps: dict[str, Path], values: NDArray[np.float32]
) -> None:
    for kind in KINDS:
        ds = pickle.loads(pickle.dumps(open_map(maps[kind], REGION)))
        np.testing.assert_array_equal(ds['embedding'], values[ROWS, COLUMNS])


def _saved(path: Path, array: NDArray[np.generic], **others: NDArray[np.generic]) -> Path:
    np.savez(path, array, **others)
    return path


@pytest.mark.parametrize('dtype', ['<f2', '>f4', '<f8'])
def test_other_floats_are_read_as_float32(
    tmp_path: Path, values: NDArray[np.float32], dtype: str
) -> None:
    stored = values[..., :1].astype(dtype)
    ds = open_map(_saved(tmp_path / 'map.npz', stored), REGION)
    np.testing.assert_array_equal(ds['embedding'], stored.astype(np.float32)[ROWS, COLUMNS])
    assert ds['embedding'].dtype == np.float32


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_cell_that_is_not_finite_has_no_data(tmp_path: Path, value: float) -> None:
    array = np.ones((721, 1440, 2), np.float32)
    array[360, 720, 1] = value
    ds = open_map(_saved(tmp_path / 'map.npz', array), (-1, -1, 1, 1)).compute()
    assert int((~ds['valid']).sum()) == 1
    assert ds['embedding'].sel(lat=0, lon=0).to_numpy().tolist() == [0, 0]


def test_large_numbers_whose_sum_overflows_are_data(tmp_path: Path) -> None:
    array = np.full((721, 1440, 2), 3e38, np.float32)
    ds = open_map(_saved(tmp_path / 'map.npz', array), (-1, -1, 1, 1)).compute()
    assert bool(ds['valid'].all()) and bool((ds['embedding'] == np.float32(3e38)).all())


@pytest.mark.parametrize(
    ('shape', 'message'),
    [
        ((1440, 721, 2), r'axes are swapped: transpose it to \(1, 0, 2\)'),
        ((2, 721, 1440), r'axes are swapped: transpose it to \(1, 2, 0\)'),
        ((720, 1440, 2), 'lacks the row of a pole'),
        ((721, 1440), 'has the shape'),
        ((721, 1440, 0), 'has the shape'),
    ],
)
def test_swapped_axes_are_named(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_map(_saved(tmp_path / 'map.npz', np.zeros(shape, np.float32)))


def test_numbers_that_are_no_floats_raise(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='holds int16'):
        open_map(_saved(tmp_path / 'map.npz', np.zeros((721, 1440, 1), np.int16)))


def test_an_array_in_fortran_order_is_not_read_transposed(tmp_path: Path) -> None:
    array = np.asfortranarray(np.zeros((721, 1440, 2), np.float32))
    with pytest.raises(ValueError, match='Fortran order'):
        open_map(_saved(tmp_path / 'map.npz', array))


def test_of_several_arrays_that_of_the_release_is_read(
    tmp_path: Path, values: NDArray[np.float32]
) -> None:
    ones = np.ones((721, 1440, 4), np.float32)
    path = _saved(tmp_path / 'map.npz', values, another=ones)
    np.testing.assert_array_equal(open_map(path, REGION)['embedding'], values[ROWS, COLUMNS])
    np.savez(tmp_path / 'two.npz', a=ones[:1], b=ones[:1])
    with pytest.raises(ValueError, match='wanted one, or arr_0'):
        open_map(tmp_path / 'two.npz')


def test_an_object_array_is_not_unpickled(tmp_path: Path) -> None:
    path = _saved(tmp_path / 'map.npz', np.array([{'a': 1}], object))
    with pytest.raises(ValueError, match='holds object'):
        open_map(path)


def _rewritten(path: Path, name: str, content: bytes, method: int) -> Path:
    with zipfile.ZipFile(path, 'w', method) as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_array_shorter_than_it_says_raises(
    maps: dict[str, Path], tmp_path: Path, method: int
) -> None:
    with zipfile.ZipFile(maps['npz']) as archive:
        content = archive.read('arr_0.npy')
    for wrong, message in (
        (content[:-4], 'is damaged'),
        (b'x' * 200, 'no readable array'),
        (content[:6] + b'\x09\x00' + content[8:], 'no readable array'),
    ):
        path = _rewritten(tmp_path / 'map.npz', 'arr_0.npy', wrong, method)
        with pytest.raises(ValueError, match=message):
            open_map(path)


def test_a_file_that_was_cut_off_is_named(maps: dict[str, Path], tmp_path: Path) -> None:
    for kind in ('npz', 'pt', 'tif', 'compressed'):
        path = tmp_path / maps[kind].name
        path.write_bytes(maps[kind].read_bytes()[: 1 << 18])
        with pytest.raises(ValueError, match=path.name):
            open_map(path, REGION).compute()


def test_damage_within_compressed_numbers_is_named(maps: dict[str, Path], tmp_path: Path) -> None:
    path = shutil.copy(maps['compressed'], tmp_path / 'map.npz')
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = b'\xff' * 4096
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'map\.npz is damaged'):
        open_map(path).compute()
    content = bytearray(maps['compressed'].read_bytes())
    content[60:200] = b'\xff' * 140
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'map\.npz'):
        open_map(path)


def test_a_file_that_was_replaced_meanwhile_raises(maps: dict[str, Path], tmp_path: Path) -> None:
    path = shutil.copy(maps['npz'], tmp_path / 'map.npz')
    ds = open_map(path)
    _saved(path, np.zeros((721, 1440, 1), np.float32))
    with pytest.raises(ValueError, match='open the map again'):
        ds.compute()


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ('ran',))


def test_a_malicious_pt_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Evil(), tmp_path / 'map.pt')
    with pytest.raises(UnsafePickleError):
        open_map(tmp_path / 'map.pt')
    assert capsys.readouterr().out == ''


def test_a_tensor_that_is_not_dense_raises(tmp_path: Path) -> None:
    torch.save(torch.zeros(1440, 721, 1).transpose(0, 1), tmp_path / 'map.pt')
    with pytest.raises(ValueError, match='contiguous'):
        open_map(tmp_path / 'map.pt')


def _raster(path: Path, **changes: Any) -> Path:
    profile = {
        'driver': 'GTiff',
        'height': 8,
        'width': 12,
        'count': 2,
        'dtype': 'float32',
        'crs': 'EPSG:4326',
        'transform': rasterio.Affine(0.25, 0, 9.875, 0, -0.25, 50.125),
        **changes,
    }
    with rasterio.open(path, 'w', **profile) as file:
        number = np.arange(2 * 8 * 12, dtype=profile['dtype']).reshape(2, 8, 12)
        file.write(number + 1)
    return path


def test_a_geotiff_of_a_region_keeps_its_place(tmp_path: Path) -> None:
    path = _raster(tmp_path / 'map.tif')
    ds = open_map(path)
    assert (ds['lat'][0], ds['lon'][0]) == (50, 10)
    assert ds['embedding'].sel(lat=49.75, lon=10.5).to_numpy().tolist() == [15, 111]
    inside = open_map(path, (10.5, 49.75, 10.5, 49.75))
    assert inside['embedding'].to_numpy().ravel().tolist() == [15, 111]
    with pytest.raises(
        ValueError, match=r'map\.tif: The map has 48.25 to 50.0 .*Choose a region within'
    ):
        open_map(path, (0, 49, 12, 50))


def test_a_declared_number_for_no_data_is_no_data(tmp_path: Path) -> None:
    ds = open_map(_raster(tmp_path / 'map.tif', nodata=15)).compute()
    assert int((~ds['valid']).sum()) == 1
    assert ds['embedding'].sel(lat=49.75, lon=10.5).to_numpy().tolist() == [0, 0]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'crs': 'EPSG:3857'}, 'has WGS 84 / Pseudo-Mercator'),
        ({'crs': None}, 'no coordinate reference system'),
        ({'transform': rasterio.Affine(0.25, 0, 9.875, 0, 0.25, 50.125)}, 'south up'),
        ({'transform': rasterio.Affine(0.25, 0, 10, 0, -0.25, 50)}, 'not the centres of cells'),
        ({'dtype': 'int16'}, 'holds .*int16'),
    ],
)
def test_a_geotiff_of_another_place_raises(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_map(_raster(tmp_path / 'map.tif', **changes))


def _group(path: Path, **changes: Any) -> Path:
    ds = xr.Dataset(
        {'embedding': (('lat', 'lon', 'channel'), np.ones((3, 4, 2), np.float32))},
        {'lat': [1, 0.75, 0.5], 'lon': [0, 0.25, 0.5, 0.75]},
    )
    ds = ds.assign({k: v for k, v in changes.items() if k == 'spatial_ref'})
    if 'lat' in changes or 'lon' in changes:
        ds = ds.assign_coords({k: v for k, v in changes.items() if k in ('lat', 'lon')})
    if 'axes' in changes:
        ds = ds.transpose(*changes['axes'])
    if 'dtype' in changes:
        ds = ds.astype(changes['dtype'])
    ds = ds.drop_vars(changes.get('without', []))
    ds.to_zarr(path, zarr_format=changes.get('zarr_format', 2), consolidated=False)
    return path


@pytest.mark.parametrize('zarr_format', [2, 3])
def test_a_zarr_that_xarray_wrote_opens(tmp_path: Path, zarr_format: int) -> None:
    ds = open_map(_group(tmp_path / 'map.zarr', zarr_format=zarr_format))
    assert ds['embedding'].shape == (3, 4, 2) and bool(ds['valid'].all())
    assert open_map(f'{tmp_path}/map.zarr/').identical(
        ds.assign_attrs(source=f'{tmp_path}/map.zarr/')
    )


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'axes': ('channel', 'lat', 'lon')}, 'Transpose it'),
        ({'lat': [0.5, 0.75, 1]}, 'map.zarr: lat must descend'),
        ({'lon': [0.1, 0.35, 0.6, 0.85]}, 'not multiples of 0.25'),
        ({'dtype': 'int32'}, 'holds int32'),
        ({'without': ['lat']}, 'has no array lat'),
        ({'without': ['embedding']}, 'has no array embedding'),
        (
            {'spatial_ref': ((), 0, {'crs_wkt': rasterio.CRS.from_epsg(3857).to_wkt()})},
            'Pseudo-Mercator',
        ),
    ],
)
def test_a_zarr_with_other_axes_raises(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_map(_group(tmp_path / 'map.zarr', **changes))


def test_what_is_no_zarr_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no folder'):
        open_map(tmp_path / 'missing.zarr')
    (tmp_path / 'empty.zarr').mkdir()
    with pytest.raises(ValueError, match='no Zarr group'):
        open_map(tmp_path / 'empty.zarr')
    group = zarr.open_group(str(_group(tmp_path / 'map.zarr')), mode='a')
    group['lat'].resize(2 if zarr_is_new() else (2,))
    with pytest.raises(ValueError, match='2 lat and 4 lon'):
        open_map(tmp_path / 'map.zarr')


def zarr_is_new() -> bool:
    return hasattr(zarr, 'AsyncArray')


def test_an_unknown_ending_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends with '\.nc'"):
        open_map(tmp_path / 'map.nc')
    with pytest.raises(FileNotFoundError):
        open_map(tmp_path / 'map.npz')
    with pytest.raises(ValueError, match='missing, cut off'):
        open_map(tmp_path / 'map.tif')


@pytest.mark.parametrize('chunks', [0, True, 'rows', (1, 2, 3), (4, 0), 2.5])
def test_wrong_chunks_raise(maps: dict[str, Path], chunks: Any) -> None:
    with pytest.raises(ValueError, match='chunks'):
        open_map(maps['npz'], chunks=chunks)


def test_without_dask_the_message_says_what_to_do(
    maps: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_map, 'find_spec', lambda name: None)
    with pytest.raises(ValueError, match='chunks=None'):
        open_map(maps['npz'])
    assert open_map(maps['npz'], REGION, chunks=None)['valid'].shape == (81, 81)


def test_a_compressed_map_is_cut_into_few_chunks(
    maps: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_map, '_CHUNK_BYTES', 10_000)
    assert len(open_map(maps['compressed']).chunks['lat']) <= 8
    assert len(open_map(maps['npz']).chunks['lat']) > 100
    assert open_array(str(maps['compressed'])).layout.sequential


def test_a_written_map_can_be_read_with_xarray_alone(
    maps: dict[str, Path], values: NDArray[np.float32]
) -> None:
    ds = xr.open_zarr(maps['zarr'])
    assert ds['embedding'].chunks[2] == (4,)
    # Zeros are zeros, and not what xarray takes for missing.
    part = ds['embedding'].sel(lat=slice(60, 40), lon=slice(0, 20))
    np.testing.assert_array_equal(part, values[ROWS, COLUMNS])
    assert ds['valid'].dtype == bool
