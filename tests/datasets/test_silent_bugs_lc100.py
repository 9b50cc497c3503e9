"""Bugs of LC100 and Biomass that no error would tell, one test for each."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.datasets.test_bad_data import rewrite
from tests.datasets.test_every_dataset import every_archive
from tests.datasets.test_silent_bugs import coded, copied, days, labels_for, read
from torchgeo_copernicus.datasets import write_sample
from torchgeo_copernicus.datasets.bench import DATASETS
from torchgeo_copernicus.metadata import token_area_km2

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
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
