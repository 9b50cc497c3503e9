"""Datasets of Copernicus-Bench: what a sample holds, and that bands and labels are the right ones."""

import math
import multiprocessing
import pickle
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.warp import transform, transform_bounds
from torch.utils.data import ConcatDataset, DataLoader

from torchgeo_copernicus.datasets import CopernicusBenchCloudS2, CopernicusBenchEuroSATS2
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset

BOTH = pytest.mark.parametrize('dataset_type', [CopernicusBenchCloudS2, CopernicusBenchEuroSATS2])
CLASSES = [
    'AnnualCrop',
    'Forest',
    'HerbaceousVegetation',
    'Highway',
    'Industrial',
    'Pasture',
    'PermanentCrop',
    'Residential',
    'River',
    'SeaLake',
]


def bands_of(path: str, *names: str) -> NDArray[np.float32]:
    """The bands of a file by the names written into it, without any table of this package."""
    with rasterio.open(path) as file:
        indices = [file.descriptions.index(name) + 1 for name in names]
        return np.asarray(file.read(indices), dtype=np.float32)


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(
        torch.equal(torch.nan_to_num(a[key], -1), torch.nan_to_num(b[key], -1))
        if isinstance(a[key], torch.Tensor)
        else a[key] == b[key]
        for key in a
    )


def test_a_cloud_sample_has_the_documented_keys_shapes_and_types(bench_root: Path) -> None:
    sample = CopernicusBenchCloudS2(bench_root)[0]
    assert sample.keys() == {'image', 'mask', 'metadata', 'filename'}
    assert (sample['image'].shape, sample['image'].dtype) == ((13, 64, 64), torch.float32)
    assert (sample['mask'].shape, sample['mask'].dtype) == ((64, 64), torch.int64)
    assert (sample['metadata'].shape, sample['metadata'].dtype) == ((4,), torch.float32)
    assert set(sample['mask'].unique().tolist()) <= {0, 1, 2, 3}


def test_a_eurosat_sample_has_the_documented_keys_shapes_and_types(bench_root: Path) -> None:
    sample = CopernicusBenchEuroSATS2(bench_root)[0]
    assert sample.keys() == {'image', 'label', 'metadata', 'filename'}
    assert (sample['image'].shape, sample['image'].dtype) == ((13, 32, 32), torch.float32)
    assert (sample['label'].shape, sample['label'].dtype) == ((), torch.int64)
    assert (sample['metadata'].shape, sample['metadata'].dtype) == ((4,), torch.float32)


