"""Real chips and patches: lengths, values, dates and labels, and TorchGeo's own pixels."""

import csv
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torchgeo.datasets import CopernicusBenchBigEarthNetS1 as TorchGeoBigEarthNetS1
from torchgeo.datasets import CopernicusBenchBigEarthNetS2 as TorchGeoBigEarthNetS2
from torchgeo.datasets import CopernicusBenchEuroSATS2 as TorchGeoEuroSATS2

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets import (
    CopernicusBenchBigEarthNetS1,
    CopernicusBenchBigEarthNetS2,
    CopernicusBenchEuroSATS2,
)

SPLITS: Any = 'train', 'val', 'test'
BOTH = pytest.mark.parametrize(
    'cls', [CopernicusBenchBigEarthNetS1, CopernicusBenchBigEarthNetS2], ids=['s1', 's2']
)


def every(cls: Any, root: Path, **arguments: Any) -> list[Sample]:
    datasets = [cls(root, split, **arguments) for split in SPLITS]
    return [dataset[index] for dataset in datasets for index in range(len(dataset))]


def day(sample: Sample) -> str:
    return f'{date(1970, 1, 1) + timedelta(days=float(sample["metadata"][2])):%Y%m%d}'


@pytest.mark.parametrize(
    ('cls', 'lengths', 'shape', 'labels'),
    [
        (CopernicusBenchEuroSATS2, [122, 40, 40], (13, 64, 64), ()),
        (CopernicusBenchBigEarthNetS1, [12, 5, 5], (2, 120, 120), (19,)),
        (CopernicusBenchBigEarthNetS2, [12, 5, 5], (12, 120, 120), (19,)),
    ],
)
def test_lengths_and_shapes(
    real_bench_root: Path, cls: Any, lengths: list[int], shape: Any, labels: Any
) -> None:
    datasets = [cls(real_bench_root, split) for split in SPLITS]
    assert [len(dataset) for dataset in datasets] == lengths
    for dataset in datasets:
        sample = dataset[-1]
        assert sample['image'].shape == shape
        assert sample['label'].shape == labels


def test_eurosat_values_are_digital_numbers_brightest_in_the_infrared(
    real_bench_root: Path,
) -> None:
    samples = every(CopernicusBenchEuroSATS2, real_bench_root)
    images = torch.stack([sample['image'] for sample in samples])
    assert images.isfinite().all()
    assert (images == images.round()).all()
    assert images.min() >= 0
    assert 3000 < images.max() < 2**16
    means = dict(
        zip(CopernicusBenchEuroSATS2.task.bands, images.mean((0, 2, 3)).tolist(), strict=True)
    )
    # The published means are of this very dataset.
    (published,) = CopernicusBenchEuroSATS2.task.statistics
    for band, mean in means.items():
        assert mean == pytest.approx(published.mean[band], rel=0.15, abs=5), band
    assert max(means, key=lambda band: means[band]) == 'B8A'
    assert min(means, key=lambda band: means[band]) == 'B10'


def test_eurosat_lakes_are_darker_than_forests_in_the_infrared(real_bench_root: Path) -> None:
    dataset = CopernicusBenchEuroSATS2(real_bench_root, bands=['NIR_NARROW'])
    names = dataset.task.classes
    by_class: dict[str, list[float]] = {name: [] for name in names}
    for index in range(len(dataset)):
        sample = dataset[index]
        by_class[names[int(sample['label'])]].append(float(sample['image'].mean()))
    assert all(len(values) > 5 for values in by_class.values())
    mean = {name: sum(values) / len(values) for name, values in by_class.items()}
    assert mean['SeaLake'] < 0.5 * mean['Forest']
    assert min(mean, key=lambda name: mean[name]) == 'SeaLake'


def test_eurosat_pixels_are_those_of_torchgeo_by_band_name(real_bench_root: Path) -> None:
    ours = CopernicusBenchEuroSATS2(real_bench_root, 'val')
    renumbered = CopernicusBenchEuroSATS2(real_bench_root, 'val', class_order='torchgeo')
    theirs = TorchGeoEuroSATS2(str(real_bench_root), 'val')
    rows = [theirs.all_bands.index(band) for band in ours.bands]
    assert rows != sorted(rows)
    assert len(ours) == len(theirs)
    for index in range(len(ours)):
        wanted = theirs[index]
        assert torch.equal(ours[index]['image'], wanted['image'][rows])
        assert torch.equal(renumbered.target(index), wanted['label'])
        name = theirs.classes[int(wanted['label'])]
        assert ours.classes[int(ours.target(index))] == name
        # The middle of the image there, of the middle pixel here: 5 m apart.
        lon, lat = ours[index]['metadata'][:2].tolist()
        assert lon == pytest.approx(float(wanted['lon']), abs=2e-4)
        assert lat == pytest.approx(float(wanted['lat']), abs=2e-4)


