"""Samples of shards: what they hold, which come in an epoch, and in what order."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.datasets.storage.range_server import RangeServer, serving
from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards
from torchgeo_copernicus.datasets.pretrain.grid import split_name
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.ranks import Ranks
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream
from torchgeo_copernicus.datasets.storage import remote
from torchgeo_copernicus.datasets.storage.byte_source import LocalFile
from torchgeo_copernicus.metadata import days_since_epoch
from torchgeo_copernicus.sensors import OLCI_SCALE

from .shard_writer import json_bytes, members, painted, saved, write_shard

CELLS = 13
ONE = Selection(patches=1, dates='random')


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirteen cells in four shards; numbers 1, 5, 9 lack S1, S2 and SO2, 3, 7, 11 S3, NO2 and elevation."""
    return make_pretrain_shards(tmp_path_factory.mktemp('shards'), CELLS, 0, 16)


def stream(root: Path | str, **options: object) -> CopernicusPretrainStream:
    return CopernicusPretrainStream(root, **options)  # type: ignore[arg-type]


def ids(samples: object) -> list[int]:
    return [sample['grid_id'] for sample in samples]  # type: ignore[attr-defined]


def equal(one: object, other: object) -> bool:
    """Return whether values are the same to the bit."""
    a, b = np.asarray(one), np.asarray(other)
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


def same(one: dict, other: dict) -> bool:
    """Return whether two samples are the same to the bit."""
    parts = ('image', 'metadata', 'local_id')
    return (
        one['grid_id'] == other['grid_id']
        and all(list(one[part]) == list(other[part]) for part in parts)
        and all(equal(v, other[part][name]) for part in parts for name, v in one[part].items())
    )


def test_a_whole_sample_has_what_was_painted_in_physical_units(root: Path) -> None:
    for number, sample in enumerate(stream(root, shuffle=False)):
        cell = painted(number)
        assert sample['grid_id'] == cell.cell.grid_id
        assert list(sample['image']) == list(sample['metadata']) == list(cell.images)
        assert list(sample['local_id']) == [n for n in ('s1_grd', 's2_toa') if n in cell.images]
        for name, stored in cell.images.items():
            images = stored[None, None, None] if name == 'dem' else stored
            images = images if MODALITIES[name].local else images.reshape(1, -1, *images.shape[-3:])
            if name == 's3_olci':
                scale = np.array(list(OLCI_SCALE.values()), np.float32)[:, None, None]
                images = images * scale
            wanted, rows = [], []
            for patch, patch_images in enumerate(images):
                days = cell.dates[name][patch] if name != 'dem' else [None]
                place = (cell.cell.longitude, cell.cell.latitude)
                local = split_name(cell.patches[name][patch]) if name in cell.patches else None
                place = local[1:] if local else place
                for day in sorted(set(days), key=str):
                    wanted.append(patch_images[days.index(day)])
                    since = math.nan if day is None else days_since_epoch(day)
                    gsd_m = MODALITIES[name].sensor.gsd_m
                    if local is None:
                        # Squares in degrees: narrower towards the poles.
                        gsd_m *= math.sqrt(math.cos(math.radians(place[1])))
                    rows.append([*place, since, gsd_m])
            found = sample['image'][name]
            expected = torch.from_numpy(np.stack(wanted).astype(np.float32))
            metadata = torch.tensor(rows, dtype=torch.float32)
            if name == 'dem':
                expected, metadata = expected[0], metadata[0]
            assert found.dtype == torch.float32
            assert equal(found, expected), name
            assert equal(sample['metadata'][name], metadata), name


