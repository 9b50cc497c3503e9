"""The datamodule of Copernicus-Pretrain, alone, in Lightning's trainer and from YAML."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, nn

from tests.datamodules.pretrain_fakes import SMALL_PX, FakeCells, same_batches
from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.pretrain import CopernicusPretrainDataModule
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')

STATISTICS = {name: {name[4:].upper(): [100.0, 2.0]} for name in MODALITY_NAMES if 's5p' in name}


class Recorder(pl.LightningModule):
    """Notes what it is given, and saves a checkpoint and stops after some batches."""

    def __init__(self, stop_after: int | None = None, save_at: str = 'on_train_batch_end') -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.stop_after, self.save_at = stop_after, save_at
        self.seen: list[Sample] = []

    def training_step(self, batch: Sample, index: int) -> Tensor:
        self.seen.append(batch)
        # Only what is there takes part.
        return self.weight * sum(image.mean() for image in batch['image'].values())

    def on_train_batch_end(self, outputs: object, batch: Sample, index: int) -> None:
        self._save('on_train_batch_end')

    def on_train_epoch_end(self) -> None:
        self._save('on_train_epoch_end')

    def validation_step(self, batch: Sample, index: int) -> None:
        raise AssertionError('there is nothing to validate with')

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)

    def _save(self, where: str) -> None:
        if where == self.save_at and len(self.seen) == self.stop_after:
            self.trainer.save_checkpoint(Path(self.trainer.default_root_dir) / 'here.ckpt')
            self.trainer.should_stop = True


def trainer(folder: Path, **options: object) -> pl.Trainer:
    return pl.Trainer(
        default_root_dir=folder,
        accelerator='cpu',
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,  # type: ignore[arg-type]
    )


def module(**options: object) -> CopernicusPretrainDataModule:
    given: dict[str, object] = {
        'dataset': FakeCells,
        'batch_size': 3,
        'statistics': STATISTICS,
        'sizes_px': SMALL_PX,
    }
    return CopernicusPretrainDataModule(**(given | options))  # type: ignore[arg-type]


def batches(data: CopernicusPretrainDataModule) -> list[Sample]:
    data.setup('fit')
    return list(data.train_dataloader())  # type: ignore[arg-type]


def test_an_epoch_has_every_cell_once_with_the_modalities_it_has() -> None:
    found = batches(module())
    assert sorted(i for b in found for i in b['grid_id'].tolist()) == list(range(12))
    for name in MODALITY_NAMES:
        there = sum(int(batch['present'][name].sum()) for batch in found)
        # Every fourth cell lacks one, and none is thrown away for it.
        assert there == (12 if name == 's1_grd' else 9)
        rows = sum(len(batch['rows'].get(name, ())) for batch in found)
        images = sum(len(batch['image'].get(name, ())) for batch in found)
        assert rows == images == there


def test_the_dataset_is_given_what_is_to_be_drawn() -> None:
    data = module(
        modalities='dem', statistics=None, sizes_px=None, patches=2, dates={'dem': 'all'}, seed=4
    )
    data.setup('fit')
    assert isinstance(data.train_dataset, FakeCells)
    assert data.train_dataset.modalities == ['dem']
    assert data.train_dataset.seed == 4
    assert data.train_dataset.selection.patches == 2
    assert data.train_dataset.selection.rule('dem') == 'all'
    assert module(dates='2021-06-21').selection.rule('s1_grd').isoformat() == '2021-06-21'  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ('steps', 'save_at', 'workers'),
    [
        # Four batches in an epoch: in the middle, at the end of the first, in the second.
        (2, 'on_train_batch_end', 2),
        (4, 'on_train_batch_end', 0),
        (4, 'on_train_epoch_end', 2),
        (7, 'on_train_batch_end', 0),
        (8, 'on_train_epoch_end', 0),
    ],
)
def test_a_stopped_run_goes_on_with_the_very_next_batch(
    tmp_path: Path, steps: int, save_at: str, workers: int
) -> None:
    whole = Recorder()
    trainer(tmp_path, max_epochs=3).fit(whole, datamodule=module())
    assert len(whole.seen) == 12
    first, second = Recorder(steps, save_at), Recorder()
    trainer(tmp_path, max_epochs=3).fit(first, datamodule=module())
    trainer(tmp_path, max_epochs=3).fit(
        second, datamodule=module(num_workers=workers), ckpt_path=tmp_path / 'here.ckpt'
    )
    assert same_batches([*first.seen, *second.seen], whole.seen)


def test_the_state_alone_is_enough_to_resume() -> None:
    expected = batches(module())
    data, other = module(), module()
    assert data.state_dict() == {}
    data.setup('fit')
    iterator = iter(data.train_dataloader())
    next(iterator), next(iterator)
    other.load_state_dict(data.state_dict())
    assert same_batches(batches(other), expected[2:])


@pytest.mark.parametrize(
    'change',
    [{'flip': 'both'}, {'fill': None}, {'co_registered': True}, {'dates': 'all'}, {'patches': 3}],
)
def test_a_run_is_not_gone_on_with_other_crops(change: dict[str, object]) -> None:
    data, other = module(), module(**change)
    batches(data)
    other.load_state_dict(data.state_dict())
    with pytest.raises(ValueError, match='other modalities, patches, dates, statistics'):
        batches(other)


@pytest.mark.parametrize(
    'change',
    [
        {'seed': 1},
        {'crop_scale': (0.9, 1)},
        {'crop_scale': None},
        {'crop_ratio': (1, 1)},
        {'flip': 'none'},
        {'co_registered': True},
        {'statistics': STATISTICS | {'dem': {'DEM': [0, 1]}}},
        {'sizes_px': SMALL_PX | {'dem': 128}},
        {
            'modalities': [name for name in MODALITY_NAMES if name != 's2_toa'],
            'sizes_px': {'dem': 64},
        },
        {'dataset_args': {'size_px': 24}},
        {'dataset_args': {'count': 9}},
        {'batch_size': 4},
    ],
)
def test_every_option_has_an_effect(change: dict[str, object]) -> None:
    assert not same_batches(batches(module(**change)), batches(module()))


def test_metadata_is_left_out_where_a_backbone_takes_none() -> None:
    (batch, *_) = batches(module())
    assert 'metadata' not in module(metadata=False).on_after_batch_transfer(batch, 0)
    assert module().on_after_batch_transfer(batch, 0) is batch


def test_a_loader_made_anew_in_each_epoch_goes_on(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    trainer(tmp_path, max_epochs=2).fit(first, datamodule=module())
    trainer(tmp_path, max_epochs=2, reload_dataloaders_every_n_epochs=1).fit(
        second, datamodule=module()
    )
    assert same_batches(second.seen, first.seen)


def test_each_rank_reads_its_own_part() -> None:
    class OfTwo:
        world_size, current_epoch = 2, 0

        def __init__(self, rank: int) -> None:
            self.global_rank = rank

    found = []
    for rank in range(2):
        data = module()
        data.trainer = OfTwo(rank)  # type: ignore[assignment]
        found.append([i for batch in batches(data) for i in batch['grid_id'].tolist()])
    assert [len(part) for part in found] == [6, 6]
    assert sorted(i for part in found for i in part) == list(range(12))


def test_yaml_is_enough() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(CopernicusPretrainDataModule, 'data')
    text = """
