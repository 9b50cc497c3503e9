"""A store read back: by geopandas, pyarrow and GDAL, as a whole and in part."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.embedding.footprint import box_corners
from torchgeo_copernicus.embedding.read_store import read_store
from torchgeo_copernicus.embedding.rows import RowFacts, rows_table, schema
from torchgeo_copernicus.embedding.store import EmbeddingStore

PLACES = [(10.1, 50.0), (-179.99, -16.5), (math.nan, math.nan), (10.1, 50.0)]


def facts(number: int, modality: str) -> RowFacts:
    longitude, latitude = PLACES[number]
    known = not math.isnan(longitude)
    corners = box_corners(longitude - 0.1, latitude - 0.1, longitude + 0.1, latitude + 0.1)
    metadata = (longitude, latitude, 18_000.0 + number if known else math.nan, 10.0)
    local = (7, '0000007_10.10_50.00') if number == 0 else (None, None)
    grid_id = 5 if number == 3 else None
    return RowFacts(
        f'k{number}', grid_id, modality, *local, metadata, 'file', 0.25, corners if known else None
    )


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    """Two units; vectors of one modality and maps of another."""
    made = EmbeddingStore.open_or_create(tmp_path / 'store', {'model': 'm'})
    rows = [facts(0, 'a'), facts(1, 'b'), facts(2, 'a')]
    embeddings = {
        'a': np.arange(6, dtype=np.float32).reshape(2, 3),
        'b': np.arange(18, dtype=np.float32).reshape(1, 3, 2, 3) + 100,
    }
    made.write(0, rows_table(rows, embeddings, 'float16'), 3, 0)
    rest = {'b': np.full((1, 3), 7, np.float32)}
    made.write(1, rows_table([facts(3, 'b')], rest, 'float16'), 2, 1)
    made.write(2, rows_table([], {}, 'float16'), 1, 1)
    return made


def test_rows_keep_their_embeddings_among_other_shapes(store: EmbeddingStore) -> None:
    table = pq.read_table(store.unit_path(0))
    assert table.schema.remove_metadata() == schema('float16')
    rows = table.to_pylist()
    assert rows[0]['embedding'] == [0, 1, 2] and rows[2]['embedding'] == [3, 4, 5]
    assert rows[1]['embedding'] == [*range(100, 118)]
    assert [(row['map_height'], row['map_width']) for row in rows] == [(1, 1), (2, 3), (1, 1)]
    assert [row['local_id'] for row in rows] == [7, None, None]
    assert [row['local_id_coord'] for row in rows] == ['0000007_10.10_50.00', None, None]
    day = datetime.date(1970, 1, 1) + datetime.timedelta(18_000)
    assert [row['date'] for row in rows] == [day, day + datetime.timedelta(1), None]


def test_a_row_is_in_the_cell_of_its_source_or_else_of_its_centre(store: EmbeddingStore) -> None:
    frame = read_store(store.folder).set_index('key')
    for key, cell in (
        ('k0', Cell.at(10.1, 50.0)),
        ('k1', Cell.at(-179.99, -16.5)),
        ('k3', Cell(5)),
    ):
        assert frame.grid_id[key] == cell.grid_id
        assert frame.grid_id_coord[key] == cell.name
    assert frame.grid_id.isna()['k2'] and frame.geometry['k2'] is None
    assert pd.isna(frame.longitude['k2']) and pd.isna(frame.date['k2'])


def test_geopandas_reads_a_unit_with_its_places(store: EmbeddingStore) -> None:
    frame = gpd.read_parquet(store.unit_path(0))
    assert frame.crs == 'EPSG:4326'
    assert frame.geometry[0].bounds == pytest.approx((10, 49.9, 10.2, 50.1))
    # Across the date line.
    assert frame.geometry[1].geom_type == 'MultiPolygon'
    assert frame.geometry[1].area == pytest.approx(0.04)
    geo = json.loads(pq.read_schema(store.unit_path(0)).metadata[b'geo'])
    assert geo['version'] == '1.1.0'
    assert geo['columns']['geometry']['geometry_types'] == ['MultiPolygon', 'Polygon']
    ours = read_store(store.folder)
    assert shapely.equals(ours.geometry[:2], frame.geometry[:2]).all()


def test_gdal_reads_a_unit_with_its_places(store: EmbeddingStore) -> None:
    if 'Parquet' not in pyogrio.list_drivers():
        pytest.skip('this GDAL has no driver for Parquet')
    frame = pyogrio.read_dataframe(store.unit_path(0), columns=['key', 'grid_id'])
    assert frame.crs == 'EPSG:4326'
    assert frame.geometry[0].bounds == pytest.approx((10, 49.9, 10.2, 50.1))


def test_parts_of_a_store_are_chosen_by_place_modality_and_column(store: EmbeddingStore) -> None:
    def keys(**options: object) -> list[str]:
        return list(read_store(store.folder, **options).key)  # type: ignore[arg-type]

    assert keys() == ['k0', 'k1', 'k2', 'k3']
    assert keys(modalities=['b']) == ['k1', 'k3']
    assert keys(region=[10, 49, 11, 51]) == ['k0', 'k3']
    assert keys(region=[179, -20, -179, 0]) == ['k1']
    assert keys(region=[10, 49, 11, 51], modalities=['a']) == ['k0']
    frame = read_store(store.folder, ['embedding', 'key'])
    assert list(frame.columns) == ['embedding', 'key', 'geometry']
    assert frame.embedding[3].dtype == np.float16


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'columns': ['colour']}, r"Unknown columns \['colour'\]"),
        ({'columns': 'key'}, 'list some of'),
        ({'modalities': 'a'}, 'give a list'),
        ({'region': [0, 1]}, 'wanted .west, south, east, north'),
    ],
)
def test_impossible_choices_are_named(
    store: EmbeddingStore, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_store(store.folder, **options)  # type: ignore[arg-type]


def test_a_store_counts_items_without_data(store: EmbeddingStore) -> None:
    from torchgeo_copernicus.embedding.run import describe

    assert describe(store).startswith('4 embeddings of 6 items in 3 files at ')
    assert describe(store).endswith('; 2 items had no data')


def test_what_is_no_store_is_refused(store: EmbeddingStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no store of embeddings'):
        read_store(tmp_path)
    other = tmp_path / 'other'
    other.mkdir()
    (other / 'thesis.txt').touch()
    with pytest.raises(ValueError, match='holds other things'):
        EmbeddingStore.open_or_create(other, {})
    empty = EmbeddingStore.open_or_create(tmp_path / 'empty', {})
    with pytest.raises(ValueError, match='has no rows yet'):
        read_store(empty.folder)
    with pytest.raises(ValueError, match='plain JSON'):
        EmbeddingStore.open_or_create(tmp_path / 'new', {'path': tmp_path})


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'is damaged'),
        ('[]', 'has version None'),
        ('{"version": 2}', 'has version 2, this code knows 1'),
        ('{"version": 1, "fingerprint": "0", "model": "m"}', 'changed by hand'),
    ],
)
def test_a_changed_store_is_refused(store: EmbeddingStore, text: str, message: str) -> None:
    (store.folder / 'store.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        EmbeddingStore(store.folder)


def test_a_unit_is_there_whole_or_not_at_all(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.unit_path(1).read_bytes()

    def cut_off(table: pa.Table, file: object, **options: object) -> None:
        file.write(b'PAR1')  # type: ignore[attr-defined]
        raise OSError('full')

    monkeypatch.setattr(pq, 'write_table', cut_off)
    with pytest.raises(OSError, match='full'):
        store.write(1, rows_table([], {}, 'float16'), 1, 1)
    assert store.unit_path(1).read_bytes() == before
    with pytest.raises(OSError, match='full'):
        store.write(9, rows_table([], {}, 'float16'), 1, 1)
    assert not store.unit_path(9).exists()


def test_float16_holds_its_largest_value(tmp_path: Path) -> None:
    table = rows_table(
        [facts(0, 'a')], {'a': np.array([[65504.0, -65504.0]], np.float32)}, 'float16'
    )
    assert table.column('embedding').to_pylist() == [[65504.0, -65504.0]]
    with pytest.raises(ValueError, match='embedding of k0 has 65600'):
        rows_table([facts(0, 'a')], {'a': np.array([[65600.0]], np.float32)}, 'float16')
