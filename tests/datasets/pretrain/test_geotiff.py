"""Cells from GeoTIFFs: every image that was painted, where and when it was taken, and nothing silently lost."""

from __future__ import annotations

import copy
import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    NOWHERE,
    Place,
    grid_around,
    write_geotiff,
)
from torchgeo_copernicus.datasets.lookalike.pretrain_cell import LACKING, paint_cell
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import (
    geotiff_images,
    make_pretrain_geotiff,
)
from torchgeo_copernicus.datasets.pretrain.collate import collate_lists
from torchgeo_copernicus.datasets.pretrain.faults import FaultError
from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import ImageFile
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_reader import ImageReader
from torchgeo_copernicus.datasets.pretrain.grid import Cell, split_name
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.metadata import days_since_epoch
from torchgeo_copernicus.sensors import OLCI_SCALE

SIZE = 16
DIVISOR = 264 // SIZE
DRAWN = Selection(patches=1, dates='random')


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pretrain_geotiff(tmp_path_factory.mktemp('pretrain'), 4, 0, SIZE)


@pytest.fixture
def damaged(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / 'copy')


def first(root: Path, pattern: str) -> Path:
    """Return the first file of a pattern in the first cell."""
    return min(root.glob(pattern.replace('CELL', '0811475*')))


def equal(one: Sample, other: Sample) -> bool:
    def flat(sample: Sample) -> list[tuple[str, str, Any]]:
        return [
            (key, n, sample[key][n])
            for key in ('image', 'metadata', 'local_id')
            for n in sample[key]
        ]

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        return torch.allclose(torch.as_tensor(a), torch.as_tensor(b), 0, 0, equal_nan=True)

    pairs = list(zip(flat(one), flat(other), strict=True))
    return one['grid_id'] == other['grid_id'] and all(
        a[:2] == b[:2] and same(a[2], b[2]) for a, b in pairs
    )


def test_every_painted_image_comes_back_exactly_with_its_place_and_day(root: Path) -> None:
    dataset = CopernicusPretrainGeoTIFF(root)
    assert len(dataset) == 4
    scale = np.array([OLCI_SCALE[b] for b in MODALITIES['s3_olci'].sensor.band_names], np.float32)
    for number in range(4):
        painted, sample = paint_cell(0, number, DIVISOR), dataset[number]
        assert sample['grid_id'] == painted.cell.grid_id
        assert set(sample['image']) == {*MODALITY_NAMES} - set(LACKING[number])
        for name, found in sample['image'].items():
            local = MODALITIES[name].local
            places = painted.patches[name] if local else [painted.cell.name]
            wanted = [
                (place, day, image)
                for row, place in enumerate(places)
                for day, image in geotiff_images(painted, name, row).items()
            ]
            images = [found] if name == 'dem' else found
            metadata = sample['metadata'][name].reshape(-1, 4)
            assert isinstance(found, Tensor if name == 'dem' else list)
            for (place, day, image), tensor, vector in zip(wanted, images, metadata, strict=True):
                expected = image.astype(np.float32)
                if name == 's3_olci':
                    expected = expected * scale[:, None, None]
                assert tensor.dtype == torch.float32
                np.testing.assert_array_equal(tensor.numpy(), expected)
                _, longitude, latitude = split_name(place)
                # The central pixel is half a pixel from the middle.
                pixel = 1e-3 if local else 0.26 / tensor.shape[1]
                assert vector[:2].tolist() == pytest.approx([longitude, latitude], abs=pixel)
                days = days_since_epoch(f'{day[:4]}-{day[4:6]}-{day[6:]}') if day else np.nan
                assert float(vector[2]) == pytest.approx(days, nan_ok=True)
                assert vector[3] > 0
            if local:
                ids = sample['local_id'][name]
                assert ids.dtype == torch.int64
                assert ids.tolist() == [split_name(place)[0] for place, _, _ in wanted]
        assert set(sample['local_id']) == set(sample['image']) & {'s1_grd', 's2_toa'}


