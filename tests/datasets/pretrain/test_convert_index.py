"""The index: numbers as plain numpy has them, the same of both formats, nothing lost, nothing twice."""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import torch

from tests.datasets.pretrain.index_numbers import LISTS, assert_numbers, raw
from tests.datasets.pretrain.shard_writer import json_bytes, members, painted, saved, write_shard
from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards
from torchgeo_copernicus.datasets.pretrain import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_reader import ImageReader
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS as GRID_COLUMNS
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.index.convert_index import convert_index
from torchgeo_copernicus.datasets.pretrain.index.image_statistics import ImageStatistics
from torchgeo_copernicus.datasets.pretrain.index.index_table import (
    MEASURED,
    index_parts,
    read_index,
    read_part,
)
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES
from torchgeo_copernicus.datasets.pretrain.table import (
    COLUMNS,
    cell_outline,
    filtered,
    image_table,
    listed_in,
)
from torchgeo_copernicus.sensors import OLCI_SCALE

pytest.importorskip('dask', reason='conversions need the extra `convert`')
pytest.importorskip('pyarrow', reason='an index needs the extra `convert`')

run = partial(convert_index, scheduler='synchronous', progress=False)


def test_numbers_of_every_geotiff_are_those_of_plain_numpy(root: Path, index: Path) -> None:
    table = read_index(index)
    assert set(table['modality']) == set(MODALITIES)
    assert table['fault'].isna().all()
    assert not table['void'].any()
    for row in table.itertuples():
        path = str(row.path).replace('s3_olci_utm/', 's3_olci_wgs/')
        assert_numbers(row, raw(root / path, row.modality))
    # Scenes of Sentinel-3 that end within the cell: what is missing does not count.
    cut = table[table['missing_share'] > 0]
    assert set(cut['modality']) == {'s3_olci'}
    assert (cut['count'].str[0] < cut['height'] * cut['width']).all()


def test_rows_are_those_of_the_table_of_the_list(root: Path, index: Path) -> None:
    table = read_index(index, [])
    listed = image_table(FileList.read(root / 'fnames_4_union.json.gz'))
    assert tuple(table.columns) == COLUMNS
    table['date'] = table['date'].astype(listed['date'].dtype)
    pd.testing.assert_frame_equal(table, listed, check_dtype=False)
    assert table.crs == listed.crs
    assert table['local_id'].dtype == 'Int64'
    assert table['grid_id'].dtype == 'int64'


def test_sampling_distance_is_that_of_the_samples(root: Path, index: Path) -> None:
    cells = CopernicusPretrainGeoTIFF(root)
    table = read_index(index, ['gsd_m'])
    for sample in cells:
        for name, metadata in sample['metadata'].items():
            rows = table[(table['grid_id'] == sample['grid_id']) & (table['modality'] == name)]
            assert sorted(rows['gsd_m']) == pytest.approx(
                sorted(metadata.reshape(-1, 4)[:, 3].tolist())
            )


def test_other_readers_of_parquet_see_one_valid_table(index: Path) -> None:
    from pyarrow import dataset, parquet

    whole = read_index(index)
    assert dataset.dataset(index / 'images').to_table().num_rows == len(whole)
    assert len(gpd.read_parquet(index / 'images')) == len(whole)
    for path in index_parts(index):
        geo = json.loads(parquet.read_schema(path).metadata[b'geo'])
        assert (geo['version'], geo['primary_column']) == ('1.0.0', 'geometry')
        column = geo['columns']['geometry']
        part = gpd.read_parquet(path)
        assert column['encoding'] == 'WKB'
        assert column['bbox'] == part.total_bounds.tolist()
        assert set(column['geometry_types']) == set(part.geom_type)
        assert part.crs == 'EPSG:4326'


def test_an_index_is_filtered_and_feeds_the_dataset(root: Path, index: Path) -> None:
    region = (8.0, 50.0, 26.0, 51.0)
    some = read_index(index, ['void'], region, '2021-06-01', '2021-08-31', ['s2_toa', 's5p_co'])
    whole = read_index(index)
    wanted = filtered(whole, region, '2021-06-01', '2021-08-31', ['s2_toa', 's5p_co'])
    assert 0 < len(some) < len(whole)
    assert some['path'].tolist() == wanted['path'].tolist()
    assert tuple(some.columns) == (*COLUMNS, 'void')
    dataset = CopernicusPretrainGeoTIFF(root, listed_in(some))
    assert set(dataset.grid_ids.tolist()) == {808660, 811475}
    count = sum(len(images) for sample in dataset for images in sample['image'].values())
    assert count == len(some)
    assert len(read_index(index, start='2030-01-01', modalities=['s2_toa'])) == 0