@BOTH
@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_the_place_is_that_of_the_centre_pixel_with_longitude_first(
    bench_root: Path, dataset_type: type[BenchDataset], split: Any
) -> None:
    dataset = dataset_type(bench_root, split)
    for sample in (dataset[i] for i in range(len(dataset))):
        lon, lat, _, gsd_m = sample['metadata'].tolist()
        with rasterio.open(sample['filename']) as file:
            west, south, east, north = transform_bounds(file.crs, 'EPSG:4326', *file.bounds)
            x, y = file.xy(file.height // 2, file.width // 2)
            (centre_lon,), (centre_lat,) = transform(file.crs, 'EPSG:4326', [x], [y])
        assert west < lon < east
        assert south < lat < north
        assert lon == pytest.approx(centre_lon, abs=2e-5)
        assert lat == pytest.approx(centre_lat, abs=2e-5)
        assert gsd_m == 10


def test_the_days_are_those_of_the_date_in_the_file_name(bench_root: Path) -> None:
    dataset = CopernicusBenchCloudS2(bench_root)
    for sample in (dataset[i] for i in range(len(dataset))):
        day = Path(sample['filename']).name.split('__')[1][:8]
        wanted = date(int(day[:4]), int(day[4:6]), int(day[6:])).toordinal()
        assert sample['metadata'][2] == wanted - date(1970, 1, 1).toordinal()


def test_eurosat_has_no_date(bench_root: Path) -> None:
    assert math.isnan(CopernicusBenchEuroSATS2(bench_root)[0]['metadata'][2])


@BOTH
def test_a_negative_index_counts_from_the_end_and_one_too_far_raises(
    bench_root: Path, dataset_type: type[BenchDataset]
) -> None:
    dataset = dataset_type(bench_root, 'val')
    assert same(dataset[-1], dataset[len(dataset) - 1])
    with pytest.raises(IndexError):
        dataset[len(dataset)]


@BOTH
def test_length_and_order_are_those_of_the_split_file(
    bench_root: Path, dataset_type: type[BenchDataset]
) -> None:
    for split, n in dict(zip(('train', 'val', 'test'), (3, 1, 1), strict=True)).items():
        dataset = dataset_type(bench_root, split)  # type: ignore[arg-type]
        lines = dataset.split_file.read_text().split()
        assert len(dataset) == n * (2 if dataset_type is CopernicusBenchCloudS2 else 10)
        stems = [Path(dataset[i]['filename']).stem for i in range(len(dataset))]
        assert stems == [line.removesuffix('.jpg') for line in lines]


@BOTH
def test_the_default_bands_are_the_published_ones_with_b8a_after_b08(
    bench_root: Path, dataset_type: type[BenchDataset]
) -> None:
    published = [*(f'B0{i}' for i in range(1, 9)), 'B8A', 'B09', 'B10', 'B11', 'B12']
    dataset = dataset_type(bench_root)
    assert list(dataset.bands) == published
    sample = dataset[0]
    assert np.array_equal(sample['image'].numpy(), bands_of(sample['filename'], *published))


@BOTH
def test_bands_by_name_or_alias_in_any_order_are_the_bands_of_the_file(
    bench_root: Path, dataset_type: type[BenchDataset]
) -> None:
    dataset = dataset_type(bench_root, bands=('B12', 'NIR_NARROW', 'B9', 'RED', 'B01'))
    sample = dataset[1]
    wanted = ('B12', 'B8A', 'B09', 'B04', 'B01')
    assert dataset.bands == wanted
    assert np.array_equal(sample['image'].numpy(), bands_of(sample['filename'], *wanted))


def test_b8a_of_eurosat_is_the_last_band_of_the_file_not_the_ninth(bench_root: Path) -> None:
    sample = CopernicusBenchEuroSATS2(bench_root, bands=['B8A'])[0]
    with rasterio.open(sample['filename']) as file:
        assert np.array_equal(sample['image'][0], file.read(13))
        assert not np.array_equal(sample['image'][0], file.read(9))


def test_b8a_of_real_eurosat_chips_is_near_infrared_not_water_vapour(real_bench_root: Path) -> None:
    dataset = CopernicusBenchEuroSATS2(real_bench_root, bands=['B08', 'B8A', 'B09'])
    forests = [i for i, name in enumerate(dataset.names) if name.startswith('Forest')]
    means = torch.stack([dataset[i]['image'].mean((1, 2)) for i in forests]).mean(0)
    assert 0.9 < means[1] / means[0] < 1.3
    assert means[2] / means[0] < 0.6


def test_real_eurosat_chips_lie_in_europe_and_carry_every_label(real_bench_root: Path) -> None:
    dataset = CopernicusBenchEuroSATS2(real_bench_root, 'val')
    labels = set()
    for sample in (dataset[i] for i in range(len(dataset))):
        assert sample['image'].shape == (13, 64, 64)
        assert -32 < sample['metadata'][0] < 46  # Azores to Cyprus and beyond
        assert 27 < sample['metadata'][1] < 72
        labels.add(int(sample['label']))
        assert Path(sample['filename']).parent.name == CLASSES[int(sample['label'])]
    assert labels == set(range(10))


def test_labels_of_eurosat_are_alphabetical_not_in_the_order_of_torchgeo(bench_root: Path) -> None:
    dataset = CopernicusBenchEuroSATS2(bench_root, 'test')
    found = {
        Path(s['filename']).parent.name: int(s['label'])
        for s in map(dataset.__getitem__, range(10))
    }
    assert found == {name: label for label, name in enumerate(CLASSES)}
    assert list(dataset.classes) == CLASSES


@BOTH
def test_transforms_are_applied(bench_root: Path, dataset_type: type[BenchDataset]) -> None:
    sample = dataset_type(bench_root, transforms=lambda s: {**s, 'image': s['image'] + 1})[0]
    assert torch.equal(sample['image'], dataset_type(bench_root)[0]['image'] + 1)


# One spawned process: each imports everything anew, which takes most of the time of this file.
@pytest.mark.parametrize(('start', 'workers'), [('fork', 2), ('spawn', 1)])
def test_worker_processes_give_the_same_samples_as_none(
    bench_root: Path, start: str, workers: int
) -> None:
    both: ConcatDataset[Any] = ConcatDataset(
        [CopernicusBenchCloudS2(bench_root), CopernicusBenchEuroSATS2(bench_root, 'val')]
    )
    # Metadata first, so that a forked process inherits a projection in use.
    wanted = [both[i] for i in range(len(both))]
    context = multiprocessing.get_context(start)
    loader = DataLoader(both, batch_size=None, num_workers=workers, multiprocessing_context=context)
    found = list(loader)
    assert len(found) == len(wanted)
    assert all(same(a, b) for a, b in zip(found, wanted, strict=True))


@BOTH
def test_a_dataset_survives_pickling(bench_root: Path, dataset_type: type[BenchDataset]) -> None:
    dataset = dataset_type(bench_root, bands=['B8A', 'B02'])
    assert same(pickle.loads(pickle.dumps(dataset))[2], dataset[2])


@BOTH
def test_an_unknown_split_raises_and_names_the_splits(
    bench_root: Path, dataset_type: type[BenchDataset]
) -> None:
    with pytest.raises(ValueError, match=r"'dev'.*train.*val.*test"):
        dataset_type(bench_root, 'dev')  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize(
    ('bands', 'message'),
    [
        (['B02', 'B13'], 'B13'),
        (['VV'], 'VV'),
        (['B02', 'BLUE'], 'B02'),
        ([], 'band'),
        ('B02', 'band'),
    ],
)
def test_unknown_duplicate_or_no_bands_raise_and_are_named(
    bench_root: Path, dataset_type: type[BenchDataset], bands: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=f'(?i){message}'):
        dataset_type(bench_root, bands=bands)
