"""The YAML of self-supervised pretraining on SSL4EO-S12, stopped and gone on with."""

import csv
import math
import sys
from pathlib import Path

import pytest
import torch
from torchgeo.trainers import MoCoTask

from torchgeo_copernicus.datasets import write_sample

CONFIG = Path(__file__).parents[2] / 'terratorch_configs' / 'ssl4eo_s12_moco_s2.yaml'


@pytest.mark.terratorch
@pytest.mark.filterwarnings('ignore')
def test_moco_trains_on_two_dates_of_a_place_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terratorch.cli_tools import build_lightning_cli

    monkeypatch.chdir(tmp_path)
    # The YAML reads below the working directory, where its first command writes.
    write_sample('ssl4eo_v11', 'data', n=10, size=40)
    settings = {
        'data.init_args.batch_size': 2,
        'trainer.accelerator': 'cpu',
        'trainer.precision': '32-true',
        'trainer.devices': 1,
        'trainer.log_every_n_steps': 1,
        'model.init_args.model': 'resnet18',
        'model.init_args.hidden_dim': 16,
        'model.init_args.size': 32,
        'model.init_args.memory_bank_size': 16,
    }
    pairs = [item for key, value in settings.items() for item in (f'--{key}', str(value))]
    seen: list[tuple[torch.Tensor, list[int]]] = []
    step = MoCoTask.training_step

    def spy(self: MoCoTask, batch: dict[str, torch.Tensor], *more: int) -> torch.Tensor:
        seen.append((batch['image'], batch['sample_id'].tolist()))
        return step(self, batch, *more)

    monkeypatch.setattr(MoCoTask, 'training_step', spy)
    logs = Path('outputs') / CONFIG.stem / 'logs'

    def fit(*more: str) -> None:
        monkeypatch.setattr(sys, 'argv', ['terratorch', 'fit', '-c', str(CONFIG), *pairs, *more])
        build_lightning_cli()

    fit('--trainer.max_steps', '6')
    whole = [ids for _, ids in seen]
    assert len(whole) == 6
    image = seen[0][0]
    assert image.shape == (2, 26, 40, 40)
    assert 0 <= float(image.min()) < float(image.max()) <= 1
    assert not torch.equal(image[:, :13], image[:, 13:])
    with (logs / 'version_0' / 'metrics.csv').open() as file:
        losses = [float(row['train_loss']) for row in csv.DictReader(file) if row['train_loss']]
    assert losses
    assert all(math.isfinite(loss) for loss in losses)

    seen.clear()
    fit('--trainer.max_steps', '3')
    last = logs / 'version_1' / 'checkpoints' / 'last.ckpt'
    fit('--trainer.max_steps', '6', '--ckpt_path', str(last))
    assert [ids for _, ids in seen] == whole