def test_both_formats_give_the_same_numbers_of_the_same_cells(root: Path, tmp_path: Path) -> None:
    files = FileList.read(root / 'fnames_4_union.json.gz')
    reader, cells = ImageReader(root), []
    for row in range(len(files)):
        cell = files.cell(row)
        names: dict[str, Any] = {}
        tensors: dict[str, bytes] = {}
        for name, places in cell.images.items():
            series, texts = [], []
            for place, images in places.items():
                paths = [reader.path(image) for image in images]
                # Repeated, because patches of a tensor have the same number of dates.
                number = max(map(len, places.values()))
                stack = [rasterio.open(paths[i % len(paths)]).read() for i in range(number)]
                days = [
                    pd.Timestamp(images[i % len(paths)].days, unit='D') if name != 'dem' else ''
                    for i in range(number)
                ]
                series.append(np.stack(stack).astype(np.int16 if name == 's2_toa' else np.float32))
                texts.append(
                    [
                        '/'.join(
                            filter(None, (cell.cell.name, place, f'{day:%Y%m%d}' if day else ''))
                        )
                        for day in days
                    ]
                )
            local = MODALITIES[name].local
            array = np.stack(series) if local else series[0]
            tensors[f'{name}.pth'] = saved(torch.from_numpy(array[0] if name == 'dem' else array))
            names[name] = texts if local else texts[0]
        key = f'{cell.cell.grid_id:07d}'
        cells.append(
            {f'{key}.{name}': content for name, content in tensors.items()}
            | {f'{key}.json': json.dumps(names).encode()}
        )
    write_shard(tmp_path / 'in' / 'a-0.tar', cells)
    report = run(tmp_path / 'in', tmp_path / 'shards')
    run(root, tmp_path / 'geotiff')
    order = ['grid_id', 'modality', 'local_id', 'date']
    one, other = (
        read_index(tmp_path / name).sort_values(order, ignore_index=True)
        for name in ('geotiff', 'shards')
    )
    assert len(one) == len(other) == report.counts['images']
    assert report.counts['repetitions'] > 0
    for name in (*order, 'geometry', 'height', 'width', 'void', 'missing_share', 'zero_share'):
        pd.testing.assert_series_equal(one[name], other[name])
    for name in LISTS:
        np.testing.assert_array_equal(np.concatenate(one[name]), np.concatenate(other[name]))
    # Sampling distances are of the boxes in one, nominal in the other.
    local = one['local_id'].notna()
    assert one['gsd_m'][local].tolist() == other['gsd_m'][local].tolist()


def test_shards_have_a_row_for_each_distinct_image_and_its_place_in_the_file(
    shards: Path, tmp_path: Path
) -> None:
    report = run(shards, tmp_path, cells_per_file=3)
    # Whole shards, with three cells at least.
    assert len(report.written) == 2
    table = read_index(tmp_path)
    seen = 0
    for number in range(8):
        cell = painted(number)
        key = f'{cell.cell.grid_id:07d}'
        for name, images in cell.images.items():
            rows = table[(table['key'] == key) & (table['modality'] == name)]
            stacks = images if MODALITIES[name].local else images.reshape(1, -1, *images.shape[-3:])
            if name == 'dem':
                stacks = images[None, None, None]
            days = cell.dates.get(name, [['']])
            wanted = {
                (place, day): image
                for place, stack in enumerate(stacks)
                for day, image in zip(days[place], stack, strict=True)
            }
            assert len(rows) == len(wanted)
            seen += len(rows)
            for row in rows.itertuples():
                place = 0
                if MODALITIES[name].local:
                    (place,) = (
                        i
                        for i, p in enumerate(cell.patches[name])
                        if p.startswith(f'{row.local_id:07d}')
                    )
                image = wanted[place, '' if name == 'dem' else f'{row.date:%Y%m%d}']
                content = (shards / row.path).read_bytes()
                assert content[row.first_byte :][: image.nbytes] == image.tobytes()
                pixels = image.astype(np.float32)
                if name == 's3_olci':
                    pixels *= np.array(list(OLCI_SCALE.values()), np.float32)[:, None, None]
                assert_numbers(row, pixels)
    assert seen == len(table) == report.counts['images']
    stored = sum(
        len(dates) for n in range(8) for series in painted(n).dates.values() for dates in series
    ) + sum('dem' in painted(n).images for n in range(8))
    assert report.counts['repetitions'] == stored - seen > 0