def test_images_of_a_polar_cell_are_wide_and_horizontally_polarised(root: Path) -> None:
    sample = CopernicusPretrainGeoTIFF(root)[3]
    carbon = sample['image']['s5p_co'][0]
    assert carbon.shape[2] > 2 * carbon.shape[1]
    (path, *_) = root.glob('s1_grd_utm/images/0911281*/*/S1A_EW_GRDM_1SDH*.tif')
    with rasterio.open(path) as file:
        assert file.descriptions == ('HH', 'HV')


def test_a_drawn_cell_has_no_leading_axis_and_the_same_day_as_among_all(root: Path) -> None:
    whole = CopernicusPretrainGeoTIFF(root)[0]
    drawn = CopernicusPretrainGeoTIFF(root, selection=DRAWN)[0]
    for name, image in drawn['image'].items():
        assert image.ndim == 3
        assert drawn['metadata'][name].shape == (4,)
        among = [whole['image'][name]] if name == 'dem' else whole['image'][name]
        assert any(torch.equal(image.nan_to_num(-1), one.nan_to_num(-1)) for one in among)
    assert drawn['local_id']['s1_grd'] == drawn['local_id']['s2_toa']
    assert isinstance(drawn['local_id']['s1_grd'], int)


def test_epochs_and_seeds_draw_other_images_and_again_the_same(root: Path) -> None:
    def draws(seed: int) -> list[tuple[float, ...]]:
        dataset = CopernicusPretrainGeoTIFF(root, selection=DRAWN, seed=seed, modalities=['s5p_co'])
        days = []
        for epoch in range(4):
            dataset.set_epoch(epoch)
            days.append(tuple(float(sample['metadata']['s5p_co'][2]) for sample in dataset))
        return days

    assert draws(0) == draws(0)
    assert draws(0) != draws(1)
    assert len(set(draws(0))) == 4


def test_the_epoch_of_a_part_does_not_change_what_the_whole_draws(root: Path) -> None:
    dataset = CopernicusPretrainGeoTIFF(root, selection=DRAWN, modalities=['s5p_co'])
    before = dataset[0]
    for epoch in range(1, 5):
        dataset.restricted_to([811475]).set_epoch(epoch)
        assert equal(dataset[0], before)


def test_patches_draw_their_dates_apart_with_the_key_that_shards_have(root: Path) -> None:
    selection = Selection(dates='random')
    dataset = CopernicusPretrainGeoTIFF(root, modalities=['s2_toa'], selection=selection, seed=3)
    places = dataset.files.cell(0).images['s2_toa']
    positions = []
    for epoch in range(12):
        dataset.set_epoch(epoch)
        found = dataset[0]['metadata']['s2_toa'][:, 2].tolist()
        drawn = []
        for (place, images), day in zip(places.items(), found, strict=True):
            days = [image.days for image in images]
            key = 3, epoch, 811475, split_name(place)[0]
            (position,) = selection.dates_of('s2_toa', days, *key)
            assert day == days[position]
            drawn.append(position)
        positions.append(drawn)
    assert any(one != other for one, other in positions)


@pytest.mark.parametrize(
    ('cell', 'longitude'), [(Cell.at(120.25, 68), 120.75), (Cell.at(180, 0), 179.95)]
)
def test_an_image_is_at_home_in_its_cell_near_the_pole_and_the_date_line(
    tmp_path: Path, cell: Cell, longitude: float
) -> None:
    folder = tmp_path / 'dem_grid_wgs' / 'images' / cell.name
    folder.mkdir(parents=True)
    wgs84 = rasterio.crs.CRS.from_epsg(4326)
    grid = grid_around(Place(longitude, cell.latitude), 40, 1e-4, wgs84)
    heights = np.random.default_rng(0).random((40, 40), np.float32)
    write_geotiff(folder / 'dem.tif', heights, grid)
    image = ImageFile(np.nan, f'dem_grid_wgs/images/{cell.name}/dem.tif')
    _, metadata = ImageReader(tmp_path).read('dem', image, cell, '')
    assert float(metadata[0]) == pytest.approx(longitude, abs=1e-3)


