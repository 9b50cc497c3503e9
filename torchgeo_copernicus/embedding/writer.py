"""Writes units in the background, while the next ones are encoded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import lightning.pytorch as pl
from lightning.pytorch.callbacks import BasePredictionWriter

from torchgeo_copernicus.embedding.rows import Dtype, rows_table
from torchgeo_copernicus.embedding.store import EmbeddingStore
from torchgeo_copernicus.embedding.task import EncodedUnit

# Units that wait to be written; more would pile up in memory where the disk is slower than the encoder.
_WAITING = 4


class EmbeddingWriter(BasePredictionWriter):
    """Writes each unit as one file; what goes wrong is raised with the next unit, or at the end.

    Attributes:
        waited_s: How long the encoder waited for the disk.
        written_s: How long the thread wrote.
    """

    def __init__(self, store: EmbeddingStore, dtype: Dtype) -> None:
        """Set where to write.

        Args:
            store: Where.
            dtype: What embeddings are stored as.
        """
        super().__init__(write_interval='batch')
        self._store, self._dtype = store, dtype
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()
        self.waited_s = self.written_s = 0.0

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Sequence[EncodedUnit],
        batch_indices: Sequence[int] | None,
        batch: object,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Hand whole units to the thread.

        Raises:
            ValueError: If an embedding of an earlier unit does not fit the dtype.
            OSError: If an earlier unit cannot be written.
        """
        for unit in prediction:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, 'embedding-writer')
            started = time.perf_counter()
            while self._waiting and (len(self._waiting) >= _WAITING or self._waiting[0].done()):
                self._waiting.popleft().result()
            self.waited_s += time.perf_counter() - started
            self._waiting.append(self._thread.submit(self._write, unit))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for what is not written yet.

        Raises:
            ValueError: As `write_on_batch_end`.
            OSError: The same.
        """
        started = time.perf_counter()
        while self._waiting:
            self._waiting.popleft().result()
        self.waited_s += time.perf_counter() - started

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """End the thread, also after an error; what it is writing is finished."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None
        self._waiting.clear()

    def _write(self, unit: EncodedUnit) -> None:
        started = time.perf_counter()
        arrays = {name: found.numpy() for name, found in unit.embeddings.items()}
        table = rows_table(unit.end.rows, arrays, self._dtype)
        self._store.write(unit.unit, table, unit.end.items, unit.end.empty_items)
        self.written_s += time.perf_counter() - started
