"""The table of images: nothing opened, filters that agree with the list, and datasets of just what is left."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from shapely import Point, box

from torchgeo_copernicus.datasets.lookalike.pretrain_cell import LACKING
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS, Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES
from torchgeo_copernicus.datasets.pretrain.table import (
    cell_outline,
    filtered,
    image_table,
    listed_in,
)
from torchgeo_copernicus.datasets.pretrain.world_map import cell_counts, draw_world_map


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pretrain_geotiff(tmp_path_factory.mktemp('pretrain'), 4, 0, 16)


@pytest.fixture(scope='module')
def files(root: Path) -> FileList:
    return FileList.read(root / 'fnames_4_union.json.gz')


@pytest.fixture(scope='module')
def table(files: FileList) -> gpd.GeoDataFrame:
    return image_table(files)


def one_cell(grid_id: int, day: str = '20210621') -> FileList:
    name = Cell(grid_id).name
    path = f's3_olci_wgs/images/{name}/S3A_{day}T1.tif'
    return FileList.of('test', {grid_id: {'grid_id_coord': name, 's3_olci': [path]}})


def test_the_table_has_a_row_for_each_image_without_opening_one(
    root: Path, files: FileList, table: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    assert len(table) == files.counts.sum() == len(list(root.rglob('*.tif')))
    listed = shutil.copy(root / 'fnames_4_union.json.gz', tmp_path)
    pd.testing.assert_frame_equal(image_table(FileList.read(listed)), table)
    assert table.crs == 'EPSG:4326'
    assert str(table['date'].dtype).startswith('datetime64')
    assert set(table[table['date'].isna()]['modality']) == {'dem'}


def test_rows_say_what_the_names_of_their_files_say(table: gpd.GeoDataFrame) -> None:
    for row in table.itertuples():
        assert Cell(row.grid_id).name in row.path
        if row.modality in ('s1_grd', 's2_toa'):
            assert f'/{row.local_id:07d}_{row.geometry.x:.2f}_{row.geometry.y:.2f}/' in row.path
        else:
            assert row.local_id is pd.NA
            assert row.geometry.bounds == Cell(row.grid_id).bounds
        if row.modality.startswith('s5p'):
            assert f'/{row.date:%Y-%m-%d}_' in row.path
        elif row.modality != 'dem':
            assert f'{row.date:%Y%m%d}T' in row.path


def test_a_table_of_some_has_just_these(files: FileList, table: gpd.GeoDataFrame) -> None:
    some = image_table(files, ['dem', 's2_toa'], [808660])
    wanted = table[(table['grid_id'] == 808660) & table['modality'].isin(['dem', 's2_toa'])]
    pd.testing.assert_frame_equal(some, wanted.reset_index(drop=True))
    with pytest.raises(ValueError, match='Unknown modalities'):
        image_table(files, ['s4'])  # type: ignore[list-item]
    with pytest.raises(ValueError, match='no images of cells'):
        image_table(files, grids=[5])


def test_filters_by_region_days_and_modality_act_together(table: gpd.GeoDataFrame) -> None:
    region = (8.0, 50.0, 26.0, 51.0)
    assert set(filtered(table, region)['grid_id']) == {811475, 808660}
    assert set(filtered(table, box(*region))['grid_id']) == {811475, 808660}
    summer = filtered(table, region, '2021-06-01', '2021-08-31', ['s2_toa', 's5p_co', 'dem'])
    dated = summer[summer['modality'] != 'dem']
    assert dated['date'].between('2021-06-01', '2021-08-31').all()
    assert {f'{day:%m}' for day in dated['date']} == {'06', '07', '08'}
    # Elevation is of no day.
    assert set(summer['modality']) == {'s2_toa', 's5p_co', 'dem'}
    first_days = filtered(table, start='2021-06-01', end='2021-06-01', modalities=['s5p_co'])
    assert len(first_days) == (table['path'].str.contains('CO_.*2021-06-01_').sum())
    assert len(filtered(table)) == len(table)
    assert len(filtered(table, start='2030-01-01')) == 3
    assert len(filtered(table, end='2010-01-01', modalities=['s1_grd'])) == 0


def test_a_cell_across_the_date_line_is_found_from_both_sides() -> None:
    cell = Cell(360 * COLUMNS)
    table = image_table(one_cell(cell.grid_id))
    (outline,) = table.geometry
    assert outline.area == pytest.approx(0.25**2)
    assert outline.bounds == (-180, -0.125, 180, 0.125)
    for region in ((179.9, -1, 180, 1), (-180, -1, -179.9, 1), (179.9, -1, -179.9, 1)):
        assert len(filtered(table, region)) == 1
    # Across the date line, not around the Earth.
    assert len(filtered(image_table(one_cell(Cell.at(0, 0).grid_id)), (179, -1, -179, 1))) == 0
    assert not outline.intersects(Point(0, 0))
    assert cell_outline(Cell.at(0, 90)).bounds[3] == 90


def test_a_filtered_table_makes_a_dataset_of_just_these_images(
    root: Path, table: gpd.GeoDataFrame
) -> None:
    part = filtered(table, start='2021-05-01', end='2021-08-30', modalities=['s2_toa', 's3_olci'])
    part = part.sample(frac=1, random_state=0)
    dataset = CopernicusPretrainGeoTIFF(root, listed_in(part))
    whole = CopernicusPretrainGeoTIFF(root)
    count = 0
    for sample in dataset:
        assert set(sample['image']) <= {'s2_toa', 's3_olci'}
        among = whole.cell(sample['grid_id'])
        for name, vectors in sample['metadata'].items():
            count += len(vectors)
            for vector, image in zip(vectors, sample['image'][name], strict=True):
                (row,) = torch.nonzero((among['metadata'][name] == vector).all(1))[:, 0]
                assert torch.equal(image.nan_to_num(-1), among['image'][name][row].nan_to_num(-1))
    assert count == len(part)


def test_a_whole_table_makes_the_list_it_is_of(files: FileList, table: gpd.GeoDataFrame) -> None:
    again = listed_in(table)
    assert again.grid_ids.tolist() == files.grid_ids.tolist()
    assert [again.cell(row) for row in range(3)] == [files.cell(row) for row in range(3)]


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        ({'region': (0, 0, 1)}, 'region is'),
        ({'region': 'Europe'}, 'region is'),
        ({'region': (0, 1, 1, 0)}, 'is not west, south'),
        ({'region': (0, 0, 190, 1)}, 'is not west, south'),
        ({'region': (float('nan'), 0, 1, 1)}, 'is not west, south'),
        ({'start': '2021-02-01', 'end': '2021-01-01'}, 'is after end'),
        ({'start': 'spring'}, 'isoformat'),
        ({'modalities': ['s4']}, 'Unknown modalities'),
    ],
)
def test_a_wrong_filter_is_refused(
    table: gpd.GeoDataFrame, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        filtered(table, **arguments)


def test_what_is_no_table_of_images_is_refused(table: gpd.GeoDataFrame) -> None:
    for wrong in (table.drop(columns='path'), pd.DataFrame(), 'table'):
        with pytest.raises(ValueError, match='make one with image_table'):
            filtered(wrong)
        with pytest.raises(ValueError, match='make one with image_table'):
            listed_in(wrong)
    with pytest.raises(ValueError, match='no images left'):
        listed_in(table[:0])
    for column, value, reason in (
        ('path', '../../etc/passwd.tif', "'etc' is no name"),
        ('modality', 's4', "Unknown modality 's4'"),
        ('grid_id', 5, 'below the root'),
    ):
        wrong = table.astype({'modality': object})
        wrong[column] = value
        with pytest.raises(ValueError, match=reason):
            listed_in(wrong)


def test_maps_count_images_in_the_right_cells(files: FileList, table: gpd.GeoDataFrame) -> None:
    for column, name in enumerate(MODALITY_NAMES):
        counts = cell_counts(files, name)
        assert (counts == cell_counts(table, name)).all()
        assert counts.sum() == files.counts[:, column].sum()
        for row, grid_id in enumerate(files.grid_ids):
            assert (counts[Cell(int(grid_id)).map_pixel] > 0) == (name not in LACKING[row])
    with pytest.raises(ValueError, match='is no FileList'):
        cell_counts(pd.DataFrame(), 'dem')


def test_the_world_map_shows_few_cells_and_many(
    files: FileList, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = draw_world_map(files, ['dem', 's1_grd', 's3_olci'], 'Cells')
    titles = [axis.get_title() for axis in few.axes if axis.get_title()]
    assert titles[0] == 'Sentinel-1 GRD: 3 cells, ' + f'{files.counts[:, 0].sum()} images'
    assert len(titles) == 3
    dem = few.axes[2].collections[0].get_offsets()
    assert sorted(dem.tolist()) == [[-4.25, 40.75], [8.75, 50.75], [25.0, 50.25]]
    monkeypatch.setattr('torchgeo_copernicus.datasets.pretrain.world_map._FEW', 0)
    many = draw_world_map(files, ['dem'])
    image = many.axes[0].images[0]
    assert image.get_extent() == [-180.125, 179.875, -90.125, 90.125]
    assert image.get_array().count() == 3
    FigureCanvasAgg(many).draw()
