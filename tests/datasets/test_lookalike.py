"""Look-alike data: read by TorchGeo's own classes, seeded, plausible and learnable."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from torchgeo.datasets import CopernicusBenchCloudS2, CopernicusBenchEuroSATS2

from torchgeo_copernicus.datasets.bench import TASKS
from torchgeo_copernicus.datasets.lookalike import MAKERS, sample, write_sample
from torchgeo_copernicus.datasets.lookalike.cloud_s2 import BANDS as CLOUD_BANDS
from torchgeo_copernicus.datasets.lookalike.eurosat_s2 import BANDS as EUROSAT_BANDS
from torchgeo_copernicus.datasets.lookalike.eurosat_s2 import CLASSES
from torchgeo_copernicus.datasets.lookalike.geotiff import NOWHERE, Place, write_geotiff
from torchgeo_copernicus.datasets.lookalike.spectra import COVERS, spectrum

SPLITS = ('train', 'val', 'test')
CLEAR, THICK, THIN, SHADOW = range(4)


@pytest.fixture(scope='module')
def cloud_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample('cloud_s2', tmp_path_factory.mktemp('cloud'), n=15, size=128)


@pytest.fixture(scope='module')
def eurosat_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample('eurosat_s2', tmp_path_factory.mktemp('eurosat'), n=100)


def read(path: Path) -> NDArray[np.float64]:
    with rasterio.open(path) as file:
        return np.asarray(file.read(), dtype=np.float64)


def scenes(root: Path, split: str) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    for name in (root / f'{split}.csv').read_text().split():
        yield read(root / 's2_toa' / f'{name}.tif'), read(root / 'cloud' / f'{name}.tif')[0]


def pixels(root: Path, *splits: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All pixels of the splits: spectra `[N, 13]` and codes `[N]`."""
    pairs = [pair for split in splits for pair in scenes(root, split)]
    spectra = np.concatenate([image.reshape(len(CLOUD_BANDS), -1).T for image, _ in pairs])
    return spectra, np.concatenate([mask.ravel() for _, mask in pairs])


