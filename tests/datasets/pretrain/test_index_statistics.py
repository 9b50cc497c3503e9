"""Statistics of an index: as if all pixels had been in one array, and in the form the datamodule takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import torch
import yaml

from tests.datasets.pretrain.shard_writer import json_bytes, members, painted, saved, write_shard
from torchgeo_copernicus.datamodules.pretrain_measure import measured_statistics
from torchgeo_copernicus.datamodules.pretrain_statistics import pretrain_inputs
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.pretrain import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.index.convert_index import convert_index
from torchgeo_copernicus.datasets.pretrain.index.index_statistics import (
    describe_statistics,
    index_statistics,
    write_statistics,
)
from torchgeo_copernicus.datasets.pretrain.index.index_table import read_index
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES

pytest.importorskip('dask', reason='conversions need the extra `convert`')
pytest.importorskip('pyarrow', reason='an index needs the extra `convert`')


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pretrain_geotiff(tmp_path_factory.mktemp('geotiff'), 4, 0, 16)


@pytest.fixture(scope='module')
def index(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('index')
    convert_index(root, folder, cells_per_file=1, scheduler='synchronous', progress=False)
    return folder


@pytest.fixture(scope='module')
def zeros_and_void(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of a cell with an image of zeros, one that is half zero, and one without a value."""
    folder = tmp_path_factory.mktemp('zeros')
    cell = painted(0)
    images = torch.tensor(cell.images['s2_toa'])
    ozone = torch.tensor(cell.images['s5p_o3'])
    names = [
        [f'{cell.cell.name}/{place}/2021010{date}' for date in range(1, 5)]
        for place in cell.patches['s2_toa']
    ]
    images[0, 0], images[0, 1, :, ::2] = 0, 0
    ozone[0] = torch.nan
    content = members(
        cell, json=json_bytes(cell, s2_toa=names), s2_toa=saved(images), s5p_o3=saved(ozone)
    )
    write_shard(folder / 'in' / 'a-0.tar', [content])
    convert_index(folder / 'in', folder / 'out', scheduler='synchronous', progress=False)
    return folder / 'out'


def test_combined_numbers_are_those_of_all_pixels_in_one_array(root: Path, index: Path) -> None:
    pixels: dict[str, list[np.ndarray[Any, Any]]] = {}
    images: dict[str, int] = {}
    for sample in CopernicusPretrainGeoTIFF(root):
        for name, found in sample['image'].items():
            stack = [found] if torch.is_tensor(found) else found
            pixels.setdefault(name, []).extend(i.double().flatten(1).numpy() for i in stack)
            images[name] = images.get(name, 0) + len(stack)
    statistics = index_statistics(index)
    assert list(statistics) == list(MODALITIES)
    # Images of several sizes and with holes, for which averages of averages differ.
    assert len({part.shape for part in pixels['s3_olci']}) > 1
    for name, bands in statistics.items():
        whole = np.concatenate(pixels[name], 1)
        assert tuple(bands) == MODALITIES[name].sensor.band_names
        for band, values in zip(bands.values(), whole, strict=True):
            known = values[np.isfinite(values)]
            assert (band.images, band.pixels) == (images[name], len(known))
            assert band.mean == pytest.approx(known.mean(), rel=1e-12)
            assert band.std == pytest.approx(known.std(), rel=1e-12)
            assert (band.min, band.max) == (known.min(), known.max())
    averaged = np.mean([np.nanmean(part[0]) for part in pixels['s3_olci']])
    assert abs(averaged - statistics['s3_olci']['Oa01_radiance'].mean) > 1e-6 * averaged


def test_they_are_what_is_measured_from_samples(root: Path, index: Path) -> None:
    measured = measured_statistics(CopernicusPretrainGeoTIFF(root))
    for name, bands in index_statistics(index).items():
        for band, numbers in bands.items():
            mean, std = measured[name][band]
            assert (numbers.mean, numbers.std) == (pytest.approx(mean), pytest.approx(std))


def test_a_table_in_memory_gives_the_same_as_its_files(index: Path) -> None:
    statistics, table = index_statistics(index), read_index(index)
    for name, bands in index_statistics(table).items():
        for band, numbers in bands.items():
            assert numbers.mean == pytest.approx(statistics[name][band].mean, rel=1e-12)
            assert numbers.std == pytest.approx(statistics[name][band].std, rel=1e-9)
    one = index_statistics(table[table['grid_id'] == 811475])
    assert [numbers.images for numbers in one['dem'].values()] == [1]


