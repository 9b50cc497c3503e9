"""The published protocol, layer by layer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from torch import nn
from torch.optim import SGD, AdamW

from torchgeo_copernicus import datamodules
from torchgeo_copernicus.datasets import TASKS
from torchgeo_copernicus.datasets.bench.task import IGNORE_INDEX
from torchgeo_copernicus.sensors import get_sensor

pytestmark = pytest.mark.terratorch
CONFIGS = Path(__file__).parents[2] / 'terratorch_configs'


def config(task: str) -> dict:
    return yaml.safe_load((CONFIGS / f'copernicus_fm_{task}.yaml').read_text())


def build(task: str, **overrides: object) -> nn.Module:
    """Build the task a YAML describes, as TerraTorch's command line does."""
    from terratorch.models.model import AuxiliaryHead

    import torchgeo_copernicus  # noqa: F401
    from torchgeo_copernicus.terratorch import tasks

    model = config(task)['model']
    arguments = model['init_args']
    arguments['model_args'] |= {'backbone_pretrained': False} | overrides
    if 'aux_heads' in arguments:
        arguments['aux_heads'] = [AuxiliaryHead(**h['init_args']) for h in arguments['aux_heads']]
    built: nn.Module = getattr(tasks, model['class_path'].rsplit('.', 1)[1])(**arguments)
    return built


def count(module: nn.Module, trainable: bool = True) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


def test_segmentation_has_the_published_number_of_trainable_parameters() -> None:
    model = build('cloud_s2').model
    assert count(model.encoder, trainable=False) == 139_452_544
    assert count(model.encoder) == 0
    assert count(model.neck) == 7_081_728
    assert count(model.decoder) == 32_256_000
    assert count(model.head) == 513 * 4
    assert count(model.aux_heads['fcn'][0]) == 1_769_984
    assert count(model.aux_heads['fcn'][1]) == 257 * 4
    assert count(model) == 41_107_712 + 770 * 4


def test_the_pyramid_has_the_published_scales() -> None:
    model = build('cloud_s2', backbone='copernicus_fm_small', decoder_channels=64).model.eval()
    maps = [torch.randn(2, 384, 8, 8) for _ in range(4)]
    pyramid = model.neck(maps, image_size=(128, 128))
    assert [list(m.shape) for m in pyramid] == [[2, 384, side, side] for side in (32, 16, 8, 4)]
    assert torch.equal(pyramid[2], maps[2])
    assert model.decoder(pyramid).shape == (2, 64, 32, 32)


def test_upsampling_does_not_align_corners() -> None:
    model = build('cloud_s2', backbone='copernicus_fm_small', decoder_channels=64).model
    assert [m.align_corners for m in model.modules() if hasattr(m, 'align_corners')] == [False] * 2


def test_dropout_drops_channels_and_only_once() -> None:
    model = build('cloud_s2', backbone='copernicus_fm_small', decoder_channels=64).model
    dropouts = [
        m for m in (*model.decoder.modules(), *model.head.modules()) if 'Dropout' in str(type(m))
    ]
    assert [(type(m), m.p) for m in dropouts] == [(nn.Dropout2d, 0.1)]


def test_the_linear_probe_has_only_its_linear_layer_to_train() -> None:
    model = build('eurosat_s2', backbone='copernicus_fm_small').model
    assert count(model) == 385 * 10
    linear = [m for m in model.head.modules() if isinstance(m, nn.Linear)]
    assert linear[0].weight.std().item() == pytest.approx(0.01, rel=0.1)


def test_the_linear_probe_normalises_as_published() -> None:
    model = build('eurosat_s2', backbone='copernicus_fm_small').model.eval()
    maps = torch.randn(4, 384, 7, 7)
    probe = model.decoder
    norm = nn.LayerNorm(384, eps=1e-6, elementwise_affine=False)
    pooled = norm(maps.flatten(2).transpose(1, 2).mean(1))
    torch.testing.assert_close(probe([maps]), pooled / (1 + 1e-6) ** 0.5)
    assert (probe.norm.affine, probe.norm.eps, probe.norm.momentum) == (False, 1e-6, 0.1)


