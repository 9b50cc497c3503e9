"""Parts of a training split: nested, stratified, seeded, and of the training split alone."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import Subset

from tests.datamodules.test_every_datamodule import MODULES, make, raw_batch
from torchgeo_copernicus.datamodules.partition import strata_of, stratified_part
from torchgeo_copernicus.datasets.bench import DATASETS

STRATA = st.lists(st.integers(-1, 5), min_size=1, max_size=60)
SEEDS = st.integers(0, 9)
FRACTIONS = st.floats(0.001, 1.0)
# Hypothesis times out on a machine that others use, too.
FAST = settings(max_examples=60, deadline=None, database=None)


@FAST
@given(STRATA, FRACTIONS, SEEDS)
def test_every_stratum_keeps_its_share_and_at_least_one(
    strata: list[int], fraction: float, seed: int
) -> None:
    part = stratified_part(strata, fraction, seed)
    assert part == sorted(set(part))
    assert all(isinstance(index, int) for index in part)
    kept = Counter(strata[index] for index in part)
    for stratum, n in Counter(strata).items():
        assert kept[stratum] == max(1, math.floor(fraction * n + 0.5))


@FAST
@given(STRATA, st.lists(FRACTIONS, min_size=2, max_size=5), SEEDS)
def test_a_larger_fraction_holds_the_smaller_one(
    strata: list[int], fractions: list[float], seed: int
) -> None:
    parts = [set(stratified_part(strata, fraction, seed)) for fraction in sorted(fractions)]
    assert all(one <= other for one, other in pairwise(parts))
    assert stratified_part(strata, 1.0, seed) == list(range(len(strata)))


@FAST
@given(STRATA, FRACTIONS, SEEDS)
def test_one_seed_is_one_part(strata: list[int], fraction: float, seed: int) -> None:
    part = stratified_part(strata, fraction, seed)
    np.random.seed(seed)  # The global generators have no say.
    torch.manual_seed(0)
    assert stratified_part(list(strata), fraction, seed) == part


def test_a_part_is_drawn_and_not_the_head_of_each_stratum() -> None:
    strata = [index % 2 for index in range(200)]
    parts = [tuple(stratified_part(strata, 0.1, seed)) for seed in range(10)]
    assert len(set(parts)) == 10
    assert {len(part) for part in parts} == {20}
    # Every sample has the same chance, in the long run.
    drawn = Counter(i for seed in range(400) for i in stratified_part(strata, 0.1, seed))
    assert len(drawn) == 200
    assert max(drawn.values()) < 3 * min(drawn.values())


def test_strata_of_one_size_are_not_drawn_alike() -> None:
    part = stratified_part([0] * 50 + [1] * 50, 0.2, 0)
    assert {index % 50 for index in part if index < 50} != {i % 50 for i in part if i >= 50}


def test_half_a_sample_is_rounded_up_and_not_to_even() -> None:
    for n, kept in ((1, 1), (3, 2), (5, 3), (7, 4)):
        assert len(stratified_part(['a'] * n, 0.5, 0)) == kept


@pytest.mark.parametrize('fraction', [0, -1, 1.5, 1.0000001, float('nan'), float('inf')])
def test_a_fraction_that_is_none_raises(fraction: float) -> None:
    with pytest.raises(ValueError, match='partition'):
        stratified_part([0, 1], fraction, 0)


def test_a_negative_seed_raises() -> None:
    with pytest.raises(ValueError, match='partition_seed'):
        stratified_part([0, 1], 0.5, -1)


class Targets:
    """A dataset of targets, whose images must not be read."""

    def __init__(self, kind: str, targets: list[Tensor]) -> None:
        self.task = SimpleNamespace(kind=kind)
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def target(self, index: int) -> Tensor:
        return self.targets[index]


def strata(kind: str, targets: list[Tensor]) -> list[int]:
    return strata_of(Targets(kind, targets))  # type: ignore[arg-type]


def test_several_labels_count_by_the_rarest_and_none_is_a_stratum_too() -> None:
    rows = [[1, 0, 1], [1, 1, 0], [1, 0, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert strata('multilabel', [torch.tensor(row) for row in rows])[1] == 1
    # Labels 0 and 2 are in four and three samples.
    assert strata('multilabel', [torch.tensor(row) for row in rows]) == [2, 1, 2, 2, -1, 0]


@pytest.mark.parametrize('kind', ['segmentation', 'change'])
def test_a_label_map_counts_by_its_commonest_class_without_the_ignored(kind: str) -> None:
    maps = [
        torch.tensor([[-100, -100, -100], [3, 3, 1]]),
        torch.tensor([[0, 0, 2], [0, -100, 2]]),
        torch.full((2, 3), -100),
        torch.tensor([[22]]),
    ]
    assert strata(kind, maps) == [3, 0, -1, 22]


def test_a_regression_counts_by_fifths_of_the_known_means() -> None:
    values = torch.arange(50.0)[torch.randperm(50, generator=torch.Generator().manual_seed(0))]
    maps = [torch.tensor([value, torch.nan, value]) for value in values]
    found = strata('regression', maps)
    assert Counter(found) == dict.fromkeys(range(5), 10)
    assert found == [int(value // 10) for value in values]
    unknown = torch.full((3,), torch.nan)
    assert strata('regression', [*maps, unknown]) == [*found, -1]
    assert strata('regression', [unknown, unknown]) == [-1, -1]


@pytest.mark.parametrize(
    'task',
    [
        *('eurosat_s1', 'lcz_s2', 'bigearthnet_s2', 'lc100cls_s3', 'cloud_s2', 'cloud_s3'),
        *('dfc2020_s1', 'flood_s1', 'aq_no2_s5p', 'aq_o3_s5p'),
    ],
)
def test_strata_of_look_alikes_are_those_counted_by_hand(
    archives: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = DATASETS[task](archives)
    targets = [dataset[i].get('mask', dataset[i].get('label')) for i in range(len(dataset))]
    monkeypatch.setattr(DATASETS[task], '_load', None)  # Images are not read.
    found = strata_of(dataset)
    assert len(found) == len(dataset)
    for stratum, target in zip(found, targets, strict=True):
        values = np.asarray(target)
        if dataset.task.kind == 'classification':
            assert stratum == values
        elif dataset.task.kind == 'multilabel':
            present = values.nonzero()[0]
            counts = {label: sum(int(t[label]) for t in targets) for label in present}
            assert counts[stratum] == min(counts.values())
        elif dataset.task.kind == 'regression':
            mean = np.nanmean(values.astype(np.float64))
            below = sum(np.nanmean(np.asarray(t, np.float64)) < mean for t in targets)
            assert stratum == below * 5 // len(targets)
        else:
            labels, counts = np.unique(values[values != -100], return_counts=True)
            assert counts[labels == stratum] == counts.max()


def names(dataset: Any) -> list[str]:
    if isinstance(dataset, Subset):
        return [dataset.dataset.names[index] for index in dataset.indices]  # type: ignore[attr-defined]
    return list(dataset.names)


@pytest.mark.parametrize('task', ['eurosat_s2', 'lcz_s2', 'bigearthnet_s1', 'cloud_s3', 'flood_s1'])
def test_half_a_partition_halves_the_training_split_only(archives: Path, task: str) -> None:
    whole, half = (make(task, archives, partition=part) for part in (1, 0.5))
    for module in (whole, half):
        for stage in ('fit', 'test', 'predict'):
            module.setup(stage)
    for split in ('val', 'test', 'predict'):
        assert names(getattr(half, f'{split}_dataset')) == names(getattr(whole, f'{split}_dataset'))
    everything, kept = names(whole.train_dataset), names(half.train_dataset)
    assert set(kept) < set(everything)
    dataset: Any = whole.train_dataset
    strata = dict(zip(everything, strata_of(dataset), strict=True))
    shares = Counter(strata[name] for name in kept)
    sizes = Counter(strata.values())
    assert shares.keys() == sizes.keys()
    assert all(shares[key] == (sizes[key] + 1) // 2 for key in sizes)
    batch = raw_batch(half, 'train')
    allowed = {dataset[everything.index(name)]['filename'] for name in kept}
    assert set(batch['filename']) <= allowed


def test_all_classes_are_kept_and_counts_are_exact_where_they_divide(archives: Path) -> None:
    module = make('eurosat_s2', archives, partition=0.5, batch_size=20)
    module.setup('fit')
    assert len(module.train_dataset) == 20  # type: ignore[arg-type]
    (batch,) = module.train_dataloader()
    assert batch['label'].bincount().tolist() == [2] * 10
    few = make('eurosat_s2', archives, partition=0.001)
    few.setup('fit')
    assert len(few.train_dataset) == 10  # type: ignore[arg-type]


def test_another_seed_is_another_part_and_parts_are_nested(archives: Path) -> None:
    found = {}
    for seed in (0, 1):
        for partition in (0.25, 0.5):
            module = make('eurosat_s1', archives, partition=partition, partition_seed=seed)
            module.setup('fit')
            found[seed, partition] = names(module.train_dataset)
            # Once more, as Lightning does before a second fit.
            module.setup('fit')
            assert names(module.train_dataset) == found[seed, partition]
    assert found[0, 0.5] != found[1, 0.5]
    for seed in (0, 1):
        assert set(found[seed, 0.25]) < set(found[seed, 0.5])


def test_a_part_smaller_than_a_batch_raises(archives: Path) -> None:
    make('eurosat_s2', archives, batch_size=20, partition=0.5).setup('fit')
    with pytest.raises(ValueError, match=r'20 samples.*21.*batch_size'):
        make('eurosat_s2', archives, batch_size=21, partition=0.5).setup('fit')


def test_every_datamodule_takes_a_part(archives: Path) -> None:
    for task in MODULES:
        module = make(task, archives, partition=0.5, batch_size=1)
        module.setup('fit')
        assert isinstance(module.train_dataset, Subset)
        assert module.task is module.train_dataset.dataset.task  # type: ignore[attr-defined]
