"""Batches of a map-style dataset of cells: order, ranks and resume."""

from itertools import islice

import pytest
import torch

from tests.datamodules.pretrain_fakes import SMALL_PX, FakeCells, same_batches
from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.pretrain_batch import PretrainCollate
from torchgeo_copernicus.datamodules.pretrain_crop import RandomCrop
from torchgeo_copernicus.datamodules.pretrain_loader import CellLoader
from torchgeo_copernicus.datamodules.pretrain_statistics import pretrain_inputs
from torchgeo_copernicus.datasets.pretrain.modality import ModalityName

NAMES: tuple[ModalityName, ...] = ('s1_grd', 's3_olci', 'dem')


def loader(
    count: int = 13,
    batch_size: int = 3,
    crop: RandomCrop | None = None,
    seed: int = 0,
    **options: int,
) -> CellLoader:
    inputs = pretrain_inputs(NAMES, sizes_px={name: SMALL_PX[name] for name in NAMES})
    collate = PretrainCollate(inputs, crop or RandomCrop(), seed=seed)
    return CellLoader(FakeCells(count, NAMES), batch_size, collate, **options)


def cells(batches: list[Sample]) -> list[int]:
    return [cell for batch in batches for cell in batch['grid_id'].tolist()]


def test_an_epoch_has_every_cell_once_over_all_ranks() -> None:
    parts = [cells(list(loader(12, 2, rank=rank, world_size=3))) for rank in range(3)]
    assert [len(part) for part in parts] == [4, 4, 4]
    assert sorted(i for part in parts for i in part) == list(range(12))


def test_ranks_have_equally_many_batches_whatever_the_number_of_cells() -> None:
    for count in (8, 9, 10, 11, 12):
        parts = [loader(count, 2, rank=rank, world_size=2) for rank in range(2)]
        assert {len(list(part)) for part in parts} == {len(part) for part in parts} == {count // 4}


def test_epochs_differ_in_order_in_what_is_drawn_and_in_crops() -> None:
    mine = loader(12)
    first, second = list(mine), list(mine)
    assert sorted(cells(first)) == sorted(cells(second)) == list(range(12))
    assert cells(first) != cells(second)
    again = loader(12)
    again.set_epoch(1)
    assert same_batches(list(again), second)
    assert cells(list(loader(12, seed=1))) != cells(first)


def test_a_pass_that_is_left_early_is_not_gone_on_with() -> None:
    mine, other = loader(), loader()
    next(iter(mine))
    other.set_epoch(1)
    assert same_batches(list(mine), list(other))


@pytest.mark.parametrize('workers', [(0, 0), (0, 2), (2, 0)])
@pytest.mark.parametrize('steps', [1, 4, 6])
def test_a_resumed_run_goes_on_with_the_very_next_batch(
    workers: tuple[int, int], steps: int
) -> None:
    # 4 batches in an epoch: in the middle of it, at its end, and in the next.
    whole = loader()
    expected = [*whole, *whole]
    first = loader(num_workers=workers[0])
    seen: list[Sample] = []
    while len(seen) < steps:
        seen += islice(first, steps - len(seen))
    state = first.state_dict()
    second = loader(num_workers=workers[1])
    second.load_state_dict(state)
    while len(seen) < len(expected):
        seen += second
    assert same_batches(seen, expected)


def test_a_state_of_the_end_of_an_epoch_does_not_make_the_next_one_empty() -> None:
    # Lightning saves there by default.
    first, second = loader(), loader()
    list(islice(first, 4))
    assert first.state_dict()['epoch'] == 0
    second.load_state_dict(first.state_dict())
    assert len(list(second)) == 4


def test_a_run_resumed_on_another_number_of_ranks_reads_what_is_left() -> None:
    first = [loader(12, 2, rank=rank, world_size=2) for rank in range(2)]
    seen = [batch for part in first for batch in islice(part, 1)]
    states = [part.state_dict() for part in first]
    assert states[0] == states[1]
    alone = loader(12, 2)
    alone.load_state_dict(states[0])
    assert sorted(cells([*seen, *alone])) == list(range(12))


def test_loading_leaves_the_generator_of_a_run_alone() -> None:
    # Else masks drawn after a resume would be others than without it.
    torch.manual_seed(7)
    state = torch.get_rng_state()
    for workers in (0, 2):
        list(loader(num_workers=workers))
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    'other',
    [
        {'count': 14},
        {'seed': 1},
        {'crop': RandomCrop(flip='both')},
        {'crop': RandomCrop(scale=(0.3, 1))},
    ],
)
def test_a_state_of_other_data_or_arguments_is_refused(other: dict[str, object]) -> None:
    mine = loader()
    next(iter(mine))
    with pytest.raises(ValueError, match='other data or another order'):
        loader(**other).load_state_dict(mine.state_dict())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'batch_size': 0}, 'batch_size must be'),
        ({'batch_size': True}, 'batch_size must be'),
        ({'num_workers': -1}, 'num_workers must be'),
        ({'rank': 2, 'world_size': 2}, 'rank 2 is not one of 2'),
        ({'batch_size': 5, 'world_size': 3}, '13 cells for 3 processes, fewer than one batch of 5'),
    ],
)
def test_impossible_arguments_are_named(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        loader(**options)  # type: ignore[arg-type]
