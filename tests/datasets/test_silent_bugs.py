"""Bugs that no error would tell, one test for each: somebody made them, or they were near."""

import csv
import json
import pickle
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from torchgeo.datasets import CopernicusBenchEuroSATS1 as TorchGeoEuroSATS1
from torchgeo.datasets import CopernicusBenchEuroSATS2 as TorchGeoEuroSATS2

from tests.datasets.test_bad_data import rewrite
from tests.datasets.test_every_dataset import every_archive
from torchgeo_copernicus.datasets.bench import DATASETS

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
IGNORED = -100


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return every_archive(tmp_path_factory)


def copied(root: Path, tmp_path: Path, folder: str) -> Path:
    """One archive where it may be changed."""
    shutil.copytree(root / folder, tmp_path / folder)
    return tmp_path


def read(path: Path | str) -> NDArray[Any]:
    with rasterio.open(path) as file:
        return np.asarray(file.read())


def days(text: str) -> int:
    text = text.replace('-', '')
    day = date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    return (day - date(1970, 1, 1)).days


def coded(shape: tuple[int, int], *codes: int) -> NDArray[np.uint8]:
    """A mask that holds each code at least once, in turns."""
    return np.resize(np.array(codes, np.uint8), shape)


def labels_for(task: str, root: Path, stored: NDArray[Any], **arguments: Any) -> torch.Tensor:
    """What a dataset makes of a mask: it is written into the file of the first sample."""
    dataset = DATASETS[task](root, **arguments)
    (path,) = dataset._other_paths(dataset.names[0])
    rewrite(path, lambda pixels: stored[None])
    return dataset[0]['mask']


# Codes


def test_cloud_s3_invalid_pixels_are_ignored_and_classes_shift_down_without_overflow(
    root: Path, tmp_path: Path
) -> None:
    stored = coded((32, 32), 0, 1, 2, 3, 4, 5)
    found = labels_for('cloud_s3', copied(root, tmp_path, 'cloud_s3'), stored)
    assert found.flatten()[:6].tolist() == [IGNORED, 0, 1, 2, 3, 4]
    # uint8 0 - 1 is 255, and 256 does not fit into it.
    assert set(found.unique().tolist()) == {IGNORED, 0, 1, 2, 3, 4}


def test_cloud_s3_of_two_classes_ignores_invalid_pixels_too(root: Path, tmp_path: Path) -> None:
    stored = coded((32, 32), 0, 1, 2)
    copy = copied(root, tmp_path, 'cloud_s3')
    found = labels_for('cloud_s3', copy, stored, mode='binary')
    assert found.flatten()[:3].tolist() == [IGNORED, 0, 1]
    dataset = DATASETS['cloud_s3'](copy, mode='binary')  # type: ignore[call-arg]
    assert (dataset.classes, dataset.task.classes) == (('Clear', 'Cloud'),) * 2
    # The class is not changed by its objects.
    assert len(DATASETS['cloud_s3'].task.classes) == 5


def test_cloud_s3_names_swap_but_labels_do_not(root: Path) -> None:
    official = DATASETS['cloud_s3'](root)
    theirs = DATASETS['cloud_s3'](root, naming='torchgeo')  # type: ignore[call-arg]
    assert official.classes[1:3] == ('Cloud-Sure', 'Cloud-Ambiguous')
    assert theirs.classes == theirs.task.classes
    assert theirs.classes[1:3] == ('Cloud-Ambiguous', 'Cloud-Sure')
    assert theirs.classes[0::3] == official.classes[0::3] == ('Clear', 'Cloud Shadow')
    assert theirs.classes[4] == official.classes[4] == 'Snow/Ice'
    seen: set[int] = set()
    for index in range(len(official)):
        mask = official[index]['mask']
        seen |= set(mask.unique().tolist())
        assert torch.equal(mask, theirs[index]['mask'])
        assert torch.equal(mask, official.target(index))
    assert {1, 2} <= seen


@pytest.mark.parametrize('task', ['dfc2020_s1', 'dfc2020_s2'])
def test_dfc2020_codes_map_to_eight_classes_and_the_rest_is_ignored(
    root: Path, tmp_path: Path, task: str
) -> None:
    stored = coded((64, 64), *range(11))
    found = labels_for(task, copied(root, tmp_path, 'dfc2020_s1s2'), stored)
    # Background, Savanna and Snow are no classes.
    wanted = [IGNORED, 0, 1, IGNORED, 2, 3, 4, 5, IGNORED, 6, 7]
    assert found.flatten()[:11].tolist() == wanted
    assert np.array_equal(found, np.array(wanted)[stored])


