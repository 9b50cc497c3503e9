"""SSL4EO-S12 v1.1 beside what xarray reads from the same files."""

import logging
import multiprocessing
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import zarr
from shapely import Polygon
from torch.utils.data import DataLoader

from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS, V11_STATISTICS, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11 import dataset as v11_module
from torchgeo_copernicus.datasets.ssl4eo.v11.aligned import align
from torchgeo_copernicus.datasets.ssl4eo.v11.place_table import outlines
from torchgeo_copernicus.datasets.storage import byte_source

ALL = get_args(Modality)


def opened(root: Path, modality: str, number: int = 1, split: str = 'train') -> xr.Dataset:
    name = f'ssl4eos12_{split}_seasonal_data_{number:06d}.zarr.zip'
    return xr.open_zarr(zarr.storage.ZipStore(root / split / modality / name, mode='r'))


def true_order(ds: xr.Dataset, place: int) -> list[int]:
    return np.argsort([name[17:32] for name in ds.file_id.values[place]]).tolist()


@pytest.mark.parametrize('modality', ALL)
def test_pixels_dates_and_places_are_those_of_the_file(v11_root: Path, modality: str) -> None:
    dataset = SSL4EOS12v11(v11_root, modalities=modality)
    assert len(dataset) == 8
    for number in (1, 2):
        with opened(v11_root, modality, number) as ds:
            for place in range(4):
                sample = dataset[4 * (number - 1) + place]
                order = true_order(ds, place) if modality == 'S1GRD' else [0, 1, 2, 3]
                stored = ds.bands.values[place].astype(np.float32)[order]
                offset = 1000 if modality in ('S2L1C', 'S2L2A') else 0
                np.testing.assert_array_equal(sample['image'].numpy(), stored - offset)
                assert sample['file_id'] == ds.file_id.values[place][order].tolist()
                assert sample['sample_id'] == str(ds['sample'].values[place])
                assert int(sample['crs']) == int(ds.crs.values[place])
                metadata = sample['metadata'].numpy()
                assert metadata.shape == (4, 4)
                np.testing.assert_allclose(metadata[:, 0], ds.center_lon.values[place], atol=1e-5)
                np.testing.assert_allclose(metadata[:, 1], ds.center_lat.values[place], atol=1e-5)
                days = ds.time_.values[place].astype('datetime64[D]').astype(int)
                np.testing.assert_array_equal(metadata[:, 2], days)
                assert (metadata[:, 3] == 10).all()
                assert f'_{number:06d}.zarr.zip' in sample['filename']


def test_radar_is_sorted_by_acquisition_not_by_satellite(v11_root: Path) -> None:
    repaired = SSL4EOS12v11(v11_root, modalities='S1GRD')
    stored = SSL4EOS12v11(v11_root, modalities='S1GRD', repair_s1_order=False)
    mixed = 0
    for right, wrong in zip(repaired, stored, strict=True):
        stamps = [name[17:32] for name in right['file_id']]
        assert stamps == sorted(stamps)
        assert sorted(wrong['file_id']) == wrong['file_id']
        # Its dates look right, which is why nobody notices.
        assert (right['metadata'] == wrong['metadata']).all()
        mixed += not torch.equal(right['image'], wrong['image'])
    assert mixed >= 4


def test_both_editions_give_the_same_images(v11_root: Path, v11_tars: Path) -> None:
    for modality in ALL:
        a = SSL4EOS12v11(v11_root, modalities=modality)
        b = SSL4EOS12v11(v11_tars, modalities=modality)
        assert (a.edition, b.edition) == ('zarr', 'webdataset')
        assert len(a) == len(b) == 8
        for left, right in zip(a, b, strict=True):
            assert torch.equal(left['image'], right['image'])
            assert torch.equal(left['metadata'], right['metadata'])
            for key in ('file_id', 'sample_id', 'crs'):
                assert left[key] == right[key]
        assert a.statistics[modality] == b.statistics[modality]


