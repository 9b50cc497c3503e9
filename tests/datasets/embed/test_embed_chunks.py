"""Rows of the published Parquet files, chosen by region without reading the rest, and never mixed up."""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

pyarrow = pytest.importorskip('pyarrow', reason='Parquet needs the extra `embed`')
import pyarrow.parquet as pq

from torchgeo_copernicus.datasets.embed import embed_rows, embed_table, open_map, table_array
from torchgeo_copernicus.datasets.embed.cell_names import grid_ids_of
from torchgeo_copernicus.datasets.embed.embed_chunks import days_of
from torchgeo_copernicus.datasets.lookalike.embed_chunks import make_embed_chunks
from torchgeo_copernicus.datasets.pretrain.grid import Cell

CHANNELS, CELLS = 6, 12


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('chunks')
    return make_embed_chunks(folder, CELLS, CHANNELS, seed=2, row_group_size=7)


def full(root: Path) -> list[Path]:
    return sorted(root.glob('full_chunks/*/*.parquet'))


def everything(paths: list[Path]) -> pd.DataFrame:
    """All rows by pandas."""
    return pd.concat([pq.read_table(path).to_pandas() for path in paths], ignore_index=True)


def test_the_look_alike_is_named_and_laid_out_as_the_release(root: Path) -> None:
    names = sorted(str(path.relative_to(root)) for path in root.rglob('*.parquet'))
    assert names == [
        'avg_chunks/embeddings_avg_220k_310k_union.parquet',
        'avg_chunks/embeddings_avg_220k_aligned.parquet',
        'avg_chunks/embeddings_avg_310k.parquet',
        'full_chunks/220k_310k_union/embeddings_220k_310k_chunk_0.parquet',
        'full_chunks/220k_310k_union/embeddings_220k_310k_chunk_1.parquet',
        'full_chunks/220k_aligned/embeddings_220k_chunk_0.parquet',
        'full_chunks/220k_aligned/embeddings_220k_chunk_1.parquet',
    ]
    columns = ['grid_id_coord', 'modality', 'local_id_coord', 'date', 'embedding']
    assert pq.read_schema(full(root)[0]).names == columns
    assert pq.read_schema(next(root.glob('avg_chunks/*'))).names == ['grid_id_coord', 'embedding']
    counts = everything(full(root)).groupby('grid_id_coord')['modality'].nunique()
    assert len(counts) == CELLS and (counts == 8).sum() >= CELLS // 2 and counts.min() == 6
    with pytest.raises(FileExistsError):
        make_embed_chunks(root.parent)
    with pytest.raises(ValueError, match='at least 2'):
        make_embed_chunks(root / 'new', 1)


@pytest.mark.parametrize('batch_rows', [1, 5, 4096])
def test_every_row_comes_once_with_its_own_vector(root: Path, batch_rows: int) -> None:
    wanted = everything(full(root))
    found = list(embed_rows(full(root), batch_rows=batch_rows))
    assert max(len(rows) for rows in found) <= batch_rows and min(map(len, found)) > 0
    assert sum(map(len, found)) == len(wanted)
    together = np.concatenate([rows.embedding for rows in found])
    np.testing.assert_array_equal(together, np.stack(wanted['embedding'].tolist()))
    ids = np.concatenate([rows.grid_id for rows in found])
    assert [Cell(int(number)).name for number in ids] == wanted['grid_id_coord'].tolist()
    for column in ('modality', 'local_id_coord'):
        values = np.concatenate([getattr(rows, column) for rows in found])
        assert [v if isinstance(v, str) else None for v in values] == [
            v if isinstance(v, str) else None for v in wanted[column]
        ]
    days = np.concatenate([rows.date for rows in found if rows.date is not None])
    expected = pd.to_datetime(wanted['date'], format='%Y%m%d').to_numpy().astype('datetime64[D]')
    np.testing.assert_array_equal(days, expected)
    assert np.isnat(days).any()


