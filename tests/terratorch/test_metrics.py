"""Averages over batches as published, and metrics beside NaN, against numbers made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import (
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    MetricCollection,
    PearsonCorrCoef,
    R2Score,
)
from torchmetrics.classification import MulticlassJaccardIndex, MultilabelAveragePrecision
from torchmetrics.functional import jaccard_index
from torchmetrics.functional.classification import multilabel_average_precision

from torchgeo_copernicus.tasks.agreement import Agreement
from torchgeo_copernicus.terratorch.metrics import BatchMean, KnownOnly

sklearn = pytest.importorskip('sklearn.metrics', reason='scikit-learn comes with TerraTorch')
average_precision_score, f1_score = sklearn.average_precision_score, sklearn.f1_score
mean_absolute_error, r2_score = sklearn.mean_absolute_error, sklearn.r2_score

Batch = tuple[Tensor, Tensor]
LABELS = 5


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def maps(*sizes: int, seed: int = 0) -> list[Batch]:
    """Label maps of 4 classes; each batch lacks one, and has pixels without any."""
    batches = []
    for index, size in enumerate(sizes):
        target = torch.randint(0, 4, (size, 6, 6), generator=generator(seed + index))
        preds = torch.randint(0, 4, (size, 6, 6), generator=generator(seed + index + 50))
        preds = preds.where(torch.rand(preds.shape, generator=generator(index)) < 0.4, target)
        gone = index % 4
        preds[preds == gone] = (gone + 1) % 4
        target[target == gone] = (gone + 2) % 4
        target[:, 0] = -100
        batches.append((preds, target))
    return batches


def labels(*sizes: int, seed: int = 0) -> list[Batch]:
    """Probabilities and labels, several per sample."""
    batches = []
    for index, size in enumerate(sizes):
        target = (torch.rand(size, LABELS, generator=generator(seed + index)) < 0.4).int()
        noise = torch.rand(size, LABELS, generator=generator(seed + index + 50))
        preds = (0.3 * target + 0.7 * noise).clamp(0.01, 0.99)
        batches.append((preds, target))
    return batches


def values(*sizes: int, seed: int = 0, scale: float = 1.0) -> list[Batch]:
    """Regressions, a third of which is unknown, with an error that grows from batch to batch."""
    batches = []
    for index, size in enumerate(sizes):
        target = torch.randn(size, 6, 6, generator=generator(seed + index)) * scale + 10
        noise = torch.randn(size, 6, 6, generator=generator(seed + index + 50))
        preds = target + scale * (index + 1) * noise
        unknown = torch.rand(target.shape, generator=generator(index + 99)) < 0.3
        batches.append((preds, target.masked_fill(unknown, torch.nan)))
    return batches


def fed(metric: Any, batches: list[Batch]) -> Any:
    for preds, target in batches:
        metric.update(preds, target)
    return metric


def weighted(batches: list[Batch], value: Callable[[Tensor, Tensor], float]) -> float:
    found = [value(preds, target) for preds, target in batches]
    return float(np.average(found, weights=[len(preds) for preds, _ in batches]))


def iou(preds: Tensor, target: Tensor) -> float:
    """Mean IoU of the classes that are there, pixel by pixel."""
    known = target != -100
    shares = []
    for label in range(4):
        p, t = (preds == label) & known, (target == label) & known
        if (p | t).any():
            shares.append(((p & t).sum() / (p | t).sum()).item())
    return float(np.mean(shares))


def rmse(preds: Tensor, target: Tensor) -> float:
    return float(np.sqrt(np.nanmean((preds - target).double().square().numpy())))


def mean_of(metric: Metric) -> BatchMean:
    return BatchMean(metric)


def test_batch_mean_of_iou_weighs_batches_and_leaves_absent_classes_out() -> None:
    batches = maps(8, 8, 3, 1)
    found = fed(mean_of(MulticlassJaccardIndex(4, ignore_index=-100)), batches).compute()
    assert found.item() == pytest.approx(weighted(batches, iou), abs=1e-6)
    library = weighted(
        batches,
        lambda p, t: jaccard_index(p, t, 'multiclass', num_classes=4, ignore_index=-100).item(),
    )
    assert found.item() == pytest.approx(library, abs=1e-6)
    # Neither the mean without weights nor the metric of the whole.
    assert abs(found.item() - np.mean([iou(*batch) for batch in batches])) > 1e-3
    whole = fed(MulticlassJaccardIndex(4, ignore_index=-100), batches).compute()
    assert abs(found - whole) > 1e-2


def test_batch_mean_of_average_precision_is_the_published_number() -> None:
    batches = labels(16, 16, 5)
    found = fed(mean_of(MultilabelAveragePrecision(LABELS, average='micro')), batches).compute()

    def by_hand(preds: Tensor, target: Tensor) -> float:
        return float(average_precision_score(target.flatten(), preds.flatten()))

    assert found.item() == pytest.approx(weighted(batches, by_hand), abs=1e-5)
    library = weighted(
        batches,
        lambda p, t: multilabel_average_precision(p, t, num_labels=LABELS, average='micro').item(),
    )
    assert found.item() == pytest.approx(library, abs=1e-6)
    whole = by_hand(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
    assert abs(found.item() - whole) > 1e-3


def test_batch_mean_of_rmse_leaves_out_what_is_unknown() -> None:
    batches = values(4, 4, 1)
    found = fed(mean_of(KnownOnly(MeanSquaredError(squared=False))), batches).compute()
    assert found.item() == pytest.approx(weighted(batches, rmse), rel=1e-5)
    whole = rmse(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
    assert abs(found.item() - whole) > 0.1


def test_a_mean_of_roots_is_not_the_root_of_the_mean() -> None:
    batches = [(torch.zeros(1, 1), torch.zeros(1, 1)), (torch.zeros(1, 1), torch.full((1, 1), 2.0))]
    assert fed(mean_of(MeanSquaredError(squared=False)), batches).compute().item() == 1
    whole = fed(MeanSquaredError(squared=False), batches).compute()
    assert whole.item() == pytest.approx(2**0.5)


def test_a_batch_of_which_nothing_is_known_has_no_weight() -> None:
    batches = values(4, 4)
    unknown = (torch.zeros(9, 6, 6), torch.full((9, 6, 6), torch.nan))
    metric = mean_of(KnownOnly(MeanSquaredError(squared=False)))
    for order in ([*batches, unknown], [unknown, *batches], [batches[0], unknown, batches[1]]):
        metric.reset()
        assert fed(metric, order).compute().item() == pytest.approx(weighted(batches, rmse), 1e-5)
    metric.reset()
    assert fed(metric, [unknown]).compute().isnan()


def test_no_batch_leaks_into_the_next_one() -> None:
    metric = mean_of(MulticlassJaccardIndex(4, ignore_index=-100))
    batches = maps(2, 2)
    first = fed(metric, batches[:1]).compute().item()
    assert first == pytest.approx(iou(*batches[0]), abs=1e-6)
    # Asked in between, as a progress bar does.
    both = fed(metric, batches[1:]).compute().item()
    assert both == pytest.approx(weighted(batches, iou), abs=1e-6)
    metric.reset()
    assert fed(metric, batches[1:]).compute().item() == pytest.approx(iou(*batches[1]), abs=1e-6)


def test_the_value_of_a_step_is_that_of_the_batch() -> None:
    metric = mean_of(KnownOnly(MeanSquaredError(squared=False)))
    batches = values(3, 5)
    steps = [metric(preds, target).item() for preds, target in batches]
    assert steps == pytest.approx([rmse(*batch) for batch in batches], rel=1e-5)
    assert metric.compute().item() == pytest.approx(weighted(batches, rmse), rel=1e-5)


def test_batches_of_other_processes_are_not_mixed_into_one() -> None:
    # In distributed training the batch is that of a process; a metric asks all of them for theirs,
    # and waits for ever for one that has fewer.
    inner = MeanSquaredError(squared=False)
    asked: list[Tensor] = []

    def gather(tensor: Tensor, group: object = None) -> list[Tensor]:
        asked.append(tensor)
        return [tensor, tensor * 0]

    inner.distributed_available_fn = lambda: True
    inner.dist_sync_fn = gather
    batches = [(torch.zeros(2, 2), torch.full((2, 2), 3.0))]
    metric = fed(mean_of(inner), batches)
    assert not asked
    assert metric.compute().item() == pytest.approx(3.0)


def test_other_metrics_of_a_collection_do_not_mix_with_a_batch_mean() -> None:
    batches = maps(6, 6, 2)
    jaccard = MulticlassJaccardIndex(4, ignore_index=-100)
    collection = MetricCollection(
        {
            'whole': jaccard,
            'batches': mean_of(jaccard.clone()),
            'micro': MulticlassJaccardIndex(4, ignore_index=-100, average='micro'),
        },
        compute_groups=True,
    )
    found = fed(collection.clone(prefix='val/'), batches).compute()
    assert found['val/batches'].item() == pytest.approx(weighted(batches, iou), abs=1e-6)
    whole = tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
    assert found['val/whole'].item() == pytest.approx(iou(*whole), abs=1e-6)
    assert found['val/micro'] != found['val/whole']


def test_two_batch_means_that_begin_alike_are_not_merged() -> None:
    # A collection shares states that are equal after the first batch.
    perfect = torch.randint(0, 4, (4, 6, 6), generator=generator(0))
    batches = [(perfect, perfect), *maps(4, 4)]
    collection = MetricCollection(
        {
            'macro': mean_of(MulticlassJaccardIndex(4, ignore_index=-100)),
            'micro': mean_of(MulticlassJaccardIndex(4, ignore_index=-100, average='micro')),
        }
    )
    found = fed(collection, batches).compute()
    assert found['macro'].item() == pytest.approx(weighted(batches, iou), abs=1e-6)
    assert abs(found['macro'] - found['micro']) > 1e-3


def test_a_batch_mean_and_a_known_only_metric_survive_reset_and_reuse_in_a_collection() -> None:
    collection = MetricCollection(
        {
            'MSE': KnownOnly(MeanSquaredError()),
            'RMSE': KnownOnly(MeanSquaredError(squared=False)),
            'MAE': KnownOnly(MeanAbsoluteError()),
            'batches': mean_of(KnownOnly(MeanSquaredError(squared=False))),
        },
        compute_groups=False,
    )
    for seed in (0, 7):
        batches = values(4, 2, seed=seed)
        p, t = (torch.cat(parts) for parts in zip(*batches, strict=True))
        known = t.isfinite()
        found = {name: value.item() for name, value in fed(collection, batches).compute().items()}
        assert found['MSE'] == pytest.approx(rmse(p, t) ** 2, rel=1e-5)
        assert found['RMSE'] == pytest.approx(rmse(p, t), rel=1e-5)
        assert found['MAE'] == pytest.approx(mean_absolute_error(t[known], p[known]), rel=1e-5)
        assert found['batches'] == pytest.approx(weighted(batches, rmse), rel=1e-5)
        collection.reset()


def flat(batches: list[Batch]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Known predictions and targets."""
    p, t = (torch.cat([part.flatten() for part in parts]) for parts in zip(*batches, strict=True))
    return p[t.isfinite()].double().numpy(), t[t.isfinite()].double().numpy()


