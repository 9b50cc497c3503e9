"""Look-alikes of Sentinel-1 and Sentinel-2 archives: their layout, and that pictures tell the labels."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets import (
    BenchDataset,
    CopernicusBenchBigEarthNetS1,
    CopernicusBenchBigEarthNetS2,
    CopernicusBenchDFC2020S1,
    CopernicusBenchDFC2020S2,
    CopernicusBenchEuroSATS1,
    CopernicusBenchFloodS1,
    CopernicusBenchLCZS2,
)
from torchgeo_copernicus.datasets.bench.task import Split
from torchgeo_copernicus.datasets.lookalike.bigearthnet import CLASSES, make_bigearthnet
from torchgeo_copernicus.datasets.lookalike.dfc2020 import make_dfc2020
from torchgeo_copernicus.datasets.lookalike.eurosat_s1 import make_eurosat_s1
from torchgeo_copernicus.datasets.lookalike.flood_s1 import make_flood_s1
from torchgeo_copernicus.datasets.lookalike.land import join, zones
from torchgeo_copernicus.datasets.lookalike.lcz_s2 import make_lcz_s2
from torchgeo_copernicus.datasets.lookalike.radar import ECHOES, echo, speckle
from torchgeo_copernicus.datasets.lookalike.spectra import COVERS
from torchgeo_copernicus.datasets.raster import read_raster

Maker = Callable[[Path, int, int, int], Path]

SPLITS: tuple[Split, ...] = ('train', 'val', 'test')
SMALLEST: dict[Maker, int] = {
    make_eurosat_s1: 30,
    make_bigearthnet: 3,
    make_dfc2020: 3,
    make_flood_s1: 3,
    make_lcz_s2: 51,
}
IGNORED = -100


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All five archives."""
    folder = tmp_path_factory.mktemp('s1s2')
    make_eurosat_s1(folder, 100, 0, 48)
    make_bigearthnet(folder, 60, 0, 48)
    make_dfc2020(folder, 10, 0, 64)
    make_flood_s1(folder, 20, 0, 64)
    make_lcz_s2(folder, 85, 0, 32)
    return folder


def samples(
    cls: type[BenchDataset], root: Path, splits: tuple[Split, ...] = SPLITS
) -> Iterator[Sample]:
    for split in splits:
        dataset = cls(root, split)
        yield from (dataset[index] for index in range(len(dataset)))


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob('*') if path.is_file()
    }


def images(contents: dict[str, bytes]) -> set[bytes]:
    """Files of pixels without the masks, some of which are all alike."""
    return {
        content
        for name, content in contents.items()
        if name.endswith(('.tif', '.h5')) and not name.startswith('dfc/') and 'MK0' not in name
    }


def features(cls: type[BenchDataset], root: Path, split: Split) -> tuple[Tensor, Tensor]:
    """Mean, deviation and roughness of each band, `[N, 3 C]`, and labels `[N]`."""
    rows, labels = [], []
    for sample in samples(cls, root, (split,)):
        image = sample['image']
        rough = (image[:, 1:] - image[:, :-1]).abs().mean((1, 2))
        rows.append(torch.cat([image.mean((1, 2)), image.std((1, 2)), rough]))
        labels.append(sample['label'])
    return torch.stack(rows), torch.stack(labels)


def nearest_centroid(cls: type[BenchDataset], root: Path) -> float:
    """Accuracy of the simplest classifier there is."""
    (x, labels), (test, wanted) = features(cls, root, 'train'), features(cls, root, 'test')
    mean, std = x.mean(0), x.std(0)
    centroids = torch.stack([x[labels == c].mean(0) for c in range(int(labels.max()) + 1)])
    distance = torch.cdist((test - mean) / std, (centroids - mean) / std)
    return float((distance.argmin(1) == wanted).float().mean())


# Layout


