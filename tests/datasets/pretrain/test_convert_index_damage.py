"""The index of what is damaged, changes meanwhile, or was stopped: told, and never mixed in."""

from __future__ import annotations

import io
import multiprocessing
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.datasets.pretrain.index_numbers import assert_numbers
from tests.datasets.pretrain.shard_writer import (
    members,
    overwrite,
    painted,
    place_of,
    saved,
    write_shard,
)
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_reader import ImageReader
from torchgeo_copernicus.datasets.pretrain.index import index_rows_geotiff
from torchgeo_copernicus.datasets.pretrain.index.convert_index import convert_index
from torchgeo_copernicus.datasets.pretrain.index.index_table import (
    index_parts,
    read_index,
    read_part,
)
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import UnsafePickleError
from torchgeo_copernicus.datasets.pretrain.table import image_table, listed_in

pytest.importorskip('dask', reason='conversions need the extra `convert`')
pytest.importorskip('pyarrow', reason='an index needs the extra `convert`')

run = partial(convert_index, scheduler='synchronous', progress=False)


def cut(path: Path) -> None:
    with path.open('r+b') as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (Path.unlink, 'cannot be found'),
        (lambda path: path.write_bytes(b'II*'), 'has 3 bytes'),
        (cut, 'cannot be read|has [0-9]+ bytes'),
        (lambda path: path.write_bytes(bytes(2000)), 'cannot be read'),
    ],
)
def test_an_unreadable_geotiff_is_a_row_that_says_why(
    root: Path, index: Path, damage: Callable[[Path], Any], reason: str, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(root, tmp_path / 'copy'))
    bad = sorted(copy.rglob('*s2_toa_mix/*/*/*/*.tif'))[1]
    damage(bad)
    report = run(copy, tmp_path / 'out')
    table, right = read_index(tmp_path / 'out'), read_index(index)
    assert report.counts['unreadable'] == 1
    assert len(table) == len(right)
    (row,) = table[table['fault'].notna()].itertuples()
    assert copy / row.path == bad
    assert pd.Series([row.fault]).str.contains(reason).all()
    assert str(copy) not in row.fault
    assert row.height is pd.NA
    assert not row.void
    assert list(row.count) == [0] * 13
    assert np.isnan(row.mean).all()
    assert len(row.mean) == 13
    others = table['fault'].isna()
    np.testing.assert_array_equal(
        np.concatenate(table['mean'][others].tolist()),
        np.concatenate(right['mean'][others].tolist()),
    )


@pytest.mark.parametrize('how', ['damaged', 'absent', 'compressed'])
def test_a_damaged_tensor_is_rows_that_say_why(how: str, tmp_path: Path) -> None:
    cell = painted(0)
    name = f'{cell.cell.grid_id:07d}.s1_grd.pth'
    content = members(cell)
    if how == 'absent':
        del content[name]
    path = write_shard(tmp_path / 'in' / 'a-0.tar', [content])
    if how == 'damaged':
        # The directory of the zip archive is at its end.
        offset, size = place_of(path, name)
        overwrite(path, offset + size - 30, b'x' * 30)
    if how == 'compressed':
        images = torch.tensor(cell.images['s1_grd'])
        path = write_shard(
            path,
            [members(cell, s1_grd=saved(images.transpose(-1, -2).contiguous().transpose(-1, -2)))],
        )
    report = run(tmp_path / 'in', tmp_path / 'out')
    table = read_index(tmp_path / 'out')
    mine = table[table['modality'] == 's1_grd']
    assert len(mine) == sum(len(set(days)) for days in cell.dates['s1_grd'])
    if how == 'compressed':
        assert mine['fault'].isna().all()
        assert mine['first_byte'].isna().all()
        assert_numbers(next(mine.itertuples()), cell.images['s1_grd'][0, 0])
        return
    assert report.counts['unreadable'] == len(mine) == table['fault'].notna().sum()
    assert mine['fault'].str.contains('s1_grd.pth').all()
    assert not mine['fault'].str.contains(str(tmp_path)).any()
    assert mine['key'].tolist() == [name[:7]] * len(mine)


def test_a_program_in_a_tensor_ends_the_conversion(tmp_path: Path) -> None:
    bad = members(painted(0), dem=saved(io.StringIO))
    write_shard(tmp_path / 'in' / 'a-0.tar', [bad])
    with pytest.raises(UnsafePickleError):
        run(tmp_path / 'in', tmp_path / 'out')