REGRESSIONS: dict[str, tuple[Callable[[], Metric], Callable[..., float]]] = {
    'MSE': (MeanSquaredError, lambda p, t: float(np.mean((p - t) ** 2))),
    'RMSE': (
        lambda: MeanSquaredError(squared=False),
        lambda p, t: float(((p - t) ** 2).mean() ** 0.5),
    ),
    'MAE': (MeanAbsoluteError, lambda p, t: float(mean_absolute_error(t, p))),
    'R2': (R2Score, lambda p, t: float(r2_score(t, p))),
    'r': (PearsonCorrCoef, lambda p, t: float(np.corrcoef(p, t)[0, 1])),
}


@pytest.mark.parametrize('name', REGRESSIONS)
def test_known_only_is_the_metric_of_what_is_known(name: str) -> None:
    make, by_hand = REGRESSIONS[name]
    batches = values(4, 1, 3)
    batches.insert(1, (torch.zeros(2, 6, 6), torch.full((2, 6, 6), torch.nan)))
    # Whatever is predicted where nothing is known.
    batches[0][0][batches[0][1].isnan()] = torch.inf
    metric = KnownOnly(make())
    assert fed(metric, batches).compute().item() == pytest.approx(by_hand(*flat(batches)), rel=1e-4)
    metric.reset()
    few = values(2, seed=4)
    assert fed(metric, few).compute().item() == pytest.approx(by_hand(*flat(few)), rel=1e-4)


