"""Datamodules of Copernicus-Bench: published preprocessing unless told otherwise."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypedDict, cast

import torch
from torch.utils.data import Dataset, Subset
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.augmentation import flips, rotation_and_flips
from torchgeo_copernicus.datamodules.collate import CollateOnGrid
from torchgeo_copernicus.datamodules.partition import strata_of, stratified_part
from torchgeo_copernicus.datamodules.preprocess import Preprocess
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.task import BenchTask
from torchgeo_copernicus.sensors import Statistics


class Settings(TypedDict, total=False):
    """Arguments of every datamodule beside root; see `BenchDataModule`."""

    batch_size: int | None
    num_workers: int | None
    bands: list[str] | None
    image_size: int | None
    metadata: bool
    augment: bool
    partition: float
    partition_seed: int
    download: bool
    checksum: bool


class BenchDataModule(NonGeoDataModule):
    """Base of the datamodules; a subclass names its dataset.

    Batches hold `image` (normalised float32 `[B, C, S, S]`, or `[B, T, C, S, S]` for several dates),
    `mask` (int64 or, for a regression, float32 `[B, S, S]`) or `label` (int64 `[B]` or `[B, K]`),
    `metadata` (float32 `[B, 4]` or `[B, T, 4]`) and `filename` (list of str).
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
        partition: float = 1.0,
        partition_seed: int = 0,
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
            partition: Fraction of the training split to use, stratified by label; see
                `stratified_part`.
            partition_seed: Which part.
            download: Download the archive when it is not there.
            checksum: Verify the archive before it is extracted.

        Raises:
            ValueError: If a band is unknown or a number is out of range.
        """
        task = self.dataset_type.task
        for name, value in (('batch_size', batch_size), ('image_size', image_size)):
            if value is not None and value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}.')
        if num_workers is not None and num_workers < 0:
            raise ValueError(f'num_workers must not be negative, got {num_workers}.')
        stratified_part([], partition, partition_seed)  # Raises now rather than after a download.
        names = task.bands if bands is None else bands
        self.bands = task.sensor.select(names)
        super().__init__(
            self.dataset_type,
            batch_size=task.recipe.batch_size if batch_size is None else batch_size,
            num_workers=min(os.cpu_count() or 1, 8) if num_workers is None else num_workers,
            root=Path(root),
            bands=tuple(names),
            transforms=_Metadata(metadata, task.published_gsd_m if self._published() else None),
            download=download,
            checksum=checksum,
            **self._options(),
        )
        self.partition = partition
        self.partition_seed = partition_seed
        # TorchGeo's tasks denormalise with these for pictures.
        self.mean, self.std = self._moments(self._statistics())
        size = task.model_size if image_size is None else image_size
        interpolation = task.target.interpolation if task.target else 'nearest'
        keys = ['input']
        if task.has_label_maps:
            keys.append('input' if interpolation == 'bilinear' else 'mask')
        augmentation = rotation_and_flips(*keys) if task.has_label_maps else flips(*keys)
        steps = (self.mean, self.std, size)
        rest = (task.clip, interpolation, task.grid_size)
        self.train_aug = Preprocess(*steps, augmentation if augment else None, *rest)
        self.aug = Preprocess(*steps, None, *rest)
        if task.grid_size is not None:
            self.collate_fn = CollateOnGrid(task.grid_size)

    def _options(self) -> dict[str, object]:
        """Return further arguments of the dataset."""
        return {}

    def _published(self) -> bool:
        """Return whether to follow the published protocol where it is odd."""
        return True

    def _statistics(self) -> tuple[Statistics, ...]:
        """Return the normalisation, one for all dates or one for each."""
        return self.dataset_type.task.statistics

    def _moments(self, statistics: tuple[Statistics, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        moments = [entry.of(self.bands) for entry in statistics]
        mean = torch.tensor([mean for mean, _ in moments])
        std = torch.tensor([std for _, std in moments])
        return (mean[0], std[0]) if len(moments) == 1 else (mean, std)

    @property
    def task(self) -> BenchTask:
        """The declaration, a variant of it where options ask for one."""
        return self.dataset_type.task

    def prepare_data(self) -> None:
        """Extract or download the data when it is not there, in one process."""
        if not self.dataset_type.is_extracted(self.kwargs['root']):
            for split in ('train', 'val', 'test'):
                self.dataset_type(split=split, **self.kwargs)

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
            if self.partition < 1:
                dataset = cast(BenchDataset, self.train_dataset)
                part = stratified_part(strata_of(dataset), self.partition, self.partition_seed)
                self.train_dataset = cast(Dataset[Sample], Subset(dataset, part))
            processes = self.trainer.world_size if self.trainer else 1
            n = len(cast(BenchDataset, self.train_dataset)) // processes
            if n < self.batch_size:
                raise ValueError(
                    f'The training split has {n} samples per process, fewer than one batch of '
                    f'{self.batch_size}; set a smaller batch_size.'
                )


@dataclass(frozen=True)
class _Metadata:
    """Leaves the metadata out of a sample, or gives it another sampling distance."""

    keep: bool
    gsd_m: float | None

    def __call__(self, sample: Sample) -> Sample:
        if not self.keep:
            return {key: value for key, value in sample.items() if key != 'metadata'}
        if self.gsd_m is not None:
            sample['metadata'][..., 3] = self.gsd_m
        return sample