def test_dates_that_fill_up_a_shard_are_not_dates(root: Path) -> None:
    filled = 0
    for number, sample in enumerate(stream(root, shuffle=False)):
        for name, vectors in sample['metadata'].items():
            if name != 'dem' and name not in sample['local_id']:
                days = vectors[:, 2].tolist()
                assert days == sorted(set(days))
                filled += len(painted(number).dates[name][0]) - len(days)
    assert filled > 10


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('plain', [False, True])
def test_a_second_image_of_one_day_is_kept_and_a_repetition_is_not(
    tmp_path: Path, legacy: bool, plain: bool
) -> None:
    # S3A and S3B may see a cell on one day, and names tell the day only.
    cell = painted(0)
    images = np.array(cell.images['s3_olci']).repeat(16, 2).repeat(16, 3)
    days = [[f'{cell.cell.name}/{day}'] for day in cell.dates['s3_olci'][0]]
    if plain:
        # The middle, where a glance is taken, tells nothing where it has one value.
        images[:] = 7.0
    else:
        images += np.random.default_rng(0).random(images.shape, np.float32)
    images[2] = images[0]
    images[3] = images[0]
    images[3, 0, 0, 0] += 1.0
    images[3, 10] += 0.0 if plain else 1.0
    days[2] = days[3] = days[0]
    content = saved(torch.from_numpy(images), _use_new_zipfile_serialization=not legacy)
    text = json_bytes(cell, s3_olci=days)
    write_shard(tmp_path / 'a.tar', [members(cell, s3_olci=content, json=text)])
    (sample,) = stream(tmp_path, modalities=['s3_olci'])
    scale = np.array(list(OLCI_SCALE.values()), np.float32)[:, None, None]
    kept = sorted(set(range(len(days))) - {2}, key=lambda i: (days[i], i))
    assert equal(sample['image']['s3_olci'], images[kept] * scale)
    assert len(sample['metadata']['s3_olci']) == len(days) - 1


def test_one_patch_and_date_have_no_first_axis(root: Path) -> None:
    for sample in stream(root, selection=ONE):
        for name, image in sample['image'].items():
            modality = MODALITIES[name]
            assert image.shape[0] == len(modality.sensor.bands)
            assert image.ndim == 3
            assert sample['metadata'][name].shape == (4,)
        assert all(isinstance(number, int) for number in sample['local_id'].values())
        if 'dem' in sample['metadata']:
            assert sample['metadata']['dem'][2].isnan()


def test_sentinel_1_and_2_of_a_sample_are_of_one_patch_where_both_have_it(root: Path) -> None:
    flow = stream(root, selection=ONE)
    pairs = [sample['local_id'] for _ in range(3) for sample in flow]
    both = [pair for pair in pairs if pair]
    assert len(both) > 10
    assert all(pair['s1_grd'] == pair['s2_toa'] for pair in both)
    # Not always the same of a cell.
    assert len({pair['s1_grd'] for pair in both}) > len({*ids(flow)}) - 3


def test_draws_do_not_depend_on_what_else_is_read(root: Path) -> None:
    options = {'selection': ONE, 'seed': 5}
    whole = {s['grid_id']: s for s in stream(root, **options)}
    for other in (
        stream(root, modalities=['s2_toa', 's1_grd', 's5p_co'], **options),
        stream(root, rank=1, world_size=3, threads=0, **options),
        stream(root, pool=1, **options),
    ):
        count = 0
        for sample in other:
            for name, vector in sample['metadata'].items():
                assert equal(vector, whole[sample['grid_id']]['metadata'][name])
                count += 1
        assert count > 5


def test_dates_are_drawn_for_each_patch_with_the_key_of_the_geotiffs(root: Path) -> None:
    drawn = Selection(dates='random')
    flow = stream(root, modalities='s2_toa', selection=drawn, seed=3, shuffle=False)
    flow.set_epoch(2)
    cells = {painted(n).cell.grid_id: painted(n) for n in range(CELLS)}
    differ = 0
    for sample in flow:
        cell, found = cells[sample['grid_id']], sample['metadata']['s2_toa'][:, 2].tolist()
        positions = set()
        for patch, name in enumerate(cell.patches['s2_toa']):
            days = sorted({days_since_epoch(day) for day in cell.dates['s2_toa'][patch]})
            key = (3, 2, sample['grid_id'], split_name(name)[0])
            (position,) = drawn.dates_of('s2_toa', days, *key)
            assert found[patch] == days[position]
            positions.add(position)
        differ += len(positions) > 1
    assert differ > 3