def test_code_3_of_flood_is_ignored(root: Path, tmp_path: Path) -> None:
    stored = coded((64, 64), 0, 1, 2, 3)
    found = labels_for_flood(copied(root, tmp_path, 'flood_s1'), stored)
    assert found.flatten()[:4].tolist() == [0, 1, 2, IGNORED]


def labels_for_flood(root: Path, stored: NDArray[Any]) -> torch.Tensor:
    dataset = DATASETS['flood_s1'](root)
    (path,) = (dataset.folder / 'data' / dataset.names[0]).glob('MK0_MLU_*.tif')
    rewrite(path, lambda pixels: stored[None])
    return dataset[0]['mask']


def test_the_mask_of_a_flood_is_not_that_of_the_area_of_interest(root: Path) -> None:
    dataset = DATASETS['flood_s1'](root)
    for index, name in enumerate(dataset.names):
        (label,) = (dataset.folder / 'data' / name).glob('MK0_MLU_*.tif')
        (area,) = (dataset.folder / 'data' / name).glob('MK0_MNA_*.tif')
        wanted = read(label)[0].astype(int)
        assert np.array_equal(dataset[index]['mask'], np.where(wanted == 3, IGNORED, wanted))
        assert not np.array_equal(read(label), read(area))


@pytest.mark.parametrize(
    ('task', 'folder', 'code', 'arguments'),
    [
        ('cloud_s2', 'cloud_s2', 4, {}),
        ('cloud_s2', 'cloud_s2', 255, {}),
        ('cloud_s3', 'cloud_s3', 6, {}),
        ('cloud_s3', 'cloud_s3', 255, {}),
        ('cloud_s3', 'cloud_s3', 3, {'mode': 'binary'}),
        ('dfc2020_s1', 'dfc2020_s1s2', 11, {}),
        ('dfc2020_s2', 'dfc2020_s1s2', 255, {}),
        ('lc100seg_s3', 'lc100_s3', 10, {}),
        ('lc100seg_s3', 'lc100_s3', 127, {}),
        ('lc100seg_s3', 'lc100_s3', 255, {}),
    ],
)
def test_an_unknown_code_raises_and_is_named(
    root: Path, tmp_path: Path, task: str, folder: str, code: int, arguments: dict[str, Any]
) -> None:
    copy = copied(root, tmp_path, folder)
    dataset = DATASETS[task](copy, **arguments)
    (path,) = dataset._other_paths(dataset.names[0])
    known, shape = dataset.task.codes or range(2), (dataset.size[0], dataset.size[1])
    with pytest.raises(ValueError, match=rf'{path} holds the label {code};.*allowed'):
        labels_for(task, copy, coded(shape, *known, code), **arguments)


@pytest.mark.parametrize('code', [4, 255])
def test_an_unknown_code_of_flood_raises_and_is_named(
    root: Path, tmp_path: Path, code: int
) -> None:
    copy = copied(root, tmp_path, 'flood_s1')
    with pytest.raises(ValueError, match=rf'MK0_MLU_.*tif holds the label {code};.*allowed'):
        labels_for_flood(copy, coded((64, 64), 0, code))


# Flood


def test_flood_dates_of_three_and_seven_digit_events(root: Path) -> None:
    lengths = set()
    for split in ('train', 'val', 'test'):
        dataset = DATASETS['flood_s1'](root, split, mode=2)  # type: ignore[arg-type,call-arg]
        for index, name in enumerate(dataset.names):
            lengths.add(len(name.split('/')[0]))
            folder = dataset.folder / 'data' / name
            wanted = [
                days(next(folder.glob(f'{prefix}_IVV_*.tif')).stem[-8:])
                for prefix in ('SL2', 'SL1', 'MS1')
            ]
            assert dataset[index]['metadata'][:, 2].tolist() == wanted
    assert lengths == {3, 7}


