"""Averages of cells: what they are, that they do not depend on how rows are stored, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.embedding.averaging import CELLS, images, means, write_chunk, write_store
from torchgeo_copernicus.datasets.conversion import conversion
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.embedding.averaging import aggregate as module
from torchgeo_copernicus.embedding.averaging import cell_rows
from torchgeo_copernicus.embedding.averaging.aggregate import AggregateReport, aggregate
from torchgeo_copernicus.embedding.averaging.averaged_table import averaged_facts
from torchgeo_copernicus.embedding.averaging.sorted_rows import sorted_groups, write_sorted

# Wide enough that a range of 1 MiB has 64 rows.
WIDE = 4096


def averaged(folder: Path) -> pd.DataFrame:
    paths = sorted((folder / 'cells').glob('*.parquet'))
    return pd.concat([pq.read_table(path).to_pandas() for path in paths]).reset_index(drop=True)


def run(rows: object, folder: Path, **options: object) -> AggregateReport:
    options = {'scheduler': 'synchronous', 'progress': False, **options}
    return aggregate(rows, folder, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize('weights', ['images', 'modalities'])
def test_averages_are_those_of_the_words(tmp_path: Path, weights: str) -> None:
    rows = images()
    chunk = write_chunk(rows, tmp_path / 'chunk_0.parquet')
    report = run(chunk, tmp_path / 'out', weights=weights)
    table = averaged(tmp_path / 'out')
    wanted = means(rows, weights)
    assert table['grid_id_coord'].tolist() == [Cell(cell).name for cell in CELLS]
    assert table['grid_id'].tolist() == list(CELLS)
    for name, vector in zip(table['grid_id_coord'], table['embedding'], strict=True):
        np.testing.assert_allclose(vector, wanted[name], rtol=1e-6, atol=1e-7)
        assert vector.dtype == np.float32
    assert table['images'].sum() == report.images == len(rows)
    assert report.cells == len(CELLS)
    assert report.modalities == ('dem', 's1_grd', 's2_toa')


def test_the_two_weightings_differ_where_modalities_have_other_numbers_of_images(
    tmp_path: Path,
) -> None:
    rows = images()
    assert not np.allclose(means(rows).iloc[0], means(rows, 'modalities').iloc[0], rtol=1e-2)


def many_cells() -> pd.DataFrame:
    return images([7 * n for n in range(24)], WIDE, wild=True)


def test_any_partition_gives_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, '_BLOCKS_OF_A_FILE', 1)
    monkeypatch.setattr(cell_rows, 'BATCH_ROWS', 11)
    rows = many_cells()
    chunk = write_chunk(rows, tmp_path / 'ordered' / 'chunk_0.parquet')
    run(chunk, tmp_path / 'one', range_mib=64)
    run(chunk, tmp_path / 'ranges', range_mib=1)
    mixed = rows.sample(frac=1, random_state=1)
    for part in range(3):
        write_chunk(mixed.iloc[part::3], tmp_path / 'mixed' / f'{part}.parquet', 50)
    run(tmp_path / 'mixed', tmp_path / 'sorted', range_mib=1)
    run(tmp_path / 'mixed', tmp_path / 'unsorted', range_mib=64)
    run(tmp_path / 'mixed', tmp_path / 'threads', range_mib=1, scheduler='threads', workers=2)
    wanted = averaged(tmp_path / 'one')
    assert len(list((tmp_path / 'one' / 'cells').iterdir())) == 1
    assert len(list((tmp_path / 'ranges' / 'cells').iterdir())) == 3
    assert len(list((tmp_path / 'sorted' / 'sorted').iterdir())) > 1
    assert not (tmp_path / 'unsorted' / 'sorted').exists()
    for other in ('ranges', 'sorted', 'unsorted', 'threads'):
        found = averaged(tmp_path / other)
        assert found['grid_id'].tolist() == wanted['grid_id'].tolist()
        for a, b in zip(found['embedding'], wanted['embedding'], strict=True):
            np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


def test_stores_of_halves_and_of_singles_are_sorted_together(tmp_path: Path) -> None:
    rows = images([7 * n for n in range(24)], WIDE)
    halves = [vector.astype(np.float16).astype(np.float32) for vector in rows['embedding']]
    rows = rows.assign(embedding=halves, key=[f'image {n}' for n in range(len(rows))])
    mixed = rows.sample(frac=1, random_state=1)
    stores = [
        write_store(mixed.iloc[part::2], tmp_path / dtype, dtype=dtype)
        for part, dtype in enumerate(('float16', 'float32'))
    ]
    run(stores, tmp_path / 'sorted', range_mib=1, allow_other_data=True)
    run(stores, tmp_path / 'unsorted', range_mib=64, allow_other_data=True)
    assert (tmp_path / 'sorted' / 'sorted').is_dir()
    assert not (tmp_path / 'unsorted' / 'sorted').exists()
    found, wanted = averaged(tmp_path / 'sorted'), averaged(tmp_path / 'unsorted')
    np.testing.assert_array_equal(np.stack(found['embedding']), np.stack(wanted['embedding']))


def test_a_sum_in_another_order_would_be_seen(tmp_path: Path) -> None:
    # Else the test above proves nothing.
    vectors = np.stack(many_cells()['embedding'].tolist()[:9]).astype(np.float64)
    assert (sum(vectors) != sum(vectors[::-1])).any()


def test_a_range_reads_and_holds_no_more_than_it_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many_cells()
    for part in range(3):
        write_chunk(rows.iloc[part::3], tmp_path / 'mixed' / f'{part}.parquet', 50)
    held = []
    gathered = module._gathered

    def counted(groups: Sequence[object], wanted: object, count: int, channels: int) -> object:
        held.append(count * channels * 4)
        return gathered(groups, wanted, count, channels)  # type: ignore[arg-type]

    monkeypatch.setattr(module, '_gathered', counted)
    run(tmp_path / 'mixed', tmp_path / 'out', range_mib=1)
    assert max(held) <= 1 << 20
    assert sum(held) == len(rows) * WIDE * 4
    # Groups of the sorted copy are cut at the edges of ranges.
    (copy,) = (tmp_path / 'out' / 'sorted').iterdir()
    file = pq.ParquetFile(copy)
    firsts = [
        int(pq.read_table(path, columns=['grid_id'])['grid_id'][0].as_py())
        for path in sorted((tmp_path / 'out' / 'cells').iterdir())
    ]
    for group in range(file.num_row_groups):
        ids = file.read_row_group(group, columns=['grid_id'])['grid_id'].to_numpy()
        assert len(set(np.searchsorted(firsts, ids, 'right'))) == 1


def test_sorted_groups_are_found_by_their_first_and_last_cell(tmp_path: Path) -> None:
    chunk = write_chunk(images([3, 5, 6, 9]).sample(frac=1, random_state=0), tmp_path / 'a.parquet')
    ranges = [(3, 6), (6, 9), (9, 10)]
    write_sorted([(str(chunk), (0,))], ranges, 1000, tmp_path / 'sorted.parquet')
    found = [sorted_groups(str(tmp_path / 'sorted.parquet'), wanted) for wanted in ranges]
    assert found == [(0,), (1,), (2,)]


def test_stores_and_chunks_of_the_same_images_agree(tmp_path: Path) -> None:
    rows = images()
    rows['key'] = [f'image {n}' for n in range(len(rows))]
    write_chunk(rows, tmp_path / 'chunks' / 'chunk_0.parquet')
    write_store(rows.iloc[::2], tmp_path / 'store', unit=0)
    write_store(rows.iloc[1::2], tmp_path / 'store', unit=1)
    run(tmp_path / 'chunks', tmp_path / 'a', weights='modalities')
    run(tmp_path / 'store', tmp_path / 'b', weights='modalities')
    a, b = averaged(tmp_path / 'a'), averaged(tmp_path / 'b')
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    (part,) = (tmp_path / 'b' / 'cells').iterdir()
    facts = averaged_facts(part)
    assert (
        facts is not None and facts['weights'] == 'modalities' and len(facts['fingerprints']) == 1
    )  # type: ignore[arg-type]
    assert averaged_facts(tmp_path / 'chunks' / 'chunk_0.parquet') is None


@pytest.mark.parametrize('weights', ['images', 'modalities'])
def test_weights_of_modalities_come_on_top(tmp_path: Path, weights: str) -> None:
    rows = images(CELLS[:1])
    chunk = write_chunk(rows, tmp_path / 'chunk.parquet')
    given = {'s2_toa': 3.0, 's1_grd': 1, 'dem': 0}
    report = run(chunk, tmp_path / 'out', weights=weights, modality_weights=given)
    vectors = {
        kind: means(rows[rows['modality'] == kind], weights).iloc[0]
        for kind in ('s2_toa', 's1_grd')
    }
    count = rows['modality'].value_counts() if weights == 'images' else dict.fromkeys(vectors, 1)
    share = {kind: given[kind] * count[kind] for kind in vectors}
    wanted = sum(share[kind] * vectors[kind] for kind in vectors) / sum(share.values())
    np.testing.assert_allclose(averaged(tmp_path / 'out')['embedding'][0], wanted, rtol=1e-5)
    assert report.images == (rows['modality'] != 'dem').sum()


def test_a_cell_without_anything_of_weight_is_left_out(tmp_path: Path) -> None:
    rows = images(CELLS[:2])
    rows = rows[(rows['modality'] == 'dem') | (rows['grid_id_coord'] == Cell(CELLS[0]).name)]
    chunk = write_chunk(rows, tmp_path / 'chunk.parquet')
    run(chunk, tmp_path / 'out', modality_weights={'dem': 0, 's1_grd': 1, 's2_toa': 1})
    assert averaged(tmp_path / 'out')['grid_id'].tolist() == [CELLS[0]]


def test_an_image_that_is_there_twice_does_not_count_twice(tmp_path: Path) -> None:
    rows = images()
    write_chunk(rows, tmp_path / 'in' / 'a.parquet')
    write_chunk(rows.iloc[3:5], tmp_path / 'in' / 'b.parquet')
    with pytest.raises(ValueError, match=r'0000000_-180.00_-90.00, \w+.* is there twice'):
        run(tmp_path / 'in', tmp_path / 'out')
    run(tmp_path / 'in', tmp_path / 'once', duplicates='once')
    run(tmp_path / 'in' / 'a.parquet', tmp_path / 'a')
    pd.testing.assert_frame_equal(
        averaged(tmp_path / 'once'), averaged(tmp_path / 'a'), check_exact=True
    )


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    rows = images()
    rows['key'] = [f'image {n}' for n in range(len(rows))]
    write_store(rows, tmp_path / 'store', unit=0)
    write_store(rows.iloc[:1], tmp_path / 'store', unit=1)
    with pytest.raises(ValueError, match=r'image 0.*is there twice'):
        run(tmp_path / 'store', tmp_path / 'out')
    assert run(tmp_path / 'store', tmp_path / 'once', duplicates='once').images == len(rows)
    other = rows.iloc[:1].assign(embedding=[rows['embedding'][5]])
    write_store(other, tmp_path / 'store', unit=1)
    with pytest.raises(ValueError, match='have one key, but are not the same'):
        run(tmp_path / 'store', tmp_path / 'other', duplicates='once')


def test_an_embedding_that_is_not_finite_is_named(tmp_path: Path) -> None:
    rows = images()
    rows.at[4, 'embedding'] = np.full(8, np.nan, np.float32)
    chunk = write_chunk(rows, tmp_path / 'chunk.parquet')
    with pytest.raises(ValueError, match=rf'{rows["grid_id_coord"][4]}, s\d_.*not finite'):
        run(chunk, tmp_path / 'out')


def test_embeddings_of_other_lengths_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_chunk(images(), tmp_path / 'in' / 'a.parquet')
    write_chunk(images(CELLS[:1], channels=4), tmp_path / 'in' / 'b.parquet')
    with pytest.raises(ValueError, match=r'8 in .*a.parquet, 4 in .*b.parquet'):
        run(tmp_path / 'in', tmp_path / 'out')
    rows = pd.concat([images(CELLS[:1]), images(CELLS[1:2], channels=4)])
    chunk = write_chunk(rows, tmp_path / 'chunk.parquet')
    with pytest.raises(ValueError, match='wanted one length'):
        run(chunk, tmp_path / 'out')
    monkeypatch.setattr(cell_rows, 'BATCH_ROWS', len(images(CELLS[:1])))
    with pytest.raises(ValueError, match='has 4 numbers, others have 8'):
        run(chunk, tmp_path / 'out')


@pytest.mark.parametrize(
    ('column', 'value', 'message'),
    [
        ('grid_id_coord', '0906994_128.50_67.50', 'is named as cell 906994'),
        ('grid_id_coord', '9999999_0.00_0.00', 'There is no cell 9999999'),
        ('grid_id_coord', None, 'a row names no cell'),
        ('modality', None, 'rows without a modality'),
        ('date', 'May', "has the date 'May'"),
    ],
)
def test_rows_of_unknown_cells_modalities_and_dates_are_refused(
    tmp_path: Path, column: str, value: str | None, message: str
) -> None:
    rows = images()
    rows.loc[2, column] = value
    chunk = write_chunk(rows, tmp_path / 'chunk.parquet')
    with pytest.raises(ValueError, match=message):
        run(chunk, tmp_path / 'out')


def test_stores_of_other_models_are_never_averaged_together(tmp_path: Path) -> None:
    rows = images()
    rows['key'] = [f'image {n}' for n in range(len(rows))]
    half = len(rows) // 2
    a = write_store(rows.iloc[:half], tmp_path / 'a')
    other_model = write_store(rows.iloc[half:], tmp_path / 'b', model='large')
    other_data = write_store(rows.iloc[half:], tmp_path / 'c', data='there')
    for option in (False, True):
        with pytest.raises(ValueError, match=r'model.name: "tiny" in the store, "large" now'):
            run([a, other_model], tmp_path / 'out', allow_other_data=option)
    with pytest.raises(ValueError, match='allow_other_data=True'):
        run([a, other_data], tmp_path / 'out')
    report = run([a, other_data], tmp_path / 'out', allow_other_data=True)
    assert report.images == len(rows)
    unit = 'rows/unit-00000000.parquet'
    with pytest.raises(ValueError, match='different stores'):
        run([a / unit, other_model / unit], tmp_path / 'out2')
    chunk = write_chunk(images(), tmp_path / 'chunk.parquet')
    for mixed in ([a, chunk], [a / unit, chunk]):
        with pytest.raises(ValueError, match='no store'):
            run(mixed, tmp_path / 'out2')
    # A file that was put into a store it is not of.
    (a / unit).write_bytes((other_model / unit).read_bytes())
    with pytest.raises(ValueError, match='different stores'):
        run(a, tmp_path / 'out2')


def test_files_with_keys_and_without_are_not_mixed(tmp_path: Path) -> None:
    chunk = write_chunk(images(), tmp_path / 'a.parquet')
    table = pq.read_table(chunk)
    keyed = table.append_column('key', pa.array([str(n) for n in range(len(table))]))
    pq.write_table(keyed, tmp_path / 'b.parquet')
    with pytest.raises(ValueError, match='Some files have a column key and others none'):
        run([chunk, tmp_path / 'b.parquet'], tmp_path / 'out')


def test_metadata_of_somebody_else_is_no_fingerprint(tmp_path: Path) -> None:
    chunk = write_chunk(images(), tmp_path / 'a.parquet')
    table = pq.read_table(chunk).replace_schema_metadata({'torchgeo_copernicus': 'not JSON'})
    pq.write_table(table, chunk)
    assert module.rows_source(chunk).fingerprints == ()


def test_maps_averages_and_nothing_are_refused(tmp_path: Path) -> None:
    chunk = write_chunk(images(), tmp_path / 'in' / 'a.parquet')
    sides = pq.read_table(chunk)
    sides = sides.append_column('map_height', pa.array(np.full(len(sides), 2, np.int16)))
    pq.write_table(sides, tmp_path / 'dense.parquet')
    with pytest.raises(ValueError, match='maps instead of one vector'):
        run(tmp_path / 'dense.parquet', tmp_path / 'out')
    run(chunk, tmp_path / 'done')
    with pytest.raises(ValueError, match='averaged already'):
        run(tmp_path / 'done' / 'cells', tmp_path / 'out')
    write_chunk(images().iloc[:0], tmp_path / 'empty.parquet')
    (tmp_path / 'folder').mkdir()
    for given, message in (
        (tmp_path / 'empty.parquet', 'have no rows'),
        (tmp_path / 'folder', 'has no Parquet files'),
        (tmp_path / 'nowhere', 'is not there'),
        ([], 'No files'),
        ([chunk, tmp_path / 'in'], 'given twice'),
    ):
        with pytest.raises(ValueError, match=message):
            run(given, tmp_path / 'out')


@pytest.mark.parametrize(
    ('option', 'value', 'message'),
    [
        ('weights', 'all', "Unknown weights 'all'"),
        ('duplicates', 'never', 'Unknown duplicates'),
        ('range_mib', 0, 'range_mib must be at least 1'),
        ('allow_other_data', 1, 'True or False'),
        ('modality_weights', {'s2_toa': 1}, 'wanted a number for each of'),
        ('modality_weights', ['s2_toa'], 'wanted a number for each of'),
        ('modality_weights', {'s2_toa': 1, 's1_grd': -1, 'dem': 1}, 'weight of s1_grd is -1'),
        ('modality_weights', {'s2_toa': 1, 's1_grd': True, 'dem': 1}, 'weight of s1_grd is True'),
        ('modality_weights', {'s2_toa': 0, 's1_grd': 0, 'dem': 0}, 'All modality_weights are 0'),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, option: str, value: object, message: str) -> None:
    chunk = write_chunk(images(), tmp_path / 'chunk.parquet')
    with pytest.raises(ValueError, match=message):
        run(chunk, tmp_path / 'out', **{option: value})


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    chunk = write_chunk(many_cells(), tmp_path / 'chunk.parquet')
    first = run(chunk, tmp_path / 'out', range_mib=1)
    before = averaged(tmp_path / 'out')
    (tmp_path / 'out' / first.written[1]).unlink()
    again = run(chunk, tmp_path / 'out', range_mib=1)
    assert again.written == (first.written[1],)
    assert (again.cells, again.images) == (first.cells, first.images)
    pd.testing.assert_frame_equal(averaged(tmp_path / 'out'), before, check_exact=True)
    with pytest.raises(ValueError, match='made with other weights'):
        run(chunk, tmp_path / 'out', range_mib=1, weights='modalities')


def test_averages_of_changed_images_are_made_anew(tmp_path: Path) -> None:
    rows = images()
    chunk = write_chunk(rows, tmp_path / 'chunk.parquet')
    run(chunk, tmp_path / 'out')
    write_chunk(rows.assign(embedding=rows['embedding'].map(lambda v: 2 * v)), chunk)
    assert run(chunk, tmp_path / 'out').kept == ()
    wanted = 2 * means(rows).iloc[0]
    np.testing.assert_allclose(averaged(tmp_path / 'out')['embedding'][0], wanted, rtol=1e-5)


def test_files_that_change_while_they_are_read_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = write_chunk(images(), tmp_path / 'chunk.parquet')
    more = pd.concat([images(), images(seed=5)])
    for rows, message in ((images().iloc[1:], 'files were changed'), (more, 'was changed while')):
        source = module.rows_source(chunk)
        write_chunk(rows, chunk)
        monkeypatch.setattr(module, 'rows_source', lambda *_, source=source, **__: source)
        with pytest.raises(ValueError, match=message):
            run(chunk, tmp_path / 'out')
        monkeypatch.undo()
        write_chunk(images(), chunk)


def test_jobs_travel_to_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = many_cells()
    for part in range(3):
        write_chunk(rows.iloc[part::3], tmp_path / 'mixed' / f'{part}.parquet', 50)
    phases: list[Sequence[conversion.Job]] = []
    convert = module.convert

    def travelled(
        given: Sequence[Sequence[conversion.Job]], *args: object, **options: object
    ) -> object:
        phases.extend(pickle.loads(pickle.dumps(list(given))))
        return convert(phases, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, 'convert', travelled)
    report = run(tmp_path / 'mixed', tmp_path / 'out', range_mib=1)
    assert report.images == len(rows)
    assert [jobs[0].series for jobs in phases] == ['sorted/', 'cells/']