@pytest.mark.parametrize(
    ('cls', 'shape', 'lengths'),
    [
        (CopernicusBenchEuroSATS1, (2, 48, 48), (60, 20, 20)),
        (CopernicusBenchBigEarthNetS1, (2, 48, 48), (36, 12, 12)),
        (CopernicusBenchBigEarthNetS2, (12, 48, 48), (36, 12, 12)),
        (CopernicusBenchDFC2020S1, (2, 64, 64), (6, 2, 2)),
        (CopernicusBenchDFC2020S2, (13, 64, 64), (6, 2, 2)),
        (CopernicusBenchFloodS1, (2, 2, 64, 64), (12, 4, 4)),
        (CopernicusBenchLCZS2, (10, 32, 32), (51, 17, 17)),
    ],
)
def test_the_dataset_reads_every_sample(
    root: Path, cls: type[BenchDataset], shape: tuple[int, ...], lengths: tuple[int, int, int]
) -> None:
    assert tuple(len(cls(root, split)) for split in SPLITS) == lengths
    placed = cls not in (CopernicusBenchDFC2020S1, CopernicusBenchDFC2020S2, CopernicusBenchLCZS2)
    dated = cls.task.date_pattern is not None
    for sample in samples(cls, root):
        assert sample['image'].shape == shape
        metadata = sample['metadata'].reshape(-1, 4)
        assert bool(metadata[:, :2].isfinite().all()) is placed
        assert bool(metadata[:, 2].isfinite().all()) is dated
        targets = sample['mask'] if cls.task.has_label_maps else sample['label']
        assert targets.dtype == torch.int64


@pytest.mark.parametrize('make', SMALLEST)
def test_bytes_depend_on_the_seed_alone(tmp_path: Path, make: Maker) -> None:
    runs = []
    for run, seed in enumerate((1, 1, 2)):
        np.random.seed(run)  # the global state must not matter
        (tmp_path / str(run)).mkdir()
        runs.append(files(make(tmp_path / str(run), SMALLEST[make], seed, 32)))
    first, again, other = runs
    assert first == again
    assert images(first).isdisjoint(images(other))
    assert sum(map(len, first.values())) < 1e6


@pytest.mark.parametrize('make', [make for make in SMALLEST if make is not make_lcz_s2])
def test_a_larger_sample_begins_with_the_smaller_one(tmp_path: Path, make: Maker) -> None:
    for folder in ('small', 'large'):
        (tmp_path / folder).mkdir()
    small = files(make(tmp_path / 'small', SMALLEST[make], 0, 32))
    large = files(make(tmp_path / 'large', SMALLEST[make] + 4, 0, 32))
    images = [name for name in small if name.endswith('.tif')]
    assert len(large) > len(small)
    assert all(large[name] == small[name] for name in images)


@pytest.mark.parametrize(('make', 'n'), SMALLEST.items())
def test_a_number_that_is_too_small_is_named(tmp_path: Path, make: Maker, n: int) -> None:
    with pytest.raises(ValueError, match=f'n >= {n} .* n={n - 1}'):
        make(tmp_path, n - 1, 0, 32)
    with pytest.raises(ValueError, match='32 pixels, got size=64'):
        make_lcz_s2(tmp_path, 51, 0, 64)
    assert not list(tmp_path.iterdir())


# Radar


def test_speckle_has_five_looks_and_spares_the_mean() -> None:
    power = np.full((2, 200, 200), 0.05)
    pixels = speckle(power, np.random.default_rng(0)) / 0.05
    assert pixels.dtype == np.float32
    assert pixels.min() > 0
    assert pixels.mean() == pytest.approx(1, abs=0.01)
    assert 1 / pixels.var() == pytest.approx(5.2, abs=0.3)
    first, second = pixels[:, :, 1:] - 1, pixels[:, :, :-1] - 1
    assert 0.4 < (first * second).mean() / pixels.var() < 0.7