def test_statistics_follow_what_is_returned(v11_root: Path) -> None:
    kept = SSL4EOS12v11(v11_root, modalities='S2L1C', keep_offset=True)
    taken = SSL4EOS12v11(v11_root, modalities='S2L1C')
    assert torch.equal(kept[0]['image'] - 1000, taken[0]['image'])
    assert kept.statistics['S2L1C'] == V11_STATISTICS['zarr']['S2L1C']
    difference = kept.statistics['S2L1C'].mean['B04'] - taken.statistics['S2L1C'].mean['B04']
    assert difference == pytest.approx(1000)


def test_editions_are_not_mistaken_for_each_other(v11_root: Path, v11_tars: Path) -> None:
    with pytest.raises(ValueError, match="holds the edition 'zarr'"):
        SSL4EOS12v11(v11_root, edition='webdataset')
    with pytest.raises(ValueError, match="holds the edition 'webdataset'"):
        SSL4EOS12v11(v11_tars, edition='zarr')
    assert SSL4EOS12v11(v11_tars, edition='webdataset').edition == 'webdataset'
    with pytest.raises(ValueError, match='Unknown edition'):
        SSL4EOS12v11(v11_root, edition='parquet')


@pytest.mark.parametrize(
    'bands',
    [
        ['B04', 'B03', 'B02'],
        ['B12'],
        ['RED', 'B8A', 'B01', 'SWIR_2'],
        list(reversed(MODALITY_BANDS['S2L2A'])),
    ],
)
def test_bands_come_in_the_order_asked_for(v11_root: Path, bands: list[str]) -> None:
    whole = SSL4EOS12v11(v11_root, modalities='S2L2A')
    some = SSL4EOS12v11(v11_root, modalities='S2L2A', bands=bands)
    columns = [whole.bands['S2L2A'].index(name) for name in some.bands['S2L2A']]
    assert torch.equal(some[3]['image'], whole[3]['image'][:, columns])


def test_unknown_bands_are_named(v11_root: Path) -> None:
    with pytest.raises(ValueError, match=r"S2L2A has no bands \['B10'\]"):
        SSL4EOS12v11(v11_root, modalities='S2L2A', bands=['B10'])
    with pytest.raises(ValueError, match="Unknown band 'B13'"):
        SSL4EOS12v11(v11_root, modalities='S2L2A', bands=['B13'])
    with pytest.raises(ValueError, match='one list, but there are 2'):
        SSL4EOS12v11(v11_root, modalities=['S2L2A', 'S1GRD'], bands=['B02'])
    with pytest.raises(ValueError, match='not among'):
        SSL4EOS12v11(v11_root, modalities='S2L2A', bands={'S1GRD': ['VV']})


def test_a_list_of_modalities_gives_dictionaries(v11_root: Path) -> None:
    one = SSL4EOS12v11(v11_root, modalities=['S2L2A'])[0]
    assert list(one['image']) == ['S2L2A']
    several = SSL4EOS12v11(v11_root, modalities=ALL, bands={'S2L2A': ['B02']})[0]
    assert {k: tuple(v.shape) for k, v in several['image'].items()} == {
        'S1GRD': (4, 2, 48, 48),
        'S2L1C': (4, 13, 48, 48),
        'S2L2A': (4, 1, 48, 48),
        'S2RGB': (4, 3, 48, 48),
    }
    # Sentinel-1 was there on other days.
    assert not torch.equal(several['metadata']['S1GRD'], several['metadata']['S2L2A'])


def test_each_date_is_an_item(v11_root: Path) -> None:
    series = SSL4EOS12v11(v11_root, modalities='S2L2A')
    each = SSL4EOS12v11(v11_root, modalities='S2L2A', dates='each')
    assert len(each) == 4 * len(series)
    sample = each[6]
    assert torch.equal(sample['image'], series[1]['image'][2])
    assert torch.equal(sample['metadata'], series[1]['metadata'][2])
    assert sample['file_id'] == series[1]['file_id'][2]


def test_random_dates_are_a_function_of_seed_epoch_and_place(v11_root: Path) -> None:
    def days(seed: int, epoch: int) -> list[float]:
        dataset = SSL4EOS12v11(v11_root, modalities='S2L2A', dates='random', seed=seed)
        dataset.set_epoch(epoch)
        torch.manual_seed(epoch * 7 + seed)
        return [float(dataset[i]['metadata'][2]) for i in (5, 0, 3, 7, 1, 2, 4, 6)]

    assert days(0, 0) == days(0, 0)
    assert days(0, 0) != days(0, 1)
    assert days(0, 0) != days(1, 0)


