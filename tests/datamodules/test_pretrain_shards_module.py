"""The datamodule over shards as they are published."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datamodules.pretrain_fakes import SMALL_PX, same_batches
from tests.datamodules.test_pretrain_datamodule import STATISTICS, Recorder, batches, trainer
from torchgeo_copernicus.datamodules.pretrain import CopernicusPretrainDataModule
from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')
CELLS = 9


@pytest.fixture(scope='module')
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pretrain_shards(tmp_path_factory.mktemp('shards'), n=CELLS, size_divisor=8)


def module(shards: Path, **options: object) -> CopernicusPretrainDataModule:
    given: dict[str, object] = {
        'batch_size': 2,
        'statistics': STATISTICS,
        'sizes_px': SMALL_PX,
        'dataset_args': {'shards': str(shards)},
    }
    return CopernicusPretrainDataModule(**(given | options))  # type: ignore[arg-type]


def test_no_cell_of_the_union_is_thrown_away(shards: Path) -> None:
    found = batches(module(shards, batch_size=3))
    stream = CopernicusPretrainStream(shards)
    cells = [cell for batch in found for cell in batch['grid_id'].tolist()]
    assert sorted(cells) == sorted(stream.grid_ids.tolist())
    there = {
        name: sum(int(batch['present'][name].sum()) for batch in found) for name in MODALITY_NAMES
    }
    by_hand = {name: sum(name in sample['image'] for sample in stream) for name in MODALITY_NAMES}
    assert there == by_hand
    assert min(there.values()) < CELLS


def test_radiance_of_the_shards_is_scaled_once(shards: Path) -> None:
    options = {'crop_scale': None, 'flip': 'none', 'modalities': ['s3_olci'], 'statistics': None}
    options |= {'sizes_px': {'s3_olci': 8}, 'batch_size': 1, 'dates': 'all', 'fill': None}
    found = batches(module(shards, **options))
    stream = CopernicusPretrainStream(shards, 's3_olci')
    radiance = {sample['grid_id']: sample['image']['s3_olci'] for sample in stream}
    for batch in found:
        expected = radiance[int(batch['grid_id'])]
        image = batch['image']['s3_olci']
        assert len(image) == len(expected)
        assert image.nanmean().item() == pytest.approx(expected.nanmean().item(), rel=0.02)


@pytest.mark.parametrize(
    ('steps', 'save_at', 'workers'),
    [
        # Four batches in an epoch: in the middle, at the end of the first, in the second.
        (2, 'on_train_batch_end', 2),
        (4, 'on_train_batch_end', 0),
        (4, 'on_train_epoch_end', 2),
        (5, 'on_train_batch_end', 0),
    ],
)
def test_a_stopped_run_goes_on_with_the_very_next_batch(
    shards: Path, tmp_path: Path, steps: int, save_at: str, workers: int
) -> None:
    whole, first, second = Recorder(), Recorder(steps, save_at), Recorder()
    trainer(tmp_path, max_epochs=2).fit(whole, datamodule=module(shards))
    assert len(whole.seen) == 8
    trainer(tmp_path, max_epochs=2).fit(first, datamodule=module(shards, num_workers=workers))
    trainer(tmp_path, max_epochs=2).fit(
        second, datamodule=module(shards), ckpt_path=tmp_path / 'here.ckpt'
    )
    assert same_batches([*first.seen, *second.seen], whole.seen)


def test_epochs_have_other_crops_also_with_workers(shards: Path) -> None:
    options = {'modalities': 'dem', 'statistics': None, 'sizes_px': {'dem': 64}, 'batch_size': 1}
    for workers in (0, 2):
        data = module(shards, num_workers=workers, **options)
        data.setup('fit')
        loader = data.train_dataloader()
        first, second = (
            {int(batch['grid_id']): batch['image']['dem'] for batch in loader} for _ in range(2)
        )
        assert first.keys() == second.keys()
        assert not any(torch.equal(first[cell], second[cell]) for cell in first)


def test_ranks_share_the_cells(shards: Path) -> None:
    class OfTwo:
        world_size, current_epoch = 2, 0

        def __init__(self, rank: int) -> None:
            self.global_rank = rank

    found = []
    for rank in range(2):
        data = module(shards)
        data.trainer = OfTwo(rank)  # type: ignore[assignment]
        found.append([cell for batch in batches(data) for cell in batch['grid_id'].tolist()])
    assert [len(part) for part in found] == [4, 4]
    assert not set(found[0]) & set(found[1])


def test_a_crop_lies_within_its_cell(shards: Path) -> None:
    # A polar cell, too: its images are as many degrees wide as they are high. They are of an eighth of the
    # real pixels here, at the real sampling distance, and so of an eighth of a cell.
    data = module(shards, batch_size=1, crop_scale=(0.2, 0.3), patches=None, dates='all')
    stream = CopernicusPretrainStream(shards, selection=Selection(patches=1, dates='random'))
    places = {s['grid_id']: {n: m[:2] for n, m in s['metadata'].items()} for s in stream}
    gaps = []
    for batch in batches(data):
        for name in ('s3_olci', 's5p_co', 'dem'):
            for vector in batch['metadata'].get(name, []):
                gap = (vector[:2] - places[int(batch['grid_id'])][name]).numpy()
                gaps.append(np.abs((gap + 180) % 360 - 180))
    widest = np.max(gaps, axis=0)
    assert (widest < 0.13 / 8 + 0.001).all()
    assert (widest > 0.04 / 8).all()


def test_too_few_cells_are_named(shards: Path) -> None:
    with pytest.raises(ValueError, match='9 cells per process, fewer than one batch of 10'):
        batches(module(shards, batch_size=10))


def test_an_argument_that_the_stream_does_not_take_is_named(shards: Path) -> None:
    with pytest.raises(ValueError, match='cannot be made of'):
        batches(module(shards, dataset_args={'root': str(shards)}))
