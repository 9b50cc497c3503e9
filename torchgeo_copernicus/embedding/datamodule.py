"""Loads the units of a rank that are not there yet."""

from __future__ import annotations

from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from torchgeo_copernicus.embedding.preprocessing import KindPreprocessing
from torchgeo_copernicus.embedding.sources.source import EmbeddingSource
from torchgeo_copernicus.embedding.store import EmbeddingStore
from torchgeo_copernicus.embedding.units import UnitBatch, UnitStream, count_units


class UnitDataModule(pl.LightningDataModule):
    """Gives each rank units of its own: those whose number divided by the ranks leaves its own number."""

    def __init__(
        self,
        source: EmbeddingSource,
        preprocessing: Mapping[str, KindPreprocessing],
        store: EmbeddingStore,
        items_per_unit: int,
        batch_size: int,
        workers: int,
        verify: bool,
    ) -> None:
        """Set what is read.

        Args:
            source: Of images.
            preprocessing: By modality.
            store: Says what is there.
            items_per_unit: Items of a unit.
            batch_size: Images of a batch, at most.
            workers: Processes that read; 0 reads in this one.
            verify: Compare the checksums of what is there.
        """
        super().__init__()
        self._source, self._preprocessing, self._store = source, preprocessing, store
        self._items_per_unit, self._batch_size = items_per_unit, batch_size
        self._workers, self._verify = workers, verify

    def predict_dataloader(self) -> DataLoader[UnitBatch]:
        """Return a loader of batches.

        Raises:
            ValueError: If a file of rows is of another store.
        """
        ranks = (
            (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        )
        units = count_units(len(self._source), self._items_per_unit)
        pending = self._store.pending(units, *ranks, self._verify)
        stream = UnitStream(
            self._source, self._preprocessing, pending, self._items_per_unit, self._batch_size
        )
        return DataLoader(
            stream,
            batch_size=None,
            # A process without a unit would only be started and ended.
            num_workers=min(self._workers, len(pending)),
            pin_memory=torch.cuda.is_available(),
        )

    def transfer_batch_to_device(
        self, batch: UnitBatch, device: torch.device, dataloader_idx: int
    ) -> UnitBatch:
        """Move a batch."""
        return batch.to(device)
