"""Look-alikes of Sentinel-3 and Sentinel-5P archives: layout, and that pictures tell labels."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets import (
    BenchDataset,
    CopernicusBenchAQNO2S5P,
    CopernicusBenchAQO3S5P,
    CopernicusBenchBiomassS3,
    CopernicusBenchCloudS3,
    CopernicusBenchLC100ClsS3,
    CopernicusBenchLC100SegS3,
)
from torchgeo_copernicus.datasets.bench.task import Split
from torchgeo_copernicus.datasets.lookalike.air_quality import make_air_quality
from torchgeo_copernicus.datasets.lookalike.biomass_s3 import make_biomass_s3
from torchgeo_copernicus.datasets.lookalike.cloud_s3 import make_cloud_s3
from torchgeo_copernicus.datasets.lookalike.lc100 import COVERS_OF, LABEL_FROM, make_lc100
from torchgeo_copernicus.datasets.lookalike.olci import COVERS, Sky, radiance
from torchgeo_copernicus.sensors import S3_OLCI

Maker = Callable[[Path, int, int, int], Path]

MAKERS: list[Maker] = [make_cloud_s3, make_lc100, make_biomass_s3, make_air_quality]
SPLITS: tuple[Split, ...] = ('train', 'val', 'test')
N = 10
SIZE = 48
RED, INFRARED = (S3_OLCI.band_names.index(f'Oa{n:02d}_radiance') for n in (8, 17))


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four archives, of ten samples each."""
    folder = tmp_path_factory.mktemp('s3s5p')
    for make in MAKERS:
        make(folder, N, 0, SIZE)
    return folder


def samples(cls: type[BenchDataset], root: Path, **arguments: str) -> Iterator[Sample]:
    for split in SPLITS:
        dataset = cls(root, split, **arguments)  # type: ignore[arg-type]
        yield from (dataset[index] for index in range(len(dataset)))


def read(path: Path) -> NDArray[np.float64]:
    with rasterio.open(path) as file:
        return np.asarray(file.read(), dtype=np.float64)


def ndvi(image: torch.Tensor) -> torch.Tensor:
    red, infrared = image[..., RED, :, :], image[..., INFRARED, :, :]
    return (infrared - red) / (infrared + red)


def rasters(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob('*.tif')}


# Layout


@pytest.mark.parametrize(
    ('cls', 'arguments', 'image', 'target'),
    [
        (CopernicusBenchCloudS3, {}, (21, SIZE, SIZE), (SIZE, SIZE)),
        (CopernicusBenchCloudS3, {'mode': 'binary'}, (21, SIZE, SIZE), (SIZE, SIZE)),
        (CopernicusBenchLC100ClsS3, {}, (21, 96, 96), (23,)),
        (CopernicusBenchLC100ClsS3, {'mode': 'time-series'}, (4, 21, 96, 96), (23,)),
        (CopernicusBenchLC100SegS3, {}, (21, 288, 288), (288, 288)),
        (CopernicusBenchLC100SegS3, {'mode': 'time-series'}, (4, 21, 288, 288), (288, 288)),
        (CopernicusBenchBiomassS3, {}, (21, 288, 288), (288, 288)),
        (CopernicusBenchBiomassS3, {'mode': 'time-series'}, (4, 21, 288, 288), (288, 288)),
        (CopernicusBenchAQNO2S5P, {}, (1, 56, 56), (56, 56)),
        (CopernicusBenchAQNO2S5P, {'mode': 'seasonal'}, (4, 1, 56, 56), (56, 56)),
        (CopernicusBenchAQO3S5P, {}, (1, 56, 56), (56, 56)),
        (CopernicusBenchAQO3S5P, {'mode': 'seasonal'}, (4, 1, 56, 56), (56, 56)),
    ],
)
def test_datasets_read_what_was_made(
    root: Path,
    cls: type[BenchDataset],
    arguments: dict[str, str],
    image: tuple[int, ...],
    target: tuple[int, ...],
) -> None:
    datasets = [cls(root, split, **arguments) for split in SPLITS]  # type: ignore[arg-type]
    assert [len(dataset) for dataset in datasets] == [6, 2, 2]
    for sample in (dataset[index] for dataset in datasets for index in (0, -1)):
        assert sample['image'].shape == image
        assert sample['mask' if 'mask' in sample else 'label'].shape == target
        assert sample['metadata'].isfinite().all()
        if 'valid' in sample:
            assert 1 <= int(sample['valid'].sum()) <= 4


