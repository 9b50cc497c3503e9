"""What a stream does with damaged shards: told, counted, and too much of it is an error."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets.storage.range_server import RangeServer, serving
from torchgeo_copernicus.datasets.pretrain.faults import Fault, FaultError, Faults
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.shard_set import ShardSet
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import UnsafePickleError
from torchgeo_copernicus.datasets.storage import remote

from .shard_writer import json_bytes, members, overwrite, painted, place_of, saved, write_shard

IDS = [painted(number).cell.grid_id for number in range(6)]


def shard(root: Path, **change: bytes | None) -> Path:
    """Write cells 0 to 5, of which the third is changed."""
    cells = [members(painted(n), **(change if n == 2 else {})) for n in range(6)]
    return write_shard(root / 'a.tar', cells)


def stream(root: Path | str, **options: object) -> CopernicusPretrainStream:
    return CopernicusPretrainStream(root, **options)  # type: ignore[arg-type]


def ids(samples: object) -> list[int]:
    return [sample['grid_id'] for sample in samples]  # type: ignore[attr-defined]


def break_json(path: Path, number: int) -> int:
    """Damage a cell behind the back of the stream; return where."""
    offset, size = place_of(path, f'{IDS[number]:07d}.json')
    overwrite(path, offset, b'\xff' * size)
    return offset


def test_a_damaged_tensor_is_told_with_shard_key_and_offset_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = shard(tmp_path, s2_toa=b'PK\x03\x04' + b'x' * 1000)
    offset, _ = place_of(path, f'{IDS[2]:07d}.s2_toa.pth')
    with caplog.at_level(logging.WARNING):
        flow = stream(tmp_path, shuffle=False)
    for text in (caplog.text, flow.faults.report()):
        assert f'damaged: {path}, key {IDS[2]:07d}, byte {offset}: ' in text
    assert flow.faults.counts == {'damaged': 1}
    samples = list(flow)
    assert ids(samples) == IDS
    assert 's2_toa' not in samples[2]['image']
    assert 's1_grd' in samples[2]['image']
    assert flow.faults.counts == {'damaged': 1}


def test_more_faults_than_allowed_are_an_error(tmp_path: Path) -> None:
    cells = [members(painted(n), s5p_co=b'damaged') for n in range(2)]
    write_shard(tmp_path / 'a.tar', [*cells, *(members(painted(n)) for n in range(2, 6))])
    with pytest.raises(FaultError, match=r'(?s)2 of 6 cells.*2 x damaged.*Get these files again'):
        stream(tmp_path)
    assert stream(tmp_path, max_fault_share=0.02).faults.counts == {'damaged': 2}
    write_shard(tmp_path / 'a.tar', cells[:1])
    with pytest.raises(FaultError, match='1 of 1'):
        stream(tmp_path, max_fault_share=0)


def test_a_truncated_shard_gives_its_whole_cells_and_is_told(tmp_path: Path) -> None:
    path = shard(tmp_path)
    offset, size = place_of(path, f'{IDS[4]:07d}.json')
    with path.open('r+b') as file:
        file.truncate(offset + size)
    flow = stream(tmp_path, shuffle=False)
    assert flow.faults.counts == {'cut off': 1}
    assert ids(flow) == IDS[:5]
    with pytest.raises(FaultError):
        stream(tmp_path, max_fault_share=0)


def test_a_shard_cut_off_after_the_start_is_an_error_not_zeros(tmp_path: Path) -> None:
    path = shard(tmp_path)
    flow = stream(tmp_path, shuffle=False, threads=0)
    samples = iter(flow)
    assert next(samples)['grid_id'] == IDS[0]
    with path.open('r+b') as file:
        file.truncate(place_of(path, f'{IDS[2]:07d}.json')[0])
    assert next(samples)['grid_id'] == IDS[1]
    with pytest.raises(FaultError, match='metadata'):
        next(samples)


def test_a_tensor_cut_off_after_the_start_is_left_out(tmp_path: Path) -> None:
    path = shard(tmp_path)
    flow = stream(tmp_path, shuffle=False, threads=0)
    samples = iter(flow)
    next(samples)
    offset, size = place_of(path, f'{IDS[5]:07d}.s5p_o3.pth')
    with path.open('r+b') as file:
        file.truncate(offset + size // 2)
    found = list(samples)
    # The last member of the last cell, which has no more than that.
    assert 's5p_o3' not in found[-1]['image']
    assert 's5p_no2' in found[-1]['image']
    assert f'key {IDS[5]:07d}, byte {offset}' in flow.faults.report()
    assert flow.faults.counts == {'damaged': 1}


def test_a_malicious_tensor_ends_the_run_however_much_damage_is_allowed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return eval, (f"__import__('os').mkdir('{tmp_path / 'owned'}')",)

    for options in ({}, {'_use_new_zipfile_serialization': False}):
        shard(tmp_path, dem=saved({'x': torch.zeros(2), 'y': Bomb()}, **options))
        with pytest.raises(UnsafePickleError, match=r'dem\.pth'):
            stream(tmp_path, max_fault_share=1)
    assert not (tmp_path / 'owned').exists()


def test_a_tensor_made_malicious_after_the_start_runs_nothing(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return eval, (f"__import__('os').mkdir('{tmp_path / 'owned'}')",)

    # Strided, so that it is read by torch.load.
    tensor = saved(torch.zeros(64, 64)[:, ::2])
    path = shard(tmp_path, dem=tensor)
    flow = stream(tmp_path, shuffle=False, max_fault_share=1)
    bomb = saved(Bomb(), _use_new_zipfile_serialization=False)
    overwrite(path, place_of(path, f'{IDS[2]:07d}.dem.pth')[0], bomb)
    with pytest.raises(UnsafePickleError):
        list(flow)
    assert not (tmp_path / 'owned').exists()


@pytest.mark.parametrize('threads', [0, 2])
def test_a_cell_that_cannot_be_read_is_replaced_so_that_ranks_stay_in_step(
    tmp_path: Path, threads: int
) -> None:
    path = shard(tmp_path)
    flows = [stream(tmp_path, rank=r, world_size=2, threads=threads) for r in range(2)]
    whole = [ids(flow) for flow in flows]
    offset = break_json(path, 2)
    for flow, wanted in zip(flows, whole, strict=True):
        flow.set_epoch(0)
        found = ids(flow)
        assert len(found) == 3
        place = wanted.index(IDS[2]) if IDS[2] in wanted else None
        for position, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert (one == other) == (position != place)
        if place is not None:
            assert found[place] == wanted[(place + 1) % 3]
            assert flow.faults.counts == {'metadata': 1}
            assert f'byte {offset}' in flow.faults.report()
            # The same again, after it was resumed there.
            flow.set_epoch(0)
            samples = iter(flow)
            for _ in range(place):
                next(samples)
            state = flow.state_dict()
            again = stream(tmp_path, rank=flow.ranks.rank, world_size=2, max_fault_share=1)
            # The index was made again, for the shard changed; cell 2 is not in it.
            assert again.faults.counts == {'metadata': 1}
            with pytest.raises(ValueError, match='other data'):
                again.load_state_dict(state)


def test_a_run_in_which_nothing_can_be_read_ends(tmp_path: Path) -> None:
    path = shard(tmp_path)
    flow = stream(tmp_path)
    for number in range(6):
        break_json(path, number)
    with pytest.raises(FaultError, match='2 of 2 cells'):
        next(iter(flow))
    flow = stream(shard(tmp_path), max_fault_share=1)
    for number in range(6):
        break_json(path, number)
    with pytest.raises(FaultError, match='No cell'):
        next(iter(flow))


def test_a_shard_that_went_away_is_told(tmp_path: Path) -> None:
    path = shard(tmp_path)
    flow = stream(tmp_path, max_fault_share=0.01)
    path.unlink()
    with pytest.raises(FaultError, match=r'unreadable.*a\.tar'):
        next(iter(flow))


def void(cell_number: int, name: str, places: list[tuple[int, ...]]) -> bytes:
    """Return a tensor of which some images have no value."""
    images = painted(cell_number).images[name].copy()  # type: ignore[index]
    for place in places:
        images[place] = np.nan
    return saved(torch.from_numpy(images))


def test_images_without_a_value_are_counted_and_others_drawn(tmp_path: Path) -> None:
    days = painted(2).dates['s5p_co'][0]
    first = [i for i, day in enumerate(days) if day == days[0]]
    path = shard(tmp_path, s5p_co=void(2, 's5p_co', [(i,) for i in first]))
    flow = stream(path, shuffle=False, modalities='s5p_co')
    series = list(flow)[2]['image']['s5p_co']
    assert len(series) == len(set(days)) - 1
    assert series.isfinite().flatten(1).any(1).all()
    assert flow.faults.counts == {'void': 1}
    drawn = Selection(dates='random')
    found = 0
    flow = stream(path, shuffle=False, modalities='s5p_co', selection=drawn, max_fault_share=0)
    plain = stream(shard(tmp_path / 'plain'), modalities='s5p_co', selection=drawn, shuffle=False)
    for epoch in range(40):
        flow.set_epoch(epoch)
        plain.set_epoch(epoch)
        for sample, other in zip(flow, plain, strict=True):
            assert sample['image']['s5p_co'].isfinite().any()
            same = torch.equal(sample['metadata']['s5p_co'], other['metadata']['s5p_co'])
            void_drawn = not same
            assert not void_drawn or sample['grid_id'] == IDS[2]
            found += void_drawn
    assert found == flow.faults.counts['void'] > 0


def test_a_modality_without_any_value_is_absent(tmp_path: Path) -> None:
    height, width = painted(2).images['dem'].shape
    path = shard(
        tmp_path,
        dem=saved(torch.full((height, width), torch.nan)),
        s1_grd=void(2, 's1_grd', [(0,)]),
    )
    flow = stream(path, shuffle=False)
    sample = list(flow)[2]
    for part in ('image', 'metadata'):
        assert 'dem' not in sample[part]
    patches = painted(2).patches['s1_grd'][1:]
    assert set(sample['local_id']['s1_grd'].tolist()) == {int(name[:7]) for name in patches}
    days = len(set(painted(2).dates['s1_grd'][0]))
    assert flow.faults.counts == {'void': days + 1}


def test_an_image_with_a_single_value_is_kept(tmp_path: Path) -> None:
    height, width = painted(2).images['dem'].shape
    dem = torch.full((height, width), torch.nan)
    dem[0, 0] = 5
    flow = stream(shard(tmp_path, dem=saved(dem)), shuffle=False)
    assert list(flow)[2]['image']['dem'][0, 0, 0] == 5
    assert flow.faults.counts == {}


def test_dates_that_are_not_understood_leave_out_that_modality(tmp_path: Path) -> None:
    names = json_bytes(painted(2), s5p_o3=[['x']] * 12)
    flow = stream(shard(tmp_path, json=names), shuffle=False)
    assert flow.faults.counts == {'metadata': 1}
    assert 's5p_o3' not in list(flow)[2]['image']


def fault(key: str, kind: str = 'damaged') -> Fault:
    return Fault(kind, 'a.tar', key, 0, 'why')  # type: ignore[arg-type]


def test_cells_count_once_and_oddities_do_not(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(0.02)
    with caplog.at_level(logging.WARNING):
        faults.count([fault('1')] * 5 + [fault('2')] + [fault('3', 'stale')] * 40, cells=50)
    assert faults.counts == {'damaged': 6, 'stale': 40}
    # Ten of a kind are told, then ever fewer.
    assert len(caplog.records) == 6 + 10 + 2
    with pytest.raises(FaultError, match='3 of 51 cells'):
        faults.count([fault('4')])
    later = Faults(0.02)
    later.count([], cells=1000)
    later.count([fault(str(n)) for n in range(20)], cells=1000)


def test_workers_count_for_all(tmp_path: Path) -> None:
    from torch.utils.data import DataLoader

    days = painted(2).dates['s5p_co'][0]
    first = [(i,) for i, day in enumerate(days) if day == days[0]]
    path = shard(tmp_path, s5p_co=void(2, 's5p_co', first))
    flow = stream(path, modalities='s5p_co')
    assert len(list(DataLoader(flow, None, num_workers=2))) == 6
    assert flow.faults.counts == {'void': 1}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    monkeypatch.setattr(remote, 'BACKOFF_S', 0.0)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('COPERNICUS_RANGE_CACHE_BYTES', '0')
    for name in ('no_proxy', 'NO_PROXY'):
        monkeypatch.setenv(name, '*')
    shard(tmp_path / 'shards')
    with serving(tmp_path / 'shards') as running:
        yield running


def test_a_broken_connection_is_tried_again(server: RangeServer) -> None:
    flow = stream(f'{server.url}/a.tar', shuffle=False, threads=1)
    server.cuts += [100, 5]
    assert ids(flow) == IDS
    assert flow.faults.counts == {}


def test_a_server_that_stays_away_ends_the_run(server: RangeServer) -> None:
    flow = stream(f'{server.url}/a.tar', shuffle=False, threads=0)
    server.statuses += [500] * 10_000
    with pytest.raises(FaultError, match=r'unreadable.*key \d{7}, byte'):
        list(flow)


def test_a_reading_that_fails_for_one_tensor_leaves_out_that_one(server: RangeServer) -> None:
    flow = stream(f'{server.url}/a.tar', shuffle=False, threads=0)
    whole = list(flow)
    samples = iter(flow)
    next(samples)
    # The JSON comes, and the first tensor does not.
    server.statuses += [200, 403]
    sample = next(samples)
    assert flow.faults.counts == {'unreadable': 1}
    missing = set(whole[1]['image']) - set(sample['image'])
    assert len(missing) == 1


def test_a_missing_shard_of_a_server_is_named(server: RangeServer) -> None:
    with pytest.raises(ValueError, match=r'b\.tar'):
        ShardSet([f'{server.url}/a.tar', f'{server.url}/b.tar'])