def test_flood_pairs_are_before_then_after(root: Path) -> None:
    for mode, prefixes in ((1, ('SL1', 'MS1')), (2, ('SL2', 'SL1', 'MS1'))):
        dataset = DATASETS['flood_s1'](root, mode=mode)  # type: ignore[call-arg]
        for index, name in enumerate(dataset.names):
            sample = dataset[index]
            folder = dataset.folder / 'data' / name
            for t, prefix in enumerate(prefixes):
                for b, band in enumerate(('VV', 'VH')):
                    (path,) = folder.glob(f'{prefix}_I{band}_*.tif')
                    assert np.array_equal(sample['image'][t, b], read(path)[0], equal_nan=True)
            days_of = sample['metadata'][:, 2]
            assert (days_of[1:] > days_of[:-1]).all()
            assert Path(sample['filename']).name.startswith('MS1_IVV')


def test_flood_bands_do_not_swap_with_dates(root: Path) -> None:
    both = DATASETS['flood_s1'](root, mode=2)[0]  # type: ignore[call-arg]
    for bands in (['VH', 'VV'], ['VH']):
        rows = [{'VV': 0, 'VH': 1}[band] for band in bands]
        found = DATASETS['flood_s1'](root, mode=2, bands=bands)[0]  # type: ignore[call-arg]
        assert torch.equal(found['image'].nan_to_num(-7), both['image'][:, rows].nan_to_num(-7))
        assert torch.equal(found['metadata'], both['metadata'])


def test_flood_keeps_the_order_of_the_json(root: Path, tmp_path: Path) -> None:
    path = copied(root, tmp_path, 'flood_s1') / 'flood_s1' / 'grid_dict_train.json'
    paths = [entry['path'] for entry in json.loads(path.read_text()).values()]
    assert len(paths) == 3
    # Sorted by key, as TorchGeo does, the second would be the first; sorted by path, another.
    paths = sorted(paths)[1:] + sorted(paths)[:1]
    entries = {key: {'path': p} for key, p in zip(('m', 'a', 'z'), paths, strict=True)}
    path.write_text(json.dumps(entries))
    dataset = DATASETS['flood_s1'](tmp_path)
    found = [Path(dataset[i]['filename']).parent for i in range(3)]
    assert [str(p.relative_to(dataset.folder / 'data')) for p in found] == paths


def test_flood_values_stay_linear_and_what_is_not_finite_is_nan(root: Path, tmp_path: Path) -> None:
    copy = copied(root, tmp_path, 'flood_s1')
    dataset = DATASETS['flood_s1'](copy)
    (path,) = (dataset.folder / 'data' / dataset.names[0]).glob('MS1_IVV_*.tif')

    def change(pixels: NDArray[Any]) -> NDArray[Any]:
        pixels[0, 0, :4] = [np.inf, -np.inf, np.nan, 3.5]
        return pixels

    rewrite(path, change)
    row = dataset[0]['image'][1, 0, 0, :4]
    assert row[:3].isnan().all()
    # Clipping is not the dataset's business.
    assert row[3] == 3.5


# EuroSAT, LCZ and BigEarthNet


@pytest.mark.parametrize(
    ('task', 'theirs'), [('eurosat_s1', TorchGeoEuroSATS1), ('eurosat_s2', TorchGeoEuroSATS2)]
)
def test_eurosat_class_order_alphabetical_and_torchgeo(root: Path, task: str, theirs: Any) -> None:
    alphabetical = DATASETS[task](root, 'test')
    ours = DATASETS[task](root, 'test', class_order='torchgeo')  # type: ignore[call-arg]
    torchgeo = theirs(str(root), 'test')
    assert ours.classes == ours.task.classes == torchgeo.classes
    assert len(ours) == len(torchgeo) == 10
    differ = 0
    for index in range(10):
        label = int(torchgeo[index]['label'])
        assert int(ours[index]['label']) == int(ours.target(index)) == label
        name = torchgeo.classes[label]
        assert alphabetical.classes[int(alphabetical[index]['label'])] == name
        assert sorted(torchgeo.classes).index(name) == int(alphabetical[index]['label'])
        differ += label != int(alphabetical[index]['label'])
    assert differ == 8
    # The class is not changed by its objects.
    assert list(DATASETS[task].task.classes) == sorted(torchgeo.classes)