def test_nominal_sampling_distances_shrink_towards_the_pole(shards: Path, tmp_path: Path) -> None:
    run(shards, tmp_path)
    table = read_index(tmp_path, ['gsd_m'])
    for row in table.itertuples():
        narrowed = np.cos(np.radians(Cell(row.grid_id).latitude))
        nominal = MODALITIES[row.modality].sensor.gsd_m
        local = row.modality in ('s1_grd', 's2_toa')
        assert row.gsd_m == pytest.approx(nominal if local else nominal * narrowed**0.5)
    assert max(Cell(number).latitude for number in table['grid_id']) > 60


def test_two_images_of_one_day_are_both_kept_and_repetitions_are_not(tmp_path: Path) -> None:
    cell = painted(0)
    images = np.array(cell.images['s3_olci'])
    days = list(cell.dates['s3_olci'][0])
    images[1], days[1] = images[0] + 1, days[0]
    images[2], days[2] = images[0], days[0]
    # Without a value, so that only NaN compares with NaN.
    images[3:5], days[3:5] = np.nan, [days[3]] * 2
    names = [[f'{cell.cell.name}/{day}'] for day in days]
    content = members(
        cell, json=json_bytes(cell, s3_olci=names), s3_olci=saved(torch.tensor(images))
    )
    write_shard(tmp_path / 'in' / 'a-0.tar', [content])
    run(tmp_path / 'in', tmp_path / 'out', modalities=['s3_olci'])
    table = read_index(tmp_path / 'out')
    assert (table['date'] == pd.Timestamp(days[0])).sum() == 2
    assert table['void'].sum() == 1
    assert (table['date'] == pd.Timestamp(days[3])).sum() == 1
    void = table[table['void']].iloc[0]
    assert void['missing_share'] == 1
    assert np.isnan(void['mean']).all()
    assert not np.any(void['count'])


def test_tensors_of_another_cell_are_no_images_of_this_one(tmp_path: Path) -> None:
    folder = make_pretrain_shards(tmp_path, 4, 0, 16, stale=True)
    clean = make_pretrain_shards(tmp_path / 'clean', 4, 0, 16)
    report = run(folder, tmp_path / 'out')
    run(clean, tmp_path / 'other')
    assert report.counts['stale tensors'] == 6
    one, other = (read_index(tmp_path / name, ['key', 'mean']) for name in ('out', 'other'))
    assert one[['grid_id', 'modality', 'date', 'key']].equals(
        other[['grid_id', 'modality', 'date', 'key']]
    )
    np.testing.assert_array_equal(np.concatenate(one['mean']), np.concatenate(other['mean']))


def test_cells_that_come_again_are_measured_once_and_counted(tmp_path: Path) -> None:
    for name in ('a-0', 'a-1'):
        write_shard(tmp_path / 'in' / f'{name}.tar', [members(painted(0))])
    write_shard(tmp_path / 'in' / 'a-2.tar', [members(painted(2))])
    report = run(tmp_path / 'in', tmp_path / 'out', cells_per_file=1)
    table = read_index(tmp_path / 'out')
    assert report.counts['repeated cells'] == 1
    assert set(table['path']) == {'a-0.tar', 'a-2.tar'}
    assert [path.name for path in index_parts(tmp_path / 'out')] == [
        'part-00000-of-00002.parquet',
        'part-00001-of-00002.parquet',
    ]


@pytest.mark.parametrize('scheduler', ['threads', 'processes'])
def test_every_scheduler_makes_the_same_files(
    root: Path, shards: Path, scheduler: str, tmp_path: Path
) -> None:
    import dask

    for source in (root, shards):
        run(source, tmp_path / 'one' / source.name, cells_per_file=2)
        with dask.config.set({'multiprocessing.context': 'fork'}):
            run(source, tmp_path / 'two' / source.name, cells_per_file=2, scheduler=scheduler)
        for path in index_parts(tmp_path / 'one' / source.name):
            other = tmp_path / 'two' / source.name / 'images' / path.name
            assert other.read_bytes() == path.read_bytes()


