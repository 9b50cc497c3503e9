"""All 15 datamodules on look-alikes: published numbers, every mode, and options that do something."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor

from torchgeo_copernicus import datamodules
from torchgeo_copernicus.datamodules.bench import BenchDataModule
from torchgeo_copernicus.datamodules.preprocess import Preprocess
from torchgeo_copernicus.datasets import TASKS

MODULES: dict[str, type[BenchDataModule]] = {
    module.dataset_type.task.name: module
    for module in (getattr(datamodules, name) for name in datamodules.__all__)
    if issubclass(module, BenchDataModule)
}
STAGES = {'train': 'fit', 'val': 'validate', 'test': 'test', 'predict': 'predict'}
RUNNING = {'train': 'training', 'val': 'validating', 'test': 'testing', 'predict': 'predicting'}
SIZE = 24

S1 = ([-12.548, -20.192], [5.257, 5.912])
S2 = (
    [
        *(1353.7, 1117.2, 1041.8, 946.5, 1199.1, 2003.0, 2374.0),
        *(2301.2, 2599.7, 732.1, 12.1, 1820.6, 1118.2),
    ],
    [
        *(897.3, 736.0, 684.8, 620.0, 791.9, 1341.3, 1595.4),
        *(1545.5, 1750.1, 475.1, 98.3, 1216.5, 736.7),
    ],
)
S2_NO_B10 = tuple([*values[:10], *values[11:]] for values in S2)
LCZ = (
    [0.112, 0.104, 0.095, 0.120, 0.200, 0.237, 0.230, 0.260, 0.182, 0.112],
    [0.074, 0.068, 0.062, 0.079, 0.134, 0.160, 0.155, 0.175, 0.122, 0.074],
)
FLOOD = (
    [[0.0981, 0.0253], [0.0981, 0.0253]],
    # The second pair repeats the means, as published.
    [[0.0430, 0.0174], [0.0981, 0.0253]],
)
S3 = ([0.0] * 21, [1.0] * 21)
S5P = ([0.0], [1.0])

# Batch size, image size, statistics and how the target is resized, as published.
PUBLISHED: dict[str, tuple[int, int, Any, str]] = {
    'cloud_s2': (16, 512, S2, 'nearest'),
    'cloud_s3': (16, 224, S3, 'nearest'),
    'eurosat_s1': (64, 224, S1, 'nearest'),
    'eurosat_s2': (64, 224, S2, 'nearest'),
    'bigearthnet_s1': (64, 224, S1, 'nearest'),
    'bigearthnet_s2': (64, 224, S2_NO_B10, 'nearest'),
    'lc100cls_s3': (64, 96, S3, 'nearest'),
    'lc100seg_s3': (16, 288, S3, 'nearest'),
    'dfc2020_s1': (16, 256, S1, 'nearest'),
    'dfc2020_s2': (16, 256, S2, 'nearest'),
    'flood_s1': (16, 224, FLOOD, 'nearest'),
    'lcz_s2': (64, 112, LCZ, 'nearest'),
    'biomass_s3': (16, 288, S3, 'nearest'),
    'aq_no2_s5p': (16, 56, S5P, 'bilinear'),
    'aq_o3_s5p': (16, 56, S5P, 'bilinear'),
}
# Other modes, and the dates in a sample of theirs.
MODES: dict[str, tuple[Any, int | None]] = {
    'cloud_s3': ('binary', None),
    'lc100cls_s3': ('time-series', 4),
    'lc100seg_s3': ('time-series', 4),
    'biomass_s3': ('time-series', 4),
    'aq_no2_s5p': ('seasonal', 4),
    'aq_o3_s5p': ('seasonal', 4),
    'flood_s1': (2, 3),
}
CASES = [
    *((t, {}, 2 if t == 'flood_s1' else None, split) for t in PUBLISHED for split in STAGES),
    *((t, {'mode': m}, dates, s) for t, (m, dates) in MODES.items() for s in ('train', 'test')),
]
EVERY = pytest.mark.parametrize('task', PUBLISHED)


def make(task: str, root: Path | str = 'data', **options: Any) -> BenchDataModule:
    settings = {'batch_size': 2, 'num_workers': 0, 'image_size': SIZE} | options
    return MODULES[task](str(root), **settings)


def raw_batch(module: BenchDataModule, split: str) -> dict[str, Any]:
    """First batch as the loader gives it."""
    module.setup(STAGES[split])
    torch.manual_seed(0)
    batch: dict[str, Any] = next(iter(getattr(module, f'{split}_dataloader')()))
    return batch


def processed(
    module: BenchDataModule, split: str, batch: dict[str, Any], seed: int = 1
) -> dict[str, Any]:
    """A batch as the model sees it in the stage of a split."""
    states = {state: state == RUNNING[split] for state in RUNNING.values()}
    module.trainer = SimpleNamespace(**states, sanity_checking=False, world_size=1)  # type: ignore[assignment]
    torch.manual_seed(seed)
    copies = {key: v.clone() if isinstance(v, Tensor) else v for key, v in batch.items()}
    return module.on_after_batch_transfer(copies, 0)


def batch_of(module: BenchDataModule, split: str) -> dict[str, Any]:
    return processed(module, split, raw_batch(module, split))


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(v.nan_to_num(-9e9), other[key].nan_to_num(-9e9))
        if isinstance(v, Tensor)
        else v == other[key]
        for key, v in one.items()
    )


def test_every_task_has_its_datamodule() -> None:
    assert list(MODULES) and MODULES.keys() == TASKS.keys() == PUBLISHED.keys()
    for task, module in MODULES.items():
        assert module.__name__ == f'{module.dataset_type.__name__}DataModule'
        assert module.dataset_type.task is TASKS[task]


@EVERY
def test_defaults_are_the_published_numbers(task: str) -> None:
    module = MODULES[task]()
    batch_size, image_size, (mean, std), interpolation = PUBLISHED[task]
    assert module.batch_size == batch_size == TASKS[task].recipe.batch_size
    assert [band.name for band in module.bands] == list(TASKS[task].bands)
    assert module.kwargs['checksum'] is True
    assert module.kwargs['download'] is False
    assert module.partition == 1
    torch.testing.assert_close(module.mean, torch.tensor(mean))
    torch.testing.assert_close(module.std, torch.tensor(std))
    for step in (module.train_aug, module.aug):
        assert isinstance(step, Preprocess)
        assert step.image_size == (image_size, image_size)
        torch.testing.assert_close(step.mean[..., 0, 0], torch.tensor(mean))
        torch.testing.assert_close(step.std[..., 0, 0], torch.tensor(std))
        assert step.clip == ((0.0, 0.15) if task == 'flood_s1' else None)
        assert step.interpolation == interpolation


@EVERY
def test_the_published_operations_are_those_of_the_kind_of_task(task: str) -> None:
    step = MODULES[task]().train_aug
    assert isinstance(step, Preprocess)
    assert step.augmentation is not None
    names = [type(operation).__name__ for operation in step.augmentation.children()]
    flips = ['RandomHorizontalFlip', 'RandomVerticalFlip']
    assert names == (['RandomRotation', *flips] if TASKS[task].has_label_maps else flips)
    keys = [key.name for key in step.augmentation.data_keys]
    # Kornia's name of what is interpolated, as the target of air quality is.
    wanted = ['IMAGE', 'IMAGE' if task.startswith('aq_') else 'MASK']
    assert keys == wanted[: 1 + TASKS[task].has_label_maps]


@pytest.mark.parametrize(
    ('task', 'options', 'dates', 'split'),
    CASES,
    ids=['-'.join(map(str, (task, *options.values(), split))) for task, options, _, split in CASES],
)
def test_batches_hold_what_is_documented(
    archives: Path, task: str, options: dict[str, Any], dates: int | None, split: str
) -> None:
    module = make(task, archives, **options)
    batch = batch_of(module, split)
    declared = module.task
    target = 'mask' if declared.has_label_maps else 'label'
    padded = {'valid'} if dates == 4 else set()
    assert batch.keys() == {'image', target, 'metadata', 'filename'} | padded
    leading = (2,) if dates is None else (2, dates)

    image = batch['image']
    assert image.shape == (*leading, len(module.bands), SIZE, SIZE)
    assert image.dtype == torch.float32
    assert image.isfinite().all()
    assert (image.flatten(-2).std(-1) > 0).any()
    metadata = batch['metadata']
    assert (metadata.shape, metadata.dtype) == ((*leading, 4), torch.float32)
    assert metadata[..., 3].isfinite().all()
    assert metadata[..., 2].isfinite().all() == (declared.date_pattern is not None)
    assert len(batch['filename']) == 2
    assert all(Path(name.split('#')[0]).is_file() for name in batch['filename'])
    if padded:
        valid = batch['valid']
        assert (valid.shape, valid.dtype) == ((2, 4), torch.bool)
        # The repetitions come last.
        assert valid[:, 0].all()
        assert torch.equal(valid, valid.cummin(dim=1).values)

    values = batch[target]
    if declared.kind == 'regression':
        assert (values.shape, values.dtype) == ((2, SIZE, SIZE), torch.float32)
        assert not values.isinf().any()
        assert values.isfinite().any()
        assert values[values.isfinite()].abs().max() < 1e5
    elif target == 'mask':
        assert (values.shape, values.dtype) == ((2, SIZE, SIZE), torch.int64)
        known = values[values != -100]
        assert known.numel()
        assert 0 <= known.min() <= known.max() < len(declared.classes)
    elif declared.kind == 'multilabel':
        assert (values.shape, values.dtype) == ((2, len(declared.classes)), torch.int64)
        assert set(values.unique().tolist()) == {0, 1}
    else:
        assert (values.shape, values.dtype) == ((2,), torch.int64)
        assert 0 <= values.min() <= values.max() < len(declared.classes)


@pytest.mark.parametrize('task', ['lc100cls_s3', 'aq_no2_s5p', 'aq_o3_s5p'])
def test_a_series_has_the_target_of_the_one_image_and_repeats_its_last_date(
    archives: Path, tmp_path: Path, task: str
) -> None:
    root = tmp_path
    shutil.copytree(archives / TASKS[task].folder, root / TASKS[task].folder)
    for path in root.rglob('2021-04-01_2021-07-01.tif'):
        path.unlink()
    series = make(task, root, mode=MODES[task][0], batch_size=3, augment=False)
    static = make(task, root, batch_size=3, augment=False)
    many, one = batch_of(series, 'train'), batch_of(static, 'train')
    assert one['image'].shape == many['image'][:, 0].shape
    key = 'mask' if 'mask' in one else 'label'
    assert torch.equal(one[key].nan_to_num(-1.0), many[key].nan_to_num(-1.0))
    assert not many['valid'].all()
    for image, metadata, valid in zip(many['image'], many['metadata'], many['valid'], strict=True):
        last = int(valid.sum()) - 1
        days = metadata[: last + 1, 2].tolist()
        assert days == sorted(set(days))
        for date in range(last + 1, 4):
            torch.testing.assert_close(image[date], image[last])
            assert torch.equal(metadata[date], metadata[last])
        assert not any(torch.allclose(image[date], image[last]) for date in range(last))


@EVERY
def test_metadata_false_removes_the_key_and_nothing_else(archives: Path, task: str) -> None:
    kept = batch_of(make(task, archives), 'val')
    bare = batch_of(make(task, archives, metadata=False), 'val')
    del kept['metadata']
    assert same(kept, bare)


@pytest.mark.parametrize('task', [task for task in PUBLISHED if not task.startswith('aq_')])
def test_statistics_and_channels_follow_the_bands_asked_for(archives: Path, task: str) -> None:
    whole = make(task, archives)
    names = TASKS[task].bands
    # Backwards and, where there are enough, with gaps.
    wanted = list(names[::-2]) if len(names) > 2 else list(names[::-1])
    where = [names.index(name) for name in wanted]
    module = make(task, archives, bands=wanted)
    assert [band.name for band in module.bands] == wanted
    torch.testing.assert_close(module.mean, whole.mean[..., where])
    torch.testing.assert_close(module.std, whole.std[..., where])
    expected = batch_of(whole, 'val')['image']
    assert not torch.equal(expected[..., where, :, :], expected[..., : len(where), :, :])
    torch.testing.assert_close(batch_of(module, 'val')['image'], expected[..., where, :, :])
    single = make(task, archives, bands=wanted[:1])
    assert batch_of(single, 'val')['image'].shape == (*expected.shape[:-3], 1, SIZE, SIZE)


@pytest.mark.parametrize(
    ('task', 'band'),
    [('bigearthnet_s2', 'B10'), ('lcz_s2', 'B01'), ('aq_no2_s5p', 'O3'), ('flood_s1', 'B02')],
)
def test_a_band_that_the_archive_lacks_is_named(archives: Path, task: str, band: str) -> None:
    with pytest.raises(ValueError, match=band):
        make(task, archives, bands=[band]).setup('fit')


@EVERY
def test_image_size_sets_the_side_and_leaves_the_sampling_distance(
    archives: Path, task: str
) -> None:
    distances = []
    for size in (17, 40):
        batch = batch_of(make(task, archives, image_size=size), 'val')
        assert batch['image'].shape[-2:] == (size, size)
        if 'mask' in batch:
            assert batch['mask'].shape == (2, size, size)
        distances.append(batch['metadata'][..., 3])
    assert torch.equal(*distances)
    assert distances[0].unique().tolist() == [
        600 if task == 'biomass_s3' else TASKS[task].sensor.gsd_m
    ]


@pytest.mark.parametrize(
    ('task', 'options'),
    [
        ('cloud_s3', {'mode': 'triple'}),
        ('cloud_s3', {'naming': 'ours'}),
        ('cloud_s3', {'mode': 'binary', 'naming': 'torchgeo'}),
        ('eurosat_s1', {'class_order': 'random'}),
        ('eurosat_s2', {'class_order': None}),
        ('lc100cls_s3', {'mode': 'seasonal'}),
        ('lc100seg_s3', {'mode': 'annual'}),
        ('biomass_s3', {'mode': 4}),
        ('aq_no2_s5p', {'mode': 'static'}),
        ('aq_o3_s5p', {'mode': 'time-series'}),
        ('flood_s1', {'mode': 0}),
        ('flood_s1', {'mode': 3}),
        ('flood_s1', {'mode': -1}),
        ('flood_s1', {'mode': '1'}),
        ('flood_s1', {'mode': None}),
    ],
)
def test_an_unknown_choice_is_named(archives: Path, task: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='|'.join(options)):
        make(task, archives, **options).setup('fit')


@EVERY
@pytest.mark.parametrize(
    ('option', 'value'),
    [('partition', 0), ('partition', 1.5), ('partition_seed', -1), ('batch_size', 0)],
)
def test_a_number_out_of_range_is_named_before_a_download(
    task: str, option: str, value: float
) -> None:
    with pytest.raises(ValueError, match=f'{option}.*{value}'):
        make(task, 'nowhere', **{option: value})


@EVERY
def test_an_option_of_another_task_is_refused(task: str) -> None:
    for option in ('mode', 'naming', 'class_order', 'published_std', 'published_gsd'):
        if option not in MODULES[task].__init__.__annotations__:
            with pytest.raises(TypeError, match=option):
                make(task, **{option: 1})


@EVERY
def test_training_differs_from_evaluation_by_the_augmentation_alone(
    archives: Path, task: str
) -> None:
    module = make(task, archives, batch_size=4)
    plain = make(task, archives, batch_size=4, augment=False)
    raw = raw_batch(module, 'train')
    unaugmented = processed(plain, 'train', raw)
    assert same(unaugmented, processed(module, 'val', raw))
    assert same(unaugmented, module.aug(raw))
    augmented = processed(module, 'train', raw)
    assert not torch.equal(augmented['image'], unaugmented['image'])
    # Not twice the same, either.
    again = processed(module, 'train', raw, seed=2)
    assert not torch.equal(augmented['image'], again['image'])
    for key in raw.keys() - {'image', 'mask'}:
        assert same({key: augmented[key]}, {key: raw[key]})


@EVERY
def test_evaluation_is_never_augmented(archives: Path, task: str) -> None:
    module = make(task, archives)
    for split in ('val', 'test', 'predict'):
        raw = raw_batch(module, split)
        first = processed(module, split, raw)
        assert all(same(first, processed(module, split, raw, seed=seed)) for seed in (2, 3, 4))
    # Predictions are in the order of the test split.
    dataset: Any = module.predict_dataset
    assert dataset.split == 'test'
    assert raw['filename'] == [dataset[index]['filename'] for index in range(2)]


@pytest.mark.parametrize('stage', ['fit', 'validate', 'test', 'predict'])
def test_the_variant_of_the_task_is_known_in_every_stage(archives: Path, stage: str) -> None:
    module = make('eurosat_s2', archives, class_order='torchgeo', partition=0.5)
    module.setup(stage)
    assert module.task.classes[1] == 'HerbaceousVegetation'


def test_the_number_of_classes_is_known_before_the_data_is_read() -> None:
    assert len(make('cloud_s3').task.classes) == 5
    assert len(make('cloud_s3', mode='binary').task.classes) == 2
    assert make('eurosat_s2', class_order='torchgeo').task.classes[1] == 'HerbaceousVegetation'


def test_one_h5_file_serves_several_processes(archives: Path) -> None:
    module = make('lcz_s2', archives)
    many = make('lcz_s2', archives, num_workers=2)
    for one in (module, many):
        one.setup('test')
    batches = zip(module.test_dataloader(), many.test_dataloader(), strict=True)
    assert all(same(one, other) for one, other in batches)


COMMON = {
    'root': ('elsewhere', 'elsewhere'),
    'batch_size': ('4', 4),
    'num_workers': ('0', 0),
    'bands': ('null', None),
    'image_size': ('64', 64),
    'metadata': ('false', False),
    'augment': ('false', False),
    'partition': ('0.5', 0.5),
    'partition_seed': ('3', 3),
    'download': ('true', True),
    'checksum': ('false', False),
}
OWN = {
    'cloud_s3': {'mode': ('binary', 'binary'), 'naming': ('torchgeo', 'torchgeo')},
    'eurosat_s1': {'class_order': ('torchgeo', 'torchgeo')},
    'eurosat_s2': {'class_order': ('torchgeo', 'torchgeo')},
    'flood_s1': {'mode': ('2', 2), 'published_std': ('false', False)},
    'biomass_s3': {'mode': ('time-series', 'time-series'), 'published_gsd': ('false', False)},
    'lc100cls_s3': {'mode': ('time-series', 'time-series')},
    'lc100seg_s3': {'mode': ('time-series', 'time-series')},
    'aq_no2_s5p': {'mode': ('seasonal', 'seasonal')},
    'aq_o3_s5p': {'mode': ('seasonal', 'seasonal')},
}


@EVERY
def test_the_command_line_knows_every_option_and_refuses_others(task: str) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MODULES[task])
    options = COMMON | OWN.get(task, {})
    arguments = [f'--{name}={text}' for name, (text, _) in options.items()]
    found = vars(parser.parse_args(arguments))
    assert found == {name: value for name, (_, value) in options.items()}
    module = MODULES[task](**found)
    assert (module.batch_size, module.num_workers, module.kwargs['root']) == (
        4,
        0,
        Path('elsewhere'),
    )
    wrong = ['--batchsize=4', '--batch_size=many', '--augment=perhaps', '--partition=half']
    wrong += [f'--{name}=nonsense' for name in OWN.get(task, {})]
    for argument in wrong:
        with pytest.raises(Exception, match=argument[2:].split('=')[0]):
            parser.parse_args([argument])


@pytest.mark.parametrize('task', ['cloud_s3', 'bigearthnet_s2'])
def test_band_names_come_from_the_command_line_as_a_list(task: str) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MODULES[task])
    names = list(TASKS[task].bands[2:0:-1])
    found = parser.parse_args([f'--bands=[{", ".join(names)}]'])
    assert [band.name for band in MODULES[task](**vars(found)).bands] == names
    with pytest.raises(Exception, match='bands'):
        parser.parse_args(['--bands=B02'])
