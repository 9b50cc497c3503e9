"""Regression of maps with holes: its unit, its loss and its numbers, against those made by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

pytestmark = [
    pytest.mark.terratorch,
    # Of the hosts; and of this package, that stand-ins are used for language vectors.
    pytest.mark.filterwarnings('ignore'),
]
MEAN, STD = 4654.2632, 2589.4207


@pytest.fixture(scope='module', autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
        patch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path_factory.mktemp('hub')))
        yield


@pytest.fixture(scope='module', autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they bring on images this small, above all where others run, too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(**arguments: Any) -> Any:
    """The task of a YAML with a small backbone, as TerraTorch's command line builds it."""
    from terratorch.models.model import AuxiliaryHead

    from tests.terratorch.test_protocol import config
    from torchgeo_copernicus.terratorch.tasks import BenchRegressionTask

    given = config('aq_o3_s5p')['model']['init_args']
    small = {
        'backbone': 'copernicus_fm_small',
        'backbone_pretrained': False,
        'decoder_channels': 16,
    }
    given['model_args'] |= small
    given['aux_heads'] = [AuxiliaryHead(**head['init_args']) for head in given['aux_heads']]
    torch.manual_seed(0)
    return BenchRegressionTask(**(given | arguments))


@pytest.fixture(scope='module')
def built() -> Any:
    return make()


@pytest.fixture
def task(built: Any) -> Any:
    """The task in evaluation mode, whose head may be changed."""
    head = built.model.head
    state = {key: value.clone() for key, value in head.state_dict().items()}
    yield built.eval()
    head.load_state_dict(state)
    built.zero_grad()


