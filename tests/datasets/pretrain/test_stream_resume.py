"""A run that was interrupted goes on with the very next sample, with any number of workers and ranks."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.resumable_loader import ResumableLoader
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream

CELLS = 13
ONE = Selection(patches=1, dates='random')


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pretrain_shards(tmp_path_factory.mktemp('shards'), CELLS, 0, 32)


def stream(root: Path, **options: object) -> CopernicusPretrainStream:
    return CopernicusPretrainStream(root, **{'selection': ONE, **options})  # type: ignore[arg-type]


def loader(root: Path, workers: int = 0, **options: object) -> ResumableLoader:
    return ResumableLoader(stream(root, **options), 2, num_workers=workers)


def words(sample: dict) -> str:
    """Return a sample as text, to the bit."""
    parts = [str(sample['grid_id'])]
    for part in ('image', 'metadata', 'local_id'):
        for name, value in sample[part].items():
            parts.append(f'{part} {name} {np.asarray(value).tobytes().hex()[:200]}')
            parts.append(str(hash(np.asarray(value).tobytes())))
    return ' '.join(parts)


def texts(batches: object) -> list[list[str]]:
    return [[words(sample) for sample in batch] for batch in batches]  # type: ignore[attr-defined]


@pytest.mark.parametrize('done', [0, 1, 5, CELLS])
def test_a_stream_goes_on_with_the_very_next_sample(root: Path, done: int) -> None:
    whole = stream(root)
    expected = [words(sample) for _ in range(2) for sample in whole]
    first = stream(root)
    samples = iter(first)
    found = [words(sample) for sample in islice(samples, done)]
    state = json.loads(json.dumps(first.state_dict()))
    second = stream(root)
    second.load_state_dict(state)
    found += [words(sample) for sample in second]
    if done != CELLS:
        assert found == expected[:CELLS]
    found += [words(sample) for sample in second]
    assert found[:CELLS] == expected[:CELLS]
    assert found[CELLS : 2 * CELLS] == expected[CELLS:]


@pytest.mark.parametrize('workers', [(0, 2), (2, 0), (2, 1), (2, 2)])
@pytest.mark.parametrize('world_size', [1, 2])
def test_batches_go_on_with_another_number_of_workers(
    root: Path, workers: tuple[int, int], world_size: int
) -> None:
    for rank in range(world_size):
        options = {'rank': rank, 'world_size': world_size}
        expected = texts(loader(root, 0, **options))
        first = loader(root, workers[0], **options)
        assert len(first) == len(expected)
        batches = iter(first)
        found = texts(islice(batches, 2))
        state = json.loads(json.dumps(first.state_dict()))
        del batches
        second = loader(root, workers[1], **options)
        second.load_state_dict(state)
        assert found + texts(second) == expected
        # And then comes the next epoch.
        third = loader(root, **options)
        third.set_epoch(1)
        assert texts(second) == texts(third)


def test_a_run_goes_on_with_other_ranks_and_loses_nothing(root: Path) -> None:
    before = [loader(root, rank=r, world_size=2, modalities='s5p_co') for r in range(2)]
    found = [s['grid_id'] for one in before for batch in islice(one, 2) for s in batch]
    states = [one.state_dict() for one in before]
    assert states[0] == states[1]
    after = loader(root, modalities='s5p_co')
    after.load_state_dict(states[0])
    found += [sample['grid_id'] for batch in after for sample in batch]
    assert len(found) == len(set(found)) == CELLS


def test_batches_read_ahead_are_not_taken_for_used(root: Path) -> None:
    flow = loader(root, 2)
    batches = iter(flow)
    next(batches)
    time.sleep(0.2)
    assert flow.state_dict()['consumed'] == 2


def test_the_state_of_the_stream_alone_is_refused_when_workers_read(root: Path) -> None:
    flow = loader(root, 1)
    next(iter(flow))
    with pytest.raises(ValueError, match='ResumableLoader'):
        flow.stream.state_dict()


def test_every_pass_of_a_loader_is_a_new_epoch_also_after_one_that_was_left(root: Path) -> None:
    plain = stream(root)
    expected = [[words(sample) for sample in plain] for _ in range(3)]
    flow = ResumableLoader(stream(root), 3, num_workers=1, persistent_workers=True)
    found = [[text for batch in texts(flow) for text in batch]]
    next(iter(flow))
    found.append([text for batch in texts(flow) for text in batch])
    assert found == [expected[0], expected[2]]


def test_a_last_batch_that_is_not_full_is_left_out_if_asked(root: Path) -> None:
    for drop_last, count in ((False, 5), (True, 4)):
        flow = ResumableLoader(stream(root), 3, drop_last=drop_last)
        assert len(flow) == len(list(flow)) == count
        assert flow.state_dict()['epoch'] == 1


def test_a_collate_function_makes_the_batches(root: Path) -> None:
    flow = ResumableLoader(stream(root), 4, lambda samples: [s['grid_id'] for s in samples])
    assert sum(map(len, flow)) == CELLS


@pytest.mark.parametrize('change', [{'seed': 1}, {'pool': 2}, {'selection': Selection(patches=2)}])
def test_a_state_of_another_order_is_refused(root: Path, change: dict[str, object]) -> None:
    state = loader(root).state_dict()
    with pytest.raises(ValueError, match='other data or another order'):
        loader(root, **change).load_state_dict(state)


@pytest.mark.parametrize(
    'change',
    [{'modalities': 'dem'}, {'require': 'dem'}, {'remainder': 'repeat'}, {'shuffle': False}],
)
def test_every_argument_that_changes_samples_changes_the_fingerprint(
    root: Path, change: dict[str, object]
) -> None:
    state = stream(root).state_dict()
    with pytest.raises(ValueError, match='other data'):
        stream(root, **change).load_state_dict(state)


def test_a_state_is_of_the_same_data_in_another_folder(root: Path, tmp_path: Path) -> None:
    moved = make_pretrain_shards(tmp_path, CELLS, 0, 32)
    stream(moved).load_state_dict(stream(root).state_dict())
    other = make_pretrain_shards(tmp_path / 'other', CELLS, 1, 32)
    with pytest.raises(ValueError, match='other data'):
        stream(other).load_state_dict(stream(root).state_dict())


def test_impossible_arguments_of_a_loader_are_named(root: Path) -> None:
    with pytest.raises(ValueError, match='not a CopernicusPretrainStream'):
        ResumableLoader([1, 2], 2)  # type: ignore[arg-type]
    for batch_size in (0, True, 1.5):
        with pytest.raises(ValueError, match='batch_size'):
            ResumableLoader(stream(root), batch_size)  # type: ignore[arg-type]


# Forked, because the imports alone would take longer than the tests.
FORK = multiprocessing.get_context('fork')


def read_on(root: Path, log: Path, workers: int) -> None:
    """Read until killed; write what was read and the state after each batch."""
    os.setsid()
    flow = loader(root, workers)
    while True:
        for batch in flow:
            with log.open('a') as file:
                line = [[sample['grid_id'] for sample in batch], flow.state_dict()]
                file.write(json.dumps(line) + '\n')


def killed_after(root: Path, log: Path, workers: int, lines: int) -> list[list]:
    """Run a loader in a process that is killed after some batches; return what it wrote."""
    process = FORK.Process(target=read_on, args=(root, log, workers))
    process.start()
    try:
        end = time.monotonic() + 60
        while not log.exists() or log.read_text().count('\n') < lines:
            assert process.is_alive()
            assert time.monotonic() < end
            time.sleep(0.001)
    finally:
        # Its workers, too.
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
    assert process.exitcode == -signal.SIGKILL
    return [json.loads(line) for line in log.read_text().splitlines() if line.endswith('}]')]


@pytest.mark.parametrize('workers', [(0, 2), (2, 0)])
def test_a_run_killed_in_mid_epoch_goes_on_with_the_very_next_batch(
    root: Path, tmp_path: Path, workers: tuple[int, int]
) -> None:
    written = killed_after(root, tmp_path / 'log', workers[0], 3)
    state = written[-1][1]
    again = loader(root, workers[1])
    again.load_state_dict(state)
    found = [texts([batch])[0] for batch in islice(again, 3)]
    # A run that nobody killed.
    whole = loader(root)
    everything: list[list[str]] = []
    while len(everything) < len(written) + 3:
        everything += texts(whole)
    plain = [[int(text.split()[0]) for text in batch] for batch in everything]
    assert [line[0] for line in written] == plain[: len(written)]
    # The rest of the epoch, to the bit; the epoch after it begins with another pass.
    left = 7 - len(written) % 7
    assert found[:left] == everything[len(written) : len(written) + min(3, left)]


def ranks(rank: int, port: int, root: str, log: str) -> None:
    """Read an epoch as one of two ranks."""
    os.environ |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
    distributed.init_process_group('gloo', rank=rank, world_size=2)
    flow = loader(Path(root), 1, modalities='s5p_co')
    found = [[sample['grid_id'] for sample in batch] for batch in flow]
    # As many steps on all ranks, or this would wait for ever.
    for _ in found:
        distributed.all_reduce(torch.ones(1))
    Path(f'{log}{rank}').write_text(json.dumps(found))
    distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return int(server.getsockname()[1])


def test_two_ranks_of_torch_distributed_share_an_epoch(root: Path, tmp_path: Path) -> None:
    arguments = (free_port(), str(root), str(tmp_path / 'rank'))
    processes = [FORK.Process(target=ranks, args=(r, *arguments)) for r in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
        assert process.exitcode == 0
    parts = [json.loads((tmp_path / f'rank{r}').read_text()) for r in range(2)]
    assert [[len(batch) for batch in part] for part in parts] == [[2, 2, 2]] * 2
    for rank, part in enumerate(parts):
        flow = loader(root, rank=rank, world_size=2, modalities='s5p_co')
        assert part == [[sample['grid_id'] for sample in batch] for batch in flow]
    found = [cell for part in parts for batch in part for cell in batch]
    assert len(set(found)) == len(found) == 12


@pytest.mark.parametrize('workers', [0, 2])
def test_a_loader_resumed_from_the_end_of_an_epoch_goes_on_with_the_next(
    root: Path, workers: int
) -> None:
    whole = loader(root, workers)
    first, second = texts(whole), texts(whole)
    other = loader(root, workers)
    # The pass is not over, as Lightning leaves it when it saves a checkpoint.
    running = iter(other)
    for _ in first:
        next(running)
    resumed = loader(root, workers)
    resumed.load_state_dict(other.state_dict())
    assert texts(resumed) == second


def test_resuming_leaves_the_global_generator_alone(root: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    texts(loader(root))
    assert torch.equal(torch.rand(2), expected)
