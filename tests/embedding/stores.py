"""Stores to compare: small cells, and a hash of all that is in a store."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from torchgeo_copernicus.embedding.preprocessing import Preprocessing
from torchgeo_copernicus.embedding.run import embed
from torchgeo_copernicus.embedding.sources import PretrainShardsSource
from torchgeo_copernicus.embedding.store import EmbeddingStore

from .tiny import TinyEncoder

MODALITIES = ['s1_grd', 's2_toa', 's5p_no2', 'dem']
SIZES = {'s1_grd': 16, 's2_toa': 16, 's5p_no2': 4, 'dem': 64}
OPTIONS: dict[str, Any] = {'items_per_unit': 2, 'batch_size': 5, 'workers': 0, 'accelerator': 'cpu'}


def cells(shards: Path, **options: Any) -> PretrainShardsSource:
    return PretrainShardsSource(str(shards), **({'modalities': MODALITIES} | options))


def made(shards: Path, store: Path, encoder: Any = None, **options: Any) -> EmbeddingStore:
    """Embed the cells of shards."""
    source = options.pop('source', None) or cells(shards)
    preprocessing = options.pop('preprocessing', Preprocessing(sizes_px=SIZES))
    encoder = TinyEncoder() if encoder is None else encoder
    return embed(source, encoder, store, preprocessing, **(OPTIONS | options))


def table_of(store: Path) -> pa.Table:
    """Return all rows of a store, by key."""
    paths = sorted((store / 'rows').glob('unit-*.parquet'))
    tables = [pq.read_table(path).replace_schema_metadata(None) for path in paths]
    return pa.concat_tables(tables).sort_by('key')


def rows_hash(store: Path) -> str:
    """Return a hash of the sorted rows of a store, to the last bit."""
    table = table_of(store).combine_chunks()
    content = io.BytesIO()
    with pa.ipc.new_stream(content, table.schema) as stream:
        # Taken anew, so that no offset of a slice is in it.
        stream.write_table(table.take(pa.array(range(len(table)))))
    return hashlib.sha256(content.getvalue()).hexdigest()
