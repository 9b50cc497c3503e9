"""What single tasks do to their images and targets: floods, biomass, gaps, orders of classes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.datamodules.test_every_datamodule import batch_of, make, processed, raw_batch
from torchgeo_copernicus.datasets import TASKS
from torchgeo_copernicus.datasets.bench import DATASETS
from torchgeo_copernicus.metadata import token_area_km2


def normalised(values: list[float], mean: float, std: float) -> Tensor:
    return (torch.tensor(values) - mean) / std


@pytest.mark.parametrize('mode', [1, 2])
@pytest.mark.parametrize('published_std', [True, False])
def test_flood_is_clipped_and_filled_before_each_date_is_normalised(
    archives: Path, mode: int, published_std: bool
) -> None:
    module = make('flood_s1', archives, mode=mode, published_std=published_std, image_size=32)
    raw = raw_batch(module, 'val')
    # Backscatter that is negative, in range, at the end, beyond it, missing and infinite.
    raw['image'][..., 0, :6] = torch.tensor([-0.3, 0.02, 0.15, 7.0, torch.nan, torch.inf])
    wanted = [0.0, 0.02, 0.15, 0.15, 0.15, 0.15]
    found = processed(module, 'val', raw)['image'][..., 0, :6]
    assert found.shape == (2, mode + 1, 2, 6)
    for date in range(mode + 1):
        after = date == mode and published_std
        deviations = (0.0981, 0.0253) if after else (0.0430, 0.0174)
        for band, (mean, std) in enumerate(zip((0.0981, 0.0253), deviations, strict=True)):
            expected = normalised(wanted, mean, std).expand(2, -1)
            torch.testing.assert_close(found[:, date, band], expected)


def test_flood_with_two_dates_before_has_three_dates_in_order(archives: Path) -> None:
    two = batch_of(make('flood_s1', archives, mode=2, published_std=False), 'test')
    one = batch_of(make('flood_s1', archives, published_std=False), 'test')
    assert two['image'].shape[1] == 3
    days = two['metadata'][..., 2]
    assert (days.diff(dim=1) > 0).all()
    # The last two are those of mode=1: an earlier image was added, not a later one.
    torch.testing.assert_close(two['image'][:, 1:], one['image'])
    assert torch.equal(two['metadata'][:, 1:], one['metadata'])
    assert torch.equal(two['mask'], one['mask'])
    assert not torch.equal(two['image'][:, 0], two['image'][:, 1])


def test_biomass_is_told_600_m_as_published_and_300_m_when_asked(archives: Path) -> None:
    choices = [({}, 23.04), ({'published_gsd': False}, 5.76), ({'mode': 'time-series'}, 23.04)]
    for options, area in choices:
        module = make('biomass_s3', archives, **options)
        for split in ('train', 'predict'):
            distance = batch_of(module, split)['metadata'][..., 3]
            assert distance.unique().tolist() == [600.0 if area > 6 else 300.0]
        found = token_area_km2(distance, TASKS['biomass_s3'].kernel_size)
        torch.testing.assert_close(found, torch.full_like(found, area))


@pytest.mark.parametrize(
    ('task', 'area'),
    [
        ('cloud_s2', 0.0256),
        ('cloud_s3', 5.76),
        ('lc100cls_s3', 5.76),
        ('lc100seg_s3', 5.76),
        ('dfc2020_s1', 0.0256),
        ('flood_s1', 0.0256),
        ('lcz_s2', 0.0256),
        ('aq_no2_s5p', 16.0),
    ],
)
def test_the_area_of_a_token_is_the_published_one(archives: Path, task: str, area: float) -> None:
    distance = batch_of(make(task, archives), 'val')['metadata'][..., 3]
    found = token_area_km2(distance, TASKS[task].kernel_size)
    torch.testing.assert_close(found, torch.full_like(found, area))


@pytest.mark.parametrize('task', ['cloud_s3', 'lc100seg_s3', 'biomass_s3', 'aq_no2_s5p'])
@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_missing_radiances_and_columns_are_0_before_they_are_resized(
    archives: Path, task: str, value: float
) -> None:
    module = make(task, archives)
    raw = raw_batch(module, 'val')
    whole = processed(module, 'val', raw)['image']
    raw['image'][..., 10:20, 12:24] = value
    missing = processed(module, 'val', raw)['image']
    raw['image'][..., 10:20, 12:24] = 0
    assert torch.equal(missing, processed(module, 'val', raw)['image'])
    assert missing.isfinite().all()
    assert not torch.allclose(missing, whole)


@pytest.mark.parametrize(
    ('task', 'side'),
    [('cloud_s3', 32), ('lc100cls_s3', 96), ('biomass_s3', 288), ('aq_o3_s5p', 56)],
)
def test_sentinel_3_and_5p_are_given_as_the_dataset_reads_them(
    archives: Path, task: str, side: int
) -> None:
    # These have no statistics, and the published side needs no second resizing.
    module = make(task, archives, image_size=side)
    batch = batch_of(module, 'val')
    dataset = DATASETS[task](archives, 'val')
    for index in range(2):
        sample = dataset[index]
        assert batch['filename'][index] == sample['filename']
        read = sample['image'].nan_to_num(0.0)
        torch.testing.assert_close(batch['image'][index], read, rtol=1e-4, atol=1e-3)
        key = 'mask' if 'mask' in sample else 'label'
        assert torch.equal(batch[key][index].nan_to_num(-1.0), sample[key].nan_to_num(-1.0))
        assert torch.equal(batch['metadata'][index, :3], sample['metadata'][:3])


def test_the_order_of_classes_reaches_the_task_and_the_labels(archives: Path) -> None:
    for task in ('eurosat_s1', 'eurosat_s2'):
        for order in ('alphabetical', 'torchgeo'):
            module = make(task, archives, class_order=order, batch_size=10)
            batch = batch_of(module, 'test')
            classes = module.task.classes
            assert (classes == tuple(sorted(classes))) is (order == 'alphabetical')
            stems = [Path(name).stem.split('_')[0] for name in batch['filename']]
            assert stems == [classes[label] for label in batch['label']]


def test_the_naming_of_clouds_reaches_the_task_and_leaves_the_labels(archives: Path) -> None:
    found = {}
    for naming in ('official', 'torchgeo'):
        module = make('cloud_s3', archives, naming=naming)
        found[naming] = batch_of(module, 'test')['mask'], module.task.classes
    assert torch.equal(found['official'][0], found['torchgeo'][0])
    assert found['official'][1][1:3] == ('Cloud-Sure', 'Cloud-Ambiguous')
    assert found['torchgeo'][1][1:3] == ('Cloud-Ambiguous', 'Cloud-Sure')
    module = make('cloud_s3', archives, mode='binary')
    batch_of(module, 'test')
    assert module.task.classes == ('Clear', 'Cloud')