def test_covers_echo_as_they_should() -> None:
    water, forest, city = (echo(cover, ('VV', 'VH')) for cover in ('water', 'forest', 'built'))
    assert (10 * water < forest).all()
    assert (forest < city).all()
    assert (echo('grass', ('VH', 'VV')) == echo('grass', ('VV', 'VH'))[::-1]).all()
    # Both sensors must know what a painter paints.
    assert COVERS.keys() - ECHOES.keys() == {'path', 'diffuse', 'cloud', 'cirrus'}
    with pytest.raises(ValueError, match=r"unknown cover 'wood'; allowed: .*forest"):
        echo('wood', ['VV'])
    with pytest.raises(ValueError, match=r"bands \['HH'\]; allowed: VV, VH"):
        echo('forest', ['VV', 'HH'])


def test_zones_are_as_large_as_asked_and_join_to_whole_pixels() -> None:
    rng, parts = np.random.default_rng(3), [0.1, 0.3, 0.6]
    number = zones(rng, 96, parts, 30)
    assert np.bincount(number.ravel()) / 96**2 == pytest.approx(parts, abs=0.03)
    one = np.ones((96, 96))
    covers = join(number, [{'water': one}, {'crop': 3 * one, 'soil': one}, {'soil': one}])
    assert sum(covers.values()) == pytest.approx(one)
    assert (covers['water'] == (number == 0)).all()


# Labels follow from the pictures


def test_simple_statistics_tell_classes_apart(root: Path) -> None:
    assert nearest_centroid(CopernicusBenchEuroSATS1, root) > 0.6  # chance is 0.1
    assert nearest_centroid(CopernicusBenchLCZS2, root) > 0.5  # chance is 0.06


@pytest.mark.parametrize('cls', [CopernicusBenchEuroSATS1, CopernicusBenchLCZS2])
def test_every_split_has_every_class_equally_often(root: Path, cls: type[BenchDataset]) -> None:
    for split in SPLITS:
        dataset = cls(root, split)
        labels = [int(dataset.target(index)) for index in range(len(dataset))]
        assert len(set(np.bincount(labels, minlength=len(cls.task.classes)))) == 1


def test_both_sensors_see_one_bigearthnet_patch(root: Path) -> None:
    water = [CLASSES.index(name) for name in ('Inland waters', 'Marine waters')]
    watery = [*water, CLASSES.index('Inland wetlands'), CLASSES.index('Coastal wetlands')]
    beach = CLASSES.index('Beaches, dunes, sands')
    infrared = CopernicusBenchBigEarthNetS2.task.bands.index('B08')
    for split in SPLITS:
        present = torch.zeros(len(CLASSES), dtype=torch.long)
        pairs = (
            CopernicusBenchBigEarthNetS1(root, split),
            CopernicusBenchBigEarthNetS2(root, split),
        )
        for radar, optical in zip(*map(iter_samples, pairs), strict=True):
            label = radar['label']
            assert torch.equal(label, optical['label'])
            assert 1 <= int(label.sum()) <= 6
            assert torch.equal(radar['metadata'][:2], optical['metadata'][:2])
            assert 1 <= optical['metadata'][2] - radar['metadata'][2] <= 5
            dark = optical['image'][infrared] < 450
            if label[water].any():
                assert dark.float().mean() > 0.02
                assert radar['image'][0][dark].mean() < -15
            elif not label[watery].any():
                assert not dark.any()
                assert label[beach] or radar['image'][0].mean() > -15
            present += label
        assert present.min() > 0


def iter_samples(dataset: BenchDataset) -> Iterator[Sample]:
    return (dataset[index] for index in range(len(dataset)))


def test_the_bigearthnet_table_names_classes_with_commas(root: Path) -> None:
    with (root / 'bigearthnet_s1s2' / 'multilabel-val.csv').open(newline='') as file:
        header, *rows = csv.reader(file)
    assert header == ['s1_path', 's2_path', *CLASSES]
    assert all(len(row) == len(header) for row in rows)


