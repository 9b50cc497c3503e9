"""Checks a copy of a task's data: what is there, what is wrong, and what the labels look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.task import IGNORE_INDEX, BenchTask, Split


@dataclass
class SplitReport:
    """What was found in a split.

    Attributes:
        split: Its name.
        samples: Samples listed.
        read: Samples that were read.
        shape: Shape of an image.
        bands: Band names in the order read.
        missing_share: Share of pixel values that are NaN.
        located: Samples with a place.
        dated: Samples with a date.
        labels: Pixels or samples by label; -100 for ignored ones. Empty for a regression.
        target: (smallest, mean, largest, share of NaN) of a regression's target.
        problems: What is wrong, in words.
    """

    split: str
    samples: int = 0
    read: int = 0
    shape: tuple[int, ...] = ()
    bands: tuple[str, ...] = ()
    missing_share: float = 0.0
    located: int = 0
    dated: int = 0
    labels: Counter[int] = field(default_factory=Counter)
    target: tuple[float, float, float, float] | None = None
    problems: list[str] = field(default_factory=list)


def verify(dataset_type: type[BenchDataset], root: Path | str, limit: int) -> list[SplitReport]:
    """Check the three splits of a task; nothing is extracted, downloaded or changed.

    Args:
        dataset_type: Class of the task.
        root: Folder that holds the task's folder.
        limit: Samples of each split to read, spread over it; 0 for all.

    Raises:
        FileNotFoundError: If the task's folder is not there.
        ValueError: If *limit* is negative.
    """
    if limit < 0:
        raise ValueError(f'limit must not be negative, got {limit}.')
    reports = [_verify_split(dataset_type, Path(root), split, limit) for split in get_args(Split)]
    found = {report.shape[-2:] for report in reports if report.read}
    if len(found) > 1:
        reports[0].problems.append(f'the splits have images of different sizes: {sorted(found)}')
    return reports


def _verify_split(
    dataset_type: type[BenchDataset], root: Path, split: Split, limit: int
) -> SplitReport:
    task, report = dataset_type.task, SplitReport(split)
    if not dataset_type.is_extracted(root):
        raise FileNotFoundError(
            f'{root} holds no extracted {task.title} (folder {task.folder}). Give the folder it is in.'
        )
    try:
        dataset = dataset_type(root, split)
    except (ValueError, DatasetNotFoundError) as error:
        report.problems.append(str(error))
        return report
    report.samples, report.bands = len(dataset), tuple(dataset.bands)
    if report.samples != task.split_sizes[split]:
        report.problems.append(
            f'{report.samples} samples, {task.split_sizes[split]} were published'
        )
    wanted = range(len(dataset))
    if limit and limit < len(dataset):
        wanted = np.linspace(0, len(dataset) - 1, limit, dtype=int).tolist()
    _read(dataset, wanted, report)
    size = task.grid_size or task.native_size
    if report.read and set(report.shape[-2:]) != {size}:
        report.problems.append(f'images of {report.shape[-2:]} px, {size} px were published')
    return report


def _read(dataset: BenchDataset, indices: Sequence[int], report: SplitReport) -> None:
    missing = 0.0
    targets: list[Tensor] = []
    for index in indices:
        try:
            sample = dataset[index]
        except ValueError as error:
            report.problems.append(str(error))
            continue
        image, metadata = sample['image'], sample['metadata'].reshape(-1, 4)
        report.read += 1
        report.shape = tuple(image.shape)
        missing += float(image.isnan().float().mean())
        report.located += int(bool(metadata[:, :2].isfinite().all()))
        report.dated += int(bool(metadata[:, 2].isfinite().all()))
        target = sample['mask'] if 'mask' in sample else sample['label']
        if dataset.task.kind == 'regression':
            targets.append(target.flatten())
        else:
            report.labels.update(_counts(target, dataset.task))
    report.missing_share = missing / max(report.read, 1)
    if targets:
        values = torch.cat(targets)
        known = values[values.isfinite()]
        if known.numel():
            low, mean, high = (float(v) for v in (known.min(), known.mean(), known.max()))
            report.target = (low, mean, high, 1 - known.numel() / values.numel())
        else:
            report.problems.append('no target is known')


def _counts(target: Tensor, task: BenchTask) -> dict[int, int]:
    if task.kind == 'multilabel':
        return {int(label): 1 for label in target.nonzero()}
    labels, counts = np.unique(target.numpy(), return_counts=True)
    return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def describe(task: BenchTask, reports: Sequence[SplitReport]) -> str:
    """Return the reports as text for people."""
    lines = [f'{task.title}: {task.sensor.title}, {task.kind}']
    for report in reports:
        size = ' x '.join(str(side) for side in report.shape)
        lines.append(
            f'{report.split:5}  {report.samples} samples, {report.read} read: {size} '
            f'({len(report.bands)} bands), {report.missing_share:.2%} of the values missing, '
            f'{report.located} with a place, {report.dated} with a date'
        )
    if any(report.labels for report in reports):
        lines += _histogram(task, reports)
    if task.target is not None:
        for report in reports:
            if report.target is not None:
                low, mean, high, missing = report.target
                lines.append(
                    f'{report.split:5}  {task.target.name}: {low:.4g} to {high:.4g}, mean {mean:.4g} '
                    f'{task.target.unit}, {missing:.2%} missing'
                )
    problems = [f'{report.split}: {text}' for report in reports for text in report.problems]
    lines += [f'PROBLEM {text}' for text in problems] or ['No problem found.']
    return '\n'.join(lines)


def _histogram(task: BenchTask, reports: Sequence[SplitReport]) -> list[str]:
    """Return a table of the share of each label."""
    whole = [max(sum(report.labels.values()), 1) for report in reports]
    if task.kind == 'multilabel':
        whole = [max(report.read, 1) for report in reports]
    names = dict(enumerate(task.classes))
    if any(IGNORE_INDEX in report.labels for report in reports):
        names[IGNORE_INDEX] = 'ignored'
    width = min(max(len(name) for name in names.values()), 40)
    head = f'{"label":>5}  {"class":{width}}' + ''.join(f'{r.split:>9}' for r in reports)
    rows = [
        f'{label:5}  {name[:width]:{width}}'
        + ''.join(f'{r.labels[label] / n:9.2%}' for r, n in zip(reports, whole, strict=True))
        for label, name in names.items()
    ]
    return [head, *rows]
