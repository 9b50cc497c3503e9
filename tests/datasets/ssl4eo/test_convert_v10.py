"""SSL4EO-S12 v1.0 turned into v1.1, beside the pixels of its GeoTIFFs as rasterio reads them."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr
from numpy.typing import NDArray
from pyproj import Transformer

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v10 import make_ssl4eo_v10
from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.convert.v10 import convert_v10
from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import FOLDERS, SSL4EOS12v10
from torchgeo_copernicus.datasets.ssl4eo.v10.grid import grid_around
from torchgeo_copernicus.datasets.ssl4eo.v10.scene import file_name

pytest.importorskip('dask', reason='conversions need the extra `convert`')

SIZE = 48
THREE: Any = ('S1GRD', 'S2L1C', 'S2L2A')


@pytest.fixture(scope='module')
def v10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ssl4eo_v10(tmp_path_factory.mktemp('v10'), n=5, seed=0, size=SIZE)


@pytest.fixture
def v10_copy(v10: Path, tmp_path: Path) -> Path:
    return shutil.copytree(v10, tmp_path / 'v10')


@pytest.fixture(scope='module')
def v11(v10: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('v11')
    convert(v10, root, places_per_file=2)
    return root


def convert(root: Path, output: Path, modalities: Any = THREE, **options: Any) -> Any:
    options = {'scheduler': 'synchronous', 'progress': False, **options}
    return convert_v10(root, output, modalities, **options)


def ids_of(root: Path) -> list[int]:
    return sorted(int(path.name) for path in (root / 's1').iterdir())


def opened(root: Path, modality: str, number: int = 1, split: str = 'train') -> xr.Dataset:
    name = f'ssl4eos12_{split}_seasonal_data_{number:06d}.zarr.zip'
    return xr.open_zarr(zarr.storage.ZipStore(root / split / modality / name, mode='r'))


def scenes_of(root: Path, modality: Any, place: int) -> list[Path]:
    start = 17 if modality == 'S1GRD' else 0
    folder = root / FOLDERS[modality] / f'{place:07d}'
    return sorted(folder.iterdir(), key=lambda path: path.name[start : start + 15])


def native(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as file:
        return np.asarray(file.read(1))


@pytest.mark.parametrize('modality', THREE)
def test_pixels_are_repeated_not_blended(v10: Path, v11: Path, modality: Any) -> None:
    seen = 0
    for number in (1, 2, 3):
        with opened(v11, modality, number) as ds:
            assert ds.bands.dtype == ('float16' if modality == 'S1GRD' else 'int16')
            stored = ['vv', 'vh'] if modality == 'S1GRD' else list(MODALITY_BANDS[modality])
            assert ds.band.values.tolist() == stored
            for row, name in enumerate(ds['sample'].values):
                scenes = scenes_of(v10, modality, int(name))
                assert ds.file_id.values[row].tolist() == [path.name for path in scenes]
                for date, scene in enumerate(scenes):
                    for band, label in enumerate(MODALITY_BANDS[modality]):
                        plane = native(scene / file_name(label))
                        step = SIZE // len(plane)
                        plane = plane.repeat(step, axis=0).repeat(step, axis=1)
                        if modality == 'S1GRD':
                            expected = plane.astype(np.float16)
                        else:
                            expected = (plane.astype(np.int32) + 1000).astype(np.int16)
                        np.testing.assert_array_equal(ds.bands.values[row, date, band], expected)
                seen += 1
    assert seen == 5


def test_radar_is_in_the_order_of_its_acquisition(v11: Path) -> None:
    satellites = set()
    for number in (1, 2, 3):
        with opened(v11, 'S1GRD', number) as ds:
            stamps = [[name[17:32] for name in row] for row in ds.file_id.values]
            assert stamps == [sorted(row) for row in stamps]
            satellites |= {''.join(name[2] for name in row) for row in ds.file_id.values}
            said = np.datetime_as_string(ds.time_.values, 's')
            assert [[t.translate({45: None, 58: None}) for t in row] for row in said] == stamps
    # In the order of names they would be AABB.
    assert satellites == {'BABA'}
    repaired = SSL4EOS12v11(v11, modalities='S1GRD')
    as_stored = SSL4EOS12v11(v11, modalities='S1GRD', repair_s1_order=False)
    for a, b in zip(repaired, as_stored, strict=True):
        assert (a['image'] == b['image']).all()


def test_both_versions_give_the_same_images_and_dates(v10: Path, v11: Path) -> None:
    old = SSL4EOS12v10(v10, THREE, resampling='nearest')
    by_id = {sample['sample_id']: sample for sample in old}
    new = SSL4EOS12v11(v11, modalities=THREE)
    assert len(new) == len(by_id) == 5
    for sample in new:
        expected = by_id[sample['sample_id']]
        for modality in THREE:
            image = expected['image'][modality]
            if modality == 'S1GRD':
                image = image.half().float()
            assert (sample['image'][modality] == image).all()
            a, b = sample['metadata'][modality], expected['metadata'][modality]
            assert (a[:, 2:] == b[:, 2:]).all()
            # Laid on whole multiples of 10 m, and around the mean of all scenes.
            np.testing.assert_allclose(a[:, :2], b[:, :2], atol=3e-4)


def test_a_place_has_one_grid_of_ten_metres_for_all_modalities(v10: Path, v11: Path) -> None:
    for number in (1, 2, 3):
        grids = []
        for modality in THREE:
            with opened(v11, modality, number) as ds:
                grids.append({name: ds[name].values for name in ('sample', 'crs', 'x_', 'y_')})
                grids[-1] |= {name: ds[name].values for name in ('center_lon', 'center_lat')}
        for other in grids[1:]:
            for name, values in grids[0].items():
                np.testing.assert_array_equal(values, other[name])
        first = grids[0]
        assert (np.diff(first['x_']) == 10).all()
        assert (np.diff(first['y_']) == -10).all()
        assert (first['x_'] % 10 == 5).all()
        assert (first['y_'] % 10 == 5).all()
        for row, name in enumerate(first['sample']):
            (tile,) = {path.name[-5:] for path in scenes_of(v10, 'S2L1C', int(name))}
            assert int(first['crs'][row]) % 100 == int(tile[:2])
            back = Transformer.from_crs(int(first['crs'][row]), 4326, always_xy=True)
            lon, lat = back.transform(first['x_'][row].mean(), first['y_'][row].mean())
            assert (lon, lat) == pytest.approx(
                (first['center_lon'][row], first['center_lat'][row]), abs=1e-9
            )


def test_modalities_converted_apart_fit_together(v10: Path, v11: Path, tmp_path: Path) -> None:
    for modality in THREE:
        convert(v10, tmp_path, [modality], places_per_file=2)
    whole, parts = (SSL4EOS12v11(root, modalities=THREE) for root in (v11, tmp_path))
    for a, b in zip(whole, parts, strict=True):
        assert a['sample_id'] == b['sample_id']
        for modality in THREE:
            assert (a['image'][modality] == b['image'][modality]).all()
            assert (a['metadata'][modality] == b['metadata'][modality]).all()


def test_a_second_run_reads_no_pixel(v10: Path, v11: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in v11.rglob('*.zarr.zip')}
    report = convert(v10, v11, places_per_file=2)
    assert (len(report.written), len(report.kept)) == (0, 10)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_changed_scene_is_converted_again(v10_copy: Path, tmp_path: Path) -> None:
    two: Any = ['S1GRD', 'S2L2A']
    convert(v10_copy, tmp_path / 'out', two)
    scene = scenes_of(v10_copy, 'S2L2A', ids_of(v10_copy)[0])[2]
    rewrite(scene / 'B5.tif', native(scene / 'B5.tif') + 1)
    report = convert(v10_copy, tmp_path / 'out', two)
    assert report.written == ('train/S2L2A/ssl4eos12_train_seasonal_data_000001.zarr.zip',)


def rewrite(path: Path, pixels: NDArray[Any]) -> None:
    with rasterio.open(path) as file:
        profile = file.profile
    with rasterio.open(path, 'w', **profile) as file:
        file.write(pixels, 1)


def test_bright_pixels_saturate_and_are_counted_never_wrapped(
    v10_copy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = ids_of(v10_copy)[0]
    path = scenes_of(v10_copy, 'S2L1C', place)[0] / 'B4.tif'
    pixels = native(path)
    pixels[0, :4] = 31_767, 31_768, 40_000, 65_535
    rewrite(path, pixels)
    with caplog.at_level(logging.WARNING):
        report = convert(v10_copy, tmp_path / 'out', ['S2L1C'], train=[place])
    assert report.counts == {'saturated_px': 3, 'missing_px': 0}
    assert '3 pixels above 31767 DN became 31767' in caplog.text
    with opened(tmp_path / 'out', 'S2L1C') as ds:
        assert ds.bands.values[0, 0, 3, 0, :4].tolist() == [32_767] * 4
        assert ds.bands.values.min() > 0


def test_no_echo_is_not_a_bright_echo(v10_copy: Path, tmp_path: Path) -> None:
    place = ids_of(v10_copy)[0]
    for modality, name in (('S1GRD', 'VV.tif'), ('S2L2A', 'B2.tif')):
        path = scenes_of(v10_copy, modality, place)[0] / name
        pixels = native(path)
        pixels[:2] = 0
        rewrite(path, pixels)
    report = convert(v10_copy, tmp_path / 'out', ['S1GRD', 'S2L2A'], train=[place])
    assert report.counts == {'saturated_px': 0, 'missing_px': 4 * SIZE}
    with opened(tmp_path / 'out', 'S1GRD') as ds:
        assert np.isnan(ds.bands.values[0, 0, 0, :2]).all()
        assert np.isfinite(ds.bands.values[0, 0, 0, 2:]).all()
    # Whole numbers know no NaN.
    with opened(tmp_path / 'out', 'S2L2A') as ds:
        assert (ds.bands.values[0, 0, 1, :2] == 1000).all()


def test_values_that_are_no_decibels_do_not_become_infinite(v10_copy: Path, tmp_path: Path) -> None:
    place = ids_of(v10_copy)[0]
    path = scenes_of(v10_copy, 'S1GRD', place)[1] / 'VH.tif'
    rewrite(path, native(path) * np.float32(1e6))
    with pytest.raises(ValueError, match='no decibels'):
        convert(v10_copy, tmp_path / 'out', ['S1GRD'], train=[place])
    assert not list((tmp_path / 'out').rglob('*.zarr.zip'))


def test_lists_of_places_decide_on_the_splits(v10: Path, tmp_path: Path) -> None:
    ids = ids_of(v10)
    (tmp_path / 'val.txt').write_text(f'{ids[1]}\n')
    convert(v10, tmp_path / 'out', ['S2L2A'], train=[ids[3], ids[0]], val=tmp_path / 'val.txt')
    found = {
        split: {int(sample['sample_id']) for sample in SSL4EOS12v11(root, split, 'S2L2A')}  # type: ignore[arg-type]
        for root in [tmp_path / 'out']
        for split in ('train', 'val')
    }
    assert found == {'train': {ids[0], ids[3]}, 'val': {ids[1]}}
    for split in found:
        name = f'ssl4eos12_{split}_seasonal_data_000001.zarr.zip\n'
        assert (tmp_path / 'out' / 'splits' / f'ssl4eos12_{split}.txt').read_text() == name
    # A split can be added to what is there.
    convert(v10, tmp_path / 'apart', ['S2L2A'], train=[ids[0]])
    convert(v10, tmp_path / 'apart', ['S2L2A'], val=[ids[1]])
    assert len(list((tmp_path / 'apart' / 'splits').iterdir())) == 2


def test_a_share_for_validation_is_chosen_by_region(v10: Path, tmp_path: Path) -> None:
    convert(v10, tmp_path, ['S1GRD'], val_fraction=0.4)
    sizes = {s: len(SSL4EOS12v11(tmp_path, s, 'S1GRD')) for s in ('train', 'val')}  # type: ignore[arg-type]
    assert sizes == {'train': 3, 'val': 2}
    # A block of half the world leaves nothing to divide.
    with pytest.raises(ValueError, match='leave a split empty'):
        convert(v10, tmp_path / 'b', ['S2L2A'], train=None, val_fraction=0.9, block_deg=90.0)


def test_the_seed_mixes_places_over_files(v10: Path, tmp_path: Path) -> None:
    orders = []
    for seed in (0, 1, 2):
        convert(v10, tmp_path / str(seed), ['S1GRD'], seed=seed)
        with opened(tmp_path / str(seed), 'S1GRD') as ds:
            orders.append([int(name) for name in ds['sample'].values])
    assert all(sorted(order) == ids_of(v10) for order in orders)
    assert orders[0] != ids_of(v10)
    assert len({tuple(order) for order in orders}) > 1


def test_the_codec_is_that_asked_for(v10: Path, tmp_path: Path) -> None:
    for codec in ('lz4', 'zstd'):
        convert(v10, tmp_path / codec, ['S1GRD'], codec=codec)
        name = 'ssl4eos12_train_seasonal_data_000001.zarr.zip'
        content = (tmp_path / codec / 'train' / 'S1GRD' / name).read_bytes()
        assert f'"cname": "{codec}"'.encode() in content
    with opened(tmp_path / 'lz4', 'S1GRD') as ds:
        assert ds.bands.encoding['chunks'] == (5, 1, 2, SIZE, SIZE)


def incomplete(root: Path) -> int:
    """Take a date of Sentinel-1 from a place, and return its id."""
    place = ids_of(root)[2]
    shutil.rmtree(scenes_of(root, 'S1GRD', place)[1])
    return place


def test_an_incomplete_place_is_named_before_hours_of_work(v10_copy: Path, tmp_path: Path) -> None:
    place = incomplete(v10_copy)
    with pytest.raises(ValueError, match=rf'1 of 5 places.*{place:07d} with .*"S1GRD": 3'):
        convert(v10_copy, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_an_incomplete_place_is_left_out_of_all_modalities(v10_copy: Path, tmp_path: Path) -> None:
    place = incomplete(v10_copy)
    convert(v10_copy, tmp_path / 'out', incomplete='skip')
    found = SSL4EOS12v11(tmp_path / 'out', modalities=THREE)
    assert {int(s['sample_id']) for s in found} == set(ids_of(v10_copy)) - {place}
    with pytest.raises(ValueError, match='The split val has no complete place'):
        convert(
            v10_copy, tmp_path / 'b', train=ids_of(v10_copy)[:2], val=[place], incomplete='skip'
        )


def test_places_of_unequal_dates_do_not_share_a_file(v10_copy: Path, tmp_path: Path) -> None:
    place = incomplete(v10_copy)
    convert(v10_copy, tmp_path / 'out', incomplete='keep')
    shapes = Counter[tuple[int, ...]]()
    for number in (1, 2):
        with opened(tmp_path / 'out', 'S1GRD', number) as ds:
            shapes[ds.bands.shape[:2]] += 1
            if ds.sizes['time'] == 3:
                assert ds['sample'].values.tolist() == [f'{place:07d}']
                kept = ds.file_id.values[0].tolist()
        with opened(tmp_path / 'out', 'S2L2A', number) as ds:
            assert ds.sizes['time'] == 4
    assert shapes == {(4, 4): 1, (1, 3): 1}
    assert kept == [path.name for path in scenes_of(v10_copy, 'S1GRD', place)]
    name = ['ssl4eos12_train_seasonal_data_000002.zarr.zip']
    sample = SSL4EOS12v11(tmp_path / 'out', modalities='S1GRD', dates='each', files=name)[2]
    assert sample['file_id'] == kept[2]


def test_a_place_without_a_modality_is_not_kept(v10_copy: Path, tmp_path: Path) -> None:
    place = ids_of(v10_copy)[0]
    shutil.rmtree(v10_copy / 's2a' / f'{place:07d}')
    with pytest.raises(ValueError, match='lack a modality'):
        convert(v10_copy, tmp_path / 'out', incomplete='keep')
    # What it has can be converted.
    convert(v10_copy, tmp_path / 'out', ['S1GRD'], train=[place])
    (v10_copy / 's2a' / f'{place:07d}').mkdir()
    with pytest.raises(ValueError, match='no date of a modality'):
        convert(v10_copy, tmp_path / 'out', incomplete='keep')


def test_a_date_that_comes_or_goes_meanwhile_is_named(v10_copy: Path, tmp_path: Path) -> None:
    from torchgeo_copernicus.datasets.ssl4eo.convert.v10_group import V10Group

    place = incomplete(v10_copy)
    group = V10Group('S1GRD', {'S1GRD': v10_copy / 's1'}, (place,), 4, SIZE)
    with pytest.raises(ValueError, match='has 3 dates of S1GRD, there were 4'):
        group.write('lz4', tmp_path / 'x')


def test_a_missing_band_is_named(v10_copy: Path, tmp_path: Path) -> None:
    (scenes_of(v10_copy, 'S2L2A', ids_of(v10_copy)[1])[3] / 'B9.tif').unlink()
    with pytest.raises(ValueError, match=r'B9\.tif is missing, a band of S2L2A'):
        convert(v10_copy, tmp_path / 'out', ['S2L2A'])


def test_a_damaged_scene_is_named(v10_copy: Path, tmp_path: Path) -> None:
    path = scenes_of(v10_copy, 'S2L2A', ids_of(v10_copy)[1])[3] / 'B9.tif'
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r'B9\.tif'):
        convert(v10_copy, tmp_path / 'out')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'codec': 'zip'}, 'codec'),
        ({'incomplete': 'drop'}, 'incomplete'),
        ({'places_per_file': 0}, 'places_per_file'),
        ({'seed': -1}, 'seed'),
        ({'modalities': ['S2RGB']}, 'S2RGB'),
        ({'train': [124990]}, 'never released'),
        ({'train': [1], 'val_fraction': 0.1}, 'one of the two'),
        ({'train': [1, 2], 'val': [2]}, r'\[2\] are in both'),
        ({'val_fraction': 1.5}, 'val_fraction'),
    ],
)
def test_an_impossible_argument_is_refused(
    v10: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        convert(v10, tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()


S2 = '20200604T054639_20200604T054831_T'


@pytest.mark.parametrize(
    ('centres', 'names', 'crs'),
    [
        ([(73.3, 30.5)], [f'{S2}43RCP'], 32643),
        # The tile decides, not the longitude; and most of them where they differ.
        ([(71.9, 30.5)] * 3, [f'{S2}42RXV', f'{S2}43RBP', f'{S2}43RBP'], 32643),
        ([(71.9, 30.5)] * 2, [f'{S2}43RBP', f'{S2}42RXV'], 32642),
        ([(-60.2, -3.1)], [f'{S2}20MRB'], 32720),
        ([(-60.2, -3.1)], ['S1A_IW_GRDH_1SDV_20200607T010800'], 32720),
        ([(179.99, 5.0), (-179.99, 5.0)], ['S1A_IW'] * 2, 32601),
    ],
)
def test_the_zone_is_that_of_the_tile(
    centres: list[tuple[float, float]], names: list[str], crs: int
) -> None:
    grid = grid_around(centres, names, 264)
    assert grid.crs == crs
    lon, lat = grid.lonlat
    middle = np.mean([centre[0] % 360 for centre in centres])
    assert abs((lon - middle + 180) % 360 - 180) < 1e-4
    assert lat == pytest.approx(centres[0][1], abs=1e-4)


def test_a_place_without_coordinates_is_refused() -> None:
    with pytest.raises(ValueError, match='no coordinates'):
        grid_around([(np.nan, np.nan)], ['x'], 264)