def test_some_cells_and_modalities_are_just_these(
    root: Path, shards: Path, index: Path, tmp_path: Path
) -> None:
    chosen = {'modalities': ['dem', 's5p_o3'], 'grids': [808660, 811475]}
    run(root, tmp_path / 'a', **chosen)  # type: ignore[arg-type]
    run(root, tmp_path / 'b', file_list=FileList.read(root / 'fnames_4_union.json.gz'), **chosen)  # type: ignore[arg-type]
    whole = read_index(index, [])
    wanted = whole[
        whole['grid_id'].isin(chosen['grids']) & whole['modality'].isin(chosen['modalities'])
    ]
    for name in 'ab':
        found = read_index(tmp_path / name, [])
        assert sorted(found['path']) == sorted(wanted['path'])
    run(shards, tmp_path / 'c', **chosen, index_folder=tmp_path / 'kept')  # type: ignore[arg-type]
    found = read_index(tmp_path / 'c', [])
    assert set(found['grid_id']) == set(chosen['grids'])
    assert set(found['modality']) == set(chosen['modalities'])
    assert list((tmp_path / 'kept').glob('*.npz'))


def test_shards_of_several_folders_keep_the_part_of_their_paths_that_tells_them_apart(
    tmp_path: Path,
) -> None:
    for number, folder in ((0, 'a'), (2, 'b')):
        write_shard(tmp_path / 'in' / folder / 'x-0.tar', [members(painted(number))])
    write_shard(tmp_path / 'in' / 'b' / 'x-1.tar', [])
    run([tmp_path / 'in' / 'a', tmp_path / 'in' / 'b'], tmp_path / 'out')
    assert set(read_index(tmp_path / 'out', [])['path']) == {'a/x-0.tar', 'b/x-0.tar'}


def test_a_cell_across_the_date_line_is_found_from_both_sides(tmp_path: Path) -> None:
    cell = Cell(700 * GRID_COLUMNS)
    names = {'dem': [[cell.name]]}
    content = {
        f'{cell.grid_id:07d}.dem.pth': saved(torch.ones(4, 4)),
        f'{cell.grid_id:07d}.json': json.dumps(names).encode(),
    }
    write_shard(tmp_path / 'in' / 'a-0.tar', [content])
    run(tmp_path / 'in', tmp_path / 'out')
    (row,) = read_index(tmp_path / 'out').itertuples()
    assert row.geometry.equals(cell_outline(cell))
    assert row.geometry.geom_type == 'MultiPolygon'
    assert row.gsd_m == pytest.approx(30 * np.cos(np.radians(cell.latitude)) ** 0.5)
    for region in ((179.9, 80, 180, 90), (-180, 80, -179.9, 90), (179.95, 80, -179.95, 90)):
        assert len(read_index(tmp_path / 'out', [], region)) == 1
    assert len(read_index(tmp_path / 'out', [], (-170, 80, 170, 90))) == 0
    (path,) = index_parts(tmp_path / 'out')
    assert gpd.read_parquet(path).total_bounds.tolist() == [-180, 84.875, 180, 85.125]


def test_a_part_without_a_row_has_the_same_columns(tmp_path: Path) -> None:
    content = {'0811475.json': b'{}'}
    write_shard(tmp_path / 'in' / 'a-0.tar', [content])
    write_shard(tmp_path / 'in' / 'a-1.tar', [members(painted(2))])
    run(tmp_path / 'in', tmp_path / 'out', cells_per_file=1)
    first, second = (read_part(path) for path in index_parts(tmp_path / 'out'))
    assert (len(first), len(second)) == (0, len(read_index(tmp_path / 'out')))
    assert first.dtypes.astype(str).tolist() == second.dtypes.astype(str).tolist()
    from pyarrow import parquet

    one, other = (parquet.read_schema(path) for path in index_parts(tmp_path / 'out'))
    assert one.equals(other)


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        ({'modalities': ['s4']}, 'Unknown modalities'),
        ({'cells_per_file': 0}, 'at least 1'),
        ({'cells_per_file': 1.5}, 'whole number'),
        ({'grids': []}, 'list numbers'),
        ({'grids': '12'}, 'list numbers'),
        ({'grids': [811475, 811475]}, 'twice'),
        ({'grids': [5]}, 'no images of cells'),
        ({'index_folder': 'x'}, 'holds GeoTIFFs'),
        ({'modalities': ['s2_toa'], 'grids': [811475 + 10**6]}, 'no images of cells'),
        ({'file_list': 'nowhere.json.gz'}, 'cannot be read'),
    ],
)
def test_an_impossible_argument_is_refused(
    root: Path, arguments: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=reason):
        run(root, tmp_path / 'out', **arguments)
    assert not (tmp_path / 'out').exists()


