"""Makes a store of embeddings, or goes on with one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.embedding.datamodule import UnitDataModule
from torchgeo_copernicus.embedding.encoders.encoder import EmbeddingEncoder
from torchgeo_copernicus.embedding.preprocessing import Preprocessing
from torchgeo_copernicus.embedding.rows import Dtype
from torchgeo_copernicus.embedding.sources.source import EmbeddingSource
from torchgeo_copernicus.embedding.store import EmbeddingStore
from torchgeo_copernicus.embedding.task import EmbeddingTask
from torchgeo_copernicus.embedding.writer import EmbeddingWriter

#: Arithmetic of the encoder. Types throughout (`bf16-true`) would round dates and places.
Precision = Literal['32-true', 'bf16-mixed', '16-mixed']


def embed(
    source: EmbeddingSource,
    encoder: EmbeddingEncoder,
    store: str | Path,
    preprocessing: Preprocessing | None = None,
    dtype: Dtype = 'float16',
    items_per_unit: int = 16,
    batch_size: int = 64,
    workers: int = 2,
    verify: bool = True,
    accelerator: str = 'auto',
    devices: int | str | list[int] = 'auto',
    strategy: str = 'auto',
    precision: Precision = '32-true',
    num_nodes: int = 1,
    callbacks: list[pl.Callback] | None = None,
) -> EmbeddingStore:
    """Write an embedding of every image of a source, as far as it is not there yet.

    The rows do not depend on the number of ranks or processes, nor on whether a run was killed in between; on
    the kind of device, and on the number of threads of a CPU, their last digits may.

    Args:
        source: Of images.
        encoder: The model, and what of its output becomes the embedding.
        store: Folder of the store; one that another model, preprocessing or source made is refused.
        preprocessing: What to do differently from the published preprocessing.
        dtype: What embeddings are stored as. Values beyond the range of float16 are an error.
        items_per_unit: Items (cells, places, tiles) that make a file of rows. A run that is killed loses the
            units it was at.
        batch_size: Images that are encoded together.
        workers: Processes of each rank that read images.
        verify: Compare the checksums of what is there already; else only its headers are read.
        accelerator: Of the Lightning Trainer.
        devices: Of the Trainer.
        strategy: Of the Trainer.
        precision: Of the Trainer.
        num_nodes: Of the Trainer.
        callbacks: Of the Trainer, besides the one that writes.

    Returns:
        The store.

    Raises:
        ValueError: If an argument is impossible, an image cannot be read, an embedding does not fit *dtype*, or
            the store was made with something else.
        OSError: If something cannot be read or written.
    """
    one_of('dtype', dtype, Dtype)
    one_of('precision', precision, Precision)
    for name, value, least in (
        ('items_per_unit', items_per_unit, 1),
        ('batch_size', batch_size, 1),
        ('workers', workers, 0),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f'{name} must be a whole number of at least {least}, got {value!r}.')
    prepared = (Preprocessing() if preprocessing is None else preprocessing).of(source.kinds)
    kinds = [one.kind for one in prepared.values()]
    for one in prepared.values():
        encoder.check(one.kind, one.size_px)
    opened = EmbeddingStore.open_or_create(
        store,
        {
            'model': {**encoder.facts(kinds), 'precision': precision},
            'preprocessing': {name: one.facts() for name, one in prepared.items()},
            'pooling': encoder.pool,
            'dtype': dtype,
            'data': dict(source.fingerprint),
            'grouping': {'items_per_unit': items_per_unit, 'batch_size': batch_size},
        },
    )
    trainer = pl.Trainer(
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        precision=precision,
        num_nodes=num_nodes,
        callbacks=[*(callbacks or []), EmbeddingWriter(opened, dtype)],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    units = UnitDataModule(source, prepared, opened, items_per_unit, batch_size, workers, verify)
    with warnings.catch_warnings():
        # Units carry their own numbers, and the user has said how many processes read.
        warnings.filterwarnings('ignore', '.*infer the batch indices.*')
        warnings.filterwarnings('ignore', '.*does not have many workers.*')
        trainer.predict(EmbeddingTask(encoder, prepared), units, return_predictions=False)
    return opened


def describe(store: EmbeddingStore) -> str:
    """Return a line that says what is in a store."""
    paths = store.unit_paths()
    reports = [store.report(int(path.stem.removeprefix('unit-'))) for path in paths]
    there = [report for report in reports if report is not None]
    images, items = sum(one.images for one in there), sum(one.items for one in there)
    empty = sum(one.empty_items for one in there)
    text = f'{images} embeddings of {items} items in {len(there)} files at {store.folder}'
    return f'{text}; {empty} items had no data' if empty else text
