"""Lists of files: paths stay below the root, dates are in names, and what is damaged is named."""

from __future__ import annotations

import gzip
import json
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from torchgeo_copernicus.datasets.lookalike.pretrain_cell import LACKING, paint_cell
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import WHOLE_CELL, read_entry
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.geotiffs.json_entries import json_entries
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES
from torchgeo_copernicus.metadata import days_since_epoch

CELL, PATCH = '0772176_-96.00_44.00', '0865831_-95.92_43.96'
S1 = f's1_grd_utm/images/{CELL}/{PATCH}/S1A_IW_GRDH_1SDV_20221121T002811_20221121T002836_1_2_3.tif'
S2 = f's2_toa_mix/images/{CELL}/{PATCH}/20201002T171911_20201002T171910_T15TTJ.tif'
S3 = f's3_olci_utm/images/{CELL}/S3A_20190507T135736_20190507T135744.tif'
NO2 = f's5p_l3_wgs/images/tropospheric_NO2_column_number_density/{CELL}/2021-01-01_2021-02-01.tif'
DEM = f'dem_grid_wgs/images/{CELL}/dem.tif'
ENTRY: dict[str, object] = {
    'grid_id_coord': CELL,
    's1_grd': {PATCH: [S1]},
    's2_toa': {PATCH: [S2]},
    's3_olci': [S3],
    's5p_co': [],
    's5p_no2': [NO2],
    's5p_so2': [],
    's5p_o3': [],
    'dem': [DEM],
}


def written(path: Path, content: object) -> Path:
    with gzip.open(path, 'wt', encoding='utf-8') as file:
        file.write(content if isinstance(content, str) else json.dumps(content))
    return path


def with_path(modality: str, path: object) -> dict[str, object]:
    local = modality in ('s1_grd', 's2_toa')
    return {**ENTRY, modality: {PATCH: [path]} if local else [path]}


def test_days_are_those_in_the_names_of_the_files() -> None:
    images = read_entry('772176', ENTRY).images
    found = {
        name: (place, image.path, image.days)
        for name, places in images.items()
        for place, (image,) in places.items()
    }
    assert found.pop('dem')[:2] == (WHOLE_CELL, DEM)
    assert math.isnan(images['dem'][WHOLE_CELL][0].days)
    assert found == {
        's1_grd': (PATCH, S1, days_since_epoch('2022-11-21')),
        's2_toa': (PATCH, S2, days_since_epoch('2020-10-02')),
        's3_olci': (WHOLE_CELL, S3, days_since_epoch('2019-05-07')),
        's5p_no2': (WHOLE_CELL, NO2, days_since_epoch('2021-01-01')),
    }


def test_images_are_in_the_order_of_time_not_of_satellites() -> None:
    names = ['S3B_20210101T1.tif', 'S3A_20210301T1.tif', 'S3A_20210201T1.tif']
    paths = [f's3_olci_utm/images/{CELL}/{name}' for name in names]
    images = read_entry('772176', {**ENTRY, 's3_olci': paths}).images['s3_olci'][WHOLE_CELL]
    assert [image.path for image in images] == [paths[0], paths[2], paths[1]]


@pytest.mark.parametrize('empty', [{}, [], None])
def test_an_empty_modality_is_absent(empty: Any) -> None:
    entry = read_entry('772176', {**ENTRY, 's1_grd': empty, 'dem': empty})
    assert set(entry.images) == {'s2_toa', 's3_olci', 's5p_no2'}
    without = {name: value for name, value in ENTRY.items() if name != 's3_olci'}
    assert 's3_olci' not in read_entry('772176', without).images
    assert 's1_grd' not in read_entry('772176', {**ENTRY, 's1_grd': {PATCH: []}}).images


@pytest.mark.parametrize(
    'path',
    [
        '/etc/passwd.tif',
        f'/{S3}',
        f'../{S3}',
        f'./{S3}',
        S3.replace('S3A', '../S3A'),
        S3.replace('S3A', '..\\S3A'),
        S3.replace('S3A', 'C:S3A'),
        S3.replace('S3A', 'S3A\0'),
        S3.replace('/images/', '/images/../images/'),
        S3.replace('/', '//', 1),
        f'https://example.org/{S3}',
        f'/vsicurl/http://example.org/{S3}',
    ],
)
def test_a_path_that_leads_out_of_the_root_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r'cell 772176, s3_olci: .* below the root'):
        read_entry('772176', with_path('s3_olci', path))