def test_all_modalities_are_of_the_same_random_date(v11_root: Path) -> None:
    dataset = SSL4EOS12v11(v11_root, modalities=['S2L2A', 'S2RGB', 'S1GRD'], dates='random')
    for sample in dataset:
        days = [float(m[2]) for m in sample['metadata'].values()]
        assert days[0] == days[1]
        assert abs(days[0] - days[2]) <= 6


def test_season_goes_by_the_calendar_not_by_the_number_of_the_date(v11_root: Path) -> None:
    found = 0
    for season, months in (('DJF', (12, 1, 2)), ('MAM', (3, 4, 5)), ('JJA', (6, 7, 8))):
        dataset = SSL4EOS12v11(v11_root, modalities='S2L2A', dates='each', season=season)
        found += len(dataset)
        for sample in dataset:
            day = np.datetime64(int(sample['metadata'][2]), 'D')
            assert day.astype(object).month in months
    autumn = SSL4EOS12v11(v11_root, modalities='S2L2A', dates='each', season='SON')
    assert found + len(autumn) == 32
    with pytest.raises(ValueError, match='wants all four'):
        SSL4EOS12v11(v11_root, season='JJA')


def test_cloudy_images_are_left_out(v11_root: Path) -> None:
    masked = SSL4EOS12v11(v11_root, modalities='S2L2A', dates='each', cloud_mask=True)
    share = [float((s['cloud_mask'] > 2).float().mean()) for s in masked]
    assert 0 < sum(s > 0 for s in share) < 32
    clear = SSL4EOS12v11(v11_root, modalities='S2L2A', dates='each', max_cloud=0.0)
    assert len(clear) == sum(s == 0 for s in share)
    # Water is clear too.
    wet = [bool((s['cloud_mask'] == 1).any()) for s in masked]
    assert any(w and not s for w, s in zip(wet, share, strict=True))
    # The second time, from the table that was kept.
    again = SSL4EOS12v11(v11_root, modalities=['S1GRD', 'S2L2A'], max_cloud=0.0)
    by_place = np.array(share).reshape(8, 4).max(axis=1)
    assert len(again) == (by_place == 0).sum()


def test_cloud_masks_are_those_of_the_file(v11_root: Path) -> None:
    dataset = SSL4EOS12v11(v11_root, modalities=['S1GRD', 'S2L1C'], cloud_mask=True)
    with opened(v11_root, 'S2L1C') as ds:
        np.testing.assert_array_equal(dataset[2]['cloud_mask'], ds.cloud_mask.values[2])
    with pytest.raises(ValueError, match='Cloud masks are with Sentinel-2'):
        SSL4EOS12v11(v11_root, modalities='S1GRD', cloud_mask=True)


def test_places_are_chosen_by_id(v11_root: Path) -> None:
    whole = SSL4EOS12v11(v11_root, modalities='S2RGB')
    ids = [whole[i]['sample_id'] for i in (6, 2)]
    some = SSL4EOS12v11(v11_root, modalities='S2RGB', places=ids)
    assert [s['sample_id'] for s in some] == [ids[1], ids[0]]
    with pytest.raises(ValueError, match=r'places \[99\] are not in the data'):
        SSL4EOS12v11(v11_root, modalities='S2RGB', places=[99])


def test_places_are_chosen_from_a_table(v11_root: Path) -> None:
    dataset = SSL4EOS12v11(v11_root, modalities=['S1GRD', 'S2L2A'])
    table = dataset.table()
    assert list(table.index) == [s['sample_id'] for s in dataset]
    for sample, (_, row) in zip(dataset, table.iterrows(), strict=True):
        longitude, latitude = sample['metadata']['S1GRD'][0, :2].tolist()
        centre = row.geometry.centroid
        assert (centre.x, centre.y) == pytest.approx((longitude, latitude), abs=1e-5)
        assert row['crs'] == int(sample['crs'])
        for name in ('S1GRD', 'S2L2A'):
            day = row[f'{name}_time_2'].to_datetime64().astype('datetime64[D]').astype(int)
            assert day == int(sample['metadata'][name][2, 2])
    south = table[table.bounds['maxy'] < table.bounds['maxy'].median()]
    assert 0 < len(south) < len(table)
    some = SSL4EOS12v11(v11_root, modalities='S2L2A', places=list(south.index))
    assert [s['sample_id'] for s in some] == list(south.index)


