"""Datamodules of Copernicus-Bench: published preprocessing unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, cast

import torch
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.preprocess import (
    Preprocess,
    classification_augmentation,
    segmentation_augmentation,
)
from torchgeo_copernicus.datasets import CopernicusBenchCloudS2, CopernicusBenchEuroSATS2
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset


class BenchDataModule(NonGeoDataModule):
    """Base of the datamodules; a subclass names its dataset.

    Batches hold `image` (normalised float32 `[B, C, S, S]`), `mask` (int64 `[B, S, S]`) or `label`
    (int64 `[B]`), `metadata` (float32 `[B, 4]`) and `filename` (list of str).
    """

    #: The dataset, whose declaration holds all defaults.
    dataset_type: ClassVar[type[BenchDataset]]

    def __init__(
        self,
        root: str = 'data',
        batch_size: int | None = None,
        num_workers: int | None = None,
        bands: list[str] | None = None,
        image_size: int | None = None,
        metadata: bool = True,
        augment: bool = True,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        """Set up the splits.

        Args:
            root: Folder that holds the dataset's folder or its archive.
            batch_size: Samples per batch; the published one when None.
            num_workers: Loader processes; one per core, at most eight, when None.
            bands: Band names in the order wanted; the published ones when None.
            image_size: Side (px) that images are resized to; the published one when None.
            metadata: Give the backbone the metadata of each image. Off for backbones that take no
                keywords.
            augment: Augment the training split as published.
            download: Download the archive when it is not there.
            checksum: Verify the archive before it is extracted.

        Raises:
            ValueError: If a band is unknown or a number is not positive.
        """
        task = self.dataset_type.task
        for name, value in (('batch_size', batch_size), ('image_size', image_size)):
            if value is not None and value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}.')
        if num_workers is not None and num_workers < 0:
            raise ValueError(f'num_workers must not be negative, got {num_workers}.')
        names = task.bands if bands is None else bands
        selected = task.sensor.select(names)
        mean, std = task.statistics.of(selected)
        super().__init__(
            self.dataset_type,
            batch_size=task.recipe.batch_size if batch_size is None else batch_size,
            num_workers=min(os.cpu_count() or 1, 8) if num_workers is None else num_workers,
            root=Path(root),
            bands=tuple(names),
            transforms=None if metadata else _without_metadata,
            download=download,
            checksum=checksum,
        )
        self.task = task
        self.bands = selected
        # TorchGeo's tasks denormalise with these for pictures.
        self.mean, self.std = torch.tensor(mean), torch.tensor(std)
        size = task.model_size if image_size is None else image_size
        augmentation = (
            segmentation_augmentation()
            if task.kind == 'segmentation'
            else classification_augmentation()
        )
        self.train_aug = Preprocess(mean, std, size, augmentation if augment else None)
        self.aug = Preprocess(mean, std, size)

    def prepare_data(self) -> None:
        """Extract or download the data when its folder is not there, in one process."""
        if not (self.kwargs['root'] / self.task.name).is_dir():
            self.dataset_type(**self.kwargs)

    def setup(self, stage: str) -> None:
        """Make the datasets of a stage.

        Args:
            stage: `fit`, `validate`, `test` or `predict`; predictions are made on the test split.

        Raises:
            ValueError: If the training split is smaller than one batch.
        """
        super().setup(stage)
        if stage == 'predict':
            self.predict_dataset = self.dataset_type(split='test', **self.kwargs)
        if stage == 'fit':
            processes = self.trainer.world_size if self.trainer else 1
            n = len(cast(BenchDataset, self.train_dataset)) // processes
            if n < self.batch_size:
                raise ValueError(
                    f'The training split has {n} samples per process, fewer than one batch of '
                    f'{self.batch_size}; set a smaller batch_size.'
                )


class CopernicusBenchCloudS2DataModule(BenchDataModule):
    """Cloud-S2: 13 bands, 512 px, patches of 16 px; see `CopernicusBenchCloudS2`."""

    dataset_type = CopernicusBenchCloudS2


class CopernicusBenchEuroSATS2DataModule(BenchDataModule):
    """EuroSAT-S2: 13 bands, 64 px enlarged to 224; see `CopernicusBenchEuroSATS2`."""

    dataset_type = CopernicusBenchEuroSATS2


def _without_metadata(sample: Sample) -> Sample:
    return {key: value for key, value in sample.items() if key != 'metadata'}