def test_a_server_that_does_not_answer_is_no_fault_of_the_images(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchgeo_copernicus.datasets.pretrain.index import index_rows_shards

    class Unsteady:
        def __init__(self, error: OSError) -> None:
            self.error = error

        def __call__(self, *arguments: object) -> Any:
            raise self.error

    monkeypatch.setattr(index_rows_shards, 'StoredImages', Unsteady(ConnectionError('busy')))
    with pytest.raises(ConnectionError, match='busy'):
        run(shards, tmp_path / 'out')
    monkeypatch.setattr(index_rows_shards, 'StoredImages', Unsteady(OSError('bad sector')))
    report = run(shards, tmp_path / 'out')
    assert report.counts['unreadable'] == report.counts['images'] > 0
    assert read_index(tmp_path / 'out')['fault'].eq('bad sector').all()


def test_a_shard_that_changes_meanwhile_is_not_mixed_in(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchgeo_copernicus.datasets.pretrain.index import convert_index as module

    copy = Path(shutil.copytree(shards, tmp_path / 'copy'))

    def later(*arguments: Any, **options: Any) -> None:
        cut(copy / 'example-000000.tar')
        for job in arguments[0][0]:
            job.write(tmp_path / 'part')

    monkeypatch.setattr(module, 'convert', later)
    with pytest.raises(OSError, match='changed since the start'):
        run(copy, tmp_path / 'out')


def test_a_killed_conversion_goes_on_and_gives_the_same_rows(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = ImageReader.read, []

    def dying(self: ImageReader, *arguments: Any) -> Any:
        seen.append(arguments)
        if len(seen) == 100:
            os._exit(9)
        return read(self, *arguments)

    monkeypatch.setattr(index_rows_geotiff.ImageReader, 'read', dying)
    process = multiprocessing.get_context('fork').Process(
        target=run, args=(root, tmp_path / 'out'), kwargs={'cells_per_file': 1}
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    with pytest.raises(ValueError, match=r'lacks \d of 4 parts'):
        read_index(tmp_path / 'out')
    monkeypatch.undo()
    report = run(root, tmp_path / 'out', cells_per_file=1)
    assert report.kept
    assert len(report.written) + len(report.kept) == 4
    whole = run(root, tmp_path / 'whole', cells_per_file=1)
    assert whole.counts == report.counts
    for path in index_parts(tmp_path / 'out'):
        assert path.read_bytes() == (tmp_path / 'whole' / 'images' / path.name).read_bytes()
    assert run(root, tmp_path / 'out', cells_per_file=1).written == ()


def test_a_file_that_changed_is_measured_again(root: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(root, tmp_path / 'copy'))
    run(copy, tmp_path / 'out', cells_per_file=1)
    path = copy / read_part(index_parts(tmp_path / 'out')[2], [])['path'].iloc[0]
    content = path.read_bytes()
    path.unlink()
    assert run(copy, tmp_path / 'out', cells_per_file=1).counts['unreadable'] == 1
    path.write_bytes(content)
    report = run(copy, tmp_path / 'out', cells_per_file=1)
    assert report.written == ('images/part-00002-of-00004.parquet',)
    assert report.counts['unreadable'] == 0


def test_an_index_of_other_options_is_not_mixed_in(
    root: Path, index: Path, shards: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(index, tmp_path / 'copy'))
    with pytest.raises(ValueError, match='made with other images and modalities'):
        run(root, copy, cells_per_file=3, modalities=['dem', 's2_toa'])
    with pytest.raises(ValueError, match='would not make'):
        run(root, copy, cells_per_file=1)
    with pytest.raises(ValueError, match=r'would not make|made with other'):
        run(shards, copy)
    listed = image_table(FileList.read(root / 'fnames_4_union.json.gz'))
    fewer = listed_in(listed[1:])
    with pytest.raises(ValueError, match='made with other images'):
        run(root, copy, cells_per_file=3, file_list=fewer)


def test_a_flipped_byte_in_an_index_is_an_error_and_no_other_number(
    index: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(index, tmp_path / 'copy'))
    path = index_parts(copy)[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match='cannot be read'):
        read_index(copy)
    path.write_bytes(b'PAR1')
    with pytest.raises(ValueError, match='cannot be read'):
        read_index(copy)
    path.unlink()
    with pytest.raises(ValueError, match=r'lacks 1 of 2 parts, such as \[0\]'):
        read_index(copy)
    with pytest.raises(ValueError, match='holds no index'):
        read_index(tmp_path)
    shutil.copy(index / 'images' / path.name, copy / 'images' / 'mine.parquet')
    with pytest.raises(ValueError, match='holds no index'):
        read_index(copy)