KINDS = {
    'classification': ('BenchClassificationTask', 'ce'),
    'multilabel': ('BenchMultiLabelTask', 'bce'),
    'segmentation': ('BenchSegmentationTask', 'ce'),
    'change': ('BenchSegmentationTask', 'ce'),
    'regression': ('BenchRegressionTask', 'mae'),
}
MONITORS = {
    'mIoU': ('val/mIoU', 'max'),
    'OA': ('val/Accuracy_Micro', 'max'),
    'mAP': ('val/AP_Micro', 'max'),
    'RMSE': ('val/RMSE', 'min'),
}


@pytest.mark.parametrize('task', sorted(TASKS))
def test_a_yaml_agrees_with_its_declaration(task: str) -> None:
    declared, found = TASKS[task], config(task)
    data, model = found['data']['init_args'], found['model']['init_args']
    arguments = model['model_args']
    module = found['data']['class_path'].rsplit('.', 1)[1]
    assert getattr(datamodules, module).dataset_type.task is declared
    kind, loss = KINDS[declared.kind]
    assert (found['model']['class_path'].rsplit('.', 1)[1], model['loss']) == (kind, loss)
    if 'backbone_sensor' in arguments:
        bands = get_sensor(arguments['backbone_sensor']).band_names
    else:
        bands = tuple(arguments['backbone_model_bands'])
    assert bands == declared.bands
    assert arguments['backbone_kernel_size'] == declared.kernel_size
    assert arguments.get('num_classes', 0) == len(declared.classes)
    assert tuple(model.get('class_names', ())) == declared.classes
    assert arguments.get('backbone_series') == ('difference' if declared.kind == 'change' else None)
    assert (data['batch_size'], data['image_size']) == (
        declared.recipe.batch_size,
        declared.model_size,
    )
    assert data['metadata'] is True
    assert data['download'] is True
    assert 'checksum' not in data
    assert found['trainer']['max_epochs'] == declared.recipe.epochs
    assert (model['optimizer'], model['lr']) == (declared.recipe.optimizer, declared.recipe.lr)
    assert model['optimizer_hparams']['weight_decay'] == declared.recipe.weight_decay
    assert model['freeze_backbone'] is True
    if declared.target is not None:
        assert model['target_mean'] == declared.target.mean
        assert model['target_std'] == declared.target.std
    elif declared.has_label_maps:
        assert model['ignore_index'] == IGNORE_INDEX
    if declared.has_label_maps:
        assert arguments['backbone_out_indices'] == [3, 5, 7, 11]
        assert model['aux_loss'] == {'fcn': 0.4}
    checkpoint = next(
        c['init_args']
        for c in found['trainer']['callbacks']
        if c['class_path'].endswith('ModelCheckpoint')
    )
    assert (checkpoint['monitor'], checkpoint['mode']) == MONITORS[declared.metric]
    result = declared.published['Copernicus-FM ViT-B/16']
    text = (CONFIGS / f'copernicus_fm_{task}.yaml').read_text()
    assert f'{result[0]} +- {result[1]}' in text
    assert f'outputs/copernicus_fm_{task}' in text


def test_there_is_a_yaml_for_every_task_and_every_task_is_declared() -> None:
    assert len(TASKS) == 15
    assert {path.stem for path in CONFIGS.glob('copernicus_fm_*.yaml')} >= {
        f'copernicus_fm_{task}' for task in TASKS
    }


@pytest.mark.parametrize(
    ('optimizer', 'key'),
    [
        (lambda p: SGD(p, lr=0.1, momentum=0.9), lambda g: g['momentum']),
        (lambda p: AdamW(p, lr=0.1), lambda g: g['betas'][0]),
    ],
)
def test_the_schedule_starts_at_the_peak_and_cycles_the_momentum(optimizer, key) -> None:  # noqa: ANN001
    from torchgeo_copernicus.terratorch.tasks import one_cycle

    made = optimizer([nn.Parameter(torch.zeros(1))])
    scheduler = one_cycle(made, 100)['lr_scheduler']['scheduler']
    rates, momenta = [], []
    for _ in range(100):
        rates.append(made.param_groups[0]['lr'])
        momenta.append(key(made.param_groups[0]))
        made.step()
        scheduler.step() if len(rates) < 100 else None
    assert rates[0] == pytest.approx(0.1, rel=1e-3)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.1 / 2.5e5, rel=1e-3)
    assert momenta[0] == pytest.approx(0.85, abs=1e-3)
    assert momenta[-1] == pytest.approx(0.95, abs=1e-3)