def test_outlines_are_those_of_the_published_table(ssl4eo_v11_table: Path) -> None:
    pytest.importorskip('pyarrow')
    table = gpd.read_parquet(ssl4eo_v11_table)
    # A place that changes its tile has two grids in the table, and lies exactly on one of them.
    table = table[table.groupby('sample_id')['tile_crs'].transform('nunique') == 1]
    table = table.drop_duplicates('sample_id').head(300)
    grids = [table[table['tile_crs'] == code].to_crs(code) for code in table['tile_crs'].unique()]
    centres = pd.concat([g.geometry.centroid.to_crs('EPSG:4326') for g in grids])
    centres = centres.loc[table.index]
    lonlat = np.stack([centres.x, centres.y], axis=1)
    found = outlines(lonlat, table['tile_crs'].to_numpy(np.int32), (264, 264))
    for corners, outline in zip(found, table.geometry, strict=True):
        assert outline.symmetric_difference(Polygon(corners)).area / outline.area < 1e-4


def test_the_files_of_a_split_come_from_its_table_without_a_list(v11_copy: Path) -> None:
    pytest.importorskip('pyarrow')
    (v11_copy / 'splits' / 'ssl4eos12_train.txt').unlink()
    name = 'ssl4eos12_train_seasonal_data_000002.zarr.zip'
    path = v11_copy / 'splits' / 'train_metadata.parquet'
    table = pd.DataFrame({'sample_id': ['0000173'], 'file': [name]})
    table.to_parquet(path)
    dataset = SSL4EOS12v11(v11_copy, modalities='S2RGB')
    assert len(dataset) == 4
    assert name in dataset[0]['filename']
    path.write_bytes(b'PAR1 cut off')
    with pytest.raises(ValueError, match=r'metadata\.parquet cannot be read'):
        SSL4EOS12v11(v11_copy, modalities='S2RGB')
    table.drop(columns='file').to_parquet(path)
    with pytest.raises(ValueError, match='neither a column file nor tar'):
        SSL4EOS12v11(v11_copy, modalities='S2RGB')


def test_missing_values_stay_nan(v11_root: Path) -> None:
    dataset = SSL4EOS12v11(v11_root, modalities='S1GRD')
    dataset.read_into('S1GRD', 0, 0, target := np.empty((2, 48, 48), np.float32))
    assert np.isfinite(target).all()
    reader = dataset._readers['S1GRD']
    half = np.full((2, 48, 48), np.nan, np.float16)
    reader.pixels = lambda row, date, bands: [(bands[0], half)]
    assert dataset[0]['image'].isnan().all()


