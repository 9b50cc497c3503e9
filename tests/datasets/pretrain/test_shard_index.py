"""Cells found in shards, also in those that are damaged or carry tensors of other cells."""

from __future__ import annotations

import io
import os
import re
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from torchgeo_copernicus.datasets.lookalike.pretrain_shards import cell_names
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES
from torchgeo_copernicus.datasets.pretrain.shards.shard_index import CELL, ShardIndex
from torchgeo_copernicus.datasets.pretrain.shards.shard_set import ShardSet
from torchgeo_copernicus.datasets.pretrain.shards.stored_images import StoredImages
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import UnsafePickleError
from torchgeo_copernicus.datasets.storage.byte_source import LocalFile
from torchgeo_copernicus.sensors import OLCI_SCALE

from .shard_writer import json_bytes, members, overwrite, painted, place_of, saved, write_shard


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Cells 0 to 2; the second lacks S1, S2 and SO2."""
    return write_shard(tmp_path / 'a.tar', [members(painted(number)) for number in range(3)])


def build(path: Path) -> ShardIndex:
    return ShardIndex.build(LocalFile(path))


def modalities(index: ShardIndex, row: int) -> list[str]:
    there = index.cells['member_offset'][row] >= 0
    return [name for name, is_there in zip(MODALITY_NAMES, there, strict=True) if is_there]


def kinds(index: ShardIndex) -> list[str]:
    return [fault.kind for fault in index.faults]


def test_tensors_lie_where_the_index_says(shard: Path) -> None:
    index = build(shard)
    assert index.faults == ()
    assert index.cells['grid_id'].tolist() == [painted(n).cell.grid_id for n in range(3)]
    for row in range(3):
        cell = painted(row)
        assert modalities(index, row) == list(cell.images)
        for name, image in cell.images.items():
            stored = StoredImages(LocalFile(shard), index.cells[row], name)
            flat = image[None, None] if name == 'dem' else image.reshape(-1, *image.shape[-3:])
            flat = flat.astype(np.float32)
            if name == 's3_olci':
                flat = flat * np.array(list(OLCI_SCALE.values()), np.float32)[:, None, None]
            np.testing.assert_array_equal(stored.read(range(len(flat))).numpy(), flat)


def test_what_webdataset_would_give_torch_load_is_what_is_read(shard: Path) -> None:
    index = build(shard)
    with tarfile.open(shard) as archive:
        content = archive.extractfile(f'{int(index.cells["key"][0]):07d}.s2_toa.pth')
        assert content is not None
        expected = torch.load(io.BytesIO(content.read()), weights_only=True)
    stored = StoredImages(LocalFile(shard), index.cells[0], 's2_toa')
    assert torch.equal(stored.read([5, 2, 3]), expected.flatten(0, 1)[[5, 2, 3]].float())


def test_an_index_is_kept_and_made_again_when_the_shard_changes(
    shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    real = ShardIndex.build
    monkeypatch.setattr(ShardIndex, 'build', lambda source: (built.append(1), real(source))[1])
    first, second = ShardSet([str(shard)]), ShardSet([str(shard)])
    assert len(built) == 1
    assert (first.cells == second.cells).all()
    kept = shard.parent / '.index' / 'a.tar.npz'
    assert kept.exists()
    write_shard(shard, [members(painted(0))])
    assert len(ShardSet([str(shard)]).cells) == 1
    # A change that leaves the size as it was.
    os.utime(shard, ns=(1, 1))
    ShardSet([str(shard)])
    assert len(built) == 3
    kept.write_bytes(kept.read_bytes()[:-100])
    assert len(ShardSet([str(shard)]).cells) == 1
    np.savez(kept, version=np.array(0))
    ShardSet([str(shard)])
    assert len(built) == 5


def test_kept_indices_are_not_parsed_by_threads_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # CPython 3.11 now and then fails with a SystemError then, in whichever thread.
    index = ShardIndex(np.zeros(1, CELL), ())
    paths = [tmp_path / f'{number}.npz' for number in range(8)]
    for path in paths:
        index.save(path, (1, 2))
    reading, most, load = [], [], np.load

    def slow(*args: object, **options: object) -> object:
        reading.append(1)
        most.append(len(reading))
        time.sleep(0.01)
        reading.pop()
        return load(*args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(np, 'load', slow)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda path: ShardIndex.load(path, (1, 2)), paths))
    assert all(found) and most == [1] * 8


def test_faults_are_kept_with_the_index_and_name_the_shard_where_it_is_now(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / 'old' / 'a.tar', [members(painted(0), dem=b'x' * 100)])
    assert [fault.kind for fault in ShardSet([str(shard)]).faults] == ['damaged']
    moved = (tmp_path / 'old').rename(tmp_path / 'new') / 'a.tar'
    (fault,) = ShardSet([str(moved)]).faults
    assert fault.shard == str(moved)
    assert fault.offset == place_of(moved, f'{painted(0).cell.grid_id:07d}.dem.pth')[0]


def test_indices_lie_where_they_are_wanted_apart_for_shards_of_one_name(tmp_path: Path) -> None:
    shards = [
        write_shard(tmp_path / f / 'a.tar', [members(painted(i))]) for i, f in enumerate('xy')
    ]
    found = ShardSet([str(path) for path in shards], tmp_path / 'kept')
    assert len(found.cells) == 2
    assert len(list((tmp_path / 'kept').iterdir())) == 2
    assert not (tmp_path / 'x' / '.index').exists()


def test_shards_that_cannot_be_written_beside_are_indexed_in_the_cache(
    shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(os, 'access', lambda *_: False)
    ShardSet([str(shard)])
    assert len(list((tmp_path / 'cache').rglob('*-a.tar.npz'))) == 1


def test_a_shard_that_is_cut_off_gives_its_whole_members(shard: Path) -> None:
    whole = build(shard)
    size = shard.stat().st_size
    rng = np.random.default_rng(0)
    for length in sorted(rng.integers(600, size - 10_240, 12).tolist(), reverse=True):
        with shard.open('r+b') as file:
            file.truncate(length)
        index = build(shard)
        assert 'cut off' in kinds(index)
        (fault,) = [f for f in index.faults if f.kind == 'cut off']
        assert fault.shard == str(shard)
        assert length - 200_000 < fault.offset <= length
        for row, cell in enumerate(index.cells):
            assert cell['grid_id'] == whole.cells['grid_id'][row]
            there = cell['member_offset'] >= 0
            ends = cell['member_offset'] + cell['member_bytes']
            assert (ends[there] <= length).all()
            complete = (
                whole.cells[row]['member_offset'] + whole.cells[row]['member_bytes']
            ) <= length
            if cell['json_offset'] >= 0:
                wanted = complete & (whole.cells[row]['member_offset'] >= 0)
                assert (there == wanted).all()


def test_a_shard_without_an_end_is_not_taken_for_whole(shard: Path) -> None:
    with tarfile.open(shard) as archive:
        last = archive.getmembers()[-1]
    end = last.offset_data + -(-last.size // 512) * 512
    with shard.open('r+b') as file:
        file.truncate(end)
    index = build(shard)
    assert kinds(index) == ['cut off']
    assert len(index.cells) == 3


@pytest.mark.parametrize('garbage', [b'\xff' * 512, b'\x01' + b'\x00' * 511])
def test_a_damaged_header_is_not_taken_for_the_end(shard: Path, garbage: bytes) -> None:
    key = f'{painted(1).cell.grid_id:07d}'
    offset, _ = place_of(shard, f'{key}.s5p_co.pth')
    overwrite(shard, offset - 512, garbage)
    index = build(shard)
    (fault,) = index.faults
    assert (fault.kind, fault.offset) == ('cut off', offset - 512)
    assert len(index.cells) == 2


@pytest.mark.parametrize('content', [b'', b'no tar' * 200, b'\x00' * 10])
def test_what_is_no_archive_is_a_fault(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'a.tar'
    path.write_bytes(content)
    index = build(path)
    assert kinds(index) == ['cut off']
    assert len(index.cells) == 0


def test_a_malicious_tensor_raises_and_runs_nothing(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / 'owned'),)

    shard = write_shard(tmp_path / 'a.tar', [members(painted(0), dem=saved(Bomb()))])
    offset, _ = place_of(shard, f'{painted(0).cell.grid_id:07d}.dem.pth')
    with pytest.raises(UnsafePickleError, match=rf'dem\.pth.*byte {offset} of .*a\.tar'):
        ShardSet([str(shard)])
    assert not (tmp_path / 'owned').exists()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'dem': saved(torch.zeros(3))}, r'\(3,\)'),
        ({'dem': saved(torch.zeros(2, 4, 4))}, r'\(2, 4, 4\)'),
        ({'s5p_co': saved(torch.zeros(11, 1, 4, 4))}, r'\(11, 1, 4, 4\), its names tell \(12, 1'),
        ({'s1_grd': saved(torch.zeros(2, 4, 3, 16, 16))}, r'its names tell \(2, 4, 2'),
        ({'s2_toa': b'PK\x03\x04broken'}, 'cut off or damaged'),
    ],
)
def test_a_damaged_tensor_is_named_and_the_rest_is_kept(
    tmp_path: Path, change: dict[str, bytes], words: str
) -> None:
    path = write_shard(tmp_path / 'a.tar', [members(painted(0), **change), members(painted(2))])
    index = build(path)
    (fault,) = index.faults
    assert fault.kind == 'damaged'
    assert re.search(words, fault.reason)
    (name,) = change
    assert fault.offset == place_of(path, f'{fault.key}.{name}.pth')[0]
    assert set(painted(0).images) - set(modalities(index, 0)) == {name}
    assert set(modalities(index, 1)) == set(painted(2).images)


def test_elevation_with_an_axis_of_channels_is_read_alike(tmp_path: Path) -> None:
    dem = torch.arange(16.0).reshape(1, 4, 4)
    index = build(write_shard(tmp_path / 'a.tar', [members(painted(0), dem=saved(dem))]))
    found = StoredImages(LocalFile(tmp_path / 'a.tar'), index.cells[0], 'dem').read([0])
    assert torch.equal(found, dem[None])


@pytest.mark.parametrize(
    'tensor',
    [
        torch.arange(32.0).reshape(4, 8).t(),
        torch.arange(32.0).reshape(8, 4).double(),
        torch.arange(32).reshape(8, 4).to(torch.uint8),
    ],
)
def test_tensors_of_other_types_and_orders_have_the_same_values(
    tmp_path: Path, tensor: torch.Tensor
) -> None:
    index = build(write_shard(tmp_path / 'a.tar', [members(painted(0), dem=saved(tensor))]))
    found = StoredImages(LocalFile(tmp_path / 'a.tar'), index.cells[0], 'dem').read([0])
    assert found.dtype == torch.float32
    assert torch.equal(found[0, 0], tensor.float())


def test_stale_tensors_of_the_cell_before_are_dropped_and_counted(tmp_path: Path) -> None:
    before, cell = painted(0), painted(1)
    stale = members(before)
    key = f'{cell.cell.grid_id:07d}'
    mixed = {f'{key}{name[7:]}': content for name, content in stale.items()}
    names = json_bytes(before, **cell_names(cell))
    mixed |= members(cell, json=names)
    index = build(write_shard(tmp_path / 'a.tar', [stale, dict(sorted(mixed.items()))]))
    assert kinds(index) == ['stale'] * 3
    assert {f.key for f in index.faults} == {key}
    assert modalities(index, 1) == list(cell.images)


def test_a_cell_under_the_key_of_the_one_before_is_not_lost(tmp_path: Path) -> None:
    # Upstream took the key from the name of the elevation, so a cell without it got the key before.
    first, second = painted(0), painted(3)
    assert 'dem' not in second.images
    own = cell_names(second) | {'dem': cell_names(first)['dem']}
    wrong = {
        f'{first.cell.grid_id:07d}{name[7:]}': content
        for name, content in members(second, json=json_bytes(second, **own)).items()
    }
    wrong[f'{first.cell.grid_id:07d}.dem.pth'] = members(first)[f'{first.cell.grid_id:07d}.dem.pth']
    wrong = dict(sorted(wrong.items()))
    index = build(write_shard(tmp_path / 'a.tar', [members(first), wrong, members(painted(2))]))
    found = index.cells['grid_id'].tolist()
    assert found == [c.cell.grid_id for c in (first, second, painted(2))]
    assert modalities(index, 0) == list(first.images)
    assert modalities(index, 1) == list(second.images)
    assert sorted(kinds(index)) == ['stale', 'wrong key']


def test_a_cell_without_a_json_is_a_fault(tmp_path: Path) -> None:
    index = build(write_shard(tmp_path / 'a.tar', [members(painted(0), json=None)]))
    assert (kinds(index), len(index.cells)) == (['metadata'], 0)


@pytest.mark.parametrize('content', [b'{', b'[]', b'"x"', b'\xff\xfe', b'[' * 100_000])
def test_a_damaged_json_is_a_fault(tmp_path: Path, content: bytes) -> None:
    cells = [members(painted(0), json=content), members(painted(2))]
    index = build(write_shard(tmp_path / 'a.tar', cells))
    assert (kinds(index), len(index.cells)) == (['metadata'], 1)


def test_a_huge_json_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_shard(tmp_path / 'a.tar', [members(painted(0))])
    monkeypatch.setattr(
        'torchgeo_copernicus.datasets.pretrain.shards.shard_index.LARGEST_JSON_BYTES', 9
    )
    assert kinds(build(path)) == ['metadata']


def test_a_tensor_that_the_json_does_not_name_has_no_date_and_is_a_fault(tmp_path: Path) -> None:
    names = json_bytes(painted(0), s5p_co=None, s5p_o3=[['x/y/z']])
    index = build(write_shard(tmp_path / 'a.tar', [members(painted(0), json=names)]))
    assert kinds(index) == ['metadata', 'metadata']
    assert 'does not name s5p_co' in index.faults[0].reason
    assert 'x/y/z' in index.faults[1].reason
    assert not {'s5p_co', 's5p_o3'} & set(modalities(index, 0))


def test_folders_links_and_other_files_in_an_archive_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / 'a.tar'
    with tarfile.open(path, 'w') as archive:
        folder = tarfile.TarInfo('./sub')
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        link = tarfile.TarInfo('0000001.dem.pth')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        archive.addfile(link)
        for name, content in {'README.txt': b'hello', **members(painted(0))}.items():
            info = tarfile.TarInfo(f'./sub/{name}')
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    index = build(path)
    assert index.faults == ()
    assert index.cells['grid_id'].tolist() == [painted(0).cell.grid_id]


def test_a_cell_in_two_shards_comes_once_and_is_counted(tmp_path: Path) -> None:
    one = write_shard(tmp_path / 'a.tar', [members(painted(0))])
    two = write_shard(tmp_path / 'b.tar', [members(painted(2)), members(painted(0))])
    found = ShardSet([str(one), str(two)])
    assert found.cells['grid_id'].tolist() == [painted(n).cell.grid_id for n in (0, 2)]
    assert found.shard.tolist() == [0, 1]
    assert [(f.kind, f.shard) for f in found.faults] == [('repeated', str(two))]


def test_missing_shards_are_named(shard: Path) -> None:
    with pytest.raises(ValueError, match=r'1 of 2 shards are not there.*b\.tar'):
        ShardSet([str(shard), str(shard.with_name('b.tar'))])


def test_few_files_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('torchgeo_copernicus.datasets.pretrain.shards.shard_set._MOST_OPEN', 2)
    paths = [write_shard(tmp_path / f'{n}.tar', [members(painted(n))]) for n in range(4)]
    found = ShardSet([str(path) for path in paths])
    for _ in range(2):
        for number in range(4):
            assert found.source(number).name == str(paths[number])
            assert len(found._open) <= 2


def test_a_shard_that_changed_since_the_start_is_not_read(shard: Path) -> None:
    found = ShardSet([str(shard)])
    write_shard(shard, [members(painted(0))])
    with pytest.raises(OSError, match='Start again'):
        found.source(0)