def chips(root: Path, *splits: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean and deviation of each band of each chip, `[N, 26]`, and labels `[N]`."""
    features, labels = [], []
    for split in splits:
        for line in (root / f'eurosat-{split}.txt').read_text().split():
            label = line.split('_')[0]
            image = read(root / 'all_imgs' / label / line.replace('.jpg', '.tif'))
            features.append(np.concatenate([image.mean((1, 2)), image.std((1, 2))]))
            labels.append(CLASSES.index(label))
    return np.stack(features), np.array(labels)


def nearest_centroid(
    train: tuple[NDArray[np.float64], NDArray[np.generic]],
    test: tuple[NDArray[np.float64], NDArray[np.generic]],
) -> float:
    """Accuracy of the simplest classifier there is."""
    mean, std = train[0].mean(0), train[0].std(0)
    classes = np.unique(train[1])
    centroids = np.stack([((train[0][train[1] == c] - mean) / std).mean(0) for c in classes])
    distance = (((test[0] - mean) / std)[:, None] - centroids[None]) ** 2
    return float((classes[distance.sum(-1).argmin(-1)] == test[1]).mean())


def images(root: Path) -> dict[str, NDArray[np.float64]]:
    """Pixels of all rasters by relative path."""
    return {str(path.relative_to(root)): read(path) for path in sorted(root.rglob('*.tif'))}


#: One task for each archive, and the number of samples the tests make.
ONE_OF_EACH = list({task.folder: task.name for task in TASKS.values()}.values())
N = dict.fromkeys(ONE_OF_EACH, 30) | {'lcz_s2': 51}


def files(root: Path, suffix: str = '') -> dict[str, bytes]:
    """Contents of all files by relative path."""
    paths = (path for path in sorted(root.rglob(f'*{suffix}')) if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


# Layout


@pytest.mark.parametrize('split', SPLITS)
def test_torchgeo_reads_every_cloud_scene(cloud_root: Path, split: str) -> None:
    dataset = CopernicusBenchCloudS2(str(cloud_root.parent), split=split)  # type: ignore[arg-type]
    assert len(dataset) == {'train': 9, 'val': 3, 'test': 3}[split]
    for item in (dataset[i] for i in range(len(dataset))):
        assert item['image'].shape == (13, 128, 128)
        assert item['mask'].shape == (128, 128)
        assert item['mask'].dtype == torch.long
        # TorchGeo's base class finds time and place, so the names and the georeference are right.
        assert 1514e6 < item['time'] < 1610e6
        assert -180 < item['lon'] < 180
        assert -60 < item['lat'] < 60


@pytest.mark.parametrize('split', SPLITS)
def test_torchgeo_reads_every_eurosat_chip(eurosat_root: Path, split: str) -> None:
    root = str(eurosat_root.parent)
    dataset = CopernicusBenchEuroSATS2(root, split=split)  # type: ignore[arg-type]
    assert len(dataset) == {'train': 60, 'val': 20, 'test': 20}[split]
    labels = [int(dataset[i]['label']) for i in range(len(dataset))]
    assert np.bincount(labels).tolist() == [len(dataset) // 10] * 10
    assert dataset[0]['image'].shape == (13, 64, 64)


@pytest.mark.parametrize('task', ['cloud_s2', 'eurosat_s2'])
def test_no_sample_is_in_two_splits_or_in_none(
    task: str, cloud_root: Path, eurosat_root: Path
) -> None:
    if task == 'cloud_s2':
        lists = [(cloud_root / f'{split}.csv').read_text().split() for split in SPLITS]
        files = {path.stem for path in (cloud_root / 's2_toa').iterdir()}
        assert files == {path.stem for path in (cloud_root / 'cloud').iterdir()}
    else:
        lists = [(eurosat_root / f'eurosat-{s}.txt').read_text().split() for s in SPLITS]
        files = {f'{path.stem}.jpg' for path in eurosat_root.rglob('*.tif')}
    names = [name for lines in lists for name in lines]
    assert len(names) == len(set(names))
    assert set(names) == files


@pytest.mark.parametrize(('task', 'n'), [('cloud_s2', 3), ('eurosat_s2', 30)])
def test_the_smallest_sample_leaves_no_split_empty(tmp_path: Path, task: str, n: int) -> None:
    root = write_sample(task, tmp_path, n=n, size=32)
    lists = [path.read_text().split() for path in (*root.glob('*.csv'), *root.glob('*.txt'))]
    assert [len(lines) for lines in lists] == [n // 3] * 3


def test_pixels_are_ten_metres_and_image_and_mask_share_the_grid(cloud_root: Path) -> None:
    for path in (cloud_root / 's2_toa').iterdir():
        with rasterio.open(path) as image, rasterio.open(cloud_root / 'cloud' / path.name) as mask:
            assert image.res == (10.0, 10.0)
            assert image.transform == mask.transform
            assert image.crs == mask.crs
            assert image.crs.to_epsg() // 100 in (326, 327)
            assert image.dtypes == ('uint16',) * 13
            assert mask.dtypes == ('uint8',)
            assert image.compression.name == mask.compression.name == 'deflate'


# Bands and spectra


def test_b8a_is_stored_last_in_eurosat_files(eurosat_root: Path) -> None:
    assert EUROSAT_BANDS == CopernicusBenchEuroSATS2.all_bands
    for path in (eurosat_root / 'all_imgs' / 'Forest').iterdir():
        image = read(path).mean((1, 2))
        with rasterio.open(path) as file:
            assert file.descriptions[-1] == 'B8A'
        assert abs(image[12] / image[7] - 1) < 0.25  # narrow and wide near infrared
        assert image[10] < 0.7 * image[7]  # B11, short-wave infrared, 11th
        assert image[9] < 30  # B10 sees no ground


def test_cloud_files_store_b8a_after_b08() -> None:
    assert CLOUD_BANDS == CopernicusBenchCloudS2.all_bands


def test_numbers_are_digital_numbers_not_reflectance(cloud_root: Path, eurosat_root: Path) -> None:
    for root in (cloud_root / 's2_toa', eurosat_root):
        for image in images(root).values():
            assert image.min() >= 1  # 0 would read as "no data"
            assert image.max() <= 15_000
            assert image[1].mean() > 500


def test_water_is_dark_where_forest_is_bright(eurosat_root: Path) -> None:
    features, labels = chips(eurosat_root, *SPLITS)
    near_infrared = EUROSAT_BANDS.index('B08')
    red_edge = EUROSAT_BANDS.index('B06')
    water = features[labels == CLASSES.index('SeaLake'), near_infrared]
    forest = features[labels == CLASSES.index('Forest'), red_edge]
    assert water.max() < forest.min()


def test_clouds_are_bright_and_shadows_dark(cloud_root: Path) -> None:
    spectra, codes = pixels(cloud_root, *SPLITS)
    blue, infrared, cirrus = (spectra[:, CLOUD_BANDS.index(b)] for b in ('B02', 'B08', 'B10'))
    assert blue[codes == THICK].mean() > 3 * blue[codes == CLEAR].mean()
    assert blue[codes == THIN].mean() > 1.3 * blue[codes == CLEAR].mean()
    assert infrared[codes == SHADOW].mean() < 0.6 * infrared[codes == CLEAR].mean()
    assert cirrus[codes == THICK].mean() > 2 * cirrus[codes == CLEAR].mean()


# Labels


def test_every_mask_class_is_common_enough_to_learn(cloud_root: Path) -> None:
    _, codes = pixels(cloud_root, *SPLITS)
    assert set(np.unique(codes)) == {CLEAR, THICK, THIN, SHADOW}
    share = np.bincount(codes.astype(int)) / codes.size
    assert share.min() > 0.08
    assert 0.4 < share[CLEAR] < 0.6


def test_spectra_tell_cloud_classes_apart(cloud_root: Path) -> None:
    accuracy = nearest_centroid(pixels(cloud_root, 'train'), pixels(cloud_root, 'test'))
    assert accuracy > 0.6


def test_chip_statistics_tell_eurosat_classes_apart(eurosat_root: Path) -> None:
    train, test = chips(eurosat_root, 'train', 'val'), chips(eurosat_root, 'test')
    assert nearest_centroid(train, test) > 0.6  # chance is 0.1


# Seeds


@pytest.mark.parametrize('task', ONE_OF_EACH)
def test_files_depend_on_the_seed_alone(tmp_path: Path, task: str) -> None:
    found = []
    for run, seed in enumerate((1, 1, 2)):
        np.random.seed(run)  # the global state must not matter
        found.append(files(write_sample(task, tmp_path / str(run), n=N[task], seed=seed, size=32)))
    first, again, other = found
    assert first == again
    assert first != other


@pytest.mark.parametrize('task', [task for task in ONE_OF_EACH if task != 'lcz_s2'])
def test_a_larger_sample_begins_with_the_smaller_one(tmp_path: Path, task: str) -> None:
    small = files(write_sample(task, tmp_path / 'small', n=30, size=32), '.tif')
    large = files(write_sample(task, tmp_path / 'large', n=40, size=32), '.tif')
    assert len(large) > len(small) > 30 - 1
    assert all(large[name] == content for name, content in small.items())


# Refusals


@pytest.mark.parametrize('task', ONE_OF_EACH)
def test_an_existing_folder_is_not_overwritten(tmp_path: Path, task: str) -> None:
    folder = TASKS[task].folder
    (tmp_path / folder).mkdir()
    (tmp_path / folder / 'mine.txt').write_text('keep')
    with pytest.raises(FileExistsError, match='choose another directory'):
        write_sample(task, tmp_path, n=N[task], size=32)
    with pytest.raises(FileExistsError):
        MAKERS[folder].make(tmp_path, N[task], 0, 32)
    assert [path.name for path in tmp_path.rglob('*')] == [folder, 'mine.txt']


def test_every_archive_has_a_maker() -> None:
    assert {task.folder for task in TASKS.values()} == set(MAKERS)


def test_an_interrupted_run_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(directory: Path, n: int, seed: int, size: int) -> Path:
        (directory / 'cloud_s2').mkdir()
        raise KeyboardInterrupt

    monkeypatch.setitem(sample.MAKERS, 'cloud_s2', sample.Maker(interrupted, n=3, size=32))
    with pytest.raises(KeyboardInterrupt):
        write_sample('cloud_s2', tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_task_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'clouds'; allowed: cloud_s2, cloud_s3"):
        write_sample('clouds', tmp_path)


@pytest.mark.parametrize(
    ('task', 'n', 'size', 'seed', 'message'),
    [
        ('cloud_s2', 2, 32, 0, 'n >= 3 .* n=2'),
        ('eurosat_s2', 29, 32, 0, 'n >= 30 .* n=29'),
        ('cloud_s2', 3, 31, 0, 'at least 32 pixels, got 31'),
        ('cloud_s2', 3, 32, -1, 'seed must not be negative, got -1'),
    ],
)
def test_numbers_that_are_too_small_are_named(
    tmp_path: Path, task: str, n: int, size: int, seed: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_sample(task, tmp_path, n=n, size=size, seed=seed)
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_cover_or_band_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown cover 'wood'; allowed: .*forest"):
        spectrum('wood', ['B02'])
    with pytest.raises(ValueError, match=r"bands \['B8'\]; allowed: .*B08"):
        spectrum('forest', ['B02', 'B8'])
    assert all(0 < value < 1 for row in COVERS.values() for value in row.values())


def test_a_raster_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    path, place = tmp_path / 'a.tif', Place(lon=7.0, lat=-50.0)
    assert place.crs.to_epsg() == 32732
    with pytest.raises(ValueError, match=r'shape \(4,\)'):
        write_geotiff(path, np.zeros(4, dtype=np.uint8), NOWHERE)
    with pytest.raises(ValueError, match='got float64'):
        write_geotiff(path, np.zeros((4, 4)), NOWHERE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='1 band names'):
        write_geotiff(path, np.zeros((2, 4, 4), dtype=np.uint8), NOWHERE, ['B02'])
    assert not path.exists()
