"""The datamodule of SSL4EO-S12 v1.1, alone and in Lightning's trainer."""

from pathlib import Path

import lightning.pytorch as pl
import matplotlib.pyplot as plt
import pytest
import torch
from torch import Tensor, nn

from torchgeo_copernicus.datamodules import SSL4EOS12v11DataModule
from torchgeo_copernicus.datasets import SSL4EOS12v11
from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import make_ssl4eo_v11

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 places for training, 3 for validation."""
    folder = tmp_path_factory.mktemp('v11')
    return make_ssl4eo_v11(folder, n=15, seed=0, size=40, modalities=('S1GRD', 'S2L1C'))


class Recorder(pl.LightningModule):
    """Notes what it is given."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.stop_after = stop_after
        self.seen: list[tuple[list[int], Tensor]] = []
        self.validated: list[tuple[list[int], Tensor]] = []

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        self.seen.append((batch['sample_id'].tolist(), batch['image'].clone()))
        if len(self.seen) == self.stop_after:
            self.trainer.save_checkpoint(Path(self.trainer.default_root_dir) / 'here.ckpt')
            self.trainer.should_stop = True
        return self.weight * batch['image'].mean()

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.validated.append((batch['sample_id'].tolist(), batch['image'].clone()))

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.validated.append((batch['sample_id'].tolist(), batch['image'].clone()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def trainer(folder: Path, **options: object) -> pl.Trainer:
    return pl.Trainer(
        default_root_dir=folder,
        accelerator='cpu',
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )


def module(root: Path, **options: object) -> SSL4EOS12v11DataModule:
    given: dict[str, object] = {
        'modalities': 'S2L1C',
        'batch_size': 2,
        'crop_size': 24,
        'num_threads': 2,
    }
    return SSL4EOS12v11DataModule(root=str(root), **(given | options))


def test_training_sees_every_place_once_in_an_epoch_at_another_window(
    root: Path, tmp_path: Path
) -> None:
    model = Recorder()
    trainer(tmp_path, max_epochs=2, limit_val_batches=0).fit(model, datamodule=module(root))
    first, second = (
        [i for ids, _ in model.seen[start : start + 6] for i in ids] for start in (0, 6)
    )
    assert sorted(first) == sorted(set(first)) == sorted(second)
    assert len(first) == 12
    assert first != second
    assert model.seen[0][1].shape == (2, 13, 24, 24)


@pytest.mark.parametrize('dates', ['random', 'pair'])
def test_a_stopped_run_goes_on_with_the_very_next_batch(
    root: Path, tmp_path: Path, dates: str
) -> None:
    options = {'dates': dates, 'concat': dates == 'pair'}
    whole = Recorder()
    trainer(tmp_path, max_epochs=2, limit_val_batches=0).fit(
        whole, datamodule=module(root, **options)
    )
    for steps in (2, 8):
        first, second = Recorder(stop_after=steps), Recorder()
        trainer(tmp_path, max_epochs=2, limit_val_batches=0).fit(
            first, datamodule=module(root, **options)
        )
        trainer(tmp_path, max_epochs=2, limit_val_batches=0).fit(
            second, datamodule=module(root, **options), ckpt_path=tmp_path / 'here.ckpt'
        )
        joined = [*first.seen, *second.seen]
        assert [ids for ids, _ in joined] == [ids for ids, _ in whole.seen]
        assert all(torch.equal(a[1], b[1]) for a, b in zip(joined, whole.seen, strict=True))


class SaveAtEpochEnd(pl.Callback):
    """Saves where Lightning's own callback does."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(Path(trainer.default_root_dir) / f'end{trainer.current_epoch}.ckpt')


@pytest.mark.parametrize('after_fit', [False, True])
def test_a_run_goes_on_after_an_epoch_as_if_it_had_not_stopped(
    root: Path, tmp_path: Path, after_fit: bool
) -> None:
    whole, first, second = Recorder(), Recorder(), Recorder()
    end = tmp_path / 'end0.ckpt'
    for model, epochs, path in ((whole, 3, None), (first, 1, None), (second, 3, end)):
        saving = [SaveAtEpochEnd()] if model is first and not after_fit else []
        run = trainer(tmp_path, max_epochs=epochs, limit_val_batches=0, callbacks=saving)
        run.fit(model, datamodule=module(root), ckpt_path=path)
        if model is first and after_fit:
            # Lightning has forgotten the loader by then, and its position with it.
            run.save_checkpoint(end)
    joined = [*first.seen, *second.seen]
    assert [ids for ids, _ in joined] == [ids for ids, _ in whole.seen]
    assert all(torch.equal(a[1], b[1]) for a, b in zip(joined, whole.seen, strict=True))


def test_validation_is_the_same_every_time(root: Path, tmp_path: Path) -> None:
    model = Recorder()
    trainer(tmp_path, max_epochs=3).fit(model, datamodule=module(root))
    assert len(model.validated) == 6
    for number in (0, 1):
        passes = model.validated[number::2]
        assert all(ids == passes[0][0] for ids, _ in passes)
        assert all(torch.equal(image, passes[0][1]) for _, image in passes)
    # Also the last places, which fill no batch.
    assert len({i for ids, _ in model.validated for i in ids}) == 3
    data = module(root)
    data.setup('test')
    assert [b['sample_id'].tolist() for b in data.test_dataloader()] == [
        ids for ids, _ in model.validated[:2]
    ]


def test_modalities_keep_their_own_statistics(root: Path) -> None:
    data = module(root, modalities=['S1GRD', 'S2L1C'], augment=False, crop_size=None, batch_size=12)
    data.setup('fit')
    batch = next(iter(data.train_dataloader()))
    dataset = SSL4EOS12v11(root, modalities=['S1GRD', 'S2L1C'], dates='random')
    order = [dataset[i]['sample_id'] for i in range(12)]
    for slot, place in enumerate(batch['sample_id'].tolist()):
        sample = dataset[order.index(f'{place:07d}')]
        for name in ('S1GRD', 'S2L1C'):
            statistics = dataset.statistics[name]
            mean = torch.tensor(list(statistics.mean.values()))[:, None, None]
            std = torch.tensor(list(statistics.std.values()))[:, None, None]
            expected = (sample['image'][name] - mean) / std
            assert torch.allclose(batch['image'][name][slot], expected, atol=1e-4)
            assert torch.equal(batch['metadata'][name][slot], sample['metadata'][name])


def test_views_of_two_dates_are_joined_for_moco(root: Path) -> None:
    data = module(root, dates='pair', concat=True, metadata=False, normalisation='pretraining')
    data.setup('fit')
    batch = next(iter(data.train_dataloader()))
    assert batch['image'].shape == (2, 26, 24, 24)
    assert not torch.equal(batch['image'][:, :13], batch['image'][:, 13:])
    assert 0 <= float(batch['image'].min()) < float(batch['image'].max()) <= 1
    # Left out after the transfer, where every batch passes.
    assert 'metadata' not in data.on_after_batch_transfer(batch, 0)
    assert 'metadata' in module(root).on_after_batch_transfer(batch, 0)


def test_predict_takes_the_training_places_in_order(root: Path) -> None:
    data = module(root)
    data.setup('predict')
    found = [i for batch in data.predict_dataloader() for i in batch['sample_id'].tolist()]
    assert found == sorted(found)
    assert len(found) == 12


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'batch_size': 0}, 'batch_size'),
        ({'num_threads': 0}, 'num_threads'),
        ({'concat': True}, 'concat joins modalities or dates'),
        ({'batch_size': 13}, 'fewer than one batch'),
        ({'modalities': 'S2L2A'}, 'has no files'),
    ],
)
def test_impossible_arguments_are_named(root: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        module(root, **options).setup('fit')


def test_a_loader_before_setup_says_so(root: Path) -> None:
    with pytest.raises(ValueError, match='setup has to be called first'):
        module(root).train_dataloader()


def test_places_of_the_datamodule_can_be_drawn(root: Path) -> None:
    module = SSL4EOS12v11DataModule(str(root), modalities='S2L1C', batch_size=2, crop_size=32)
    module.setup('validate')
    assert isinstance(module.val_dataset, SSL4EOS12v11)
    figure = module.plot(module.val_dataset[0], suptitle='a place')
    assert figure is not None and figure.get_suptitle() == 'a place'
    plt.close(figure)
