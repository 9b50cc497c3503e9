"""Make look-alikes of the Parquet files of Copernicus-Embed: embeddings of images, and averages of cells."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from torchgeo_copernicus.datasets.lookalike.embed_world import EmbedWorld
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, COLUMNS, ROWS, Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES

_ROOT = 'grid_embeddings'
# Names of the two sets of chunks, and of what is averaged from them.
_SETS = {'220k_aligned': 'embeddings_220k', '220k_310k_union': 'embeddings_220k_310k'}
_NOISE = 0.1


def make_embed_chunks(
    directory: Path | str,
    n: int = 12,
    channels: int = 8,
    seed: int = 0,
    cells_per_chunk: int = 4,
    row_group_size: int | None = None,
) -> Path:
    """Write `grid_embeddings/` with `full_chunks/` and `avg_chunks/`, named and laid out as the release.

    Half of the cells are of the aligned set and have all modalities; the others lack some. Vectors of the
    images of a cell are those of its place with noise.

    Args:
        directory: Folder to write into; made where it is missing.
        n: Number of cells, at least 2.
        channels: Numbers of a vector; 768 in the release.
        seed: Seed, not negative.
        cells_per_chunk: Cells of a file.
        row_group_size: Rows of a group; all of a file when None.

    Returns:
        The folder `<directory>/grid_embeddings`.

    Raises:
        ValueError: If a number is too small, or pyarrow is missing.
        FileExistsError: If the folder is there.
    """
    if n < 2 or cells_per_chunk < 1:
        raise ValueError(f'n {n} must be at least 2, cells_per_chunk {cells_per_chunk} at least 1.')
    root = Path(directory) / _ROOT
    if root.exists():
        raise FileExistsError(f'{root} exists.')
    rng = np.random.default_rng(seed)
    world = EmbedWorld(channels, seed)
    cells = _land_cells(world, n, rng)
    halves = dict(zip(_SETS, (cells[: n // 2], cells[n // 2 :]), strict=True))
    averages = []
    for name, prefix in _SETS.items():
        rows = pd.concat([_images(world, cell, rng, name) for cell in halves[name]])
        for first in range(0, len(halves[name]), cells_per_chunk):
            names = [cell.name for cell in halves[name][first : first + cells_per_chunk]]
            path = (
                root / 'full_chunks' / name / f'{prefix}_chunk_{first // cells_per_chunk}.parquet'
            )
            _write(rows[rows['grid_id_coord'].isin(names)], path, row_group_size)
        averages.append(_averaged(rows))
        _write(averages[-1], root / 'avg_chunks' / f'embeddings_avg_{name}.parquet', row_group_size)
    merged = pd.concat(averages)
    _write(merged, root / 'avg_chunks' / 'embeddings_avg_310k.parquet', row_group_size)
    return root


def _land_cells(world: EmbedWorld, n: int, rng: np.random.Generator) -> list[Cell]:
    """Return cells on land, in the order of their numbers."""
    found: set[int] = set()
    while len(found) < n:
        drawn = rng.integers(0, ROWS * COLUMNS, 8 * n)
        lon, lat = drawn % COLUMNS * CELL_DEG - 180, drawn // COLUMNS * CELL_DEG - 90
        found |= set(drawn[(world.vectors(lon, lat) != 0).any(axis=1)].tolist())
    return [Cell(number) for number in sorted(rng.choice(sorted(found), n, replace=False).tolist())]


def _images(world: EmbedWorld, cell: Cell, rng: np.random.Generator, name: str) -> pd.DataFrame:
    """Return the rows of the images of a cell."""
    kinds: Sequence[str] = MODALITY_NAMES
    if not name.endswith('aligned') and rng.random() < 0.5:
        kinds = MODALITY_NAMES[2:]
    rows = []
    for kind in kinds:
        local = MODALITIES[kind].local  # type: ignore[index]
        patch = f'{rng.integers(10_000):07d}_{cell.longitude:.2f}_{cell.latitude:.2f}'
        for month in rng.choice(12, 1 if kind == 'dem' else 2, replace=False):
            vector = world.vectors(cell.longitude, cell.latitude)
            rows.append(
                {
                    'grid_id_coord': cell.name,
                    'modality': kind,
                    'local_id_coord': patch if local else None,
                    'date': None if kind == 'dem' else f'2021{month + 1:02d}01',
                    'embedding': (vector + _NOISE * rng.normal(size=len(vector))).astype(
                        np.float32
                    ),
                }
            )
    return pd.DataFrame(rows)


def _averaged(rows: pd.DataFrame) -> pd.DataFrame:
    groups = rows.groupby('grid_id_coord', sort=True)['embedding']
    names = [str(name) for name, _ in groups]
    means = [np.mean(np.stack(group.tolist()), axis=0, dtype=np.float64) for _, group in groups]
    return pd.DataFrame(
        {'grid_id_coord': names, 'embedding': [mean.astype(np.float32) for mean in means]}
    )


def _write(rows: pd.DataFrame, path: Path, row_group_size: int | None) -> None:
    try:
        arrow, parquet = import_module('pyarrow'), import_module('pyarrow.parquet')
    except ModuleNotFoundError as error:
        raise ValueError(
            'Parquet needs pyarrow: pip install "torchgeo-copernicus[embed]".'
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: rows[name].tolist() for name in rows}
    columns['embedding'] = arrow.array(columns['embedding'], arrow.list_(arrow.float32()))
    for name in set(columns) - {'embedding'}:
        texts = [value if isinstance(value, str) else None for value in columns[name]]
        columns[name] = arrow.array(texts, arrow.string())
    parquet.write_table(arrow.table(columns), path, row_group_size=row_group_size)
