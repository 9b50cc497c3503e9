"""`terratorch fit`, `validate`, `test` and `predict` on every YAML, with look-alike data."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml

from torchgeo_copernicus.datasets import TASKS, write_sample

pytestmark = [
    pytest.mark.terratorch,
    # Of the hosts: seen in every run, whatever the data.
    pytest.mark.filterwarnings('ignore'),
]
CONFIGS = Path(__file__).parents[2] / 'terratorch_configs'
# That of several modalities is in test_multimodal_backbone, those of SSL4EO-S12 in test_ssl4eo_yaml.
YAMLS = sorted(
    path.stem
    for path in CONFIGS.glob('*.yaml')
    if path.stem.startswith(('copernicus_fm', 'dofa', 'timm')) and 's1s2dem' not in path.stem
)
SIZES = {'lcz_s2': 32, 'cloud_s2': 64, 'cloud_s3': 64, 'dfc2020_s1s2': 64, 'flood_s1': 64}
# What the published metric is called in a report.
METRICS = {
    'mIoU': ['test/mIoU', 'test/mIoU_Batch_Mean'],
    'OA': ['test/Accuracy_Micro'],
    'mAP': ['test/AP_Micro', 'test/AP_Macro', 'test/AP_Micro_Batch_Mean', 'test/F1_Micro'],
    'RMSE': ['test/RMSE', 'test/RMSE_Batch_Mean', 'test/MAE', 'test/R2_Score'],
}


def task_of(name: str) -> str:
    return max((task for task in TASKS if task in name), key=len)


@pytest.fixture(scope='module', autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads take longer on small images than one, much longer beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Look-alikes of all archives."""
    folder = tmp_path_factory.mktemp('archives')
    for task in TASKS.values():
        if not (folder / task.folder).exists():
            write_sample(task.name, folder, size=SIZES.get(task.folder, 32))
    return folder


def overrides(name: str, root: Path, scratch: Path) -> list[str]:
    """The command-line overrides of the documentation, and tiny sizes."""
    task = TASKS[task_of(name)]
    yaml_file = CONFIGS / f'{name}.yaml'
    config = yaml.safe_load(yaml_file.read_text())
    model = config['model']['init_args']['model_args']
    settings: dict[str, object] = {
        'data.init_args.root': root,
        'data.init_args.download': 'false',
        'data.init_args.batch_size': 2,
        'data.init_args.num_workers': 0,
        'data.init_args.image_size': 224 if 'dofa' in name else 8 * task.kernel_size,
        'trainer.accelerator': 'cpu',
        'trainer.max_epochs': 1,
        'trainer.limit_train_batches': 2,
        'trainer.limit_val_batches': 2,
        'trainer.limit_predict_batches': 2,
    }
    # Hosts' backbones take 'false' for true when it comes from the command line.
    own = {'dofa': 'dofa_small_patch16_224', 'timm': 'timm_resnet18'}.get(name.split('_')[0])
    if own is None:
        settings['model.init_args.model_args.backbone'] = 'copernicus_fm_small'
        settings['model.init_args.model_args.backbone_pretrained'] = 'false'
    else:
        model |= {'backbone': own, 'backbone_pretrained': False}
        yaml_file = scratch / f'{name}.yaml'
        yaml_file.write_text(yaml.safe_dump(config))
    if 'decoder_channels' in model:
        settings['model.init_args.model_args.decoder_channels'] = 16
    pairs = [item for key, value in settings.items() for item in (f'--{key}', str(value))]
    return ['-c', str(yaml_file), *pairs]


@pytest.mark.parametrize('name', YAMLS)
def test_a_yaml_trains_validates_tests_and_predicts(
    name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terratorch.cli_tools import build_lightning_cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    out = tmp_path / 'outputs' / name
    checkpoint = ['--ckpt_path', str(out / 'logs' / 'version_0' / 'checkpoints' / 'best.ckpt')]
    maps = tmp_path / 'maps'
    for stage, more in (
        ('fit', []),
        ('validate', checkpoint),
        ('test', checkpoint),
        ('predict', [*checkpoint, '--predict_output_dir', str(maps)]),
    ):
        monkeypatch.setattr(
            sys, 'argv', ['terratorch', stage, *overrides(name, root, tmp_path), *more]
        )
        cli = build_lightning_cli()
        if stage == 'fit':
            assert cli.trainer.global_step == 2
    task = TASKS[task_of(name)]
    report = json.loads((out / 'metrics.json').read_text())
    for metric in METRICS[task.metric]:
        assert math.isfinite(report['metrics'][metric]), metric
    assert report['published']['compare with'] in report['metrics']
    assert (out / 'predictions.png').stat().st_size > 5_000
    check_predictions(task.name, maps, root)


def check_predictions(name: str, maps: Path, root: Path) -> None:
    """Four predictions, none of which has overwritten another."""
    task = TASKS[name]
    if not task.has_label_maps:
        with next(maps.glob('*.csv')).open(newline='') as file:
            rows = list(csv.DictReader(file))
        assert len({row['filename'] for row in rows}) == len(rows) == 4
        if task.kind == 'multilabel':
            assert list(rows[0])[1:] == list(task.classes)
            assert 0 < float(rows[0][task.classes[0]]) < 1
        else:
            assert {row['class'] for row in rows} <= set(task.classes)
        return
    files = sorted(maps.rglob('*_pred.tif'))
    assert len(files) == 4
    for path in files:
        source = root / path.relative_to(maps).with_name(path.name.replace('_pred', ''))
        with rasterio.open(path) as file, rasterio.open(source) as image:
            values = file.read(1)
            assert np.allclose(file.bounds, image.bounds)
            assert file.crs == image.crs
        if task.kind == 'regression':
            assert values.dtype == np.float32
            # In the unit of the target: an untrained network predicts about its mean.
            assert abs(values.mean() - task.target.mean) < 2 * task.target.std
        else:
            assert values.dtype == np.uint8
            assert values.max() < len(task.classes)