def test_dfc2020_masks_hold_declared_codes_alone_and_match_both_images(root: Path) -> None:
    task = CopernicusBenchDFC2020S1.task
    codes: set[int] = set()
    for path in (root / 'dfc2020_s1s2' / 'dfc').iterdir():
        codes |= set(np.unique(read_raster(path, bands=1).pixels).tolist())
    assert codes == {*task.codes, *task.ignored_codes} == set(range(11))

    forest, city, water = (task.classes.index(c) for c in ('Forest', 'Urban/Built-up', 'Water'))
    infrared = CopernicusBenchDFC2020S2.task.bands.index('B08')
    radar = samples(CopernicusBenchDFC2020S1, root)
    for s1, s2 in zip(radar, samples(CopernicusBenchDFC2020S2, root), strict=True):
        mask = s1['mask']
        assert torch.equal(mask, s2['mask'])
        vv, near = s1['image'][0], s2['image'][infrared]
        assert vv[mask == water].mean() + 5 < vv[mask == forest].mean() < vv[mask == city].mean()
        assert 3 * near[mask == water].mean() < near[mask == forest].mean()


# Floods


def test_flood_names_and_lists_are_as_awkward_as_the_real_ones(root: Path) -> None:
    lengths: set[int] = set()
    for split in SPLITS:
        entries = json.loads((root / 'flood_s1' / f'grid_dict_{split}.json').read_text())
        assert list(entries) != sorted(entries)
        assert [entry['path'] for entry in entries.values()] == CopernicusBenchFloodS1(
            root, split
        ).names
        for entry in entries.values():
            event, area, _ = entry['path'].split('/')
            lengths.add(len(event))
            names = [path.name for path in (root / 'flood_s1' / 'data' / entry['path']).iterdir()]
            assert len(names) == 8
            assert all(f'_{event}_{area}_' in name for name in names)
    assert lengths == {3, 7}


def test_a_flood_is_dark_after_it_and_was_not_before(root: Path) -> None:
    land, water, flood = range(3)
    ignored = missing = bright = flooded = 0
    for split in SPLITS:
        dataset = CopernicusBenchFloodS1(root, split, mode=2)
        for sample in iter_samples(dataset):
            vv, mask = sample['image'][:, 0], sample['mask']
            days = sample['metadata'][:, 2]
            assert days[0] < days[1] < days[2]
            after = vv[2]
            assert (vv[:, mask == water].mean(1) < 0.03).all()
            if (mask == flood).any():
                flooded += 1
                assert 3 * after[mask == flood].mean() < vv[:2, mask == flood].mean()
                assert 3 * after[mask == flood].mean() < after[mask == land].mean()
            gap = sample['image'].isnan()
            assert (mask[gap.any(0).any(0)] == IGNORED).all()
            ignored += bool((mask == IGNORED).any())
            missing += bool(gap.any())
            bright += bool((sample['image'] > 0.15).any())
    assert 0 < missing < ignored < 20
    assert flooded >= 16
    assert bright == 20


def test_land_cover_of_flood_scenes_stays_between_dates(root: Path) -> None:
    """Without a flood nothing changes but moisture and speckle."""
    for sample in samples(CopernicusBenchFloodS1, root):
        before, after = sample['image'].double().log()[:, 0]
        still = sample['mask'] == 0
        pair: NDArray[np.float64] = torch.stack([before[still], after[still]]).numpy()
        assert abs(np.diff(pair.mean(1))[0]) < 0.5
        assert np.corrcoef(pair)[0, 1] > 0.1


# Local climate zones


def test_lcz_files_have_the_layout_of_so2sat(root: Path) -> None:
    with h5py.File(root / 'lcz_s2' / 'lcz_val.h5') as file:
        assert {key: (file[key].shape, file[key].dtype.name) for key in file} == {
            'sen1': ((17, 32, 32, 8), 'float32'),
            'sen2': ((17, 32, 32, 10), 'float32'),
            'label': ((17, 17), 'uint8'),
        }
        assert all(file[key].chunks[0] == 1 for key in file)
        assert 0 < file['sen2'][:].min() < file['sen2'][:].max() < 1
        # The power of water is far below that of a dense town, and less noisy than what it is from.
        vv = file['sen1'][:, :, :, 5]
        assert 10 * vv[16].mean() < vv[2].mean()
        power = (file['sen1'][:, :, :, 2:4] ** 2).sum(-1)
        assert vv[10].std() < 0.7 * power[10].std()