def test_cells_without_any_of_the_modalities_are_no_index(
    root: Path, shards: Path, tmp_path: Path
) -> None:
    lacking = painted(1).cell.grid_id
    with pytest.raises(ValueError, match='lists no image of'):
        run(root, tmp_path / 'out', modalities=['s2_toa'], grids=[lacking])
    with pytest.raises(ValueError, match=r'shards have no cells \[5\], of 1'):
        run(shards, tmp_path / 'out', grids=[5, lacking])
    write_shard(tmp_path / 'in' / 'a-0.tar', [])
    with pytest.raises(ValueError, match='have no cells'):
        run(tmp_path / 'in', tmp_path / 'out')


def test_what_a_folder_holds_must_be_clear(root: Path, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='neither shards'):
        run(tmp_path, tmp_path / 'out')
    both = Path(shutil.copytree(root, tmp_path / 'both'))
    shutil.copy(shards / 'example-000000.tar', both)
    with pytest.raises(ValueError, match='Keep them in folders of their own'):
        run(both, tmp_path / 'out')
    with pytest.raises(ValueError, match='is no folder, but a list'):
        run(shards / 'example-000000.tar', tmp_path / 'out', file_list='x')
    (both / 'example-000000.tar').unlink()
    shutil.copy(both / 'fnames_4_union.json.gz', both / 'fnames_5_union.json.gz')
    with pytest.raises(ValueError, match='choose one with file_list'):
        run(both, tmp_path / 'out')


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        ({'columns': ['mean', 'median']}, r"Unknown columns \['median'\]"),
        ({'columns': 'mean'}, 'list some of'),
        ({'region': (0, 0, 1)}, 'region is'),
        ({'modalities': ['s4']}, 'Unknown modalities'),
        ({'start': '2021-02-01', 'end': '2021-01-01'}, 'is after end'),
    ],
)
def test_an_impossible_filter_is_refused(
    index: Path, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        read_index(index, **arguments)


def test_without_pyarrow_the_extra_is_named(
    root: Path, index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    with pytest.raises(ValueError, match=r'torchgeo-copernicus\[convert\]'):
        run(root, tmp_path)
    with pytest.raises(ValueError, match=r'torchgeo-copernicus\[convert\]'):
        read_index(index)


def test_sums_of_small_columns_are_not_lost_in_float32() -> None:
    image = torch.full((1, 500, 500), 1e-5)
    image[0, 0, 0] = 2e-5
    found = ImageStatistics.of(image)
    values = image.numpy().astype(np.longdouble)
    assert found.mean[0] == pytest.approx(float(values.mean()), rel=1e-12)
    assert found.std[0] == pytest.approx(float(values.std()), rel=1e-9)


def test_infinity_is_no_value() -> None:
    found = ImageStatistics.of(torch.tensor([[[1.0, -torch.inf, torch.inf, torch.nan, 0.0]]]))
    assert found.count.tolist() == [2]
    assert (found.min[0], found.max[0], found.mean[0]) == (0, 1, 0.5)
    assert found.missing_share == pytest.approx(0.6)
    assert found.zero_share == pytest.approx(0.2)
    assert not found.void
    assert ImageStatistics.of(torch.full((2, 1, 1), torch.nan)).void
    with pytest.raises(ValueError, match=r'is \[C, H, W\]'):
        ImageStatistics.of(torch.zeros(2, 2))


def test_every_measured_column_is_read(index: Path) -> None:
    assert tuple(read_index(index).columns) == (*COLUMNS, *MEASURED)