@pytest.mark.parametrize('name', REGRESSIONS)
def test_known_only_is_nan_when_nothing_is_known(name: str) -> None:
    metric = KnownOnly(REGRESSIONS[name][0]())
    batches = values(3)
    unknown = (torch.zeros(2, 6, 6), torch.full((2, 6, 6), torch.nan))
    assert fed(metric, [unknown, unknown]).compute().isnan()
    # A later one counts, and a reset forgets it.
    assert fed(metric, batches).compute().isfinite()
    metric.reset()
    assert fed(metric, [unknown]).compute().isnan()


def test_infinite_targets_are_unknown_too() -> None:
    preds, target = torch.zeros(1, 4), torch.tensor([[2.0, torch.inf, -torch.inf, 4.0]])
    assert fed(KnownOnly(MeanSquaredError()), [(preds, target)]).compute().item() == 10


@pytest.mark.parametrize('name', REGRESSIONS)
def test_a_copy_of_a_known_only_metric_counts_by_itself(name: str) -> None:
    make, by_hand = REGRESSIONS[name]
    one, two = values(4), values(4, seed=9)
    metric = fed(KnownOnly(make()), one)
    copy = metric.clone()
    copy.reset()
    fed(copy, two)
    assert metric.compute().item() == pytest.approx(by_hand(*flat(one)), abs=1e-4)
    assert copy.compute().item() == pytest.approx(by_hand(*flat(two)), abs=1e-4)