@pytest.mark.parametrize(
    ('modality', 'path'),
    [
        # Of another cell, patch, gas or modality: the pixels would be silently wrong.
        ('s3_olci', S3.replace(CELL, '0906994_128.50_67.25')),
        ('s1_grd', S1.replace(PATCH, '0865832_-95.92_43.96')),
        ('s5p_co', NO2),
        ('s2_toa', S1),
        ('dem', DEM.replace('.tif', '.png')),
        ('dem', 5),
    ],
)
def test_an_image_of_something_else_is_refused(modality: str, path: object) -> None:
    with pytest.raises(ValueError, match=f'cell 772176, {modality}: '):
        read_entry('772176', with_path(modality, path))


@pytest.mark.parametrize(
    ('modality', 'path', 'reason'),
    [
        ('s3_olci', S3.replace('T', 't'), 'has no date'),
        ('s3_olci', S3.replace('20190507', '20191307'), 'month'),
        ('s5p_no2', NO2.replace('2021-01', '202101'), 'has no date'),
    ],
)
def test_a_name_without_a_real_date_is_refused(modality: str, path: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_entry('772176', with_path(modality, path))


@pytest.mark.parametrize(
    ('key', 'entry', 'reason'),
    [
        ('772176', ['a'], 'is a list'),
        ('772176', {**ENTRY, 'landsat': []}, r"unknown keys \['landsat'\]"),
        ('772176', {**ENTRY, 'grid_id_coord': None}, 'has no name'),
        ('772177', ENTRY, 'which is another'),
        ('٣', ENTRY, 'which is another'),
        ('772176', {**ENTRY, 's1_grd': [S1]}, 'is a list'),
        ('772176', {**ENTRY, 's1_grd': {'a': [S1]}}, 'is no name such as'),
        ('772176', {**ENTRY, 's1_grd': {PATCH: S1}}, 'is a str'),
        ('772176', {**ENTRY, 'dem': DEM}, 'is a str'),
        ('772176', {**ENTRY, 'dem': [DEM, DEM.replace('dem.', 'b.')]}, '2 files'),
        ('772176', {**ENTRY, 's3_olci': [S3, S3]}, 'twice'),
    ],
)
def test_an_unknown_structure_is_named(key: str, entry: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_entry(key, entry)


def test_a_list_keeps_what_was_painted(tmp_path: Path) -> None:
    root = make_pretrain_geotiff(tmp_path, 4, 0, 16)
    files = FileList.read(root / 'fnames_4_union.json.gz')
    assert len(files) == 4
    for row in range(4):
        painted, cell = paint_cell(0, row, 264 // 16), files.cell(row)
        assert cell.cell == painted.cell
        assert files.grid_ids[row] == painted.cell.grid_id
        assert set(cell.images) == {*MODALITY_NAMES} - set(LACKING[row])
        for name, places in cell.images.items():
            assert files.has(name)[row]
            if name == 'dem':
                continue
            if MODALITIES[name].local:
                assert list(places) == painted.patches[name]
            for images, days in zip(places.values(), painted.dates[name], strict=True):
                assert [i.days for i in images] == sorted(map(days_since_epoch, set(days)))
            assert files.counts[row, MODALITY_NAMES.index(name)] == sum(map(len, places.values()))
    assert not files.has('s1_grd')[1]
    assert pickle.loads(pickle.dumps(files)).cell(2) == files.cell(2)


def test_positions_are_found_by_number_in_any_order(tmp_path: Path) -> None:
    root = make_pretrain_geotiff(tmp_path, 4, 0, 16)
    files = FileList.read(root / 'fnames_4_union.json.gz')
    backwards = files.grid_ids[::-1].tolist()
    assert files.rows(backwards).tolist() == [3, 2, 1, 0]
    with pytest.raises(ValueError, match=r'no images of cells \[5\], of 1 in all'):
        files.rows([backwards[0], 5])
    with pytest.raises(ValueError, match='no images of cells'):
        files.rows([1_038_239])
    kept = FileList.read(root / 'fnames_4_union.json.gz', backwards[:2])
    assert kept.grid_ids.tolist() == files.grid_ids[2:].tolist()


def test_cells_without_images_are_left_out_and_others_not_looked_at(tmp_path: Path) -> None:
    empty = {'grid_id_coord': '0000005_-178.75_-90.00', 's1_grd': {}, 'dem': []}
    content = {'0000005': empty, '772176': ENTRY, '7': 'nonsense'}
    path = written(tmp_path / 'fnames_x.json.gz', content)
    assert FileList.read(path, [772176, 5]).grid_ids.tolist() == [772176]
    with pytest.raises(ValueError, match=r'fnames_x.json.gz: cell 7 is a str'):
        FileList.read(path)


def test_an_empty_list_has_no_cells(tmp_path: Path) -> None:
    files = FileList.read(written(tmp_path / 'fnames_x.json.gz', ' { } \n'))
    assert len(files) == 0
    assert files.counts.shape == (0, 8)
    with pytest.raises(ValueError, match='no images of cells'):
        files.rows([5])


def test_a_cell_under_two_keys_is_refused(tmp_path: Path) -> None:
    content = {'772176': ENTRY, '0772176': ENTRY}
    with pytest.raises(ValueError, match=r'lists cells \[772176\] twice'):
        FileList.read(written(tmp_path / 'fnames_x.json.gz', content))


def test_a_key_that_is_no_number_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / 'fnames_x.json.gz', {'train': ENTRY})
    with pytest.raises(ValueError, match="'train' is no number of a cell"):
        FileList.read(path)


@pytest.mark.parametrize('chunk', [1, 7, 64, 1 << 20])
def test_entries_are_whole_wherever_the_text_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr('torchgeo_copernicus.datasets.pretrain.geotiffs.json_entries._CHUNK', chunk)
    content: Mapping[str, object] = {
        'a': {'x': ['ä"\\u00e4', {}]}, 'b"}': [], 'c': {'y': {'z': [1, 2]}}
    }  # fmt: skip
    path = written(tmp_path / 'x.json.gz', json.dumps(content, indent=3) + '\n ')
    found = list(json_entries(path))
    assert {key: value for key, value, _ in found} == content
    assert all(json.loads(text) == value for _, value, text in found)


@pytest.mark.parametrize(
    'content',
    [
        '', '[1]', '{', '{"a"', '{"a":', '{"a": {}', '{"a": {},', '{"a": {}}}', '{"a" {}}',
        '{5: {}}', '{"a": {} "b": {}}', '{"a": ' + '[' * 100_000, '{"a": {}} x', '{"a": {"b": nul',
    ],
)  # fmt: skip
def test_a_damaged_list_is_named_and_never_half_read(tmp_path: Path, content: str) -> None:
    path = written(tmp_path / 'fnames_x.json.gz', content)
    with pytest.raises(ValueError, match=r'fnames_x.json.gz cannot be read'):
        list(json_entries(path))


def test_a_huge_entry_is_refused_before_memory_is_full(tmp_path: Path) -> None:
    path = written(tmp_path / 'fnames_x.json.gz', '{"5": "' + 'x' * 10_000_000)
    with pytest.raises(ValueError, match='too large'):
        list(json_entries(path, 1_000_000))


@pytest.mark.parametrize('damage', ['cut', 'plain', 'missing', 'latin', 'flipped'])
def test_a_file_that_is_no_whole_gzip_is_named(tmp_path: Path, damage: str) -> None:
    path = written(tmp_path / 'fnames_x.json.gz', {str(n): [n] * 50 for n in range(2000)})
    content = path.read_bytes()
    if damage == 'missing':
        path.unlink()
    else:
        path.write_bytes(
            {
                'cut': content[:-9],
                'plain': b'{"5": {}}',
                'latin': gzip.compress('{"ä": 5}'.encode('latin-1')),
                'flipped': content[:500] + bytes(40) + content[540:],
            }[damage]
        )
    with pytest.raises(ValueError, match=r'fnames_x.json.gz cannot be read'):
        list(json_entries(path))
