"""Averages as a map: the right cells, all tables, and files that others read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.embedding.averaging import CELLS, images, means, write_chunk
from torchgeo_copernicus.datasets.embed import open_map, write_map
from torchgeo_copernicus.datasets.embed import row_blocks as blocks
from torchgeo_copernicus.datasets.pretrain.grid import GEOTRANSFORM, Cell
from torchgeo_copernicus.embedding import commands_study
from torchgeo_copernicus.embedding.averaging import averaged_table
from torchgeo_copernicus.embedding.averaging.aggregate import aggregate
from torchgeo_copernicus.embedding.averaging.averaged_table import AveragedTables, to_map


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp('averaged')
    chunk = write_chunk(images(channels=4), made / 'chunk.parquet')
    aggregate(chunk, made / 'out', progress=False, scheduler='synchronous')
    return made / 'out'


def test_each_cell_lands_on_its_pixel(folder: Path) -> None:
    ds = to_map(folder)
    assert ds['embedding'].chunks is not None
    assert AveragedTables.of(sorted((folder / 'cells').iterdir())).layout.sequential
    assert ds.sizes == {'lat': 721, 'lon': 1440, 'channel': 4}
    assert tuple(ds.attrs['geotransform']) == GEOTRANSFORM
    values, valid = ds['embedding'].to_numpy(), ds['valid'].to_numpy()
    assert valid.sum() == len(CELLS)
    for name, vector in means(images(channels=4)).items():
        cell = Cell.named(str(name))
        row, column = cell.map_pixel
        np.testing.assert_allclose(values[row, column], vector, rtol=1e-6, atol=1e-7)
        place = ds.sel(lat=cell.latitude, lon=cell.longitude)
        assert bool(place['valid'])
    assert not values[~valid].any()


def test_a_map_that_is_written_is_the_same_when_opened(folder: Path, tmp_path: Path) -> None:
    ds = to_map(folder)
    path = write_map(ds, tmp_path / 'map.npz')
    np.testing.assert_array_equal(open_map(path)['embedding'], ds['embedding'])


def test_tables_of_different_cells_make_one_map(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A few rows at a time, so that a part is of one table.
    monkeypatch.setattr(averaged_table, '_CHUNK_BYTES', 90 * 4 * 1440 * 4)
    (path,) = (folder / 'cells').iterdir()
    table = pq.read_table(path)
    halves = [tmp_path / 'a.parquet', tmp_path / 'b.parquet']
    # As published: two columns.
    names = ['grid_id_coord', 'embedding']
    for half, rows in zip(halves, (table[:1], table[1:]), strict=True):
        pq.write_table(rows.select(names), half)
    np.testing.assert_array_equal(to_map(halves)['embedding'], to_map(folder)['embedding'])
    np.testing.assert_array_equal(to_map(tmp_path)['valid'], to_map(folder)['valid'])
    with pytest.raises(ValueError, match=r'both have the cell 0000000_-180.00_-90.00'):
        to_map([halves[0], path])
    short = pa.table({'grid_id_coord': [Cell(9).name], 'embedding': [[1.0, 2.0]]})
    pq.write_table(short, tmp_path / 'c.parquet')
    with pytest.raises(ValueError, match=r'different lengths: 4 in .*a.parquet, 2 in .*c.parquet'):
        to_map([halves[0], tmp_path / 'c.parquet'])


def test_a_map_of_a_run_that_was_stopped_is_refused(folder: Path, tmp_path: Path) -> None:
    (path,) = (folder / 'cells').iterdir()
    (tmp_path / 'cells').mkdir()
    part = tmp_path / 'cells' / 'part-00000-of-00002.parquet'
    part.write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match='has 1 of 00002 tables'):
        to_map(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='has no tables'):
        to_map(tmp_path / 'empty')


def test_blocks_of_the_writer_end_where_those_of_the_map_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else parts of tables are read twice.
    row_bytes = 4 * 1440 * 4
    monkeypatch.setattr(blocks, '_BLOCK_BYTES', 15 * row_bytes)
    monkeypatch.setattr(averaged_table, '_CHUNK_BYTES', 5 * row_bytes)
    cuts = set(np.cumsum(to_map(folder)['embedding'].chunks[0]).tolist())  # type: ignore[index]
    assert {15, 30, 45} <= cuts


def test_the_command_writes_tables_and_maps(tmp_path: Path) -> None:
    chunk = write_chunk(images(channels=4), tmp_path / 'chunk.parquet')
    path = tmp_path / 'map.tif'
    given = {'rows': [str(chunk)], 'output': str(tmp_path / 'out'), 'scheduler': 'synchronous'}
    text = commands_study.aggregate(**given, maps=[str(path)], weights='modalities')  # type: ignore[arg-type]
    assert '4 cells of' in text and f'Wrote {path}' in text
    np.testing.assert_array_equal(open_map(path)['valid'], to_map(tmp_path / 'out')['valid'])
    with pytest.raises(ValueError, match='overwrite is of maps'):
        commands_study.aggregate(**given, overwrite=True)  # type: ignore[arg-type]
    with pytest.raises(FileExistsError, match='overwrite=True'):
        commands_study.aggregate(**given, maps=[str(path)], weights='modalities')  # type: ignore[arg-type]