def batch(n: int = 2, seed: int = 0) -> dict[str, Any]:
    """Random columns with targets in ug m-3 day, a third of which is unknown."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.randn(n, 16, 16, generator=generator) * STD + MEAN
    unknown = torch.rand(mask.shape, generator=generator) < 0.3
    return {
        'image': torch.randn(n, 1, 16, 16, generator=generator),
        'mask': mask.masked_fill(unknown, torch.nan),
        'metadata': torch.tensor([[11.5, 48.0, 18628.0, 1000.0]]).repeat(n, 1),
        'filename': [f'{index}.tif' for index in range(n)],
    }


def constant(task: Any, value: float) -> None:
    """Let the network say one number."""
    head = task.model.head.head[-1]
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(value)


def loader(*batches: dict[str, Any]) -> DataLoader[dict[str, Any]]:
    return DataLoader(list(batches), batch_size=None)  # type: ignore[arg-type]


def trainer(folder: Path) -> Any:
    from lightning.pytorch import Trainer

    return Trainer(
        accelerator='cpu',
        devices=1,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def loss(name: str = 'mae', std: float = 2.0) -> Any:
    from torchgeo_copernicus.terratorch.regression import KnownLoss

    return KnownLoss(name, std)


def huber(z: Tensor) -> Tensor:
    return torch.where(z.abs() < 1, z.square() / 2, z.abs() - 0.5)


@pytest.mark.parametrize(
    ('name', 'by_hand'), [('mae', torch.abs), ('mse', torch.square), ('huber', huber)]
)
def test_the_loss_is_the_mean_over_what_is_known_in_deviations(name: str, by_hand: Any) -> None:
    target = torch.tensor([[1.0, torch.nan, 7.0], [torch.nan, -2.0, torch.inf]])
    prediction = torch.tensor([[2.0, 50.0, 1.0], [torch.inf, -2.5, 9.0]])
    errors = torch.tensor([1.0, -6.0, -0.5]) / 2
    torch.testing.assert_close(loss(name)(prediction, target), by_hand(errors).mean())


def test_a_batch_with_more_holes_weighs_its_pixels_more() -> None:
    target = torch.full((1, 10, 10), torch.nan)
    target[0, 0, 0] = 3.0
    assert loss()(torch.zeros(1, 10, 10), target).item() == 1.5


def test_a_batch_of_which_nothing_is_known_changes_nothing() -> None:
    for name in ('mae', 'mse', 'huber'):
        prediction = torch.randn(2, 4, 4, requires_grad=True)
        value = loss(name)(prediction, torch.full((2, 4, 4), torch.nan))
        assert value.item() == 0
        value.backward()
        assert prediction.grad is not None
        assert prediction.grad.eq(0).all()


@pytest.mark.parametrize('name', ['mae', 'mse', 'huber'])
def test_no_gradient_comes_from_what_is_unknown(name: str) -> None:
    prediction = torch.randn(2, 4, 4, requires_grad=True)
    target = torch.randn(2, 4, 4)
    target[:, 1] = torch.nan
    loss(name)(prediction, target).backward()
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()
    assert prediction.grad[:, 1].eq(0).all()
    assert prediction.grad[:, [0, 2, 3]].ne(0).all()


@pytest.mark.parametrize('shape', [(2, 1, 4, 4), (1, 4, 4), (2, 4, 1), (2, 4)])
def test_another_shape_is_not_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r'\[2, 4, 4\]'):
        loss()(torch.zeros(shape), torch.zeros(2, 4, 4))


@pytest.mark.parametrize('name', ['rmse', 'l1', 'MAE', ''])
def test_an_unknown_loss_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=r"Unknown loss .*'mae', 'mse', 'huber'"):
        loss(name)


@pytest.mark.parametrize(
    'argument',
    [
        {'ignore_index': -1},
        {'ignore_index': 0},
        {'var_weights': [1.0]},
        {'custom_loss': True},
        {'custom_loss_kwargs': {'beta': 1.0}},
    ],
    ids=str,
)
def test_an_argument_without_effect_is_refused(argument: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(argument))):
        make(**argument)


@pytest.mark.parametrize('std', [0.0, -1.0, math.nan])
def test_a_deviation_that_is_none_is_refused(std: float) -> None:
    with pytest.raises(ValueError, match='target_std'):
        make(target_std=std)


def test_a_loss_of_the_hosts_that_is_not_ours_is_refused_when_the_task_is_built() -> None:
    with pytest.raises(ValueError, match=r"Unknown loss 'rmse'"):
        make(loss='rmse')


def test_the_arguments_are_kept_for_checkpoints(built: Any) -> None:
    assert built.hparams['target_mean'] == MEAN
    assert built.hparams['target_std'] == STD
    assert built.hparams['loss'] == 'mae'
    assert built.hparams['model_args']['backbone'] == 'copernicus_fm_small'


@torch.no_grad()
@pytest.mark.parametrize(('z', 'value'), [(0.0, MEAN), (1.0, MEAN + STD), (-2.0, MEAN - 2 * STD)])
def test_what_the_network_says_becomes_the_unit_of_the_target(
    task: Any, z: float, value: float
) -> None:
    constant(task, z)
    out = task(batch()['image']).output
    assert (out.shape, out.dtype) == ((2, 16, 16), torch.float32)
    torch.testing.assert_close(out, torch.full_like(out, value), rtol=1e-6, atol=0)


@torch.no_grad()
def test_outputs_of_all_heads_are_those_of_the_network_in_other_units(task: Any) -> None:
    given = batch()
    raw = task.model(given['image'], metadata=given['metadata'])
    out = task(given['image'], metadata=given['metadata'])
    torch.testing.assert_close(out.output, raw.output * STD + MEAN)
    assert out.auxiliary_heads.keys() == raw.auxiliary_heads.keys() == {'fcn'}
    fcn = raw.auxiliary_heads['fcn']
    torch.testing.assert_close(out.auxiliary_heads['fcn'], fcn * STD + MEAN)
    assert raw.output.std() > 1e-4


def test_the_loss_of_a_step_is_published_one(task: Any) -> None:
    given = batch()
    with torch.no_grad():
        raw = task.model(given['image'], metadata=given['metadata'])
    z = (given['mask'] - MEAN) / STD
    known = z.isfinite()
    main = (raw.output - z)[known].abs().mean()
    aux = (raw.auxiliary_heads['fcn'] - z)[known].abs().mean()
    found = task.training_step(given, 0)
    torch.testing.assert_close(found, main + 0.4 * aux, rtol=1e-4, atol=1e-5)
    # Of the size of a deviation, not of thousands.
    assert 0.1 < found < 5


def test_gradients_are_finite_beside_holes_and_none_come_from_holes_alone(task: Any) -> None:
    task.training_step(batch(), 0).backward()
    gradients = [p.grad for p in task.parameters() if p.grad is not None]
    assert len(gradients) > 10
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.ne(0).any() for gradient in gradients)
    task.zero_grad()
    nothing = batch() | {'mask': torch.full((2, 16, 16), torch.nan)}
    value = task.training_step(nothing, 0)
    assert value.item() == 0
    value.backward()
    gradients = [p.grad for p in task.parameters() if p.grad is not None]
    assert len(gradients) > 10
    assert all(gradient.eq(0).all() for gradient in gradients)


def test_metrics_are_in_the_unit_of_the_target(task: Any, tmp_path: Path) -> None:
    batches = [batch(3), batch(1, seed=5)]
    with torch.no_grad():
        predictions = [task(b['image'], metadata=b['metadata']).output for b in batches]
    errors = [
        (p - b['mask'])[b['mask'].isfinite()].double().numpy()
        for p, b in zip(predictions, batches, strict=True)
    ]
    truth = np.concatenate([b['mask'][b['mask'].isfinite()].double().numpy() for b in batches])
    every = np.concatenate(errors)
    wanted = {
        'RMSE': np.sqrt(np.mean(every**2)),
        'MSE': np.mean(every**2),
        'MAE': np.mean(np.abs(every)),
        'R2_Score': 1 - np.sum(every**2) / np.sum((truth - truth.mean()) ** 2),
        'RMSE_Batch_Mean': np.average([np.sqrt(np.mean(e**2)) for e in errors], weights=[3, 1]),
    }
    assert abs(wanted['RMSE'] - wanted['RMSE_Batch_Mean']) > 0.1
    assert wanted['RMSE'] > 1000
    (found,) = trainer(tmp_path).validate(task, loader(*batches), verbose=False)
    for name, value in wanted.items():
        assert found[f'val/{name}'] == pytest.approx(value, rel=1e-4), name
    (tested,) = trainer(tmp_path).test(task, loader(*batches), verbose=False)
    for name, value in wanted.items():
        assert tested[f'test/{name}'] == pytest.approx(value, rel=1e-4), name


def test_a_split_of_which_nothing_is_known_has_no_metrics_but_does_not_fail(
    task: Any, tmp_path: Path
) -> None:
    nothing = batch() | {'mask': torch.full((2, 16, 16), torch.nan)}
    (found,) = trainer(tmp_path).validate(task, loader(nothing), verbose=False)
    assert math.isnan(found['val/RMSE'])
    assert math.isnan(found['val/RMSE_Batch_Mean'])
    assert found['val/loss'] == 0


@pytest.mark.parametrize('tiles', [False, True])
def test_predictions_are_in_the_unit_of_the_target(
    task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiles: bool
) -> None:
    constant(task, 0.5)
    if tiles:
        tiling = {'crop': 16, 'stride': 8, 'delta': 2, 'batch_size': 4}
        monkeypatch.setattr(task, 'tiled_inference_parameters', tiling)
    given = batch(1)
    given['image'] = torch.randn(1, 1, 32, 32)
    ((values, names),) = trainer(tmp_path).predict(task, loader(given))
    assert values.squeeze(1).shape == (1, 32, 32)
    torch.testing.assert_close(values, torch.full_like(values, MEAN + STD / 2), rtol=1e-5, atol=0)
    assert names == ['0.tif']


@torch.no_grad()
def test_half_precision_does_not_round_a_mean_of_thousands(task: Any) -> None:
    constant(task, 0.37)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = task(batch()['image']).output
        heads = task(batch()['image']).auxiliary_heads
    assert out.dtype == torch.float32
    assert heads['fcn'].dtype == torch.float32
    torch.testing.assert_close(
        out, torch.full_like(out, MEAN + 0.37 * STD), rtol=0, atol=0.005 * STD
    )
    constant(task, 0.0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = task(batch()['image']).output
    # Rounded to bfloat16 it would be 4640 or 4672.
    torch.testing.assert_close(out, torch.full_like(out, MEAN), rtol=0, atol=1e-3)
