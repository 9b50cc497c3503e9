"""Datamodule of Copernicus-Pretrain: batches of eight modalities, of which cells may lack some."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import nn
from torch.utils.data import IterableDataset
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.pretrain_batch import PretrainCollate
from torchgeo_copernicus.datamodules.pretrain_crop import Flip, RandomCrop
from torchgeo_copernicus.datamodules.pretrain_loader import CellDataset, CellLoader
from torchgeo_copernicus.datamodules.pretrain_statistics import ScaleOfColumns, pretrain_inputs
from torchgeo_copernicus.datamodules.pretrain_stream_loader import StreamLoader
from torchgeo_copernicus.datasets.pretrain.modality import ModalityName
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream

# What the datamodule gives to the dataset itself.
_OWN = ('modalities', 'selection', 'seed', 'rank', 'world_size')


class CopernicusPretrainDataModule(NonGeoDataModule):
    """Cells of Copernicus-Pretrain for self-supervised training.

    Batches are those of `PretrainCollate`: `image` and `metadata` by modality hold the images of the cells that
    have it, `rows` which cell of the batch each is of, `present` which cells have it; `grid_id`, `local_id`.

    Each rank reads its own part of every epoch. Checkpoints hold the position, and a run that is resumed goes
    on with the very next batch, also with another number of workers. There is no validation split.
    """

    def __init__(
        self,
        dataset: Literal['shards', 'geotiff'] | type = 'shards',
        modalities: ModalityName | list[ModalityName] | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        patches: int | None = 1,
        dates: str | dict[ModalityName, str] = 'random',
        statistics: dict[ModalityName, dict[str, list[float]]] | None = None,
        s5p: ScaleOfColumns = 'standardise',
        sizes_px: dict[ModalityName, int] | None = None,
        crop_scale: tuple[float, float] | None = (0.2, 1.0),
        crop_ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: Flip = 'horizontal',
        co_registered: bool = False,
        fill: float | None = 0.0,
        metadata: bool = True,
        seed: int = 0,
        pin_memory: bool | Literal['auto'] = 'auto',
        dataset_args: dict[str, Any] | None = None,
    ) -> None:
        """Set up what to read and how to prepare it.

        Args:
            dataset: `shards` (`CopernicusPretrainStream`), `geotiff` (`CopernicusPretrainGeoTIFF`), or a class
                that is like the latter: a `CellDataset` that takes *modalities*, *selection* and *seed*.
            modalities: Which; all eight when None, which needs *statistics* of Sentinel-5P.
            batch_size: Cells of a batch on each rank.
            num_workers: Processes that read and crop.
            patches: Local patches of Sentinel-1 and -2 that are drawn of each cell; all when None.
            dates: Of each modality: `all`, `random` (one), `seasons` (one of each), a date such as
                `2021-06-21` (the nearest), or a mapping of such by modality.
            statistics: Mean and standard deviation by modality and band, instead of the published ones; of
                Sentinel-5P none are published. See `pretrain_inputs`.
            s5p: See `ScaleOfColumns`.
            sizes_px: Sides of the crops by modality, instead of the published ones.
            crop_scale: Smallest and largest area of a crop, as shares of the image; None takes the largest
                square in the middle.
            crop_ratio: Smallest and largest width by height of a crop before it is resized.
            flip: Mirror images by chance: `none`, `horizontal` (as published), `both`.
            co_registered: One crop for images of the same ground; see `PretrainCollate`.
            fill: What stands in for missing pixels after normalising; NaN when None.
            metadata: Give it to the model. Off for backbones that take none.
            seed: Of order, patches, dates, crops and flips.
            pin_memory: Use memory that a GPU copies from fast; `auto`: when there is one.
            dataset_args: What else the dataset takes, such as `shards` or `root`.

        Raises:
            ValueError: If an argument is not allowed.
        """
        for name, value, least in (
            ('batch_size', batch_size, 1),
            ('num_workers', num_workers, 0),
            ('seed', seed, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(
                    f'{name} must be a whole number of at least {least}, got {value!r}.'
                )
        if pin_memory not in (True, False, 'auto'):
            raise ValueError(f"pin_memory is {pin_memory!r}. Allowed: True, False, 'auto'.")
        self.dataset_args = dict(dataset_args or {})
        if own := [name for name in _OWN if name in self.dataset_args]:
            raise ValueError(
                f'dataset_args has {own}, which the datamodule gives to the dataset: use its own arguments '
                '(patches and dates for selection); ranks are those of the trainer.'
            )
        dataset_class = _dataset_class(dataset)
        super().__init__(dataset_class, batch_size=batch_size, num_workers=num_workers)
        names = [modalities] if isinstance(modalities, str) else modalities
        inputs = pretrain_inputs(names, statistics, s5p, sizes_px)
        self.modalities = list(inputs)
        self.selection = Selection(patches, dates)
        self.collate = PretrainCollate(
            inputs,
            RandomCrop(crop_scale, crop_ratio, flip),
            co_registered=co_registered,
            fill=fill,
            seed=seed,
        )
        self.metadata, self.seed, self.pin_memory = metadata, seed, pin_memory
        self._loader: CellLoader | StreamLoader | None = None
        self._to_load: Mapping[str, object] | None = None
        # All is done by the collate.
        self.aug = nn.Identity()

    def setup(self, stage: str) -> None:
        """Find the cells.

        Args:
            stage: `fit`.

        Raises:
            ValueError: If there is another stage, or the dataset refuses an argument.
        """
        if stage != 'fit':
            raise ValueError(f"Copernicus-Pretrain has no split for {stage!r}. Allowed: 'fit'.")
        given = {
            **self.dataset_args,
            'modalities': self.modalities,
            'selection': self.selection,
            'seed': self.seed,
        }
        if issubclass(self.dataset_class, CopernicusPretrainStream):
            given |= {'rank': self._rank, 'world_size': self._world_size}
        try:
            self.train_dataset = self.dataset_class(**given)
        except TypeError as error:
            raise ValueError(
                f'{self.dataset_class.__name__} cannot be made of {given}: {error}. Say what it takes in '
                'dataset_args.'
            ) from error

    def train_dataloader(self) -> CellLoader | StreamLoader:  # type: ignore[override]
        """Return batches of mixed cells, from where a loaded checkpoint was.

        Raises:
            ValueError: If `setup` was not called, there are too few cells, or a checkpoint is of other data or
                arguments.
        """
        dataset = self.train_dataset
        if dataset is None:
            raise ValueError(f'{type(self).__name__}.setup has to be called first.')
        pinned = torch.cuda.is_available() if self.pin_memory == 'auto' else bool(self.pin_memory)
        loader: CellLoader | StreamLoader
        if isinstance(dataset, CopernicusPretrainStream):
            loader = StreamLoader(
                dataset,
                self.batch_size,
                self.collate,
                num_workers=self.num_workers,
                pin_memory=pinned,
            )
        else:
            loader = CellLoader(
                cast(CellDataset, dataset),
                self.batch_size,
                self.collate,
                num_workers=self.num_workers,
                rank=self._rank,
                world_size=self._world_size,
                pin_memory=pinned,
            )
        loader.set_epoch(self.trainer.current_epoch if self.trainer else 0)
        if self._to_load is not None:
            self._check_arguments(self._to_load)
            loader.load_state_dict(self._to_load)
            self._to_load = None
        self._loader = loader
        return loader

    def val_dataloader(self) -> list[object]:  # type: ignore[override]
        """Return nothing: there is no validation split."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Return the position, behind the last batch; nothing before the first loader."""
        if self._loader is None:
            return {}
        return {**self._loader.state_dict(), 'arguments': self._arguments_hash()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another run was, from the next `train_dataloader` on.

        A state of other data or arguments is refused there.

        Args:
            state_dict: From `state_dict`.
        """
        self._to_load = state_dict or None

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Leave out the metadata if it is not wanted."""
        if self.metadata:
            return batch
        return {key: value for key, value in batch.items() if key != 'metadata'}

    def _arguments_hash(self) -> str:
        """Return a hash of what decides the images of a cell."""
        rules = [str(self.selection.rule(name)) for name in self.modalities]
        text = f'{self.collate} {self.selection.patches} {rules}'
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _check_arguments(self, state: Mapping[str, object]) -> None:
        if state.get('arguments') != self._arguments_hash():
            raise ValueError(
                'The checkpoint is of a run with other modalities, patches, dates, statistics, sizes, crops or '
                'flips, and would go on with other images. Use the arguments of that run, or start a new one.'
            )

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1


def _dataset_class(dataset: object) -> type:
    if dataset == 'shards':
        return CopernicusPretrainStream
    if dataset == 'geotiff':
        from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF

        geotiff: type = CopernicusPretrainGeoTIFF
        return geotiff
    if not isinstance(dataset, type):
        raise ValueError(
            f"dataset is {dataset!r}. Allowed: 'shards', 'geotiff', a class of datasets."
        )
    missing = [
        name
        for name in ('__len__', '__getitem__', 'set_epoch', 'grid_ids')
        if not hasattr(dataset, name)
    ]
    stream = issubclass(dataset, CopernicusPretrainStream)
    if not stream and (missing or issubclass(dataset, IterableDataset)):
        raise ValueError(
            f'{dataset.__name__} lacks {missing}, or is a stream other than CopernicusPretrainStream; give a '
            'class of datasets as described by CellDataset.'
        )
    return dataset
