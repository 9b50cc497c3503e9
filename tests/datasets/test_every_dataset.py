"""What all 15 datasets, in all their modes, have to do alike."""

import copy
import multiprocessing
import pickle
import random
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
import torch
from rasterio.warp import transform
from torch.utils.data import ConcatDataset, DataLoader, default_collate

from tests.datasets.test_bad_data import tree
from tests.datasets.test_bench import same
from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets import write_sample
from torchgeo_copernicus.datasets.bench import DATASETS, BenchDataset

SPLITS = ('train', 'val', 'test')
#: Folder of an archive -> a task that writes it, samples, and pixels.
ARCHIVES = {
    'cloud_s2': ('cloud_s2', 5, 64),
    'cloud_s3': ('cloud_s3', 5, 32),
    'eurosat_s1': ('eurosat_s1', 30, 32),
    'eurosat_s2': ('eurosat_s2', 30, 32),
    'bigearthnet_s1s2': ('bigearthnet_s2', 10, 32),
    'lc100_s3': ('lc100cls_s3', 5, 32),
    'dfc2020_s1s2': ('dfc2020_s2', 5, 64),
    'flood_s1': ('flood_s1', 5, 64),
    'lcz_s2': ('lcz_s2', 51, 32),
    'biomass_s3': ('biomass_s3', 5, 32),
    'airquality_s5p': ('aq_no2_s5p', 5, 32),
}
S1, S2, S3 = (-60, 20), (0, 20_000), (0, 900)
MONTHS = '2021-01-01', '2021-04-01', '2021-07-01', '2021-10-01'


@dataclass(frozen=True)
class Case:
    """A dataset with some arguments, and what a sample of it has to be."""

    task: str
    image: tuple[int, ...]
    target: tuple[int, ...]
    values: tuple[float, float]
    gsd_m: float
    #: Days in the name of an image file, cut out by hand; None for a dataset without dates.
    day: Callable[[str], str] | None = None
    located: bool = True
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def dataset_type(self) -> type[BenchDataset]:
        return DATASETS[self.task]

    def open(self, root: Path, split: str = 'train', **arguments: Any) -> BenchDataset:
        return self.dataset_type(root, split, **(self.arguments | arguments))  # type: ignore[arg-type]

    @property
    def key(self) -> str:
        cut = ('eurosat', 'bigearthnet', 'lc100cls', 'lcz')
        return 'label' if self.task.startswith(cut) else 'mask'

    def __str__(self) -> str:
        return '-'.join([self.task, *map(str, self.arguments.values())])


def s3(name: str) -> str:
    return name.split('_')[1][:8]