def test_backscatter_of_bigearthnet_is_in_decibels_and_stronger_in_vv(
    real_bench_root: Path,
) -> None:
    samples = every(CopernicusBenchBigEarthNetS1, real_bench_root)
    images = torch.stack([sample['image'] for sample in samples])
    assert images.isfinite().all()
    assert -75 < images.min() < -20
    assert -5 < images.max() < 45
    vv, vh = images.mean((0, 2, 3)).tolist()
    assert -16 < vv < -8
    assert -25 < vh < -15
    # Cross-polarised echoes are weaker over every patch.
    assert (images.mean((2, 3))[:, 0] > images.mean((2, 3))[:, 1]).all()


def test_reflectance_of_bigearthnet_is_in_digital_numbers_without_the_cirrus_band(
    real_bench_root: Path,
) -> None:
    samples = every(CopernicusBenchBigEarthNetS2, real_bench_root)
    images = torch.stack([sample['image'] for sample in samples])
    assert (images == images.round()).all()
    assert images.min() >= 0
    assert 3000 < images.max() < 2**16
    bands = CopernicusBenchBigEarthNetS2.task.bands
    assert 'B10' not in bands
    means = dict(zip(bands, images.mean((0, 2, 3)).tolist(), strict=True))
    # B09 and B8A of the surface are alike; a shifted order would put B11 or B08 there.
    assert means['B09'] == pytest.approx(means['B8A'], rel=0.15)
    assert means['B04'] < means['B8A']
    assert means['B12'] < means['B11']


@BOTH
def test_dates_of_bigearthnet_are_those_of_the_names(real_bench_root: Path, cls: Any) -> None:
    field = 4 if cls is CopernicusBenchBigEarthNetS1 else 2
    days = []
    for sample in every(cls, real_bench_root):
        stamp = Path(sample['filename']).name.split('_')[field]
        assert day(sample) == stamp[:8]
        days.append(stamp[:8])
    # BigEarthNet was taken from June 2017 to May 2018.
    assert len(days) == 22
    assert '20170601' <= min(days) < max(days) <= '20180531'


@BOTH
def test_patches_of_bigearthnet_lie_in_europe(real_bench_root: Path, cls: Any) -> None:
    for sample in every(cls, real_bench_root):
        lon, lat, _, gsd_m = sample['metadata'].tolist()
        assert -11 < lon < 33
        assert 36 < lat < 71
        assert gsd_m == 10


def test_both_sensors_of_bigearthnet_share_labels_and_places(real_bench_root: Path) -> None:
    s1 = every(CopernicusBenchBigEarthNetS1, real_bench_root)
    s2 = every(CopernicusBenchBigEarthNetS2, real_bench_root)
    assert len({tuple(sample['label'].tolist()) for sample in s1}) > 10
    for one, other in zip(s1, s2, strict=True):
        assert torch.equal(one['label'], other['label'])
        assert one['label'].sum() > 0
        # The same patch on two grids.
        assert torch.allclose(one['metadata'][:2], other['metadata'][:2], atol=2e-3)


@BOTH
def test_labels_of_bigearthnet_are_the_named_columns(real_bench_root: Path, cls: Any) -> None:
    for split in SPLITS:
        dataset = cls(real_bench_root, split)
        with dataset.split_file.open() as file:
            for index, row in enumerate(csv.DictReader(file)):
                label = dataset[index]['label']
                wanted = [int(row[name]) for name in dataset.classes]
                assert label.tolist() == dataset.target(index).tolist() == wanted
                assert dataset[index]['filename'].endswith(row[cls.column])


@pytest.mark.parametrize(
    ('cls', 'torchgeo', 'bands'),
    [
        (CopernicusBenchBigEarthNetS1, TorchGeoBigEarthNetS1, ('VH', 'VV')),
        (CopernicusBenchBigEarthNetS2, TorchGeoBigEarthNetS2, ('B12', 'B8A', 'B01', 'B09')),
    ],
)
def test_pixels_of_bigearthnet_are_those_of_torchgeo_by_band_name(
    real_bench_root: Path, cls: Any, torchgeo: Any, bands: tuple[str, ...]
) -> None:
    for split in SPLITS:
        ours, some = cls(real_bench_root, split), cls(real_bench_root, split, bands=bands)
        theirs = torchgeo(str(real_bench_root), split)
        assert len(ours) == len(theirs)
        rows = [theirs.all_bands.index(band) for band in ours.bands]
        few = [theirs.all_bands.index(band) for band in bands]
        for index in range(len(ours)):
            wanted = theirs[index]
            assert torch.equal(ours[index]['image'], wanted['image'][rows])
            assert torch.equal(some[index]['image'], wanted['image'][few])
            assert torch.equal(ours[index]['label'], wanted['label'])
            # Seconds there, in float32 and so up to a minute off; whole days here.
            assert abs(float(wanted['time']) / 86_400 - float(ours[index]['metadata'][2])) < 1.01