@pytest.mark.parametrize('suffix', ['.json', '.yaml'])
def test_the_file_is_what_the_datamodule_takes(index: Path, suffix: str, tmp_path: Path) -> None:
    statistics = index_statistics(index)
    write_statistics(statistics, tmp_path / f'a{suffix}')
    text = (tmp_path / f'a{suffix}').read_text()
    given = json.loads(text) if suffix == '.json' else yaml.safe_load(text)
    inputs = pretrain_inputs(statistics=given)
    for name, bands in statistics.items():
        for band, numbers in bands.items():
            assert inputs[name].statistics.mean[band] == numbers.mean
            assert inputs[name].statistics.std[band] == numbers.std
    with pytest.raises(ValueError, match='exists'):
        write_statistics(statistics, tmp_path / f'a{suffix}')


def test_a_file_of_another_kind_or_of_no_use_is_not_written(
    index: Path, zeros_and_void: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match='must end in one of'):
        write_statistics(index_statistics(index), tmp_path / 'a.csv')
    table = read_index(zeros_and_void)
    flat = table[(table['modality'] == 's2_toa') & (table['zero_share'] == 1)]
    with pytest.raises(ValueError, match='s2_toa, band B01, has 256 pixels'):
        write_statistics(index_statistics(flat), tmp_path / 'a.json')
    assert not list(tmp_path.iterdir())


def test_images_without_a_value_count_only_when_asked(zeros_and_void: Path) -> None:
    (without,) = index_statistics(zeros_and_void, ['s5p_o3'])['s5p_o3'].values()
    (counted,) = index_statistics(zeros_and_void, ['s5p_o3'], void=True)['s5p_o3'].values()
    assert counted.images == without.images + 1
    assert (counted.pixels, counted.mean, counted.std) == (
        without.pixels,
        without.mean,
        without.std,
    )
    table = read_index(zeros_and_void)
    (alone,) = index_statistics(table[table['void']], void=True)['s5p_o3'].values()
    assert (alone.images, alone.pixels) == (1, 0)
    assert np.isnan([alone.mean, alone.std, alone.min, alone.max]).all()


def test_images_of_zeros_can_be_left_out(zeros_and_void: Path) -> None:
    whole, some, none = (
        index_statistics(zeros_and_void, ['s2_toa'], max_zero_share=share)['s2_toa']['B02']
        for share in (1, 0.6, 0)
    )
    assert (whole.images, some.images, none.images) == (8, 7, 6)
    assert whole.mean < some.mean < none.mean
    assert whole.min == some.min == 0 < none.min


def test_unreadable_images_change_nothing(index: Path) -> None:
    table = read_index(index)
    table.loc[0, 'fault'] = 'cut off'
    rest = index_statistics(table.iloc[1:])
    assert index_statistics(table) == rest


def test_the_table_for_people_has_a_line_for_each_band(index: Path) -> None:
    lines = describe_statistics(index_statistics(index)).splitlines()
    assert len(lines) == 1 + sum(len(m.sensor.bands) for m in MODALITIES.values())
    assert len({line[:8] for line in lines[1:]}) == 8
    assert lines[0].split()[:4] == ['modality', 'band', 'images', 'pixels']
    assert next(line for line in lines if line.startswith('s3_olci')).endswith('mW m-2 sr-1 nm-1')


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        ({'modalities': ['s4']}, 'Unknown modalities'),
        ({'void': 'yes'}, 'void must be'),
        ({'max_zero_share': 2}, 'max_zero_share'),
        ({'max_zero_share': True}, 'max_zero_share'),
        ({'max_zero_share': 'half'}, 'max_zero_share'),
    ],
)
def test_an_impossible_argument_is_refused(
    index: Path, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        index_statistics(index, **arguments)


def test_what_is_not_there_is_an_error_and_no_empty_table(index: Path) -> None:
    table = read_index(index)
    land = table[table['modality'] != 'dem']
    assert 'dem' not in index_statistics(land)
    with pytest.raises(ValueError, match=r'no image of \[.dem.\]'):
        index_statistics(land, ['dem', 's2_toa'])
    with pytest.raises(ValueError, match='no image that is to be counted'):
        index_statistics(table[:0])
    with pytest.raises(ValueError, match=r'lacks the columns \[.count., .min.'):
        index_statistics(gpd.GeoDataFrame(table[['modality', 'fault', 'void', 'zero_share']]))
    odd = table.copy()
    odd.at[0, 'count'] = np.array([1, 2, 3])
    with pytest.raises(ValueError, match='other than 2 bands'):
        index_statistics(odd)
