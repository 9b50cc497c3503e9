"""The command line: `torchgeo-copernicus datasets`, `sample cloud_s2 DIR`, `verify cloud_s2 DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table


def sample(
    task: str, directory: str, n: int | None = None, seed: int = 0, size: int | None = None
) -> str:
    """Write a small look-alike of a dataset, in the layout of the real archive.

    Args:
        task: Name of the task, such as cloud_s2; `torchgeo-copernicus datasets` lists them.
        directory: Folder that will hold the task's folder; use it as `root`.
        n: Number of images over all splits.
        seed: One seed gives the same images every time.
        size: Side of an image in pixels.
    """
    from torchgeo_copernicus.datasets.lookalike import write_sample

    return f'Wrote {write_sample(task, directory, n, seed, size)}'


def verify(task: str, directory: str, limit: int = 200) -> str:
    """Check a copy of a dataset and print what is in it; fails when something is wrong.

    Nothing is downloaded, extracted or changed.

    Args:
        task: Name of the task, such as cloud_s2; `torchgeo-copernicus datasets` lists them.
        directory: Folder that holds the task's folder.
        limit: Samples of each split to read; 0 for all.
    """
    from torchgeo_copernicus.datasets.bench import DATASETS
    from torchgeo_copernicus.datasets.bench import verify as bench

    if task not in DATASETS:
        raise ValueError(f'unknown task {task!r}; allowed: {", ".join(DATASETS)}')
    reports = bench.verify(DATASETS[task], directory, limit)
    text = bench.describe(DATASETS[task].task, reports)
    if any(report.problems for report in reports):
        sys.exit(text)
    return text


def datasets() -> None:
    """List the tasks of Copernicus-Bench."""
    from torchgeo_copernicus.datasets.bench import TASKS

    table = Table(title='Copernicus-Bench', title_justify='left')
    for column in ('task', 'sensor', 'predicts', 'bands', 'px', 'train/val/test', 'metric'):
        table.add_column(column)
    table.add_column('licence')
    for task in TASKS.values():
        table.add_row(
            task.name,
            task.sensor.title,
            f'{len(task.classes)} classes, {task.kind}' if task.classes else task.kind,
            str(len(task.bands)),
            str(task.native_size),
            '/'.join(str(size) for size in task.split_sizes.values()),
            task.metric,
            task.license,
        )
    # A pipe has no width, and nothing should be cut off in it.
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: Those of the process when None.
    """
    given = None if arguments is None else list(arguments)
    try:
        message: str | None = auto_cli(
            {'datasets': datasets, 'sample': sample, 'verify': verify},
            args=given,
            as_positional=True,
        )
    except (ValueError, OSError) as error:
        sys.exit(f'torchgeo-copernicus: {error}')
    if message is not None:
        print(message)
