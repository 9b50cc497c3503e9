"""Datamodules of Copernicus-Bench: published defaults, and every option has an effect or raises."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_copernicus.datamodules import (
    CopernicusBenchCloudS2DataModule,
    CopernicusBenchEuroSATS2DataModule,
)
from torchgeo_copernicus.datamodules.bench import BenchDataModule
from torchgeo_copernicus.datamodules.preprocess import Preprocess

MODULES = [CopernicusBenchCloudS2DataModule, CopernicusBenchEuroSATS2DataModule]
BOTH = pytest.mark.parametrize('module_type', MODULES)
STAGES = {'fit': ['train', 'val'], 'validate': ['val'], 'test': ['test'], 'predict': ['predict']}
MEAN = [1353.7, 1117.2, 1041.8, 946.5, 1199.1, 2003.0, 2374.0, 2301.2, 2599.7, 732.1, 12.1]
MEAN += [1820.6, 1118.2]
STD = [897.3, 736.0, 684.8, 620.0, 791.9, 1341.3, 1595.4, 1545.5, 1750.1, 475.1, 98.3]
STD += [1216.5, 736.7]


def make(module_type: type[BenchDataModule], root: Path, **options: Any) -> BenchDataModule:
    return module_type(str(root), **{'batch_size': 2, 'num_workers': 0, 'image_size': 48} | options)


def batch_of(module: BenchDataModule, split: str, *, processed: bool = True) -> dict[str, Any]:
    """First batch of a split, as the model sees it or as the loader gives it."""
    stage = next(stage for stage, splits in STAGES.items() if split in splits)
    module.setup(stage)
    torch.manual_seed(0)
    batch: dict[str, Any] = next(iter(getattr(module, f'{split}_dataloader')()))
    if processed:
        states = {
            'train': 'training',
            'val': 'validating',
            'test': 'testing',
            'predict': 'predicting',
        }
        trainer = dict.fromkeys([*states.values(), 'sanity_checking'], False) | {
            states[split]: True
        }
        module.trainer = SimpleNamespace(**trainer)  # type: ignore[assignment]
        batch = module.on_after_batch_transfer(batch, 0)
    return batch


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.shape == b.shape and torch.equal(torch.nan_to_num(a, -1), torch.nan_to_num(b, -1))
    return bool(a == b)


@pytest.mark.parametrize(
    ('module_type', 'batch_size', 'image_size'), [(MODULES[0], 16, 512), (MODULES[1], 64, 224)]
)
def test_defaults_are_the_published_ones(
    module_type: type[BenchDataModule], batch_size: int, image_size: int
) -> None:
    module = module_type()
    assert module.batch_size == batch_size
    for step in (module.train_aug, module.aug):
        assert isinstance(step, Preprocess)
        assert step.image_size == (image_size, image_size)
        assert step.mean.flatten().tolist() == pytest.approx(MEAN)
        assert step.std.flatten().tolist() == pytest.approx(STD)
    assert [band.name for band in module.bands] == list(module.task.bands)
    assert module.mean.tolist() == pytest.approx(MEAN)
    assert module.std.tolist() == pytest.approx(STD)
    assert 1 <= module.num_workers <= 8


@BOTH
@pytest.mark.parametrize('split', ['train', 'val', 'test', 'predict'])
def test_batches_hold_what_is_documented(
    bench_root: Path, module_type: type[BenchDataModule], split: str
) -> None:
    batch = batch_of(make(module_type, bench_root), split)
    assert (batch['image'].shape, batch['image'].dtype) == ((2, 13, 48, 48), torch.float32)
    assert (batch['metadata'].shape, batch['metadata'].dtype) == ((2, 4), torch.float32)
    assert all(Path(name).is_file() for name in batch['filename'])
    if module_type is MODULES[0]:
        assert (batch['mask'].shape, batch['mask'].dtype) == ((2, 48, 48), torch.int64)
    else:
        assert (batch['label'].shape, batch['label'].dtype) == ((2,), torch.int64)
    assert -3 < batch['image'].mean() < 3


@BOTH
def test_the_splits_are_the_right_ones(
    bench_root: Path, module_type: type[BenchDataModule]
) -> None:
    sizes = {}
    for stage, splits in STAGES.items():
        module = make(module_type, bench_root)
        module.setup(stage)
        for split in splits:
            dataset: Any = getattr(module, f'{split}_dataset')
            sizes[stage, split] = (dataset.split, len(dataset))
    k = 2 if module_type is MODULES[0] else 10
    assert sizes == {
        ('fit', 'train'): ('train', 3 * k),
        ('fit', 'val'): ('val', k),
        ('validate', 'val'): ('val', k),
        ('test', 'test'): ('test', k),
        ('predict', 'predict'): ('test', k),
    }


@BOTH
@pytest.mark.parametrize('split', ['train', 'val', 'test', 'predict'])
def test_metadata_false_removes_the_key_from_every_loader(
    bench_root: Path, module_type: type[BenchDataModule], split: str
) -> None:
    kept = batch_of(make(module_type, bench_root), split)
    bare = batch_of(make(module_type, bench_root, metadata=False), split)
    assert kept.keys() - bare.keys() == {'metadata'}
    assert same(bare['image'], kept['image'])


@BOTH
def test_statistics_follow_the_bands_asked_for(
    bench_root: Path, module_type: type[BenchDataModule]
) -> None:
    whole = batch_of(make(module_type, bench_root), 'val')['image']
    module = make(module_type, bench_root, bands=['SWIR_2', 'B8A', 'B2'])
    assert module.mean.tolist() == pytest.approx([1118.2, 2599.7, 1117.2])
    assert module.std.tolist() == pytest.approx([736.7, 1750.1, 736.0])
    assert torch.allclose(batch_of(module, 'val')['image'], whole[:, [12, 8, 1]])


@BOTH
def test_augment_false_is_the_preprocessing_of_validation(
    bench_root: Path, module_type: type[BenchDataModule]
) -> None:
    plain = make(module_type, bench_root, augment=False, batch_size=6)
    augmented = make(module_type, bench_root, batch_size=6)
    raw = batch_of(plain, 'train', processed=False)
    found = batch_of(plain, 'train')
    wanted = plain.aug(raw)
    assert all(same(found[key], wanted[key]) for key in wanted)
    # The order of samples is seeded, so that only the augmentation differs.
    assert not same(batch_of(augmented, 'train')['image'], wanted['image'])


@BOTH
def test_evaluation_is_never_augmented(
    bench_root: Path, module_type: type[BenchDataModule]
) -> None:
    for split in ('val', 'test', 'predict'):
        batch = batch_of(make(module_type, bench_root), split)
        plain = batch_of(make(module_type, bench_root, augment=False), split)
        assert all(same(batch[key], plain[key]) for key in batch)


@BOTH
def test_image_size_and_batch_size_set_the_shape(
    bench_root: Path, module_type: type[BenchDataModule]
) -> None:
    batch = batch_of(make(module_type, bench_root, image_size=40, batch_size=3), 'train')
    assert batch['image'].shape == (3, 13, 40, 40)
    assert all(batch[key].shape[1:] == (40, 40) for key in batch.keys() & {'mask'})


def test_num_workers_reach_the_loaders_and_none_means_some(bench_root: Path) -> None:
    for workers in (0, 1):
        module = make(MODULES[0], bench_root, num_workers=workers)
        module.setup('fit')
        assert module.train_dataloader().num_workers == workers
    assert 1 <= make(MODULES[0], bench_root, num_workers=None).num_workers <= 8


@BOTH
def test_a_training_split_smaller_than_a_batch_raises_instead_of_training_on_nothing(
    bench_root: Path, module_type: type[BenchDataModule]
) -> None:
    n = 6 if module_type is MODULES[0] else 30
    make(module_type, bench_root, batch_size=n).setup('fit')
    module = make(module_type, bench_root, batch_size=n + 1)
    with pytest.raises(ValueError, match=f'{n} samples.*{n + 1}.*batch_size'):
        module.setup('fit')
    module.setup('test')


@BOTH
@pytest.mark.parametrize('option', ['batch_size', 'image_size', 'num_workers'])
@pytest.mark.parametrize('value', [0, -1])
def test_sizes_that_are_not_positive_raise(
    module_type: type[BenchDataModule], option: str, value: int
) -> None:
    if (option, value) == ('num_workers', 0):
        return  # Loads in the main process.
    with pytest.raises(ValueError, match=f'{option}.*{value}'):
        make(module_type, Path('data'), **{option: value})


@BOTH
@pytest.mark.parametrize('bands', [['B99'], ['B02', 'BLUE'], []])
def test_bad_bands_raise_at_construction(
    module_type: type[BenchDataModule], bands: list[str]
) -> None:
    with pytest.raises(ValueError, match=r'(?i)band'):
        module_type(bands=bands)


@BOTH
def test_root_download_and_checksum_reach_the_dataset(
    bench_root: Path,
    tmp_path: Path,
    module_type: type[BenchDataModule],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(DatasetNotFoundError):
        make(module_type, tmp_path).setup('fit')
    monkeypatch.setattr(module_type.dataset_type, 'url', (tmp_path / 'none').as_uri())
    with pytest.raises(ConnectionError):
        make(module_type, tmp_path, download=True).prepare_data()
    archive = tmp_path / module_type.dataset_type.task.archives[0].name
    archive.write_bytes(b'')
    with pytest.raises(ValueError, match='SHA-256'):
        make(module_type, tmp_path).setup('fit')
    with pytest.raises(ValueError, match='truncated'):
        make(module_type, tmp_path, checksum=False).setup('fit')