SERIES = {'mode': 'time-series'}
CASES = [
    Case('cloud_s2', (13, 64, 64), (64, 64), S2, 10, lambda name: name.split('__')[1][:8]),
    Case('cloud_s3', (21, 32, 32), (32, 32), S3, 300, lambda name: name[16:24]),
    Case('eurosat_s1', (2, 32, 32), (), S1, 10),
    Case('eurosat_s2', (13, 32, 32), (), S2, 10),
    Case('bigearthnet_s1', (2, 32, 32), (19,), S1, 10, lambda name: name[17:25]),
    Case('bigearthnet_s2', (12, 32, 32), (19,), S2, 10, lambda name: name[11:19]),
    Case('lc100cls_s3', (21, 96, 96), (23,), S3, 300, s3),
    Case('lc100seg_s3', (21, 288, 288), (288, 288), S3, 300, s3),
    Case('dfc2020_s1', (2, 64, 64), (64, 64), S1, 10, located=False),
    Case('dfc2020_s2', (13, 64, 64), (64, 64), S2, 10, located=False),
    Case('flood_s1', (2, 2, 64, 64), (64, 64), (0, 50), 10, lambda name: name[-12:-4]),
    Case('lcz_s2', (10, 32, 32), (), (0, 2), 10, located=False),
    Case('biomass_s3', (21, 288, 288), (288, 288), S3, 300, s3),
    Case('aq_no2_s5p', (1, 56, 56), (56, 56), (0, 1e-2), 1000, lambda name: '20210101'),
    Case('aq_o3_s5p', (1, 56, 56), (56, 56), (0.05, 0.3), 1000, lambda name: '20210101'),
]
MODES = [
    Case('cloud_s3', (21, 32, 32), (32, 32), S3, 300, CASES[1].day, arguments={'mode': 'binary'}),
    Case('cloud_s3', (21, 32, 32), (32, 32), S3, 300, CASES[1].day, arguments={'naming': 'torchgeo'}),
    Case('eurosat_s1', (2, 32, 32), (), S1, 10, arguments={'class_order': 'torchgeo'}),
    Case('eurosat_s2', (13, 32, 32), (), S2, 10, arguments={'class_order': 'torchgeo'}),
    Case('lc100cls_s3', (4, 21, 96, 96), (23,), S3, 300, s3, arguments=SERIES),
    Case('lc100seg_s3', (4, 21, 288, 288), (288, 288), S3, 300, s3, arguments=SERIES),
    Case('biomass_s3', (4, 21, 288, 288), (288, 288), S3, 300, s3, arguments=SERIES),
    Case('flood_s1', (3, 2, 64, 64), (64, 64), (0, 50), 10, CASES[10].day, arguments={'mode': 2}),
    Case(
        'aq_no2_s5p', (4, 1, 56, 56), (56, 56), (0, 1e-2), 1000,
        lambda name: name[:10].replace('-', ''), arguments={'mode': 'seasonal'},
    ),
    Case(
        'aq_o3_s5p', (4, 1, 56, 56), (56, 56), (0.05, 0.3), 1000,
        lambda name: name[:10].replace('-', ''), arguments={'mode': 'seasonal'},
    ),
]  # fmt: skip
EVERY = pytest.mark.parametrize('case', CASES, ids=str)
EVERY_MODE = pytest.mark.parametrize('case', CASES + MODES, ids=str)
Opened = Callable[[Case], BenchDataset]


def every_archive(factory: pytest.TempPathFactory) -> Path:
    """Folder with all archives in small, made once in a run of the tests."""
    root = factory.getbasetemp() / 'every'
    if not root.exists():
        for task, n, size in ARCHIVES.values():
            write_sample(task, root, n=n, size=size)
    return root


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return every_archive(tmp_path_factory)


@pytest.fixture(scope='module')
def opened(root: Path) -> Opened:
    """Training splits, each found once for all tests that only read them."""
    found: dict[str, BenchDataset] = {}
    return lambda case: found.setdefault(str(case), case.open(root))


@pytest.fixture(scope='module')
def pair(opened: Opened) -> Callable[[Case], list[Sample]]:
    """First and last sample, each read once for all tests that only look."""
    found: dict[str, list[Sample]] = {}

    def read(case: Case) -> list[Sample]:
        if str(case) not in found:
            found[str(case)] = [opened(case)[0], opened(case)[len(opened(case)) - 1]]
        return found[str(case)]

    return read


def test_every_task_is_tested() -> None:
    assert {case.task for case in CASES} == set(DATASETS)
    assert len(CASES) == len(DATASETS) == 15


# A sample


@EVERY_MODE
def test_a_sample_has_the_documented_keys_shapes_and_types(
    pair: Callable[[Case], list[Sample]], opened: Opened, case: Case
) -> None:
    dates = case.image[:-3]
    padded = bool(dates) and case.task != 'flood_s1'
    for sample in pair(case):
        wanted = {'image', case.key, 'metadata', 'filename'} | ({'valid'} if padded else set())
        assert sample.keys() == wanted
        assert (sample['image'].shape, sample['image'].dtype) == (case.image, torch.float32)
        kind = torch.float32 if opened(case).task.kind == 'regression' else torch.int64
        assert (sample[case.key].shape, sample[case.key].dtype) == (case.target, kind)
        metadata = sample['metadata']
        assert (metadata.shape, metadata.dtype) == ((*dates, 4), torch.float32)
        assert isinstance(sample['filename'], str)
        if padded:
            assert (sample['valid'].shape, sample['valid'].dtype) == (dates, torch.bool)
        assert sample['image'].is_contiguous()


