"""Writes the table of tasks into docs/bench.md, from the declarations; run it without arguments."""

from __future__ import annotations

from pathlib import Path

from torchgeo_copernicus.datasets import TASKS, BenchTask

GUIDE = Path(__file__).parents[1] / 'docs' / 'bench.md'
BEGIN, END = '<!-- tasks: scripts/task_table.py -->\n', '<!-- end of tasks -->\n'


def row(task: BenchTask) -> str:
    """Return the line of a task."""
    sizes = '/'.join(str(size) for size in task.split_sizes.values())
    dates = '2 x ' if task.kind == 'change' else ''
    predicts = {
        'classification': f'1 of {len(task.classes)} classes',
        'multilabel': f'some of {len(task.classes)} classes',
        'segmentation': f'{len(task.classes)} classes a pixel',
        'change': f'{len(task.classes)} classes a pixel, before and after',
        'regression': task.target and f'{task.target.name} ({task.target.unit}) a pixel',
    }[task.kind]
    mean, std = task.published['Copernicus-FM ViT-B/16']
    yaml = f'../terratorch_configs/copernicus_fm_{task.name}.yaml'
    sensor = task.sensor.title.split()[0]
    shape = f'{dates}{len(task.bands)} x {task.native_size} x {task.native_size}'
    return (
        f'| [{task.title}]({yaml}) | {sensor} | {shape} | {sizes} | {predicts} | {task.metric} {mean} +- {std} '
        f'| {task.license} |\n'
    )


def table() -> str:
    """Return the table of all tasks."""
    head = '| task and YAML | sensor | images | train/val/test | predicts | published | licence |\n'
    return head + '|---|---|---|---|---|---|---|\n' + ''.join(row(task) for task in TASKS.values())


def with_table(text: str) -> str:
    """Return a text with the table between its marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == '__main__':
    GUIDE.write_text(with_table(GUIDE.read_text()))