def test_only_files_that_are_there_are_read(
    v11_copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for modality in ('S2L1C', 'S2L2A'):
        next((v11_copy / 'train' / modality).glob('*2.zarr.zip')).unlink()
    with caplog.at_level(logging.WARNING):
        assert len(SSL4EOS12v11(v11_copy, modalities=['S2L1C', 'S2L2A'])) == 4
    assert '1 of 2 files are there' in caplog.text


def test_files_can_be_chosen(v11_root: Path) -> None:
    name = 'ssl4eos12_train_seasonal_data_000002.zarr.zip'
    dataset = SSL4EOS12v11(v11_root, files=[name])
    assert len(dataset) == 4
    assert name in dataset[0]['filename']
    for files in (['other.zarr.zip'], [name, 'other.zarr.zip']):
        with pytest.raises(ValueError, match=r"has no files \['other"):
            SSL4EOS12v11(v11_root, files=files)
    for files in (name, []):
        with pytest.raises(ValueError, match='must be a list'):
            SSL4EOS12v11(v11_root, files=files)


def test_a_list_of_the_other_edition_does_not_hide_the_files(
    v11_root: Path, v11_tars: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(v11_tars, tmp_path / 'tars', ignore=shutil.ignore_patterns('.index'))
    shutil.copytree(v11_root / 'splits', root / 'splits')
    assert len(SSL4EOS12v11(root, modalities='S2RGB')) == 8


def test_a_list_of_another_split_is_named(v11_copy: Path) -> None:
    (v11_copy / 'splits' / 'ssl4eos12_train.txt').write_text('other.zarr.zip\n')
    with pytest.raises(ValueError, match='none of the 1 files of the split list'):
        SSL4EOS12v11(v11_copy, modalities='S2RGB')


def test_files_of_another_modality_are_named(v11_copy: Path) -> None:
    shutil.rmtree(v11_copy / 'train' / 'S2L1C')
    shutil.copytree(v11_copy / 'train' / 'S1GRD', v11_copy / 'train' / 'S2L1C')
    with pytest.raises(ValueError, match=r'000001\.zarr\.zip is not of S2L1C'):
        SSL4EOS12v11(v11_copy, modalities='S2L1C')


def test_chosen_files_are_downloaded(
    v11_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []

    def fake(root: Path, split: str, names: object, files: object, **options: object) -> None:
        asked.append((split, names, files, options['edition']))
        shutil.copytree(v11_root, root, dirs_exist_ok=True)

    monkeypatch.setattr(v11_module, 'download_v11', fake)
    name = 'ssl4eos12_train_seasonal_data_000001.zarr.zip'
    dataset = SSL4EOS12v11(tmp_path / 'new', modalities='S2RGB', files=[name], download=True)
    assert asked == [('train', ('S2RGB',), [name], 'zarr')]
    assert len(dataset) == 4


def test_modalities_of_different_numbers_of_dates_are_not_paired_by_position(
    v11_root: Path,
) -> None:
    dataset = SSL4EOS12v11(v11_root, modalities=['S1GRD', 'S2L2A'])
    indices = {name: dataset._readers[name].index for name in dataset.modalities}
    half = indices['S1GRD']
    indices['S1GRD'] = replace(half, seconds=half.seconds[:, :2], order=half.order[:, :2])
    with pytest.raises(ValueError, match='different numbers of dates'):
        align(indices, 'here')


def test_validation_places_are_others(v11_root: Path) -> None:
    train = {s['sample_id'] for s in SSL4EOS12v11(v11_root, modalities='S2RGB')}
    val = {s['sample_id'] for s in SSL4EOS12v11(v11_root, 'val', modalities='S2RGB')}
    assert len(val) == 2
    assert not train & val


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ({'split': 'test'}, 'Unknown split'),
        ({'modalities': ['S3']}, 'Unknown modality'),
        ({'modalities': []}, 'at least one'),
        ({'modalities': ['S1GRD', 'S1GRD']}, 'each once'),
        ({'dates': 'first'}, 'Unknown dates'),
        ({'season': 'summer', 'dates': 'each'}, 'Unknown season'),
        ({'max_cloud': 30}, 'share of the image'),
        ({'seed': -1}, 'seed'),
        ({'max_cloud': 0.0, 'places': ['0000173'], 'dates': 'each', 'season': 'SON'}, None),
    ],
)
def test_impossible_arguments_are_named(
    v11_root: Path, arguments: dict[str, object], words: str | None
) -> None:
    if words is None:
        assert len(SSL4EOS12v11(v11_root, **arguments)) <= 4
        return
    with pytest.raises(ValueError, match=words):
        SSL4EOS12v11(v11_root, **arguments)


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'has no files \*.zarr.zip'):
        SSL4EOS12v11(tmp_path)


def test_items_beyond_the_end_are_refused(v11_root: Path) -> None:
    dataset = SSL4EOS12v11(v11_root, modalities='S2RGB')
    assert dataset[-1]['sample_id'] == dataset[7]['sample_id']
    for index in (8, -9):
        with pytest.raises(IndexError, match='one of 8 items'):
            dataset[index]


