"""Images that batches bring to the labels' grid are those that a dataset brings there itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from torchgeo_copernicus.datamodules import (
    CopernicusBenchBiomassS3DataModule,
    CopernicusBenchLC100SegS3DataModule,
)
from torchgeo_copernicus.datasets import (
    CopernicusBenchBiomassS3,
    CopernicusBenchLC100SegS3,
    write_sample,
)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('data')
    for task in ('lc100seg_s3', 'biomass_s3'):
        write_sample(task, folder, n=10, size=96)
    return folder


@pytest.mark.parametrize('mode', ['static', 'time-series'])
@pytest.mark.parametrize('batch_size', [1, 5])
@pytest.mark.parametrize(
    ('module_type', 'dataset_type'),
    [
        (CopernicusBenchLC100SegS3DataModule, CopernicusBenchLC100SegS3),
        (CopernicusBenchBiomassS3DataModule, CopernicusBenchBiomassS3),
    ],
)
def test_a_batch_of_stored_images_equals_one_of_enlarged_images(
    root: Path, module_type: Any, dataset_type: Any, batch_size: int, mode: Any
) -> None:
    module = module_type(str(root), mode=mode, batch_size=batch_size, num_workers=0)
    module.setup('fit')
    native = module.train_dataset
    # The first place has smaller images, as a few real ones have.
    assert {tuple(native[i]['image'].shape[-2:]) for i in range(5)} == {(94, 94), (96, 96)}
    dataset = dataset_type(root, 'train', mode=mode)
    samples = [native[i] for i in range(batch_size)]
    batch = module.aug(module.collate_fn(samples))
    for index in range(batch_size):
        wanted = dataset[index]
        assert wanted['image'].shape[-2:] == (288, 288)
        assert torch.allclose(batch['image'][index], wanted['image'].nan_to_num(0.0), atol=1e-4)
        assert torch.equal(batch['mask'][index], wanted['mask'])


def test_workers_collate_images_of_two_sizes(root: Path) -> None:
    # All places in one batch, so that the smaller image is in it.
    module = CopernicusBenchLC100SegS3DataModule(str(root), batch_size=6, num_workers=1)
    module.setup('fit')
    assert len(module.train_dataset) == 6  # type: ignore[arg-type]
    batch = next(iter(module.train_dataloader()))
    assert batch['image'].shape == (6, 21, 288, 288)
    assert batch['mask'].shape == (6, 288, 288)
