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
from torchgeo_copernicus.datasets import write_sample
from torchgeo_copernicus.datasets.bench import DATASETS
from torchgeo_copernicus.metadata import token_area_km2

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
IGNORED = -100
OLCI_SCALE = [
    0.0139465, 0.0133873, 0.0121481, 0.0115198, 0.0100953, 0.0123538, 0.00879161,
    0.00876539, 0.0095103, 0.00773378, 0.00675523, 0.0071996, 0.00749684, 0.0086512,
    0.00526779, 0.00530267, 0.00493004, 0.00549962, 0.00502847, 0.00326378, 0.00324118,
]  # fmt: skip
LC100_CODES = [
    0, 20, 30, 40, 50, 60, 70, 80, 90, 100, 111, 112, 113, 114, 115, 116,
    121, 122, 123, 124, 125, 126, 200,
]  # fmt: skip


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return every_archive(tmp_path_factory)


@pytest.fixture(scope='module')
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Places with images of 94 and 96 px, as the real ones have; maps of 282 and 288 px."""
    folder = tmp_path_factory.mktemp('full_size')
    for task in ('lc100seg_s3', 'biomass_s3'):
        write_sample(task, folder, n=4, size=96)
    return folder


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


# LC100 and Biomass


def test_lc100_labels_join_by_place_not_by_row(root: Path) -> None:
    dataset = DATASETS['lc100cls_s3'](root)
    folder = root / 'lc100_s3'
    with (folder / 'multilabel-train.csv').open() as file:
        rows = list(csv.reader(file))[1:]
    labels = {row[0]: [int(cell) for cell in row[1:]] for row in rows}
    lines = (folder / 'static_fnames-train.csv').read_text().split()
    chosen = dict(line.split(',') for line in lines)
    # In the same order, or with the same labels, joining by row would do.
    assert list(labels) != list(chosen)
    assert len({tuple(label) for label in labels.values()}) == len(labels) == len(dataset) == 3
    for index in range(len(dataset)):
        path = Path(dataset[index]['filename'])
        assert dataset[index]['label'].tolist() == labels[path.parent.name]
        assert path.name == chosen[path.parent.name]


def test_lc100_labels_of_a_series_are_those_of_its_place(root: Path) -> None:
    static = DATASETS['lc100cls_s3'](root)
    series = DATASETS['lc100cls_s3'](root, mode='time-series')
    for index in range(len(static)):
        assert torch.equal(series[index]['label'], static[index]['label'])
        folder = Path(series[index]['filename']).parent
        assert folder == Path(static[index]['filename']).parent


def test_lc100_codes(root: Path, tmp_path: Path) -> None:
    stored = coded((90, 90), *LC100_CODES)
    found = labels_for('lc100seg_s3', copied(root, tmp_path, 'lc100_s3'), stored)
    rows = np.arange(288) * 90 // 288
    wanted = np.array([LC100_CODES.index(code) for code in stored.flat]).reshape(90, 90)
    assert np.array_equal(found, wanted[rows[:, None], rows])
    # 'Unknown' is a class, and there is none that is ignored.
    assert set(found.unique().tolist()) == set(range(23))


def test_lc100seg_image_and_mask_share_a_grid(full_size: Path, tmp_path: Path) -> None:
    copy = copied(full_size, tmp_path, 'lc100_s3')
    dataset = DATASETS['lc100seg_s3'](copy)
    (image_path,) = dataset._image_paths(dataset.names[0])
    (mask_path,) = dataset._other_paths(dataset.names[0])
    assert read(image_path).shape == (21, 94, 94)
    assert read(mask_path).shape == (1, 282, 282)

    def edge_at(share: float, low: float, high: float) -> Any:
        # High to the right of a line and below another, so that neither axis can be taken for both.
        def draw(pixels: NDArray[Any]) -> NDArray[Any]:
            row, column = np.mgrid[: pixels.shape[1], : pixels.shape[2]] / pixels.shape[1]
            return np.full_like(pixels, low) + (
                ((row >= share) & (column >= 2 * share)) * (high - low)
            ).astype(pixels.dtype)

        return draw

    # A line between pixels of both: 20 of 94, 60 of 282.
    rewrite(image_path, edge_at(20 / 94, 0, 1000))
    rewrite(mask_path, edge_at(20 / 94, 20, 80))
    sample = dataset[0]
    assert sample['image'].shape == (21, 288, 288)
    water = sample['mask'] == 7
    bright = sample['image'][0] > 500 * OLCI_SCALE[0]
    assert 0.3 < water.float().mean() < 0.6
    # But for pixels on the line.
    assert (water != bright).float().mean() < 0.005


def test_lc100seg_is_resized_as_opencv_does(full_size: Path) -> None:
    cv2 = pytest.importorskip('cv2')
    dataset = DATASETS['lc100seg_s3'](full_size)
    sides = set()
    for index in range(len(dataset)):
        sample = dataset[index]
        counts = np.nan_to_num(read(sample['filename'])).astype('float32')
        sides.add(counts.shape[1])
        scale = np.array(OLCI_SCALE, 'float32')[:, None, None]
        resized = [cv2.resize(band, (288, 288), interpolation=cv2.INTER_CUBIC) for band in counts]
        assert np.allclose(sample['image'], np.stack(resized) * scale, rtol=0, atol=0.02)
        (path,) = dataset._other_paths(dataset.names[index])
        mask = cv2.resize(read(path)[0], (288, 288), interpolation=cv2.INTER_NEAREST)
        assert np.array_equal(sample['mask'], np.searchsorted(LC100_CODES, mask))
    assert sides == {94, 96}


def test_biomass_target_is_resized_as_opencv_does_with_cubic_interpolation(full_size: Path) -> None:
    cv2 = pytest.importorskip('cv2')
    dataset = DATASETS['biomass_s3'](full_size)
    (path,) = dataset._other_paths(dataset.names[0])
    stored = read(path)[0].astype('float32')
    assert stored.shape == (282, 282)
    wanted = cv2.resize(stored, (288, 288), interpolation=cv2.INTER_CUBIC)
    assert np.allclose(dataset[0]['mask'], wanted, rtol=0, atol=0.05)
    # What has the size is not touched.
    (path,) = dataset._other_paths(dataset.names[1])
    assert np.array_equal(dataset[1]['mask'], read(path)[0])


@pytest.mark.parametrize(
    ('side', 'size'), [(94, 96), (94, 288), (96, 288), (282, 288), (55, 56), (60, 56)]
)
def test_resizing_is_that_of_opencv(side: int, size: int) -> None:
    cv2 = pytest.importorskip('cv2')
    from torchgeo_copernicus.datasets.bench.reading import enlarge, nearest

    values = np.random.default_rng(side).uniform(0, 1, (side, side)).astype('float32')
    smooth = cv2.resize(values, (size, size), interpolation=cv2.INTER_CUBIC)
    found = enlarge(torch.from_numpy(values)[None], size)[0]
    assert np.allclose(found, smooth, rtol=0, atol=1e-4)
    blocky = cv2.resize(values, (size, size), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(nearest(values, size), blocky)


def test_native_images_keep_their_size_and_gaps_while_the_mask_is_on_its_grid(
    full_size: Path,
) -> None:
    native = DATASETS['lc100seg_s3'](full_size, native=True)  # type: ignore[call-arg]
    for index in range(len(native)):
        sample = native[index]
        scale = np.array(OLCI_SCALE, 'float32')[:, None, None]
        wanted = read(sample['filename']) * scale
        assert np.allclose(sample['image'], wanted, rtol=1e-6, atol=0, equal_nan=True)
        assert sample['mask'].shape == (288, 288)


def test_biomass_keeps_true_gsd_in_the_dataset(root: Path) -> None:
    for mode in ('static', 'time-series'):
        dataset = DATASETS['biomass_s3'](root, mode=mode)  # type: ignore[call-arg]
        assert (dataset[0]['metadata'][..., 3] == 300).all()
    # The published run's 23.04 km2 are another matter.
    told = torch.tensor(dataset.task.published_gsd_m)
    assert float(token_area_km2(told, 8)) == pytest.approx(23.04)
    assert float(token_area_km2(torch.tensor(300.0), 8)) == pytest.approx(5.76)


@pytest.mark.parametrize('task', ['lc100cls_s3', 'lc100seg_s3', 'biomass_s3'])
def test_series_are_sorted_by_date_not_by_name_and_padded_with_valid_false(
    root: Path, task: str
) -> None:
    lengths, mixed = set(), False
    for split in ('train', 'val', 'test'):
        dataset = DATASETS[task](root, split, mode='time-series')  # type: ignore[arg-type,call-arg]
        for index, place in enumerate(dataset.names):
            names = [p.name for p in (dataset.folder / 's3_olci' / place).glob('*.tif')]
            by_date = sorted(names, key=lambda name: name[4:])
            mixed |= by_date != sorted(names)
            lengths.add(len(names))
            sample = dataset[index]
            assert sample['valid'].tolist() == [i < len(names) for i in range(4)]
            assert Path(sample['filename']).name == by_date[-1]
            wanted = [days(name.split('_')[1]) for name in by_date]
            wanted += wanted[-1:] * (4 - len(wanted))
            assert sample['metadata'][:, 2].tolist() == wanted
            for repeated in range(len(names), 4):
                assert torch.equal(
                    sample['image'][repeated].nan_to_num(-7),
                    sample['image'][len(names) - 1].nan_to_num(-7),
                )
    assert lengths == {1, 2, 3, 4}
    assert mixed, 'no place where the alphabetical order is another'


def test_two_passes_of_one_day_are_sorted_by_time_not_by_satellite(
    root: Path, tmp_path: Path
) -> None:
    folder = copied(root, tmp_path, 'lc100_s3') / 'lc100_s3'
    line, *others = (folder / 'static_fnames-train.csv').read_text().splitlines()
    place, name = line.split(',')
    images = folder / 's3_olci' / place
    content = (images / name).read_bytes()
    for path in images.iterdir():
        path.unlink()
    # B flies half an hour before A over some places.
    early, late = 'S3B_20190601T090000.tif', 'S3A_20190601T093000.tif'
    for new in (early, late):
        (images / new).write_bytes(content)
    lines = [f'{place},{late}', *others]
    (folder / 'static_fnames-train.csv').write_text('\n'.join(lines))
    series = DATASETS['lc100seg_s3'](tmp_path, mode='time-series')  # type: ignore[call-arg]
    assert [path.name for path in series._image_paths(place)] == [early, late]


def test_the_static_image_is_the_listed_one_not_the_first(root: Path) -> None:
    listed = 0
    for split in ('train', 'val', 'test'):
        dataset = DATASETS['biomass_s3'](root, split)  # type: ignore[arg-type]
        lines = dataset.split_file.read_text().split()
        for index, line in enumerate(lines):
            place, name = line.split(',')
            path = Path(dataset[index]['filename'])
            assert (path.parent.name, path.name) == (place, name)
            listed += name != min(p.name for p in path.parent.iterdir())
    assert listed, 'the listed image is the first everywhere'


def test_olci_counts_become_radiance_once(root: Path, tmp_path: Path) -> None:
    clouds = [DATASETS['cloud_s3'](root), DATASETS['cloud_s3'](root, 'val')]
    scale = np.array(OLCI_SCALE, 'float32')[:, None, None]
    gaps = 0
    for sample in (cloud[index] for cloud in clouds for index in range(len(cloud))):
        counts = read(sample['filename'])
        wanted = counts * scale
        assert np.allclose(sample['image'], wanted, rtol=1e-6, atol=0, equal_nan=True)
        gaps += np.isnan(counts).sum()
    assert gaps, 'no gap that should stay one'
    # Through the resizing too, for one date and several, and for bands in another order.
    copy = copied(root, tmp_path, 'lc100_s3')
    dataset = DATASETS['lc100seg_s3'](copy)
    for place in dataset.names[:1]:
        for path in (dataset.folder / 's3_olci' / place).iterdir():
            rewrite(path, lambda pixels: np.full_like(pixels, 1000))
    arguments: dict[str, Any] = {'bands': ['Oa21', 'Oa01_radiance', 'Oa08']}
    wanted_values = torch.tensor([3.24118, 13.9465, 8.76539])
    for more in ({}, {'mode': 'time-series'}, {'native': True}):
        image = DATASETS['lc100seg_s3'](copy, **arguments, **more)[0]['image']
        for frame in image.reshape(-1, *image.shape[-3:]):
            values = frame.permute(1, 2, 0)
            assert torch.allclose(values, wanted_values.expand_as(values), rtol=1e-5)


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