def test_transforms_are_applied(v11_root: Path) -> None:
    dataset = SSL4EOS12v11(
        v11_root, modalities='S2RGB', transforms=lambda s: {'ids': s['sample_id']}
    )
    assert dataset[0] == {'ids': '0000173'}


def test_a_pickled_dataset_reads_on(v11_root: Path) -> None:
    dataset = SSL4EOS12v11(v11_root)
    before = dataset[1]
    after = pickle.loads(pickle.dumps(dataset))[1]
    assert torch.equal(before['image']['S2L2A'], after['image']['S2L2A'])


@pytest.mark.parametrize('start', ['fork', 'spawn'])
def test_workers_read_the_same_and_see_the_epoch(v11_root: Path, start: str) -> None:
    dataset = SSL4EOS12v11(v11_root, modalities=['S2L2A', 'S1GRD'], dates='random')
    loader = DataLoader(
        dataset,
        batch_size=4,
        num_workers=1,
        persistent_workers=True,
        multiprocessing_context=multiprocessing.get_context(start),
    )
    for epoch in range(2):
        dataset.set_epoch(epoch)
        here = torch.stack([dataset[i]['image']['S2L2A'] for i in range(8)])
        there = torch.cat([batch['image']['S2L2A'] for batch in loader])
        assert torch.equal(here, there)


def test_the_table_of_places_is_kept_until_a_file_changes(v11_copy: Path) -> None:
    SSL4EOS12v11(v11_copy, modalities='S1GRD')
    kept = v11_copy / '.index' / 'train-S1GRD.npz'
    written = kept.stat().st_mtime_ns
    SSL4EOS12v11(v11_copy, modalities='S1GRD')
    assert kept.stat().st_mtime_ns == written
    first = next((v11_copy / 'train' / 'S1GRD').iterdir())
    os.utime(first, ns=(1, 1))
    SSL4EOS12v11(v11_copy, modalities='S1GRD')
    assert kept.stat().st_mtime_ns > written
    # A table that was cut off is made again.
    kept.write_bytes(kept.read_bytes()[:1000])
    assert len(SSL4EOS12v11(v11_copy, modalities='S1GRD')) == 8


def test_a_table_is_kept_in_the_cache_of_the_user(
    v11_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    SSL4EOS12v11(v11_copy, modalities='S1GRD')
    assert not (v11_copy / '.index').exists()
    assert list((tmp_path / 'cache').rglob('train-S1GRD.npz'))
    elsewhere = tmp_path / 'elsewhere'
    SSL4EOS12v11(v11_copy, modalities='S1GRD', index_folder=elsewhere)
    assert (elsewhere / 'train-S1GRD.npz').is_file()


def test_one_place_is_read_without_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import make_ssl4eo_v11

    root = make_ssl4eo_v11(tmp_path, n=10, seed=0, size=160, per_file=8, modalities=('S2L2A',))
    dataset = SSL4EOS12v11(root, modalities='S2L2A', dates='each')
    dataset[12]
    moved = 0
    genuine = byte_source.LocalFile.read_into

    def counting(self: object, offset: int, target: memoryview) -> None:
        nonlocal moved
        moved += len(target)
        genuine(self, offset, target)

    monkeypatch.setattr(byte_source.LocalFile, 'read_into', counting)
    dataset[12]
    chunk = int(dataset._readers['S2L2A'].index.chunks[0, 0, 1])
    # A chunk has 8 places; one needs four blocks of twenty at most.
    assert chunk / 8 < moved < chunk / 3


def test_plot_draws_dates_modalities_and_clouds(v11_root: Path) -> None:
    dataset = SSL4EOS12v11(v11_root, modalities=ALL, cloud_mask=True)
    cloudy = next(s for s in dataset if (s['cloud_mask'] == 4).any())
    figure = dataset.plot(cloudy, suptitle='A place')
    assert len(figure.axes) == 16
    assert figure.axes[0].get_title().startswith('S1GRD  20')
    assert figure.legends[0].get_texts()[0].get_text() == 'thick cloud'
    single = SSL4EOS12v11(v11_root, modalities='S2L2A', bands=['B08'], dates='each')
    assert len(single.plot(single[0], show_titles=False).axes) == 1