def test_a_region_has_its_rows_and_reads_no_other_groups(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = everything(full(root))
    cell = Cell.named(wanted['grid_id_coord'].iloc[len(wanted) // 2])
    region = (cell.longitude, cell.latitude, cell.longitude, cell.latitude)
    read: list[int] = []
    original = pq.ParquetFile.read_row_group

    def counted(file: Any, group: int, **options: Any) -> Any:
        read.append(group)
        return original(file, group, **options)

    monkeypatch.setattr(pq.ParquetFile, 'read_row_group', counted)
    found = list(embed_rows(full(root), region))
    assert {int(number) for rows in found for number in rows.grid_id} == {cell.grid_id}
    mine = wanted[wanted['grid_id_coord'] == cell.name]
    np.testing.assert_array_equal(
        np.concatenate([rows.embedding for rows in found]), np.stack(mine['embedding'].tolist())
    )
    groups = sum(pq.ParquetFile(path).num_row_groups for path in full(root))
    assert 0 < len(read) < groups / 2


def test_without_statistics_a_region_is_the_same(root: Path, tmp_path: Path) -> None:
    for path in full(root):
        pq.write_table(pq.read_table(path), tmp_path / path.name, write_statistics=False)
    region = (-180, 0, 180, 90)
    found, wanted = (
        np.concatenate([rows.embedding for rows in embed_rows(paths, region)])
        for paths in (sorted(tmp_path.glob('*')), sorted(full(root), key=lambda p: p.name))
    )
    np.testing.assert_array_equal(found, wanted)
    assert 0 < len(found) < len(everything(full(root)))


def test_modalities_are_chosen_and_a_misspelt_one_raises(root: Path) -> None:
    found = list(embed_rows(full(root), modalities=['dem', 's1_grd']))
    names = {str(m) for rows in found if rows.modality is not None for m in rows.modality}
    assert names == {'dem', 's1_grd'}
    with pytest.raises(ValueError, match=r"\['s1grd'\] are in no row"):
        list(embed_rows(full(root), modalities=['s1grd']))
    averaged = next(root.glob('avg_chunks/*'))
    with pytest.raises(ValueError, match='no column modality'):
        list(embed_rows(averaged, modalities=['dem']))


def test_averaged_rows_lack_what_they_have_not(root: Path) -> None:
    (rows,) = embed_rows(root / 'avg_chunks' / 'embeddings_avg_220k_aligned.parquet')
    assert rows.modality is None and rows.date is None and rows.local_id_coord is None
    assert rows.embedding.shape == (CELLS // 2, CHANNELS)
    assert rows.source.endswith('embeddings_avg_220k_aligned.parquet')


def test_a_table_of_averages_opens_as_a_map(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Several batches of a group of rows.
    monkeypatch.setattr(table_array, '_BATCH_ROWS', 3)
    path = root / 'avg_chunks' / 'embeddings_avg_310k.parquet'
    table = pq.read_table(path).to_pandas()
    for chunks in ('auto', None):
        ds = open_map(path, chunks=chunks)  # type: ignore[arg-type]
        assert ds['embedding'].shape == (721, 1440, CHANNELS)
        loaded = ds['embedding'].to_numpy()
        assert int((loaded != 0).any(axis=2).sum()) == CELLS
        for name, vector in zip(table['grid_id_coord'], table['embedding'], strict=True):
            np.testing.assert_array_equal(loaded[Cell.named(name).map_pixel], vector)
    cell = Cell.named(table['grid_id_coord'][3])
    region = (cell.longitude - 1, cell.latitude, cell.longitude + 1, cell.latitude)
    part = open_map(path, region if abs(cell.longitude) < 178 else None)
    np.testing.assert_array_equal(
        part['embedding'].sel(lat=cell.latitude, lon=cell.longitude), table['embedding'][3]
    )
    assert len(open_map(path).chunks['lat']) <= 8


def test_rows_of_images_are_no_map(root: Path) -> None:
    with pytest.raises(ValueError, match='several rows of a cell'):
        open_map(full(root)[0])


def _table(path: Path, **columns: Any) -> Path:
    names = [Cell(5).name, Cell(7).name]
    base = {'grid_id_coord': names, 'embedding': [[1.0, 2.0], [3.0, 4.0]], **columns}
    pq.write_table(pyarrow.table({k: v for k, v in base.items() if v is not None}), path)
    return path


@pytest.mark.parametrize(
    'kind',
    [
        pyarrow.list_(pyarrow.float64()),
        pyarrow.list_(pyarrow.float16()),
        pyarrow.large_list(pyarrow.float32()),
        pyarrow.list_(pyarrow.float32(), 2),
    ],
)
def test_every_type_of_list_is_read(tmp_path: Path, kind: Any) -> None:
    vectors = [np.array(v, 'float16') for v in ([1, 2], [3, 4])]
    path = _table(tmp_path / 'a.parquet', embedding=pyarrow.array(vectors, kind))
    (rows,) = embed_rows(path)
    assert rows.embedding.dtype == np.float32 and rows.embedding.tolist() == [[1, 2], [3, 4]]
    assert rows.grid_id.tolist() == [5, 7]
    assert open_map(path)['embedding'].to_numpy()[720, [5, 6, 7]].tolist() == [
        [1, 2],
        [0, 0],
        [3, 4],
    ]
    # A filter leaves the right ones of a list of a fixed size.
    cell = Cell(7)
    (one,) = embed_rows(path, (cell.longitude, -90, cell.longitude, -90))
    assert one.embedding.tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ('columns', 'message'),
    [
        ({'embedding': None}, r"no column \['embedding'\]"),
        ({'grid_id_coord': None}, r"no column \['grid_id_coord'\]"),
        ({'embedding': [1.0, 2.0]}, 'wanted lists of floats'),
        ({'embedding': [[1, 2], [3, 4]]}, 'wanted lists of floats'),
        ({'embedding': [[1.0, 2.0], [3.0]]}, r'embeddings of \[1, 2\] numbers'),
        ({'embedding': [[1.0, 2.0], None]}, 'without an embedding'),
        ({'embedding': [[1.0, 2.0], [3.0, None]]}, 'numbers that are missing'),
        ({'grid_id_coord': ['x', Cell(7).name]}, "'x' is no name"),
        ({'grid_id_coord': [None, Cell(7).name]}, 'names no cell'),
        ({'grid_id_coord': ['0000005_0.00_0.00', Cell(7).name]}, 'is named as cell 5'),
        ({'date': ['yesterday', None]}, 'yesterday'),
        ({'date': [20210101, 20210102]}, 'wanted text or dates'),
    ],
)
def test_a_table_of_something_else_raises(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    path = _table(tmp_path / 'a.parquet', **columns)
    with pytest.raises(ValueError, match=message) as caught:
        list(embed_rows(path))
    assert 'a.parquet' in str(caught.value)


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    path = _table(tmp_path / 'a.parquet')
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r'a\.parquet is no whole Parquet file'):
        list(embed_rows(path))
    with pytest.raises(ValueError, match='is not there'):
        embed_rows(tmp_path / 'b.parquet')
    os.remove(path)
    with pytest.raises(ValueError, match=r'has no \*\.parquet'):
        embed_rows(tmp_path)
    with pytest.raises(ValueError, match='No files'):
        embed_rows([])
    pq.write_table(
        pyarrow.table(
            {
                'grid_id_coord': pyarrow.array([], pyarrow.string()),
                'embedding': pyarrow.array([], pyarrow.list_(pyarrow.float32())),
            }
        ),
        tmp_path / 'c.parquet',
    )
    assert list(embed_rows(tmp_path)) == []
    with pytest.raises(ValueError, match='has no rows'):
        open_map(tmp_path / 'c.parquet')


def test_vectors_of_two_models_are_not_mixed(tmp_path: Path) -> None:
    _table(tmp_path / 'a.parquet')
    _table(tmp_path / 'b.parquet', embedding=[[1.0], [2.0]])
    with pytest.raises(ValueError, match='embeddings of 1 numbers, others have 2'):
        list(embed_rows(tmp_path))
    long = pyarrow.table(
        {'grid_id_coord': [Cell(5).name, Cell(7).name], 'embedding': [[1.0], [2.0, 3.0]]}
    )
    pq.write_table(long, tmp_path / 'c.parquet', row_group_size=1)
    with pytest.raises(ValueError, match='embeddings of 1 and of 2 numbers'):
        open_map(tmp_path / 'c.parquet').compute()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'modalities': 'dem'}, 'list names'),
        ({'modalities': []}, 'list names'),
        ({'batch_rows': 0}, 'at least 1'),
        ({'region': (1, 2)}, 'region'),
    ],
)
def test_wrong_arguments_raise(root: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embed_rows(root / 'avg_chunks', **options)


def test_dates_of_every_kind_are_days() -> None:
    values: NDArray[np.object_] = np.array(
        ['20200131', '2020-02-29', date(2021, 5, 6), datetime(2021, 5, 6, 23), None, ' '], object
    )
    found = days_of(values, 'x').astype(str).tolist()
    assert found == ['2020-01-31', '2020-02-29', '2021-05-06', '2021-05-06', 'NaT', 'NaT']
    assert grid_ids_of([], 'x').shape == (0,)


def test_without_pyarrow_the_message_says_what_to_install(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(embed_table, 'import_module', missing)
    with pytest.raises(ValueError, match='pip install'):
        list(embed_rows(full(root)))
