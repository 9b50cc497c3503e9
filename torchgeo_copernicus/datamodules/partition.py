"""A part of the training split for studies with few labels: stratified, seeded and nested."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
import torch

from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.task import IGNORE_INDEX


def stratified_part(strata: Sequence[Hashable], fraction: float, seed: int) -> list[int]:
    """Choose a fraction of each stratum.

    A smaller fraction is a part of a larger one with the same seed, and every stratum keeps at least
    one member.

    Args:
        strata: Stratum of each sample.
        fraction: Above 0 and up to 1.
        seed: One seed gives one part.

    Returns:
        Indices in ascending order.

    Raises:
        ValueError: If the fraction or the seed is out of range.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f'partition must be above 0 and at most 1, got {fraction}.')
    if seed < 0:
        raise ValueError(f'partition_seed must not be negative, got {seed}.')
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, stratum in enumerate(strata):
        members[stratum].append(index)
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for stratum in sorted(members, key=repr):
        shuffled = rng.permutation(members[stratum])
        # Rounded half up: Python's round would make fractions of .5 even.
        chosen += shuffled[: max(1, math.floor(fraction * len(shuffled) + 0.5))].tolist()
    return sorted(chosen)


def strata_of(dataset: BenchDataset) -> list[int]:
    """Return the stratum of each sample; labels are read, images are not.

    The class; of several labels the one that is rarest in the split; of a label map its commonest class;
    of a regression the fifth of the split that the mean of its target falls into.

    Args:
        dataset: A training split.
    """
    targets = [dataset.target(index) for index in range(len(dataset))]
    match dataset.task.kind:
        case 'classification':
            return [int(target) for target in targets]
        case 'multilabel':
            labels = torch.stack(targets)
            rarity = labels.sum(dim=0).argsort()
            # The first label present, from the rarest on; -1 for a sample without any.
            return [next((int(label) for label in rarity if row[label]), -1) for row in labels]
        case 'regression':
            means = np.array([float(target.nanmean()) for target in targets])
            known = means[np.isfinite(means)]
            edges = np.quantile(known, [0.2, 0.4, 0.6, 0.8]) if len(known) else []
            return [
                int(np.searchsorted(edges, mean)) if np.isfinite(mean) else -1 for mean in means
            ]
        case _:
            return [_commonest(target) for target in targets]


def _commonest(mask: torch.Tensor) -> int:
    labels = mask[mask != IGNORE_INDEX]
    return int(labels.bincount().argmax()) if labels.numel() else -1