def test_metrics_that_look_alike_do_not_share_a_state_in_a_collection() -> None:
    collection = MetricCollection(
        {name: KnownOnly(make()) for name, (make, _) in REGRESSIONS.items()}
    )
    batches = values(4, 2, 3)
    found = fed(collection.clone(prefix='test/'), batches).compute()
    for name, (_, by_hand) in REGRESSIONS.items():
        assert found[f'test/{name}'].item() == pytest.approx(by_hand(*flat(batches)), rel=1e-4)


def test_one_known_pixel_does_not_end_a_validation() -> None:
    target = torch.full((1, 4, 4), torch.nan)
    target[0, 1, 1] = 3.0
    # It has no variance to explain.
    metric = fed(KnownOnly(R2Score()), [(torch.zeros(1, 4, 4), target)])
    assert metric.compute().isnan()
    # With that of another batch it has.
    target[0, 1, 1] = 5.0
    preds = torch.full((1, 4, 4), 4.0)
    assert fed(metric, [(preds, target)]).compute().item() == pytest.approx(1 - (9 + 1) / 2)


def test_a_step_does_not_forget_the_known_values_of_the_steps_before() -> None:
    metric = KnownOnly(MeanSquaredError(squared=False))
    batches = values(3, 5)
    steps = [metric(preds, target).item() for preds, target in batches]
    assert steps == pytest.approx([rmse(*batch) for batch in batches], rel=1e-5)
    whole = rmse(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
    assert metric.compute().item() == pytest.approx(whole, rel=1e-5)


def test_a_step_with_one_known_pixel_neither_fails_nor_forgets() -> None:
    metric, batches = KnownOnly(R2Score()), values(3)
    fed(metric, batches)
    target = torch.full((1, 6, 6), torch.nan)
    target[0, 1, 1] = 3.0
    batches.append((torch.zeros(1, 6, 6), target))
    assert metric(*batches[-1]).isnan()
    assert metric.compute().item() == pytest.approx(r2_score(*flat(batches)[::-1]), abs=1e-4)


def test_known_only_follows_its_device_and_type() -> None:
    metric = KnownOnly(MeanSquaredError()).to('cpu')
    assert fed(metric, values(2)).compute().dtype == torch.float32
    assert [name for name, _ in metric.named_children()] == ['metric', 'count']


def test_pairs_of_a_figure_are_known_spread_over_the_batch_and_bounded() -> None:
    pairs = Agreement(per_batch=100)
    truth, prediction = pairs.pairs()
    assert (len(truth), len(prediction)) == (0, 0)
    batches = values(10, 1)
    for preds, target in batches:
        pairs.update(preds, target)
    pairs.update(torch.zeros(1, 6, 6), torch.full((1, 6, 6), torch.nan))
    truth, prediction = pairs.pairs()
    assert (truth.dtype, prediction.dtype) == (np.float32, np.float32)
    assert np.isfinite(truth).all()
    p, t = flat(batches[:1])
    small = len(flat(batches[1:])[0])
    kept = len(truth) - small
    assert 50 <= kept <= 100
    step = -(-len(t) // 100)
    np.testing.assert_allclose(truth[:kept], t[::step], rtol=1e-6)
    np.testing.assert_allclose(prediction[:kept], p[::step], rtol=1e-6)


@pytest.fixture(scope='module')
def multilabel() -> Any:
    from tests.terratorch.test_protocol import build

    return build('bigearthnet_s2', backbone='copernicus_fm_small')


def many_labels(*sizes: int) -> list[Batch]:
    """As many labels as BigEarthNet has, rare ones in the whole and absent ones in a batch."""
    batches = []
    for index, size in enumerate(sizes):
        rate = torch.linspace(0.05, 0.7, 19)
        target = (torch.rand(size, 19, generator=generator(index)) < rate).int()
        noise = torch.randn(size, 19, generator=generator(index + 50))
        batches.append((torch.sigmoid(1.5 * target + noise - 1), target))
    return batches


@pytest.mark.terratorch
@pytest.mark.parametrize('stage', ['val', 'test'])
def test_average_precision_of_a_task_is_that_of_sklearn(multilabel: Any, stage: str) -> None:
    batches = many_labels(64, 64, 17)
    metrics = multilabel.val_metrics if stage == 'val' else multilabel.test_metrics[0]
    metrics.reset()
    found = {name: value.item() for name, value in fed(metrics, batches).compute().items()}
    metrics.reset()
    preds, target = (torch.cat(parts).numpy() for parts in zip(*batches, strict=True))
    assert (target.sum(0) > 0).all()
    micro = average_precision_score(target, preds, average='micro')
    macro = average_precision_score(target, preds, average='macro')
    assert found[f'{stage}/AP_Micro'] == pytest.approx(micro, abs=1e-5)
    assert found[f'{stage}/AP_Macro'] == pytest.approx(macro, abs=1e-5)
    batch_mean = weighted(
        batches, lambda p, t: float(average_precision_score(t, p, average='micro'))
    )
    assert found[f'{stage}/AP_Micro_Batch_Mean'] == pytest.approx(batch_mean, abs=1e-5)
    # Three numbers, not one thrice.
    assert abs(micro - macro) > 0.02
    assert abs(micro - batch_mean) > 1e-4
    f1 = f1_score(target, preds > 0.5, average='micro')
    assert found[f'{stage}/F1_Micro'] == pytest.approx(f1, abs=1e-5)
    # The host's are still there, and still right.
    host = f1_score(target, preds > 0.5, average='macro', zero_division=0)
    assert found[f'{stage}/Multilabel_F1_Score'] == pytest.approx(host, abs=1e-5)


@pytest.mark.terratorch
def test_training_does_not_pay_for_average_precision(multilabel: Any) -> None:
    assert not [name for name in multilabel.train_metrics if 'AP' in name]


@pytest.mark.terratorch
def test_iou_of_a_task_is_of_the_whole_split_and_over_batches() -> None:
    from tests.terratorch.test_protocol import build

    task: Any = build('cloud_s2', backbone='copernicus_fm_small', decoder_channels=16)
    batches = maps(16, 16, 3)
    found = fed(task.val_metrics, batches).compute()
    whole = tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
    assert found['val/mIoU'].item() == pytest.approx(iou(*whole), abs=1e-5)
    assert found['val/mIoU_Batch_Mean'].item() == pytest.approx(weighted(batches, iou), abs=1e-5)
    assert abs(found['val/mIoU'] - found['val/mIoU_Batch_Mean']) > 1e-3
    assert 'test/mIoU_Batch_Mean' in fed(task.test_metrics[0], batches).compute()