@EVERY_MODE
def test_values_are_in_the_unit_of_the_docstring(
    pair: Callable[[Case], list[Sample]], case: Case
) -> None:
    low, high = case.values
    for sample in pair(case):
        values = sample['image'][sample['image'].isfinite()]
        # Cubic interpolation overshoots a little beside a gap.
        slack = 0.1 * (high - low) if case.task.startswith(('lc100', 'biomass')) else 0
        assert low - slack <= values.min() < values.max() <= high + slack
        assert values.numel() > 0.5 * sample['image'].numel()


@EVERY_MODE
def test_labels_are_classes_or_ignored_and_targets_are_in_their_unit(
    opened: Opened, pair: Callable[[Case], list[Sample]], case: Case
) -> None:
    task = opened(case).task
    for sample in pair(case):
        found = sample[case.key]
        if task.kind == 'regression':
            known = found[found.isfinite()]
            assert task.target is not None
            assert known.abs().max() < task.target.mean + 12 * task.target.std
            assert known.numel()
        elif task.kind == 'multilabel':
            assert set(found.tolist()) == {0, 1}
        else:
            assert set(found.unique().tolist()) <= {-100, *range(len(task.classes))}


@EVERY_MODE
def test_metadata_is_longitude_latitude_days_and_the_native_sampling_distance(
    pair: Callable[[Case], list[Sample]], case: Case
) -> None:
    for sample in pair(case):
        rows = sample['metadata'].reshape(-1, 4)
        assert (rows[:, 3] == case.gsd_m).all()
        assert rows[:, 2].isnan().all() == (case.day is None)
        if not case.located:
            assert rows[:, :2].isnan().all()
            continue
        with rasterio.open(sample['filename']) as file:
            x, y = file.xy(file.height // 2, file.width // 2)
            (lon,), (lat,) = transform(file.crs, 'EPSG:4326', [x], [y])
        # Degrees in float32.
        for row in rows.double():
            assert float(row[0]) == pytest.approx(lon, abs=2e-5)
            assert float(row[1]) == pytest.approx(lat, abs=2e-5)


@pytest.mark.parametrize('case', [c for c in CASES + MODES if c.day is not None], ids=str)
def test_days_are_exactly_those_of_the_date_in_the_file_name(
    pair: Callable[[Case], list[Sample]], case: Case
) -> None:
    assert case.day is not None
    for sample in pair(case):
        text = case.day(Path(sample['filename']).name)
        wanted = date(int(text[:4]), int(text[4:6]), int(text[6:])) - date(1970, 1, 1)
        assert sample['metadata'].reshape(-1, 4)[-1, 2] == wanted.days


@EVERY_MODE
def test_the_file_name_is_that_of_a_file(
    pair: Callable[[Case], list[Sample]], root: Path, case: Case
) -> None:
    for sample, row in zip(pair(case), (0, -1), strict=True):
        path, _, number = sample['filename'].partition('#')
        assert Path(path).is_file()
        assert Path(path).is_relative_to(root)
        if case.task == 'lcz_s2':
            with h5py.File(path) as file:
                wanted = file['sen2'][int(number)].transpose(2, 0, 1)
                assert int(number) == row % len(file['sen2'])
            assert np.array_equal(sample['image'], wanted)
        else:
            assert number == ''


@EVERY_MODE
def test_samples_of_every_mode_make_a_batch(
    pair: Callable[[Case], list[Sample]], case: Case
) -> None:
    batch = default_collate(pair(case))
    assert batch['image'].shape == (2, *case.image)
    assert batch[case.key].shape == (2, *case.target)
    assert batch['metadata'].shape == (2, *case.image[:-3], 4)
    assert batch['filename'] == [sample['filename'] for sample in pair(case)]


@EVERY
def test_a_target_is_that_of_the_sample_and_not_transformed(root: Path, case: Case) -> None:
    dataset = case.open(root, 'val', transforms=lambda sample: {'nothing': 0})
    wanted = case.open(root, 'val')[-1][case.key]
    assert torch.equal(dataset.target(-1).nan_to_num(-7), wanted.nan_to_num(-7))


@EVERY
def test_changing_a_sample_does_not_change_the_dataset(root: Path, case: Case) -> None:
    dataset = case.open(root, 'test')
    # A copy, or what is wanted would change as well.
    wanted, changed = copy.deepcopy(dataset[0]), dataset[0]
    for key in ('image', case.key, 'metadata'):
        changed[key].fill_(1)
    assert same(dataset[0], wanted)


@EVERY
def test_transforms_get_the_whole_sample_and_their_result_is_returned(
    root: Path, case: Case
) -> None:
    def twice(sample: Sample) -> Sample:
        assert {'image', case.key, 'metadata', 'filename'} <= sample.keys()
        return {'image': 2 * sample['image'], 'seen': 1}

    found = case.open(root, 'val', transforms=twice)[0]
    assert found.keys() == {'image', 'seen'}
    wanted = 2 * case.open(root, 'val')[0]['image']
    assert torch.equal(found['image'].nan_to_num(-7), wanted.nan_to_num(-7))


# Indices and splits


@EVERY
def test_a_negative_index_counts_from_the_end_and_one_too_far_raises(
    opened: Opened, pair: Callable[[Case], list[Sample]], case: Case
) -> None:
    dataset = opened(case)
    assert same(dataset[-1], pair(case)[1])
    for index in (len(dataset), -len(dataset) - 1, 10**9):
        with pytest.raises(IndexError):
            dataset[index]
        with pytest.raises(IndexError):
            dataset.target(index)


@EVERY
def test_no_image_is_in_two_splits(root: Path, opened: Opened, case: Case) -> None:
    names = [opened(case).names, *(case.open(root, split).names for split in SPLITS[1:])]
    if case.task == 'lcz_s2':  # a file each, so compare what is in them
        images = [case.open(root, split)[0]['image'] for split in SPLITS]
        assert not any(torch.equal(images[i], images[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
        return
    assert all(names)
    assert len({name for split in names for name in split}) == sum(map(len, names))


@EVERY
@pytest.mark.parametrize('split', ['dev', 'Train', '', None, ['train']])
def test_an_unknown_split_raises_and_names_the_splits(root: Path, case: Case, split: Any) -> None:
    with pytest.raises(ValueError, match=r"Unknown split .*'train', 'val', 'test'"):
        case.open(root, split)


@pytest.mark.parametrize(
    ('task', 'arguments', 'allowed'),
    [
        ('cloud_s3', {'mode': 'multiclass'}, "'multi', 'binary'"),
        ('cloud_s3', {'naming': 'esa'}, "'official', 'torchgeo'"),
        ('cloud_s3', {'naming': 'torchgeo', 'mode': 'binary'}, 'multi'),
        ('eurosat_s1', {'class_order': 'sorted'}, "'alphabetical', 'torchgeo'"),
        ('eurosat_s2', {'class_order': None}, "'alphabetical', 'torchgeo'"),
        ('lc100cls_s3', {'mode': 'series'}, "'static', 'time-series'"),
        ('lc100seg_s3', {'mode': 'time_series'}, "'static', 'time-series'"),
        ('biomass_s3', {'mode': None}, "'static', 'time-series'"),
        ('aq_no2_s5p', {'mode': 'static'}, "'annual', 'seasonal'"),
        ('aq_o3_s5p', {'mode': 'Annual'}, "'annual', 'seasonal'"),
        ('flood_s1', {'mode': 3}, '1, 2'),
        ('flood_s1', {'mode': '1'}, '1, 2'),
        ('flood_s1', {'mode': 0}, '1, 2'),
    ],
)
def test_an_unknown_mode_order_or_naming_raises_and_names_the_allowed(
    root: Path, task: str, arguments: dict[str, Any], allowed: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(allowed)):
        DATASETS[task](root, **arguments)


# Bands


@pytest.mark.parametrize('case', [c for c in CASES + MODES if c.image[-3] > 1], ids=str)
def test_bands_in_another_order_and_by_alias_are_the_rows_of_the_full_read(
    root: Path, opened: Opened, pair: Callable[[Case], list[Sample]], case: Case
) -> None:
    every = list(opened(case).bands)
    rows = [len(every) - 1, 0, len(every) // 2][: len(every)]
    sensor = {band.name: band for band in opened(case).task.sensor.bands}
    asked = [every[row] for row in rows]
    asked[0] = sensor[asked[0]].aliases[0]
    dataset = case.open(root, bands=asked)
    assert list(dataset.bands) == [every[row] for row in rows]
    found, full = dataset[0]['image'], pair(case)[0]['image'][..., rows, :, :]
    torch.testing.assert_close(found, full, rtol=1e-6, atol=0, equal_nan=True)
    assert not torch.equal(found[..., 0, :, :], found[..., 1, :, :])


@EVERY
def test_one_band_keeps_its_dimension(root: Path, opened: Opened, case: Case) -> None:
    name = opened(case).bands[-1]
    shape = list(case.image)
    shape[-3] = 1
    assert list(case.open(root, 'val', bands=[name])[0]['image'].shape) == shape


@EVERY
@pytest.mark.parametrize('bad', ['B99', 'NIR', 'Oa22', 'SO2'])
def test_an_unknown_band_raises_and_names_the_allowed(
    root: Path, opened: Opened, case: Case, bad: str
) -> None:
    first = opened(case).bands[0]
    with pytest.raises(ValueError, match=rf"'{bad}'.*Allowed.*'{first}'"):
        case.open(root, bands=[first, bad])


@pytest.mark.parametrize(
    ('task', 'band'), [('bigearthnet_s2', 'B10'), ('lcz_s2', 'B01'), ('lcz_s2', 'CIRRUS')]
)
def test_a_band_of_the_sensor_that_is_not_in_the_files_raises(
    root: Path, task: str, band: str
) -> None:
    with pytest.raises(ValueError, match=r"B(10|01)'.*Allowed.*'B02'"):
        DATASETS[task](root, bands=['B02', band])


# Processes


@EVERY_MODE
def test_a_dataset_survives_pickling_with_all_that_was_asked_for(
    root: Path, opened: Opened, pair: Callable[[Case], list[Sample]], case: Case
) -> None:
    dataset = opened(case)
    travelled = pickle.loads(pickle.dumps(dataset))
    for name in ('names', 'bands', 'split', 'dates', 'task', 'classes', 'size', 'root', 'folder'):
        assert getattr(travelled, name) == getattr(dataset, name)
    assert same(travelled[0], pair(case)[0])
    assert len(travelled) == len(dataset)


# One spawned process for all: each imports everything anew, which takes seconds.
def test_a_spawned_worker_gives_the_samples_of_its_parent(root: Path) -> None:
    parts = [
        DATASETS['cloud_s3'](root, 'val', mode='binary'),
        DATASETS['flood_s1'](root, 'val', mode=2, bands=['VH']),
        DATASETS['lcz_s2'](root, 'val', bands=['B12', 'B02']),
        DATASETS['aq_no2_s5p'](root, 'val', mode='seasonal'),
        DATASETS['lc100cls_s3'](root, 'val', mode='time-series'),
        DATASETS['eurosat_s2'](root, 'val', class_order='torchgeo'),
    ]
    joined: ConcatDataset[Any] = ConcatDataset(parts)
    wanted = [joined[i] for i in range(len(joined))]
    loader = DataLoader(joined, None, num_workers=1, multiprocessing_context='spawn')
    found = list(loader)
    assert len(found) == len(wanted) >= 6
    assert all(same(a, b) for a, b in zip(found, wanted, strict=True))


def test_forked_workers_read_lcz_after_their_parent_has(root: Path) -> None:
    dataset = DATASETS['lcz_s2'](root)
    wanted = [dataset[i] for i in range(len(dataset))]
    context = multiprocessing.get_context('fork')
    loader = DataLoader(dataset, None, num_workers=2, multiprocessing_context=context)
    for _ in range(2):
        assert all(same(a, b) for a, b in zip(loader, wanted, strict=True))
    # And the parent still can.
    assert same(dataset[3], wanted[3])


# Side effects


@EVERY_MODE
def test_no_global_random_number_is_drawn_nothing_is_written_and_no_warning_given(
    root: Path, case: Case
) -> None:
    before = tree(root / case.dataset_type.task.folder)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        case.open(root, 'test')[0]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]
    assert tree(root / case.dataset_type.task.folder) == before
    assert not list(root.glob('.*'))
