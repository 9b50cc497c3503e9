"""Orders of samples as pure functions; nothing is read from disk."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_copernicus.datasets.ordering import (
    Position,
    block_order,
    draw,
    epoch_order,
    rank_part,
)

counts = st.integers(0, 60)
small = st.integers(0, 5)
worlds = st.integers(1, 5)


@given(counts, small, small)
def test_every_sample_comes_once_in_an_epoch(count: int, seed: int, epoch: int) -> None:
    assert sorted(epoch_order(count, seed, epoch)) == list(range(count))


def test_seed_and_epoch_change_the_order_and_nothing_else_does() -> None:
    order = epoch_order(50, 1, 2)
    assert (order == epoch_order(50, 1, 2)).all()
    assert (order != epoch_order(50, 2, 2)).any()
    assert (order != epoch_order(50, 1, 3)).any()
    assert (epoch_order(50, 1, 2) != epoch_order(50, 2, 1)).any()


@given(st.lists(st.integers(0, 7), max_size=50), small, small, st.integers(1, 4), st.integers(1, 4))
def test_blocks_lose_no_sample(
    blocks: list[int], seed: int, epoch: int, pool: int, world: int
) -> None:
    order = block_order(np.array(blocks, np.int64), seed, epoch, pool, world)
    assert sorted(order) == list(range(len(blocks)))


def test_block_order_opens_few_blocks_at_a_time() -> None:
    blocks = np.repeat(np.arange(12), 10)
    order = blocks[block_order(blocks, 0, 0, pool=3)]
    for start in range(0, 120, 30):
        assert len(set(order[start : start + 30])) == 3
    # Mixed within a pool, and blocks not in the order of the disk.
    assert len(set(order[:10])) == 3
    assert sorted(set(order[:30])) != [0, 1, 2]


def test_each_rank_reads_its_own_blocks() -> None:
    blocks = np.repeat(np.arange(8), 10)
    order = block_order(blocks, 0, 0, pool=4, world_size=2)
    first, second = (set(blocks[order[:40][rank::2]]) for rank in range(2))
    assert len(first) == len(second) == 2
    assert not first & second


def test_block_order_depends_on_seed_and_epoch() -> None:
    blocks = np.repeat(np.arange(8), 5)
    orders = [tuple(block_order(blocks, s, e, 2)) for s, e in ((0, 0), (1, 0), (0, 1), (0, 0))]
    assert orders[0] == orders[3]
    assert len(set(orders)) == 3


@given(counts, worlds, st.sampled_from(['drop', 'repeat']), st.data())
def test_ranks_get_equal_numbers_and_nothing_twice(
    count: int, world: int, remainder: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, count))
    order = epoch_order(count, 0, 0)
    parts = [rank_part(order, rank, world, start, remainder) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    found = np.concatenate(parts)
    left = count - start
    if remainder == 'drop':
        assert len(found) == left // world * world
        assert len(set(found)) == len(found)
        assert set(found) <= set(order[start:])
    else:
        assert set(order[start:]) <= set(found)
        assert len(found) == -(-left // world) * world


@given(st.integers(1, 40), worlds, worlds, st.integers(0, 5))
def test_a_resumed_run_with_other_ranks_goes_on_with_the_next_samples(
    count: int, world: int, other: int, steps: int
) -> None:
    order = epoch_order(count, 3, 1)
    done = min(steps * world, count // world * world)
    before = [rank_part(order, rank, world)[: done // world] for rank in range(world)]
    after = [rank_part(order, rank, other, done) for rank in range(other)]
    found = np.concatenate([*before, *after])
    assert len(set(found)) == len(found)
    assert set(found) == set(order[: done + (count - done) // other * other])


def test_draws_do_not_depend_on_each_other() -> None:
    drawn = np.array([[draw(4, 0, epoch, i) for i in range(400)] for epoch in range(2)])
    assert (np.bincount(drawn[0], minlength=4) > 60).all()
    assert 0.15 < (drawn[0] == drawn[1]).mean() < 0.35
    other = np.array([draw(4, 0, 0, i, purpose=1) for i in range(400)])
    assert 0.15 < (drawn[0] == other).mean() < 0.35
    assert draw(4, 0, 1, 7) == drawn[1][7]


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (lambda: epoch_order(-1, 0, 0), 'count'),
        (lambda: epoch_order(3, -1, 0), 'seed -1'),
        (lambda: block_order(np.arange(3), 0, 0, 0), 'pool 0'),
        (lambda: rank_part(np.arange(3), 2, 2), 'rank 2'),
        (lambda: rank_part(np.arange(3), 0, 2, 4), 'start 4'),
        (lambda: rank_part(np.arange(3), 0, 2, 0, 'keep'), "'drop', 'repeat'"),
        (lambda: draw(0, 0, 0, 0), 'choices'),
        (lambda: draw(2, 0, 0, -1), 'index'),
    ],
)
def test_impossible_arguments_are_named(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_a_position_of_other_data_is_refused() -> None:
    here = Position('abc', 1, 0, 0)
    later = Position('abc', 1, 4, 128)
    assert Position.resume(later.state_dict(), here) == later
    for other in (Position('xyz', 1, 4, 128), Position('abc', 2, 4, 128)):
        with pytest.raises(ValueError, match='other data or another order'):
            Position.resume(other.state_dict(), here)
    with pytest.raises(ValueError, match='no position'):
        Position.resume({'epoch': 3}, here)
