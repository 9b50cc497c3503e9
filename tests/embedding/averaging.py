"""Small tables of embeddings for the tests of averages: as the release has them, and as our stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS, Cell
from torchgeo_copernicus.embedding.rows import Dtype, RowFacts, rows_table
from torchgeo_copernicus.embedding.store import EmbeddingStore

CELLS = (0, 5, 700 * COLUMNS + 3, 720 * COLUMNS + 1439)
# Sums of these depend on their order, in float64 too.
WILD = (1e30, -1e30, 1.0, 3e-5, 7.0)


def images(
    cells: Sequence[int] = CELLS, channels: int = 8, seed: int = 0, wild: bool = False
) -> pd.DataFrame:
    """Return rows of images: patches, dates and images of a date differ in number."""
    rng = np.random.default_rng(seed)
    rows = []
    for cell in cells:
        for kind, patches in (('s2_toa', 3), ('s1_grd', 1), ('dem', 0)):
            for patch in range(max(patches, 1)):
                name = f'{patch:07d}_0.00_0.00' if patches else None
                for date in [None] if kind == 'dem' else ['20210101', '20210601'][: 1 + patch % 2]:
                    for _ in range(1 + int(rng.integers(2)) * (kind == 's1_grd')):
                        vector = rng.choice(WILD, channels) if wild else rng.normal(size=channels)
                        rows.append((Cell(cell).name, kind, name, date, vector.astype(np.float32)))
    columns = ['grid_id_coord', 'modality', 'local_id_coord', 'date', 'embedding']
    return pd.DataFrame(rows, columns=columns)


def write_chunk(rows: pd.DataFrame, path: Path, row_group_size: int | None = None) -> Path:
    """Write rows as a full chunk of the release."""
    columns = {
        name: pa.array([one if isinstance(one, str) else None for one in rows[name]], pa.string())
        for name in rows.columns
        if name not in ('embedding', 'key')
    }
    columns['embedding'] = pa.array(rows['embedding'].tolist(), pa.list_(pa.float32()))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def write_store(
    rows: pd.DataFrame,
    folder: Path,
    model: str = 'tiny',
    data: str = 'here',
    unit: int = 0,
    dtype: Dtype = 'float32',
) -> Path:
    """Write rows with a column `key` as a unit of a store."""
    facts: Mapping[str, object] = {
        'model': {'name': model},
        'data': data,
        'pooling': 'mean',
        'dtype': dtype,
    }
    store = EmbeddingStore.open_or_create(folder, facts)
    made, by_kind = [], {}
    for kind, group in rows.groupby('modality', sort=False):
        by_kind[str(kind)] = np.stack(group['embedding'].tolist())
        for row in group.itertuples():
            cell = Cell.named(row.grid_id_coord)
            known = isinstance(row.date, str)
            days = (pd.Timestamp(row.date) - pd.Timestamp(0)).days if known else np.nan
            place = (cell.longitude, cell.latitude, float(days), 10.0)
            patch = row.local_id_coord if isinstance(row.local_id_coord, str) else None
            made.append(
                RowFacts(row.key, cell.grid_id, str(kind), None, patch, place, 'file', 0.0, None)
            )
    store.write(unit, rows_table(made, by_kind, dtype), len(rows), 0)
    return folder


def means(rows: pd.DataFrame, weights: str = 'images') -> pd.Series:
    """Return the mean of each cell by name, level by level as the words say it."""
    frame = rows.fillna({'local_id_coord': '', 'date': ''})
    levels = ['modality', 'local_id_coord', 'date']
    values = frame['embedding'].map(lambda vector: vector.astype(np.float64))
    frame = frame.assign(embedding=values)
    if weights == 'modalities':
        for depth in (3, 2, 1):
            frame = (
                frame.groupby(['grid_id_coord', *levels[:depth]])['embedding']
                .apply(lambda group: np.mean(np.stack(group.tolist()), axis=0))
                .reset_index()
            )
    return frame.groupby('grid_id_coord')['embedding'].apply(
        lambda group: np.mean(np.stack(group.tolist()), axis=0)
    )
