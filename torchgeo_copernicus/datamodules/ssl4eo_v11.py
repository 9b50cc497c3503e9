"""Datamodule of SSL4EO-S12 v1.1: batches for self-supervised training, decoded by threads."""

from __future__ import annotations

import os
from typing import Literal

import torch
from torch import nn
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.ssl4eo.scale import Normalisation, scale_of
from torchgeo_copernicus.datasets.ssl4eo.statistics import Edition, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.batch_stream import SSL4EOS12v11Stream
from torchgeo_copernicus.datasets.ssl4eo.v11.dataset import Dates, SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import Season, Split

_MOST_THREADS = 8


class SSL4EOS12v11DataModule(NonGeoDataModule):
    """Places of SSL4EO-S12 v1.1 for self-supervised training.

    Batches hold `image` (float32 `[B, C, S, S]`, or `[B, T, C, S, S]` for a series or a pair of dates),
    `metadata` (float32 `[B, 4]` or `[B, T, 4]`) and `sample_id` (int64 `[B]`). `image` and `metadata` are
    dictionaries by modality where there are several, unless `concat`.

    There are no worker processes: threads decode into memory that is used again. Each rank reads its own part
    of every epoch; Lightning's checkpoints hold the position, and a resumed run goes on with the next batch.

    `validate` and `test` take the validation places, the same dates and the middle of the images every
    time; there is no test split. `predict` takes the training places in order.
    """

    def __init__(
        self,
        root: str = 'data',
        modalities: Modality | list[Modality] = 'S2L1C',
        batch_size: int = 64,
        num_threads: int | None = None,
        bands: list[str] | dict[Modality, list[str]] | None = None,
        dates: Dates = 'random',
        season: Season | None = None,
        max_cloud: float | None = None,
        files: list[str] | None = None,
        edition: Edition | None = None,
        normalisation: Normalisation = 'standardise',
        crop_size: int | None = 224,
        augment: bool = True,
        concat: bool = False,
        metadata: bool = True,
        pool: int | None = None,
        seed: int = 0,
        index_folder: str | None = None,
        pin_memory: bool | Literal['auto'] = 'auto',
    ) -> None:
        """Set up what to read and how to prepare it.

        Args:
            root: Folder, or address such as `https://...`, with `train`, `val` and `splits`; see
                `SSL4EOS12v11` for this and for *bands*, *season*, *max_cloud*, *edition* and
                *index_folder*.
            modalities: One name, or several.
            batch_size: Samples of a batch on each rank.
            num_threads: Threads that decode; one per core, at most eight, when None.
            bands: Bands to read.
            dates: `random`: a place is a sample, on another date in each epoch. `pair`: on two different
                ones, with `concat` the two views of TorchGeo's `MoCoTask`, `SimCLRTask` and `BYOLTask`.
                `each`: every date is a sample. `all`: a sample has all four.
            season: Only dates in three months of the calendar.
            max_cloud: Largest share (0 to 1) of an image that is not clear.
            files: Files of the training split to read; all that are there when None.
            edition: `zarr` or `webdataset`.
            normalisation: `standardise` with the published mean and deviation, or `pretraining` as the
                released weights of v1.0 saw images: Sentinel-2 divided by 10,000, Sentinel-1 stretched, all
                between 0 and 1.
            crop_size: Side (px) of the window, the same for all modalities and dates of a sample; None for
                whole images. A random one in training, the middle otherwise.
            augment: Crop at random and flip in training.
            concat: Put the channels of all modalities and dates into one image.
            metadata: Give it to the model, of the middle of the window. Off for backbones that take none.
            pool: Read so many files at a time, for slow disks and networks.
            seed: Of order, dates, windows and flips.
            index_folder: Where the table of places is kept.
            pin_memory: Use memory that a GPU copies from fast; `auto`: when there is one.

        Raises:
            ValueError: If an argument is not allowed.
        """
        for name, value in (('batch_size', batch_size), ('num_threads', num_threads)):
            if value is not None and value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}.')
        several = not isinstance(modalities, str) and len(modalities) > 1
        if concat and not several and dates not in ('all', 'pair'):
            raise ValueError(
                'concat joins modalities or dates; there is one of each. Leave it off, or use '
                "dates='pair' or 'all'."
            )
        super().__init__(
            SSL4EOS12v11,
            batch_size=batch_size,
            num_workers=0,
            root=root,
            modalities=modalities,
            bands=bands,
            dates=dates,
            season=season,
            max_cloud=max_cloud,
            edition=edition,
            seed=seed,
            index_folder=index_folder,
        )
        self.num_threads = num_threads or min(os.cpu_count() or 1, _MOST_THREADS)
        self.files, self.normalisation, self.crop_size = files, normalisation, crop_size
        self.augment, self.concat, self.metadata = augment, concat, metadata
        self.pool, self.seed, self.pin_memory = pool, seed, pin_memory
        # All is done by the threads.
        self.aug = nn.Identity()

    def setup(self, stage: str) -> None:
        """Find the places of a stage.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            ValueError: If files are missing or damaged, or a split has less than a batch for each rank.
        """
        if stage in ('fit', 'predict'):
            dataset = self._dataset('train')
            self.train_dataset = self.predict_dataset = dataset
            ranks = self.trainer.world_size if self.trainer else 1
            if stage == 'fit' and len(dataset) // ranks < self.batch_size:
                raise ValueError(
                    f'There are {len(dataset) // ranks} samples per process to train with, fewer than one '
                    f'batch of {self.batch_size}; set a smaller batch_size.'
                )
        if stage in ('fit', 'validate', 'test'):
            self.val_dataset = self.test_dataset = self._dataset('val')

    def train_dataloader(self) -> SSL4EOS12v11Stream:  # type: ignore[override]
        """Return a stream of mixed places."""
        return self._stream(self._dataset_of('train_dataset'), train=True)

    def val_dataloader(self) -> SSL4EOS12v11Stream:  # type: ignore[override]
        """Return a stream of the validation places in order."""
        return self._stream(self._dataset_of('val_dataset'), train=False)

    def test_dataloader(self) -> SSL4EOS12v11Stream:  # type: ignore[override]
        """Return a stream of the validation places in order."""
        return self.val_dataloader()

    def predict_dataloader(self) -> SSL4EOS12v11Stream:  # type: ignore[override]
        """Return a stream of the training places in order."""
        return self._stream(self._dataset_of('predict_dataset'), train=False)

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Leave out the metadata if it is not wanted."""
        if self.metadata:
            return batch
        return {key: value for key, value in batch.items() if key != 'metadata'}

    def _dataset(self, split: Split) -> SSL4EOS12v11:
        return SSL4EOS12v11(
            **self.kwargs, split=split, files=self.files if split == 'train' else None
        )

    def _dataset_of(self, name: str) -> SSL4EOS12v11:
        dataset = getattr(self, name)
        if not isinstance(dataset, SSL4EOS12v11):
            raise ValueError(f'{type(self).__name__}.setup has to be called first.')
        return dataset

    def _stream(self, dataset: SSL4EOS12v11, train: bool) -> SSL4EOS12v11Stream:
        trainer = self.trainer
        statistics = dataset.statistics
        return SSL4EOS12v11Stream(
            dataset,
            self.batch_size,
            crop_size=self.crop_size,
            random_crop=train and self.augment,
            flip=train and self.augment,
            shuffle=train,
            seed=self.seed,
            pool=self.pool if train else None,
            scales={
                name: scale_of(name, dataset.bands[name], statistics[name], self.normalisation)
                for name in dataset.modalities
            },
            concat=self.concat,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            # Nothing is left out of what is measured; some places are then measured twice.
            remainder='drop' if train else 'repeat',
            drop_last=train,
            threads=self.num_threads,
            pin_memory=torch.cuda.is_available() if self.pin_memory == 'auto' else self.pin_memory,
        )
