"""Encodes batches of units, and hands on units that are whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import lightning.pytorch as pl
import torch
from torch import Tensor

from torchgeo_copernicus.embedding.encoders.encoder import EmbeddingEncoder
from torchgeo_copernicus.embedding.preprocessing import KindPreprocessing
from torchgeo_copernicus.embedding.units import UnitBatch, UnitEnd


@dataclass(frozen=True, eq=False)
class EncodedUnit:
    """A unit whose images are all encoded.

    Attributes:
        unit: Which.
        end: What is known of it.
        embeddings: By modality, float32 on the CPU, `[n, D]` or `[n, D, h, w]`.
    """

    unit: int
    end: UnitEnd
    embeddings: Mapping[str, Tensor]


class EmbeddingTask(pl.LightningModule):
    """Predicts embeddings; nothing is trained."""

    def __init__(
        self, encoder: EmbeddingEncoder, preprocessing: Mapping[str, KindPreprocessing]
    ) -> None:
        """Set what encodes.

        Args:
            encoder: The model.
            preprocessing: Of each modality, which says what its images are.
        """
        super().__init__()
        self.model = encoder.module
        self._encoder = encoder
        self._kinds = {name: one.kind for name, one in preprocessing.items()}
        self._parts: dict[int, dict[str, list[Tensor]]] = {}

    def predict_step(self, batch: UnitBatch, batch_idx: int) -> list[EncodedUnit]:
        """Encode a batch.

        Returns:
            The unit that it is the end of; nothing before.
        """
        parts = self._parts.setdefault(batch.unit, {})
        if len(batch.images):
            kind = self._kinds[batch.modality]
            found = self._encoder.encode(batch.images, batch.metadata, kind).detach().float()
            # They stay on the device until the unit is whole: to copy them is to wait for it.
            parts.setdefault(batch.modality, []).append(found)
        if batch.end is None:
            return []
        del self._parts[batch.unit]
        embeddings = {name: torch.cat(found).cpu() for name, found in parts.items()}
        return [EncodedUnit(batch.unit, batch.end, embeddings)]

    def on_predict_start(self) -> None:
        """Forget what a run before this one left."""
        self._parts.clear()

    def on_predict_end(self) -> None:
        """Wait for the other ranks, so that whoever goes on finds all rows."""
        self.trainer.strategy.barrier('embeddings are written')