def test_seed_and_epoch_change_what_is_drawn(root: Path) -> None:
    def days(seed: int, epoch: int) -> dict[int, float]:
        flow = stream(root, modalities='s5p_co', selection=ONE, seed=seed)
        flow.set_epoch(epoch)
        return {s['grid_id']: float(s['metadata']['s5p_co'][2]) for s in flow}

    first = days(0, 0)
    assert first == days(0, 0)
    assert first != days(1, 0)
    assert first != days(0, 1)


class CountingFile(LocalFile):
    """Notes how much is read."""

    read_bytes = 0

    def read_into(self, offset: int, target: memoryview) -> None:
        CountingFile.read_bytes += len(target)
        super().read_into(offset, target)


def test_only_what_was_drawn_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = make_pretrain_shards(tmp_path, 4, 0, 2)
    flow = stream(shards, selection=ONE)
    monkeypatch.setattr('torchgeo_copernicus.datasets.storage.folder.LocalFile', CountingFile)
    CountingFile.read_bytes = needed = 0
    for sample in flow:
        for name, image in sample['image'].items():
            stored = np.dtype(MODALITIES[name].stored_dtype)
            needed += image.numel() * stored.itemsize
    assert needed < CountingFile.read_bytes < 1.02 * needed
    assert needed < sum(path.stat().st_size for path in shards.glob('*.tar')) / 4