def test_an_epoch_is_seen_by_loader_processes_that_run_already(root: Path) -> None:
    dataset = CopernicusPretrainGeoTIFF(root, selection=DRAWN, modalities=['s5p_co'])
    loader = DataLoader(
        dataset, 4, num_workers=1, persistent_workers=True, collate_fn=collate_lists
    )
    found = []
    for epoch in range(2):
        dataset.set_epoch(epoch)
        (batch,) = loader
        found.append(batch['metadata']['s5p_co'])
        wanted = [dataset[i]['metadata']['s5p_co'] for i in range(4)]
        assert torch.equal(torch.stack(found[-1]), torch.stack(wanted))
    assert not torch.equal(torch.stack(found[0]), torch.stack(found[1]))


def test_a_number_finds_its_cell_whatever_the_order(root: Path) -> None:
    dataset = CopernicusPretrainGeoTIFF(root)
    grids = [911281, 811475]
    some = CopernicusPretrainGeoTIFF(root, grids=grids)
    assert some.grid_ids.tolist() == grids == dataset.restricted_to(grids).grid_ids.tolist()
    assert equal(some[0], dataset[3])
    assert equal(some.cell(811475), dataset[0])
    assert equal(dataset.restricted_to(grids)[-1], dataset[0])
    for number in (753823, 5):
        with pytest.raises(ValueError, match=r'no images of cells|left out'):
            some.cell(number)
    with pytest.raises(ValueError, match='left out of this dataset'):
        dataset.restricted_to(grids).cell(753823)
    with pytest.raises(ValueError, match='left out of this dataset'):
        dataset.restricted_to(grids).restricted_to([753823])
    for index in (2, -3):
        with pytest.raises(IndexError, match='out of range for 2 cells'):
            some[index]