@pytest.mark.parametrize('make', MAKERS)
def test_the_smallest_sample_leaves_no_split_empty(tmp_path: Path, make: Maker) -> None:
    folder = make(tmp_path, 3, 0, 32)
    lists = [path for path in folder.rglob('*.csv') if not path.name.startswith('multilabel')]
    assert [len(path.read_text().split()) for path in lists] == [1] * len(lists)
    assert sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) < 1.5e6
    with pytest.raises(ValueError, match=r'n >= 3 .* n=2'):
        make(tmp_path / 'few', 2, 0, 32)


@pytest.mark.parametrize('make', MAKERS)
def test_bytes_depend_on_the_seed_alone(tmp_path: Path, make: Maker) -> None:
    found = []
    for run, (n, seed) in enumerate([(3, 1), (4, 1), (3, 2)]):
        (tmp_path / str(run)).mkdir()
        found.append(rasters(make(tmp_path / str(run), n, seed, 32)))
    first, larger, other = found
    assert len(larger) > len(first)
    assert all(larger[name] == content for name, content in first.items())
    assert len(other) == len(first)
    assert not set(other.values()) & set(first.values())


def test_maps_lie_on_the_images_with_a_third_of_their_pixels(root: Path) -> None:
    for folder in (root / 'lc100_s3' / 'lc100', root / 'biomass_s3' / 'biomass'):
        smaller = 0
        for path in folder.iterdir():
            (date, *_) = (folder.parent / 's3_olci' / path.stem).iterdir()
            with rasterio.open(path) as fine, rasterio.open(date) as image:
                assert np.allclose(fine.bounds, image.bounds, rtol=0, atol=1e-9)
                assert fine.shape == tuple(3 * side for side in image.shape)
                smaller += image.shape == (SIZE - 2, SIZE - 2)
                assert image.descriptions == S3_OLCI.band_names
        assert smaller == 1


# Cloud


def test_binary_masks_follow_from_those_of_five_classes(root: Path) -> None:
    folder = root / 'cloud_s3'
    binary_of = np.array([0, 1, 2, 2, 1, 1])
    codes: set[int] = set()
    for path in (folder / 'cloud_multi').iterdir():
        multi = read(path)[0].astype(int)
        codes |= set(np.unique(multi).tolist())
        assert np.array_equal(binary_of[multi], read(folder / 'cloud_binary' / path.name)[0])
        image = read(folder / 's3_olci' / path.name)
        assert np.array_equal(np.isnan(image), np.broadcast_to(multi == 0, image.shape))
    assert codes == set(range(6))


def test_clouds_and_snow_are_bright_and_shadows_dark(root: Path) -> None:
    pixels: dict[int, list[torch.Tensor]] = {}
    for sample in samples(CopernicusBenchCloudS3, root):
        for label in sample['mask'].unique().tolist():
            pixels.setdefault(label, []).append(sample['image'][:, sample['mask'] == label])
    mean = {label: torch.cat(parts, dim=1).mean(dim=1) for label, parts in pixels.items()}
    clear, sure, ambiguous, shadow, snow = (mean[label] for label in range(5))
    assert shadow[INFRARED] < 0.7 * clear[INFRARED]
    assert clear[RED] < ambiguous[RED] < sure[RED]
    assert snow[RED] > 2 * clear[RED]
    assert snow[20] / snow[RED] < 0.85 * sure[20] / sure[RED]  # ice absorbs at 1020 nm
    assert snow[12] / snow[11] < 0.9 * sure[12] / sure[11]  # more oxygen above


def test_one_scene_lies_across_the_date_line(root: Path) -> None:
    east = [float(s['metadata'][0]) > 180 for s in samples(CopernicusBenchCloudS3, root)]
    assert sum(east) == 1


# Land cover and biomass


def test_all_classes_have_a_look_and_most_occur() -> None:
    task = CopernicusBenchLC100SegS3.task
    assert set(COVERS_OF) == set(task.codes)
    assert {cover for covers in COVERS_OF.values() for cover in covers} <= set(COVERS)


def test_labels_are_the_classes_of_the_map_and_lists_differ_in_order(root: Path) -> None:
    folder, codes = root / 'lc100_s3', CopernicusBenchLC100SegS3.task.codes
    for split in SPLITS:
        rows = (folder / f'static_fnames-{split}.csv').read_text().split()
        images = dict(row.split(',') for row in rows)
        dataset = CopernicusBenchLC100ClsS3(root, split)
        assert sorted(dataset.names) == sorted(images)
        assert dataset.names != list(images)
        for index, name in enumerate(dataset.names):
            sample = dataset[index]
            stored = read(folder / 'lc100' / f'{name}.tif')
            assert sample['label'].tolist() == [(stored == c).mean() >= LABEL_FROM for c in codes]
            assert sample['filename'] == str(folder / 's3_olci' / name / images[name])