@pytest.mark.parametrize('world_size', [1, 2, 3, 5])
@pytest.mark.parametrize('options', [{}, {'pool': 2}, {'shuffle': False}])
def test_an_epoch_over_the_ranks_has_every_cell_once(
    root: Path, world_size: int, options: dict[str, object]
) -> None:
    parts = [
        ids(stream(root, modalities='s5p_co', rank=r, world_size=world_size, **options))
        for r in range(world_size)
    ]
    found = [cell for part in parts for cell in part]
    assert {len(part) for part in parts} == {CELLS // world_size}
    assert len(set(found)) == len(found)
    assert set(found) <= {painted(n).cell.grid_id for n in range(CELLS)}


def test_with_repeat_no_cell_is_left_out_of_an_epoch(root: Path) -> None:
    parts = []
    for rank in range(3):
        flow = stream(root, modalities='s5p_co', rank=rank, world_size=3, remainder='repeat')
        parts.append(ids(flow))
        assert len(flow) == len(parts[-1]) == 5
    found = {cell for part in parts for cell in part}
    assert found == {painted(n).cell.grid_id for n in range(CELLS)}


def test_order_is_a_function_of_seed_and_epoch(root: Path) -> None:
    flow = stream(root, modalities='s5p_co')
    passes = [ids(flow) for _ in range(3)]
    assert len({tuple(one) for one in passes}) == 3
    assert all(sorted(one) == sorted(passes[0]) for one in passes)
    for threads in (0, 1, 5):
        other = stream(root, modalities='s5p_co', threads=threads)
        other.set_epoch(2)
        assert ids(other) == passes[2]
    assert ids(stream(root, modalities='s5p_co', seed=1)) != passes[0]


def test_a_pass_that_was_left_early_is_not_read_again(root: Path) -> None:
    flow, whole = stream(root, modalities='s5p_co'), stream(root, modalities='s5p_co')
    passes = [ids(whole) for _ in range(2)]
    assert next(iter(flow))['grid_id'] == passes[0][0]
    assert ids(flow) == passes[1]


def test_without_shuffle_every_pass_is_the_same(root: Path) -> None:
    flow = stream(root, shuffle=False, selection=ONE)
    first, second = list(flow), list(flow)
    assert ids(first) == [painted(n).cell.grid_id for n in range(CELLS)]
    assert all(same(a, b) for a, b in zip(first, second, strict=True))


def test_a_pool_opens_few_shards_at_a_time(root: Path) -> None:
    shard = {painted(n).cell.grid_id: n // 4 for n in range(CELLS)}
    order = [shard[i] for i in ids(stream(root, modalities='s5p_co', pool=1))]
    changes = sum(a != b for a, b in pairwise(order))
    assert changes == 3
    order = [shard[i] for i in ids(stream(root, modalities='s5p_co'))]
    assert sum(a != b for a, b in pairwise(order)) > 3


def test_cells_without_what_is_required_are_left_out(root: Path) -> None:
    assert len(stream(root)) == CELLS
    assert len(stream(root, modalities=['s1_grd', 's5p_so2'])) == 10
    assert len(stream(root, require='dem')) == 10
    flow = stream(root, modalities='s5p_co', require=['s1_grd', 'dem'])
    assert len(flow) == len(flow.grid_ids) == 7
    assert set(ids(flow)) == set(flow.grid_ids.tolist())


def test_a_stale_modality_is_neither_there_nor_required(tmp_path: Path) -> None:
    shards = make_pretrain_shards(tmp_path, 4, 0, 16, stale=True)
    flow = stream(shards)
    assert flow.faults.counts == {'stale': 6}
    lacking = {painted(1).cell.grid_id: 's1_grd', painted(3).cell.grid_id: 'dem'}
    for sample in flow:
        missing = lacking.get(sample['grid_id'])
        assert missing not in sample['image']
        assert missing not in sample['metadata']
    assert len(stream(shards, require='dem')) == 3


def test_the_maker_overwrites_nothing_and_makes_aligned_shards(tmp_path: Path) -> None:
    shards = make_pretrain_shards(tmp_path, 3, 0, 32, cells_per_shard=2, aligned=True)
    assert [path.name for path in sorted(shards.glob('*.tar'))] == [
        'example-000000.tar',
        'example-000001.tar',
    ]
    assert all(len(sample['image']) == 8 for sample in stream(shards))
    with pytest.raises(FileExistsError):
        make_pretrain_shards(tmp_path, 1)
    with pytest.raises(ValueError, match='n 0'):
        make_pretrain_shards(tmp_path / 'x', 0)


def test_transforms_are_applied(root: Path) -> None:
    flow = stream(root, modalities='dem', transforms=lambda s: {**s, 'seen': True})
    assert all(sample['seen'] for sample in flow)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'modalities': 's4'}, 's4'),
        ({'modalities': []}, 'list some'),
        ({'require': 's4'}, 's4'),
        ({'selection': 'random'}, r'Selection\('),
        ({'shuffle': False, 'pool': 2}, 'shuffle is False'),
        ({'pool': 0}, 'pool must'),
        ({'seed': -1}, 'seed must'),
        ({'seed': 1.5}, 'seed must'),
        ({'threads': True}, 'threads must'),
        ({'loader_batch_size': 0}, 'loader_batch_size must'),
        ({'rank': 0}, 'go together'),
        ({'rank': 2, 'world_size': 2}, 'rank 2'),
        ({'rank': 0.0, 'world_size': 2}, 'rank 0.0'),
        ({'remainder': 'keep'}, "'drop', 'repeat'"),
        ({'max_fault_share': 2}, 'max_fault_share'),
        ({'max_fault_share': 'x'}, 'max_fault_share'),
        ({'rank': 0, 'world_size': 14}, '13 cells of 13 .* too few for 14 ranks'),
    ],
)
def test_impossible_arguments_are_named(root: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stream(root, **options)


def test_no_cell_with_what_is_required_is_an_error(tmp_path: Path) -> None:
    write_shard(tmp_path / 'a.tar', [members(painted(1))])
    with pytest.raises(ValueError, match=r'0 cells of 1 .*require less'):
        stream(tmp_path, require='s1_grd')


def test_an_impossible_epoch_is_named(root: Path) -> None:
    with pytest.raises(ValueError, match='epoch'):
        stream(root).set_epoch(-1)


def test_a_stream_made_before_torch_distributed_does_not_read_the_same_on_all_ranks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, given = stream(root), stream(root, rank=0, world_size=1)
    for name, value in (('is_initialized', True), ('get_rank', 1), ('get_world_size', 2)):
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    assert Ranks.of(None, None) == Ranks(1, 2, given=False)
    with pytest.raises(ValueError, match='rank 1 of 2 now, and was 0 of 1'):
        next(iter(alone))
    next(iter(given))
    assert len(ids(stream(root))) == CELLS // 2


@pytest.mark.filterwarnings('ignore:This DataLoader will create')
@pytest.mark.parametrize(('workers', 'batch_size'), [(1, 2), (2, 2), (3, 1), (2, 5)])
def test_batches_of_a_dataloader_come_in_the_same_order_with_any_number_of_workers(
    root: Path, workers: int, batch_size: int
) -> None:
    def batches(count: int) -> list[list[int]]:
        flow = stream(root, modalities='s5p_co', loader_batch_size=batch_size)
        return [
            ids(batch) for batch in DataLoader(flow, batch_size, num_workers=count, collate_fn=list)
        ]

    assert batches(workers) == batches(0)


def as_worker(monkeypatch: pytest.MonkeyPatch, number: int, workers: int) -> None:
    """Be a worker of a DataLoader: real ones take 5 s to end after an error."""
    info = SimpleNamespace(id=number, num_workers=workers)
    monkeypatch.setattr(
        'torchgeo_copernicus.datasets.pretrain.shards.stream.get_worker_info', lambda: info
    )


def test_workers_do_not_read_an_epoch_twice_unnoticed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = stream(root, modalities='s5p_co')
    loader = DataLoader(flow, None, num_workers=2)
    first = ids(loader)
    flow.set_epoch(1)
    second = ids(loader)
    assert sorted(first) == sorted(second)
    assert first != second
    as_worker(monkeypatch, 1, 2)
    with pytest.raises(ValueError, match='Epoch 1 was read before'):
        ids(flow)


def test_workers_that_stay_see_the_new_epoch(root: Path) -> None:
    flow = stream(root, modalities='s5p_co')
    loader = DataLoader(flow, None, num_workers=2, persistent_workers=True)
    found = []
    for epoch in range(2):
        flow.set_epoch(epoch)
        found.append(ids(loader))
    plain = stream(root, modalities='s5p_co')
    assert found == [ids(plain), ids(plain)]


@pytest.mark.parametrize('worker', [0, 3])
def test_too_many_workers_are_an_error_not_a_hang(
    root: Path, monkeypatch: pytest.MonkeyPatch, worker: int
) -> None:
    as_worker(monkeypatch, worker, 4)
    flow = stream(root, modalities='s5p_co', loader_batch_size=5)
    with pytest.raises(ValueError, match='make 3 batches of 5, too few for 4 workers'):
        next(iter(flow))
    as_worker(monkeypatch, 300, 301)
    with pytest.raises(ValueError, match='301 workers, at most 256'):
        next(iter(flow))


def test_a_stream_can_be_sent_to_a_spawned_worker(root: Path) -> None:
    flow = stream(root, modalities='dem')
    next(iter(flow))
    flow.set_epoch(0)
    again = pickle.loads(pickle.dumps(flow))
    assert all(same(a, b) for a, b in zip(flow, again, strict=True))


@pytest.fixture
def server(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    monkeypatch.setattr(remote, 'BACKOFF_S', 0.0)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('COPERNICUS_RANGE_CACHE_BYTES', '0')
    for name in ('no_proxy', 'NO_PROXY'):
        monkeypatch.setenv(name, '*')
    with serving(root) as running:
        yield running


def test_a_server_gives_the_same_samples(root: Path, server: RangeServer) -> None:
    pattern = f'{server.url}/example-{{000000..000003}}.tar'
    far, near = stream(pattern, selection=ONE), stream(root, selection=ONE)
    assert all(same(a, b) for a, b in zip(far, near, strict=True))


def test_of_a_server_the_headers_are_asked_for_once(server: RangeServer) -> None:
    pattern = f'{server.url}/example-{{000000..000003}}.tar'
    stream(pattern)
    first = server.count('GET')
    server.start_counting()
    stream(pattern)
    assert server.count('GET') < first / 10


def test_a_server_that_is_busy_is_asked_again(server: RangeServer) -> None:
    flow = stream(f'{server.url}/example-000000.tar', selection=ONE, threads=1)
    server.statuses += [503, 429, 503]
    assert len(ids(flow)) == 4
    assert flow.faults.counts == {}
