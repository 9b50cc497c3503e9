"""`terratorch fit`, `validate`, `test` and `predict` on the YAMLs as users run them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml
from torch import Tensor

from torchgeo_copernicus.datasets import write_sample
from torchgeo_copernicus.models import CopernicusFM

pytestmark = [
    pytest.mark.terratorch,
    # Of the hosts: seen in every run, whatever the data.
    pytest.mark.filterwarnings('ignore'),
]
CONFIGS = Path(__file__).parents[2] / 'terratorch_configs'


@pytest.fixture(scope='module')
def cloud_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('data')
    write_sample('cloud_s2', root, n=10, size=64)
    return root


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tensor]]:
    """Collects the metadata the encoder gets."""
    rows: list[Tensor] = []
    original = CopernicusFM.forward_intermediates

    def spy(self: CopernicusFM, x: Tensor, metadata: Tensor | None = None, **kw: object) -> object:
        assert metadata is None or len(metadata) == len(x)
        rows.extend(x.new_full((len(x), 4), torch.nan) if metadata is None else metadata.cpu())
        return original(self, x, metadata, **kw)  # type: ignore[arg-type]

    monkeypatch.setattr(CopernicusFM, 'forward_intermediates', spy)
    yield rows


def terratorch(monkeypatch: pytest.MonkeyPatch, cwd: Path, *arguments: str) -> object:
    from terratorch.cli_tools import build_lightning_cli

    monkeypatch.chdir(cwd)
    monkeypatch.setattr(sys, 'argv', ['terratorch', *arguments])
    return build_lightning_cli()


def options(task: str, root: Path, **more: object) -> list[str]:
    settings: dict[str, object] = {
        'trainer.accelerator': 'cpu',
        'trainer.max_epochs': 1,
        'data.init_args.root': root,
        'data.init_args.download': 'false',
        'data.init_args.num_workers': 0,
        'data.init_args.batch_size': 2,
        'data.init_args.image_size': 64,
        'model.init_args.model_args.backbone': 'copernicus_fm_small',
        'model.init_args.model_args.backbone_pretrained': 'false',
    }
    if task == 'cloud_s2':
        settings |= {
            'model.init_args.model_args.backbone_kernel_size': 8,
            'model.init_args.model_args.decoder_channels': 16,
        }
    settings |= {key.replace('__', '.'): value for key, value in more.items()}
    pairs = [item for key, value in settings.items() for item in (f'--{key}', str(value))]
    return ['-c', str(CONFIGS / f'copernicus_fm_{task}.yaml'), *pairs]


@pytest.mark.smoke
def test_cloud_s2_from_yaml_to_report_with_metadata_in_every_stage(
    tmp_path: Path, cloud_root: Path, monkeypatch: pytest.MonkeyPatch, seen: list[Tensor]
) -> None:
    given = options('cloud_s2', cloud_root)
    out = tmp_path / 'outputs' / 'copernicus_fm_cloud_s2'
    checkpoint = ['--ckpt_path', str(out / 'logs' / 'version_0' / 'checkpoints' / 'best.ckpt')]
    for stage, more in (
        ('fit', []),
        ('validate', checkpoint),
        ('test', checkpoint),
        ('predict', [*checkpoint, '--predict_output_dir', str(tmp_path / 'maps')]),
    ):
        seen.clear()
        terratorch(monkeypatch, tmp_path, stage, *given, *more)
        rows = torch.stack(seen)
        assert rows.isfinite().all(), stage
        assert (rows[:, 3] == 10).all(), stage
        assert ((rows[:, 2] > 17500) & (rows[:, 2] < 18700)).all(), stage

    report = json.loads((out / 'metrics.json').read_text())
    assert 0 <= report['metrics']['test/mIoU'] <= 1
    assert np.sum(report['confusion (truth in rows)']) == 2 * 64 * 64
    assert (out / 'predictions.png').stat().st_size > 10_000
    maps = sorted((tmp_path / 'maps').rglob('*.tif'))
    assert len(maps) == 2
    with rasterio.open(maps[0]) as file:
        assert file.shape == (64, 64)
        assert file.crs is not None


def test_cloud_s2_with_tiled_inference(
    tmp_path: Path, cloud_root: Path, monkeypatch: pytest.MonkeyPatch, seen: list[Tensor]
) -> None:
    config = yaml.safe_load((CONFIGS / 'copernicus_fm_cloud_s2.yaml').read_text())
    config['model']['init_args'] |= {
        'tiled_inference_on_testing': True,
        'tiled_inference_parameters': {'crop': 32, 'stride': 24, 'batch_size': 2},
    }
    (tmp_path / 'tiled.yaml').write_text(yaml.safe_dump(config))
    arguments = options('cloud_s2', cloud_root, data__init_args__batch_size=1)
    arguments[1] = str(tmp_path / 'tiled.yaml')
    terratorch(monkeypatch, tmp_path, 'test', *arguments)
    out = tmp_path / 'outputs' / 'copernicus_fm_cloud_s2'
    report = json.loads((out / 'metrics.json').read_text())
    assert 0 <= report['metrics']['test/mIoU'] <= 1
    # The report sees tiles only, and draws nothing it does not know.
    assert report['confusion (truth in rows)'] is None
    assert not (out / 'predictions.png').exists()
    assert len(seen) > 2
    assert torch.stack(seen).isfinite().all()


def test_eurosat_s2_on_real_chips(
    tmp_path: Path, real_bench_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options('eurosat_s2', real_bench_root, data__init_args__batch_size=16)
    terratorch(monkeypatch, tmp_path, 'fit', *given, '--trainer.max_epochs', '8')
    out = tmp_path / 'outputs' / 'copernicus_fm_eurosat_s2'
    best = str(out / 'logs' / 'version_0' / 'checkpoints' / 'best.ckpt')
    terratorch(monkeypatch, tmp_path, 'test', *given, '--ckpt_path', best)
    report = json.loads((out / 'metrics.json').read_text())
    # Chance is 0.1; a random frozen small encoder at 64 px gets about 0.4 in so few steps.
    assert report['metrics']['test/Accuracy_Micro'] > 0.25
    assert np.sum(report['confusion (truth in rows)']) == 40


def test_fine_tuning_the_whole_encoder_moves_it(
    tmp_path: Path, cloud_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options('cloud_s2', cloud_root, model__init_args__freeze_backbone='false')
    cli = terratorch(monkeypatch, tmp_path, 'fit', *given)
    encoder = cli.model.model.encoder.encoder  # type: ignore[attr-defined]
    torch.manual_seed(42)
    assert all(p.requires_grad for p in encoder.blocks.parameters())
    assert encoder.patch_embed_spectral.fclayer.w1.bias.ne(0.01).any()
    assert encoder.patch_embed_variable.fclayer.w1.bias.eq(0.01).all()


def test_without_metadata_the_encoder_gets_none(
    tmp_path: Path, cloud_root: Path, monkeypatch: pytest.MonkeyPatch, seen: list[Tensor]
) -> None:
    given = options('cloud_s2', cloud_root, data__init_args__metadata='false')
    terratorch(monkeypatch, tmp_path, 'test', *given)
    assert torch.stack(seen).isnan().all()


@pytest.mark.parametrize(
    ('task', 'metadata'),
    [
        ('torchgeo_copernicus.terratorch.tasks.CopernicusEmbeddingTask', True),
        ('terratorch.tasks.EmbeddingGenerationTask', False),
    ],
)
def test_embeddings_are_made_with_the_metadata_where_it_is_asked_for(
    tmp_path: Path,
    cloud_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    metadata: bool,
    seen: list[Tensor],
) -> None:
    config = f"""