data:
  class_path: torchgeo_copernicus.datamodules.pretrain.CopernicusPretrainDataModule
  init_args:
    dataset: tests.datamodules.pretrain_fakes.FakeCells
    dataset_args: {count: 5, size_px: 30}
    modalities: [s5p_no2, dem]
    statistics: {s5p_no2: {NO2: [100, 2]}}
    sizes_px: {s5p_no2: 4, dem: 64}
    crop_scale: [0.5, 1]
    dates: {s5p_no2: seasons}
    batch_size: 5
"""
    data = parser.instantiate_classes(parser.parse_string(text)).data
    same = module(
        dataset_args={'count': 5, 'size_px': 30},
        modalities=['s5p_no2', 'dem'],
        statistics={'s5p_no2': {'NO2': (100, 2)}},
        sizes_px={'s5p_no2': 4, 'dem': 64},
        crop_scale=(0.5, 1.0),
        dates={'s5p_no2': 'seasons'},
        batch_size=5,
    )
    assert same_batches(batches(data), batches(same))
    assert data.state_dict() == same.state_dict()


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'batch_size': 0}, 'batch_size must be'),
        ({'num_workers': True}, 'num_workers must be'),
        ({'seed': -1}, 'seed must be'),
        ({'pin_memory': 'yes'}, 'pin_memory'),
        ({'dataset': 'zarr'}, "Allowed: 'shards', 'geotiff'"),
        ({'dataset': dict}, "dict lacks \\['set_epoch', 'grid_ids'\\]"),
        ({'dataset_args': {'seed': 1}}, r"dataset_args has \['seed'\]"),
        ({'dataset_args': {'root': 'x'}}, 'FakeCells cannot be made of'),
        ({'statistics': None}, 's5p_no2.* are published'),
        ({'dates': 'weekly'}, 'weekly'),
        ({'patches': 0}, 'patches'),
        ({'crop_scale': (0, 1)}, 'crop scale'),
        ({'batch_size': 13}, 'fewer than one batch'),
    ],
)
def test_impossible_arguments_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        batches(module(**options))


def test_there_is_nothing_but_training() -> None:
    data = module()
    with pytest.raises(ValueError, match='setup has to be called first'):
        data.train_dataloader()
    for stage in ('validate', 'test', 'predict'):
        with pytest.raises(ValueError, match='no split'):
            data.setup(stage)
    assert data.val_dataloader() == []