def test_eurosat_b8a_is_last_on_disk_and_after_b08_in_the_sample(root: Path) -> None:
    dataset = DATASETS['eurosat_s2'](root)
    sample = dataset[0]
    stored = read(sample['filename'])
    assert dataset.bands[7:10] == ('B08', 'B8A', 'B09')
    assert dataset.all_bands[-1] == 'B8A'
    order = [0, 1, 2, 3, 4, 5, 6, 7, 12, 8, 9, 10, 11]
    assert np.array_equal(sample['image'], stored[order])
    assert not np.array_equal(sample['image'], stored)
    theirs = TorchGeoEuroSATS2(str(root))
    rows = [theirs.all_bands.index(band) for band in dataset.bands]
    assert torch.equal(sample['image'], theirs[0]['image'][rows])


def test_lcz_file_opened_once_per_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = h5py.File

    def counting(path: Any, *args: Any, **kwargs: Any) -> Any:
        opened.append(Path(path).name)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(h5py, 'File', counting)
    dataset = DATASETS['lcz_s2'](root)
    for _ in range(2):
        for index in range(len(dataset)):
            dataset[index]
            dataset.target(index)
    assert opened == ['lcz_train.h5']
    # An open file does not travel, so another process opens its own, when it reads.
    copy = pickle.loads(pickle.dumps(dataset))
    assert opened == ['lcz_train.h5']
    copy[0], copy[1]
    assert opened == ['lcz_train.h5'] * 2


def test_lcz_images_are_not_transposed_and_labels_are_those_of_their_rows(root: Path) -> None:
    dataset = DATASETS['lcz_s2'](root, bands=['B12', 'B02'])
    with h5py.File(root / 'lcz_s2' / 'lcz_train.h5') as file:
        images, labels = file['sen2'][:], file['label'][:]
    assert len(dataset) == len(images)
    for index in range(len(dataset)):
        image = dataset[index]['image'].numpy()
        assert np.array_equal(image[0], images[index, :, :, 9])
        assert np.array_equal(image[1], images[index, :, :, 0])
        assert labels[index, int(dataset[index]['label'])] == 1
    assert len({int(dataset.target(i)) for i in range(len(dataset))}) == 17


@pytest.mark.parametrize(('task', 'column'), [('bigearthnet_s1', 0), ('bigearthnet_s2', 1)])
def test_bigearthnet_images_and_labels_are_of_one_row(root: Path, task: str, column: int) -> None:
    dataset = DATASETS[task](root)
    with (root / 'bigearthnet_s1s2' / 'multilabel-train.csv').open() as file:
        header, *rows = list(csv.reader(file))
    assert len(header) == 21
    assert len(dataset) == len(rows) == 6
    assert len({tuple(row[2:]) for row in rows}) > 3
    for index, row in enumerate(rows):
        sample = dataset[index]
        assert sample['filename'].endswith(f'BigEarthNet-S{column + 1}-5%/{row[column]}')
        assert sample['label'].tolist() == [int(cell) for cell in row[2:]]


# Air quality


def test_air_quality_numbers_beyond_1e10_are_nan(root: Path, tmp_path: Path) -> None:
    copy = copied(root, tmp_path, 'airquality_s5p')
    values = [np.inf, -np.inf, 1e38, -1e38, 1.1e10, np.nan, 9e9, -9e9, 0.0, 12.5]
    for task in ('aq_no2_s5p', 'aq_o3_s5p'):
        dataset = DATASETS[task](copy)
        (path,) = dataset._other_paths(dataset.names[0])

        def change(pixels: NDArray[Any]) -> NDArray[Any]:
            pixels = np.ones((1, 56, 56), 'float32')
            pixels[0, 0, : len(values)] = values
            return pixels

        rewrite(path, change)
        row = dataset[0]['mask'][0, : len(values)]
        assert row.isnan().tolist() == [True] * 6 + [False] * 4
        assert row[6:].tolist() == pytest.approx([9e9, -9e9, 0.0, 12.5])
        assert torch.equal(dataset.target(0).nan_to_num(-7), dataset[0]['mask'].nan_to_num(-7))


def test_gaps_of_an_air_quality_target_do_not_spread_when_it_is_resized(
    root: Path, tmp_path: Path
) -> None:
    copy = copied(root, tmp_path, 'airquality_s5p')
    dataset = DATASETS['aq_no2_s5p'](copy)
    (path,) = dataset._other_paths(dataset.names[0])
    stored = np.full((1, 28, 28), 7, 'float32')
    stored[0, :14, :14] = -np.inf
    rewrite(path, lambda pixels: stored)
    mask = dataset[0]['mask']
    assert mask[:28, :28].isnan().all()
    assert mask.isnan().sum() == 28 * 28
    assert (mask[28:] == 7).all()