trainer: {{accelerator: cpu, logger: false, max_epochs: 0}}
data:
  class_path: torchgeo_copernicus.datamodules.CopernicusBenchCloudS2DataModule
  init_args:
    root: {cloud_root}
    batch_size: 2
    num_workers: 0
    image_size: 64
    metadata: {str(metadata).lower()}
model:
  class_path: {task}
  init_args:
    model_args:
      backbone: copernicus_fm_small
      backbone_pretrained: false
      backbone_sensor: s2_toa
      backbone_out_indices: [11]
    output_dir: {tmp_path / 'embeddings'}
    output_format: tiff
    layers: [-1]
"""
    (tmp_path / 'embed.yaml').write_text(config)
    given = ['-c', str(tmp_path / 'embed.yaml'), '--predict_output_dir', str(tmp_path / 'maps')]
    terratorch(monkeypatch, tmp_path, 'predict', *given)
    assert len(list((tmp_path / 'embeddings').rglob('*.tif*'))) == 2
    assert any(rows.isfinite().all() for rows in seen) is metadata


@pytest.mark.parametrize(
    ('option', 'value', 'message'),
    [
        ('model.init_args.model_args.backbone_model_bands', '[B02, B99]', "Unknown band 'B99'"),
        ('model.init_args.model_args.backbone_pretrained', 'flase', "pretrained is 'flase'"),
        ('data.init_args.root', 'nowhere', 'nowhere'),
    ],
)
def test_a_mistake_in_the_yaml_is_named_before_training(
    tmp_path: Path,
    cloud_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    value: str,
    message: str,
) -> None:
    given = [*options('cloud_s2', cloud_root), f'--{option}', value]
    with pytest.raises(Exception, match=message):
        terratorch(monkeypatch, tmp_path, 'fit', *given)


def test_a_foreign_datamodule_needs_only_the_callback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_sample('cloud_s2', tmp_path / 'data', n=5, size=64)
    images, masks = root / 's2_toa', root / 'cloud'
    config: dict = {
        'trainer': {
            'accelerator': 'cpu',
            'logger': False,
            'fast_dev_run': True,
            'callbacks': [
                {'class_path': 'torchgeo_copernicus.terratorch.callback.RegisterCopernicus'}
            ],
        },
        'data': {
            'class_path': 'terratorch.datamodules.GenericNonGeoSegmentationDataModule',
            'init_args': {
                'batch_size': 2,
                'num_workers': 0,
                'num_classes': 4,
                'means': [1000.0] * 13,
                'stds': [1000.0] * 13,
                'img_grep': '*.tif',
                'label_grep': '*.tif',
            }
            | {f'{split}_data_root': str(images) for split in ('train', 'val', 'test')}
            | {f'{split}_label_data_root': str(masks) for split in ('train', 'val', 'test')},
        },
        'model': {
            'class_path': 'terratorch.tasks.SemanticSegmentationTask',
            'init_args': {
                'model_factory': 'EncoderDecoderFactory',
                'model_args': {
                    'backbone': 'copernicus_fm_small',
                    'backbone_sensor': 's2_toa',
                    'backbone_out_indices': [11],
                    'decoder': 'IdentityDecoder',
                    'num_classes': 4,
                },
                'ignore_index': -100,
            },
        },
    }
    (tmp_path / 'generic.yaml').write_text(yaml.safe_dump(config))
    cli = terratorch(monkeypatch, tmp_path, 'fit', '-c', str(tmp_path / 'generic.yaml'))
    assert cli.trainer.global_step == 1  # type: ignore[attr-defined]
