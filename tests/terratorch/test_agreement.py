"""A model that was told other bands or classes than the data has raises before training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from torchgeo_copernicus.datamodules import (
    CopernicusBenchCloudS2DataModule,
    CopernicusBenchEuroSATS2DataModule,
)
from torchgeo_copernicus.datasets import TASKS, write_sample
from torchgeo_copernicus.sensors import S2_TOA

pytestmark = pytest.mark.terratorch
CLASSES = list(TASKS['eurosat_s2'].classes)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('data')
    write_sample('eurosat_s2', folder, n=30, size=32)
    write_sample('cloud_s2', folder, n=3, size=32)
    return folder


def check(module: Any, bands: list[str] | None = None, **hparams: Any) -> None:
    from torchgeo_copernicus.terratorch.agreement import check_agreement

    module.setup('test')
    model = nn.Module()
    model.encoder = nn.Module()
    if bands is not None:
        model.encoder.bands = S2_TOA.select(bands)
    check_agreement(module, hparams, model)


def test_bands_in_another_order_than_the_backbone_was_told_raise(root: Path) -> None:
    rgb, bgr = ['B04', 'B03', 'B02'], ['B02', 'B03', 'B04']
    module = CopernicusBenchEuroSATS2DataModule(str(root), num_workers=0, bands=rgb)
    check(module, rgb)
    check(module, ['RED', 'GREEN', 'BLUE'])
    check(module)  # A backbone of another package does not say.
    with pytest.raises(ValueError, match=r'backbone_model_bands'):
        check(module, bgr)


def test_torchgeo_class_order_with_alphabetical_names_raises(root: Path) -> None:
    alphabetical = CopernicusBenchEuroSATS2DataModule(str(root), num_workers=0)
    check(alphabetical, class_names=CLASSES)
    torchgeo = CopernicusBenchEuroSATS2DataModule(str(root), class_order='torchgeo', num_workers=0)
    with pytest.raises(ValueError, match='wrong names'):
        check(torchgeo, class_names=CLASSES)
    check(torchgeo)


@pytest.mark.parametrize(
    ('hparams', 'message'),
    [
        ({'model_args': {'num_classes': 3}, 'ignore_index': -100}, 'num_classes is 3'),
        ({'model_args': {'num_classes': 4}, 'ignore_index': 0}, 'ignore_index is 0'),
        ({'model_args': {'num_classes': 4}, 'ignore_index': None}, 'ignore_index is None'),
    ],
)
def test_a_wrong_number_of_classes_or_ignore_index_raises(
    root: Path, hparams: dict[str, Any], message: str
) -> None:
    module = CopernicusBenchCloudS2DataModule(str(root), num_workers=0)
    check(module, model_args={'num_classes': '4'}, ignore_index=-100)
    with pytest.raises(ValueError, match=re.escape(message)):
        check(module, **hparams)