def test_no2_and_o3_are_not_mixed_up(root: Path) -> None:
    no2, o3 = DATASETS['aq_no2_s5p'](root)[1], DATASETS['aq_o3_s5p'](root)[1]
    assert '/no2/' in no2['filename']
    assert '/o3/' in o3['filename']
    assert no2['image'].nanmean() < 1e-3
    assert 0.05 < o3['image'].nanmean() < 0.3
    assert no2['mask'].nanmean() < 300 < o3['mask'].nanmean()


@pytest.mark.parametrize('task', ['aq_no2_s5p', 'aq_o3_s5p'])
def test_a_missing_season_is_skipped_and_the_last_repeated(root: Path, task: str) -> None:
    starts = [days(f'2021-{month}-01') for month in ('01', '04', '07', '10')]
    missing = 0
    for split in ('train', 'val', 'test'):
        dataset = DATASETS[task](root, split, mode='seasonal')  # type: ignore[arg-type,call-arg]
        for index, place in enumerate(dataset.names):
            folder = dataset.split_file.parent / 's5p_seasonal' / place
            names = sorted(path.name for path in folder.iterdir())
            missing += len(names) < 4
            wanted = [days(name[:10]) for name in names]
            wanted += wanted[-1:] * (4 - len(names))
            sample = dataset[index]
            assert sample['metadata'][:, 2].tolist() == wanted
            assert sample['valid'].tolist() == [i < len(names) for i in range(4)]
            assert set(wanted) <= set(starts)
    assert missing == 1


def test_the_year_of_an_annual_mean_begins_on_its_first_day(root: Path) -> None:
    assert DATASETS['aq_no2_s5p'](root)[0]['metadata'][2] == 18628


# Metadata


@pytest.mark.parametrize('task', ['cloud_s3', 'lc100seg_s3'])
def test_seconds_do_not_reach_the_metadata(root: Path, tmp_path: Path, task: str) -> None:
    folder = DATASETS[task].task.folder
    found = []
    for time in ('000000', '235959'):
        copy = copied(root, tmp_path / time, folder)
        dataset = DATASETS[task](copy)
        (old,) = dataset._image_paths(dataset.names[0])
        # The first time in the name, that of the acquisition.
        at = old.name.index('T', 5)
        new = old.name[: at + 1] + time + old.name[at + 7 :]
        for path in copy.rglob(old.name):
            path.rename(path.with_name(new))
        listed = copy / folder / dataset.task.split_file.format('train')
        listed.write_text(listed.read_text().replace(old.name, new))
        sample = DATASETS[task](copy)[0]
        assert time in Path(sample['filename']).name
        found.append(sample['metadata'][2])
    assert found[0] == found[1]
    assert found[0] == int(found[0])
    assert 14_000 < found[0] < 20_000


@pytest.mark.parametrize(
    ('task', 'gsd_m'),
    [('lc100seg_s3', 300), ('lc100cls_s3', 300), ('aq_no2_s5p', 1000), ('flood_s1', 10)],
)
def test_native_gsd_in_metadata_not_that_of_the_resized_grid(
    root: Path, task: str, gsd_m: float
) -> None:
    dataset = DATASETS[task](root)
    sample = dataset[0]
    stored = read(sample['filename'])
    if task == 'flood_s1':
        # Nor the ground that a pixel of Web Mercator has there, which is less.
        assert sample['metadata'][0, 1].abs() > 15
    else:
        assert stored.shape[-1] != sample['image'].shape[-1]
    assert (sample['metadata'][..., 3] == gsd_m).all()


def test_a_scene_across_the_date_line_has_its_longitude(root: Path) -> None:
    sample = DATASETS['cloud_s3'](root, 'test')[0]
    with rasterio.open(sample['filename']) as file:
        assert file.bounds.right > 180
    assert abs(float(sample['metadata'][0])) == pytest.approx(180, abs=0.2)
    assert float(sample['metadata'][1]) == pytest.approx(-16.8, abs=0.2)