def test_dates_are_in_order_though_the_names_are_not(root: Path) -> None:
    misleading = holes = 0
    for sample in samples(CopernicusBenchLC100ClsS3, root, mode='time-series'):
        days = sample['metadata'][sample['valid'], 2].tolist()
        assert all(one < two for one, two in pairwise(days))
        folder = Path(str(sample['filename'])).parent
        names = sorted(path.name for path in folder.iterdir())
        misleading += names[-1] != Path(str(sample['filename'])).name
        holes += any(bool(np.isnan(read(folder / name)).any()) for name in names)
    assert misleading > 2
    assert holes == 4


def test_forests_are_green_and_deserts_are_not(root: Path) -> None:
    classes = CopernicusBenchLC100SegS3.task.classes
    pixels: dict[int, list[torch.Tensor]] = {}
    for sample in samples(CopernicusBenchLC100SegS3, root):
        for label in sample['mask'].unique().tolist():
            pixels.setdefault(label, []).append(ndvi(sample['image'])[sample['mask'] == label])
    green = {classes[label]: float(torch.cat(parts).nanmedian()) for label, parts in pixels.items()}
    assert len(green) > 18
    assert (
        green['Ocean'] < green['Bare or sparse vegetation'] < 0
    )  # the sun shines more red than infrared
    assert green['Closed forest, evergreen needle-leaf'] > 0.3
    assert green['Closed forest, evergreen broad-leaf'] > 0.3


def test_farmland_is_greenest_in_summer(root: Path) -> None:
    dataset = CopernicusBenchLC100ClsS3(root, 'train', mode='time-series')
    (series,) = (dataset[i] for i, name in enumerate(dataset.names) if name.startswith('00008'))
    greenness = ndvi(series['image'][series['valid']]).mean((1, 2))
    distance = (series['metadata'][series['valid'], 2] % 365.25 - 195).abs()
    assert greenness.argmax() == distance.argmin()


def test_where_more_wood_stands_it_is_darker(root: Path) -> None:
    for sample in samples(CopernicusBenchBiomassS3, root):
        red, mass = sample['image'][RED], sample['mask']
        seen = red > 10  # no data became 0
        assert 100 < mass.max() < 500  # cubic interpolation overshoots
        dense, empty = seen & (mass > mass.quantile(0.9)), seen & (mass < mass.quantile(0.4))
        assert red[dense].mean() < 0.8 * red[empty].mean()


def test_radiance_is_that_of_real_scenes() -> None:
    air = Sky(sun=0.75)
    ground = {name: radiance(COVERS[name][:, None, None], air)[:, 0, 0] for name in COVERS}
    assert all(60 < value[0] < 350 for value in ground.values())
    for value in ground.values():  # oxygen
        assert value[12] < 0.55 * value[11]
        assert value[12] < value[13] < value[14]
    assert ground['crop'][11] > 4 * ground['crop'][9]  # red edge
    assert ground['water'][0] > 10 * ground['water'][16]  # blue air above dark water


# Air quality


@pytest.mark.parametrize(
    ('cls', 'gas', 'column', 'label', 'sign'),
    [
        (CopernicusBenchAQNO2S5P, 'no2', (1e-5, 4e-4), (2, 11), 1),
        (CopernicusBenchAQO3S5P, 'o3', (0.13, 0.17), (3000, 7000), -1),
    ],
)
def test_columns_and_labels_go_together(
    root: Path,
    cls: type[BenchDataset],
    gas: str,
    column: tuple[float, float],
    label: tuple[float, float],
    sign: int,
) -> None:
    columns, labels, gaps, unknown = [], [], 0, 0
    for path in (root / 'airquality_s5p' / gas / 'label_annual').iterdir():
        image = read(path.parents[1] / 's5p_annual' / path.stem / '2021-01-01_2021-12-31.tif')[0]
        gaps += np.isnan(image).any()
        stored = read(path)[0]
        missing = ~(np.abs(stored) < 1e10)
        unknown += missing.any()
        assert not missing.all()
        known = ~missing & ~np.isnan(image)
        columns.append(image[known])
        labels.append(stored[known])
    x, y = np.concatenate(columns), np.concatenate(labels)
    assert column[0] < x.min() < x.max() < column[1]
    assert label[0] < y.mean() < label[1]
    assert sign * np.corrcoef(x, y)[0, 1] > 0.7
    assert (gaps, unknown) == (2, 6)
    assert sum(bool(s['mask'].isnan().any()) for s in samples(cls, root)) == 6
    seasons = [int(s['valid'].sum()) for s in samples(cls, root, mode='seasonal')]
    assert sorted(seasons) == [3] + [4] * (N - 1)
