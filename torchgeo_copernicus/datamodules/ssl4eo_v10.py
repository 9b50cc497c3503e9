"""Datamodule of SSL4EO-S12 v1.0: each modality on its own scale, and validation places apart.

TorchGeo's datamodule divides every modality by 10,000, Sentinel-1 in dB too, and has no validation.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.aligned_preprocess import AlignedPreprocess
from torchgeo_copernicus.datamodules.epoch_sampler import EpochSampler
from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.draw import drawn
from torchgeo_copernicus.datasets.ssl4eo.geographic_split import places_in_drawn_blocks
from torchgeo_copernicus.datasets.ssl4eo.scale import Normalisation, Scale, scale_of
from torchgeo_copernicus.datasets.ssl4eo.statistics import V10_STATISTICS, Modality
from torchgeo_copernicus.datasets.ssl4eo.v10.arguments import (
    Dates,
    Incomplete,
    bands_of,
    chosen_modalities,
)
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import SSL4EOS12v10
from torchgeo_copernicus.datasets.ssl4eo.v10.scene import Resampling, Variant
from torchgeo_copernicus.datasets.whole_number import whole
from torchgeo_copernicus.sensors import Statistics

SplitBy = Literal['block', 'id']

#: Side of the blocks of land that are drawn for validation (deg).
BLOCK_DEG = 1.0
_READERS = 8


class SSL4EOS12v10DataModule(NonGeoDataModule):
    """Places of SSL4EO-S12 v1.0 for self-supervised training.

    Batches hold `image` (float32 `[B, C, S, S]`, or `[B, T, C, S, S]` for `dates='all'`), `metadata`
    (float32 `[B, 4]` or `[B, T, 4]`), `filename`, `file_id` and `sample_id`. With several modalities the first
    four are dicts by modality, unless `concat`.

    Validation: a part of the land, not of the places, because every fourth place overlaps another. Blocks
    of one degree are drawn as a whole, from the seed and their corners alone, so about *val_fraction* of
    the places are in them; what overlaps a place for training is for training, too (see
    `geographic_split`). There is no test split: `test` takes the validation places, `predict` all.
    """

    def __init__(
        self,
        root: str = 'data',
        modalities: list[Modality] | None = None,
        dates: Dates = 'random',
        batch_size: int = 64,
        num_workers: int | None = None,
        bands: list[str] | dict[Modality, list[str]] | None = None,
        seasons: list[int] | None = None,
        ids: str | list[int] | None = None,
        variant: Variant = 'raw',
        decode: bool = True,
        resampling: Resampling = 'bilinear',
        incomplete: Incomplete = 'raise',
        folders: dict[Modality, str] | None = None,
        normalisation: Normalisation = 'standardise',
        crop_size: int | None = 224,
        augment: bool = True,
        concat: bool = False,
        metadata: bool = True,
        val_fraction: float = 0.02,
        split_by: SplitBy = 'block',
        seed: int = 0,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        """Set up what to read and how to prepare it.

        Args:
            root: Folder of the data; see `SSL4EOS12v10` for this and for *modalities*, *bands*, *seasons*,
                *ids*, *variant*, *decode*, *resampling*, *incomplete*, *folders*, *download* and *checksum*.
            modalities: What to read of each place.
            dates: `random`: a place is one sample, at another date in each epoch (always at the same in
                validation). `each`: every date is a sample. `all`: a sample has all dates.
            batch_size: Samples per batch.
            num_workers: Loader processes; one per core, at most eight, when None.
            bands: Bands to read.
            seasons: Which of the four dates to read.
            ids: Which places to read.
            variant: `raw`, `8bit` or `rgb`.
            decode: Turn 8-bit counts into DN and dB; matters to `pretraining` (below), while what is
                standardised is nearly the same.
            resampling: How bands of 20 and 60 m get to 10 m.
            incomplete: What to do about incomplete places.
            folders: Names of modalities' folders where they are others.
            normalisation: `standardise`: subtract the mean of the release, divide by its deviation, for
                each modality and band. `pretraining`: as the released weights saw images: Sentinel-2 divided
                by 10,000, Sentinel-1 stretched from two deviations below to two above the mean, 8-bit
                counts divided by 255 when not decoded; all cut off at 0 and 1. (The released S2 runs also
                rounded to 8 bits, and reflectance above 1.004 wrapped around to dark by mistake: not so
                here.)
            crop_size: Side (px) of the crop, the same for all modalities and dates; None for whole images.
                A random one in training, the middle otherwise.
            augment: Crop at random and flip in training, modalities and dates alike.
            concat: Put all modalities into one image, channels in the order of *modalities*, with the
                metadata of the first.
            metadata: Give it to the model, moved to the middle of the crop. Off for backbones that take
                no keywords.
            val_fraction: Part of the places for validation, 0 for none.
            split_by: `block`, or `id` to draw each place for itself, for which no file is read but
                overlapping places get on both sides. `block` opens a file of each place at the start.
            seed: Of the order, of the dates, and of the validation places.
            download: Download the raw release where it is missing.
            checksum: Verify archives that are there.

        Raises:
            ValueError: If an argument is not allowed.
        """
        one_of('normalisation', normalisation, Normalisation)
        one_of('split_by', split_by, SplitBy)
        one_of('dates', dates, Dates)
        one_of('variant', variant, Variant)
        for name, value in (('batch_size', batch_size), ('crop_size', crop_size)):
            if value is not None and value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}.')
        if num_workers is not None and num_workers < 0:
            raise ValueError(f'num_workers must not be negative, got {num_workers}.')
        if not 0 <= val_fraction < 1:
            raise ValueError(f'val_fraction must be at least 0 and below 1, got {val_fraction}.')
        self.modalities = chosen_modalities(modalities, variant)
        if concat and len(self.modalities) == 1:
            raise ValueError(
                f'concat joins several modalities; there is one, {self.modalities[0]}.'
            )
        if variant == 'raw' and not decode:
            raise ValueError('decode=False is for 8-bit variants; raw images hold DN and dB.')
        self.bands = bands_of(bands, self.modalities)
        super().__init__(
            SSL4EOS12v10,
            batch_size=batch_size,
            num_workers=min(os.cpu_count() or 1, 8) if num_workers is None else num_workers,
            root=Path(root),
            modalities=self.modalities,
            dates=dates,
            seasons=seasons,
            bands=self.bands,
            ids=ids,
            variant=variant,
            decode=decode,
            resampling=resampling,
            incomplete=incomplete,
            seed=whole('seed', seed),
            folders=folders,
            download=download,
            checksum=checksum,
        )
        self.val_fraction, self.split_by, self.seed = val_fraction, split_by, seed
        self.crop_size = crop_size
        scales: dict[str, Scale] = {
            m: scale_of(m, self.bands[m], _statistics(m, decode), normalisation)
            for m in self.modalities
        }
        # TorchGeo's tasks denormalise with these for pictures.
        self.mean, self.std = (
            torch.tensor([value for scale in scales.values() for value in getattr(scale, part)])
            for part in ('offset', 'span')
        )
        self.train_aug = AlignedPreprocess(scales, crop_size, augment, concat, metadata)
        self.aug = AlignedPreprocess(scales, crop_size, False, concat, metadata)

    def setup(self, stage: str) -> None:
        """Find the places of a stage.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            ValueError: If the crop is larger than the images, or a split is empty or smaller than a batch.
        """
        dataset = SSL4EOS12v10(**self.kwargs)
        if self.crop_size is not None and self.crop_size > dataset.size:
            raise ValueError(f'crop_size is {self.crop_size} px, images are {dataset.size} px.')
        if stage == 'predict':
            self.predict_dataset = _as_dataset(dataset)
            return
        train, val = self._split(dataset)
        if stage == 'fit':
            self.train_dataset = _as_dataset(dataset.restricted_to(train))
            processes = self.trainer.world_size if self.trainer else 1
            n = len(cast(SSL4EOS12v10, self.train_dataset)) // processes
            if n < self.batch_size:
                raise ValueError(
                    f'There are {n} samples per process to train with, fewer than one batch of '
                    f'{self.batch_size}; set a smaller batch_size.'
                )
        if val:
            places = _as_dataset(dataset.restricted_to(val))
            self.val_dataset = self.test_dataset = places
        elif self.val_fraction > 0 or stage != 'fit':
            raise ValueError(
                f'None of {len(dataset.ids)} places is for validation with '
                f'val_fraction={self.val_fraction} and seed={self.seed}; raise val_fraction'
                + (', or set it to 0 to train without.' if stage == 'fit' else '.')
            )

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return a loader that shuffles and draws dates from the seed and the epoch."""
        dataset = cast(SSL4EOS12v10, self.train_dataset)
        trainer = self.trainer
        replicas, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        return DataLoader(
            _as_dataset(dataset),
            batch_size=self.batch_size,
            sampler=EpochSampler(dataset, replicas, rank, self.seed),
            num_workers=self.num_workers,
            collate_fn=self.collate_fn,
            drop_last=True,
            persistent_workers=self.num_workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return a loader of the validation places, or of nothing without any."""
        if self.val_dataset is None:
            return cast(DataLoader[Sample], [])
        return super().val_dataloader()

    def _split(self, dataset: SSL4EOS12v10) -> tuple[list[int], list[int]]:
        """Return the numbers of the places for training and for validation."""
        ids = dataset.ids
        if self.val_fraction == 0:
            return ids.tolist(), []
        if self.split_by == 'block':
            with ThreadPoolExecutor(_READERS) as readers:
                lonlat = np.array(list(readers.map(dataset.location, ids.tolist())), np.float64)
            unknown = ~np.isfinite(lonlat).all(axis=1)
            if unknown.any():
                raise ValueError(
                    f'The files of place {ids[unknown][0]} do not tell where it is; use '
                    "split_by='id', or val_fraction=0."
                )
            held = places_in_drawn_blocks(lonlat, self.val_fraction, BLOCK_DEG, self.seed)
        else:
            limit = self.val_fraction * 2**64
            held = np.array([drawn(self.seed, place_id) < limit for place_id in ids.tolist()], bool)
        return ids[~held].tolist(), ids[held].tolist()


def _as_dataset(dataset: SSL4EOS12v10) -> Dataset[Sample]:
    return cast(Dataset[Sample], dataset)


def _statistics(modality: Modality, decoded: bool) -> Statistics:
    """Return the statistics of raw or decoded images, or of 8-bit counts.

    The stretch to 8 bits put two deviations to either side of the mean at 0 and 255.
    """
    statistics = V10_STATISTICS[modality]
    if decoded:
        return statistics
    return Statistics(
        dict.fromkeys(statistics.mean, 127.5),
        dict.fromkeys(statistics.std, 63.75),
        '8-bit counts',
        statistics.source,
    )