def test_cells_that_lack_a_modality_are_kept_unless_skipped_and_counted(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    modalities: list[ModalityName] = ['s3_olci', 's1_grd']
    dataset = CopernicusPretrainGeoTIFF(root, modalities=modalities)
    assert dataset.modalities == ('s1_grd', 's3_olci')
    assert [set(sample['image']) for sample in dataset] == [
        {'s1_grd', 's3_olci'}, {'s3_olci'}, {'s1_grd', 's3_olci'}, {'s1_grd'}
    ]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        skipped = CopernicusPretrainGeoTIFF(root, modalities=modalities, missing='skip')
    assert skipped.grid_ids.tolist() == [811475, 808660]
    assert '2 of 4 cells lack a modality and are left out' in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert len(CopernicusPretrainGeoTIFF(root, modalities=['dem'])) == 3
    assert '1 of 4 cells lack all modalities' in caplog.text
    with pytest.raises(ValueError, match=r"None of the 1 cells has any of \['dem'\]"):
        CopernicusPretrainGeoTIFF(root, modalities=['dem'], grids=[911281])
    with pytest.raises(ValueError, match='has all of'):
        CopernicusPretrainGeoTIFF(root, grids=[911281], missing='skip')


def test_only_the_images_that_are_drawn_are_opened(damaged: Path) -> None:
    for path in damaged.glob('s5p_l3_wgs/images/CO*/0811475*/*.tif'):
        if not path.name.startswith('2021-06'):
            path.unlink()
    selection = Selection(dates={'s5p_co': '2021-06-09'})
    sample = CopernicusPretrainGeoTIFF(damaged, modalities=['s5p_co'], selection=selection)[0]
    assert float(sample['metadata']['s5p_co'][2]) == days_since_epoch('2021-06-01')


def test_either_folder_of_sentinel_3_is_read(root: Path, damaged: Path) -> None:
    (damaged / 's3_olci_wgs').rename(damaged / 's3_olci_utm')
    one, other = (
        CopernicusPretrainGeoTIFF(path, modalities=['s3_olci']) for path in (root, damaged)
    )
    assert equal(one[0], other[0])
    # A list that names the folder as it is on disk.
    (found,) = damaged.glob('fnames_*')
    files = FileList.read(found)
    entry = {
        'grid_id_coord': files.cell(0).cell.name,
        's3_olci': [
            image.path.replace('s3_olci_utm', 's3_olci_wgs')
            for image in files.cell(0).images['s3_olci']['']
        ],
    }
    corrected = FileList.of('corrected', {811475: entry})
    for folder in (root, damaged):
        assert equal(CopernicusPretrainGeoTIFF(folder, corrected, ['s3_olci'])[0], one[0])
    shutil.rmtree(damaged / 's3_olci_utm')
    for listed in (files, corrected):
        with pytest.raises(ValueError, match='listed but cannot be found'):
            CopernicusPretrainGeoTIFF(damaged, listed, ['s3_olci'])[0]


def spoil(path: Path, damage: str) -> None:
    """Damage a file in one of the ways that are checked for."""
    grid = grid_around(Place(8.75, 50.75), 4, 0.01, rasterio.crs.CRS.from_epsg(4326))
    far = grid_around(Place(8.75, 51.6), 4, 0.01, rasterio.crs.CRS.from_epsg(4326))
    pixels = np.random.default_rng(0).random((1, 40, 40), np.float32)
    if damage == 'missing':
        path.unlink()
    elif damage == 'small':
        path.write_bytes(path.read_bytes()[:999])
    elif damage == 'no image':
        path.write_bytes(b'x' * 2000)
    elif damage == 'bands':
        write_geotiff(path, np.repeat(pixels, 2, 0), grid)
    elif damage == 'type':
        write_geotiff(path, (pixels * 255).astype(np.uint8), grid)
    elif damage == 'elsewhere':
        write_geotiff(path, pixels, far)


DAMAGES = {
    'missing': 'cannot be found',
    'small': '999 bytes',
    'no image': 'cannot be read',
    'bands': 'has 2 bands, wanted 1',
    'type': 'is uint8; images of s5p_co are float32 or float64',
    'elsewhere': r'lies at .* but is listed as of 0811475',
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_file_is_named_or_left_out_and_counted(
    damaged: Path, damage: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path = first(damaged, 's5p_l3_wgs/images/CO*/CELL/*.tif')
    whole = CopernicusPretrainGeoTIFF(damaged, modalities=['s5p_co'])[0]['metadata']['s5p_co']
    spoil(path, damage)
    dataset = CopernicusPretrainGeoTIFF(damaged, modalities=['s5p_co'])
    with pytest.raises(ValueError, match=DAMAGES[damage]) as error:
        dataset[0]
    assert str(path) in str(error.value)
    dataset = CopernicusPretrainGeoTIFF(damaged, modalities=['s5p_co'], on_error='skip')
    with caplog.at_level(logging.WARNING):
        sample = dataset[0]
    assert torch.equal(sample['metadata']['s5p_co'], whole[1:])
    assert len(sample['image']['s5p_co']) == len(whole) - 1
    assert dataset.faults.counts == {'damaged': 1}
    assert str(path) in caplog.text
    assert capsys.readouterr().out == ''


def test_another_image_is_drawn_in_place_of_a_damaged_one(damaged: Path) -> None:
    arguments: Any = {'modalities': ['s5p_co'], 'selection': DRAWN}
    arguments |= {'on_error': 'skip', 'max_fault_share': 1}
    drawn = CopernicusPretrainGeoTIFF(damaged, **arguments)[0]['metadata']['s5p_co']
    for path in damaged.glob('s5p_l3_wgs/images/CO*/0811475*/*.tif'):
        month = np.datetime64('1970-01-01') + int(drawn[2])
        if path.name.startswith(str(month)):
            spoil(path, 'small')
    dataset = CopernicusPretrainGeoTIFF(damaged, **arguments)
    assert dataset[0]['image']['s5p_co'].ndim == 3
    assert dataset[0]['metadata']['s5p_co'][2] != drawn[2]
    for path in damaged.glob('s5p_l3_wgs/images/CO*/0811475*/*.tif'):
        spoil(path, 'small')
    assert dataset[0]['image'] == {}


def test_an_image_without_a_value_is_as_if_not_there(damaged: Path) -> None:
    path = first(damaged, 's5p_l3_wgs/images/CO*/CELL/*.tif')
    with rasterio.open(path, 'r+') as file:
        file.write(np.full((file.count, *file.shape), np.nan, np.float32))
    dataset = CopernicusPretrainGeoTIFF(damaged, modalities=['s5p_co'])
    days = dataset[0]['metadata']['s5p_co'][:, 2]
    assert days.min() == days_since_epoch('2021-02-01')
    assert dataset.faults.counts == {'void': 1}


def test_too_many_damaged_files_end_the_run(damaged: Path) -> None:
    for path in damaged.glob('dem_grid_wgs/images/*/*.tif'):
        spoil(path, 'small')
    arguments: Any = {'modalities': ['dem', 's5p_co'], 'on_error': 'skip'}
    dataset = CopernicusPretrainGeoTIFF(damaged, max_fault_share=0.02, **arguments)
    dataset[0], dataset[1]
    with pytest.raises(FaultError, match='3 of 3 cells lost something'):
        dataset[2]
    with pytest.raises(FaultError):
        CopernicusPretrainGeoTIFF(damaged, max_fault_share=0, **arguments)[0]


def test_an_image_that_does_not_say_where_it_is_has_the_place_of_its_name(damaged: Path) -> None:
    path = first(damaged, 's1_grd_utm/images/CELL/*/*.tif')
    pixels = np.random.default_rng(0).normal(-12, 1, (2, 30, 30)).astype(np.float32)
    write_geotiff(path, pixels, NOWHERE)
    dataset = CopernicusPretrainGeoTIFF(damaged, modalities=['s1_grd'])
    rows = dataset[0]['metadata']['s1_grd']
    _, longitude, latitude = split_name(path.parent.name)
    match = [
        row for row, image in zip(rows, dataset[0]['image']['s1_grd'], strict=True)
        if image.shape == (2, 30, 30)
    ]  # fmt: skip
    assert match[0][:2].tolist() == pytest.approx([longitude, latitude])
    assert match[0][3] == 10


def test_transforms_pickles_and_copies_work(root: Path) -> None:
    dataset = CopernicusPretrainGeoTIFF(root, modalities=['dem'], transforms=marked)
    assert dataset[0]['seen'] is True
    assert equal(pickle.loads(pickle.dumps(dataset))[0], dataset[0])
    assert equal(copy.deepcopy(dataset)[0], dataset[0])


def marked(sample: Sample) -> Sample:
    return {**sample, 'seen': True}


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        ({'missing': 'zeros'}, 'Unknown missing'),
        ({'on_error': 'print'}, 'Unknown on_error'),
        ({'modalities': ['s4']}, 'Unknown modalities'),
        ({'modalities': []}, 'modalities is'),
        ({'selection': 'all'}, 'give a Selection'),
        ({'seed': -1}, 'seed must be'),
        ({'seed': True}, 'seed must be'),
        ({'grids': []}, 'grids is'),
        ({'grids': '811475'}, 'grids is'),
        ({'grids': [811475, 811475]}, 'twice'),
        ({'grids': [1.5]}, 'grids must be'),
        ({'grids': [5]}, 'lists no images'),
        ({'max_fault_share': 2}, 'max_fault_share'),
        ({'file_list': 'nowhere.json.gz'}, 'cannot be read'),
    ],
)
def test_a_wrong_argument_is_refused_at_once(root: Path, arguments: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        CopernicusPretrainGeoTIFF(root, **arguments)
    with pytest.raises(ValueError, match='epoch must be'):
        CopernicusPretrainGeoTIFF(root).set_epoch(-1)


def test_a_root_without_or_with_several_lists_is_named(damaged: Path, tmp_path: Path) -> None:
    for path in (tmp_path / 'nowhere', tmp_path):
        with pytest.raises(DatasetNotFoundError):
            CopernicusPretrainGeoTIFF(path)
    shutil.copy(damaged / 'fnames_4_union.json.gz', damaged / 'fnames_joint.json.gz')
    with pytest.raises(
        ValueError, match=r"several lists \['fnames_4_union.json.gz', 'fnames_joint"
    ):
        CopernicusPretrainGeoTIFF(damaged)
    chosen = CopernicusPretrainGeoTIFF(damaged, damaged / 'fnames_joint.json.gz')
    assert len(chosen) == 4


@pytest.mark.parametrize(('n', 'size'), [(0, 16), (1, 4), (1, 500)])
def test_the_maker_refuses_what_it_cannot_make(tmp_path: Path, n: int, size: int) -> None:
    with pytest.raises(ValueError, match='pretrain_geotiff needs'):
        make_pretrain_geotiff(tmp_path, n, 0, size)


@pytest.mark.parametrize('arguments', [(-1, 0), (0, -1), (0, 0, 0)])
def test_the_painter_refuses_what_it_cannot_paint(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match='must not be negative'):
        paint_cell(*arguments)