@pytest.mark.parametrize('steps', [float('inf'), 0])
def test_a_training_without_end_has_no_cycle(steps: float) -> None:
    from torchgeo_copernicus.terratorch.tasks import one_cycle

    with pytest.raises(ValueError, match='max_epochs'):
        one_cycle(SGD([nn.Parameter(torch.zeros(1))], lr=0.1), steps)


def test_a_learning_rate_of_a_part_is_not_overwritten_by_the_schedule() -> None:
    from torchgeo_copernicus.terratorch.tasks import one_cycle

    encoder, head = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    made = SGD([{'params': [encoder], 'lr': 1e-4}, {'params': [head]}], lr=0.1, momentum=0.9)
    one_cycle(made, 1000)
    assert made.param_groups[0]['lr'] == pytest.approx(1e-4, rel=1e-3)
    assert made.param_groups[1]['lr'] == pytest.approx(0.1, rel=1e-3)


def test_a_schedule_of_the_users_own_wins() -> None:
    task = build('eurosat_s2', backbone='copernicus_fm_small')
    task.hparams['scheduler'] = 'StepLR'
    task.hparams['scheduler_hparams'] = {'step_size': 1}
    scheduler = task.configure_optimizers()['lr_scheduler']['scheduler']
    assert type(scheduler).__name__ == 'StepLR'


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'decoder_channels': 'many'}, "decoder_channels is 'many'"),
        ({'decoder_dropout': 2}, 'decoder_dropout is 2'),
        ({'backbone_out_indices': [3, 5]}, 'takes four maps'),
        ({'backbone_pretrained': 'flase'}, "pretrained is 'flase'"),
    ],
)
def test_a_wrong_override_is_named(overrides: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build('cloud_s2', backbone='copernicus_fm_small', **overrides)


def test_overrides_from_the_command_line_arrive_as_strings_and_are_parsed() -> None:
    overrides = {'decoder_channels': '64', 'backbone_pretrained': 'false'}
    model = build('cloud_s2', backbone='copernicus_fm_small', **overrides).model
    assert model.head.head[-1].in_channels == 64


def test_training_on_one_image_is_refused_before_batch_norm_fails() -> None:
    model = build('cloud_s2', backbone='copernicus_fm_small', decoder_channels=64).model.train()
    with pytest.raises(ValueError, match='batch_size'):
        model(torch.randn(1, 13, 64, 64))
    probe = build('eurosat_s2', backbone='copernicus_fm_small').model.train()
    with pytest.raises(ValueError, match='batch_size'):
        probe(torch.randn(1, 13, 64, 64))


def test_layer_decay_reaches_the_optimizer_and_the_schedule() -> None:
    task = build('eurosat_s2', backbone='copernicus_fm_small')
    task.requires_grad_(True)
    task.hparams['optimizer'] = 'AdamW'
    task.hparams['lr'] = 1e-3
    task.hparams['optimizer_hparams'] = {'weight_decay': 0.05, 'layer_decay': 0.5}
    task.trainer = SimpleNamespace(estimated_stepping_batches=10)  # type: ignore[assignment]
    found = task.configure_optimizers()  # type: ignore[operator]
    groups = found['optimizer'].param_groups
    rate = {p: group['max_lr'] for group in groups for p in group['params']}
    encoder = task.model.encoder.encoder
    assert rate[task.model.head.parameters().__next__()] == pytest.approx(1e-3)
    assert rate[encoder.blocks[11].attn.qkv.weight] == pytest.approx(5e-4)
    assert rate[encoder.blocks[0].attn.qkv.weight] == pytest.approx(1e-3 * 0.5**12)
    assert {group['weight_decay'] for group in groups} == {0.0, 0.05}


@pytest.mark.parametrize(
    'settings',
    [
        {'optimizer_hparams': {'layer_decay': 0.5}},
        {
            'optimizer_hparams': {'layer_decay': 0.5, 'weight_decay': 0.1},
            'lr_overrides': {'head': 1.0},
        },
    ],
)
def test_layer_decay_that_would_be_overruled_is_refused(settings: dict) -> None:
    task = build('eurosat_s2', backbone='copernicus_fm_small')
    for key, value in settings.items():
        task.hparams[key] = value
    with pytest.raises(ValueError, match='layer_decay in optimizer_hparams needs weight_decay'):
        task.configure_optimizers()  # type: ignore[operator]
