"""The README runs as written, and says what is so."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from torchgeo_copernicus.datasets import TASKS

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()


@pytest.mark.parametrize('code', re.findall(r'```python\n(.*?)```', README, re.DOTALL))
def test_the_python_examples_run(
    code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'example.py').write_text(code)
    runpy.run_path(str(tmp_path / 'example.py'))
    assert capsys.readouterr().out


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


def test_every_file_it_names_is_there() -> None:
    links = re.findall(r'\]\((?!http)([^)]+)\)', README)
    configs = re.findall(r'terratorch_configs/\S+?\.yaml', README)
    assert links
    assert configs
    for name in {*links, *configs}:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize('task', TASKS.values(), ids=lambda task: task.name)
def test_the_table_of_tasks_is_that_of_the_declarations(task) -> None:  # noqa: ANN001
    sizes = '/'.join(str(task.split_sizes[split]) for split in ('train', 'val', 'test'))
    row = next(line for line in README.splitlines() if line.startswith(f'| {task.title} |'))
    shape = f'{len(task.bands)} x {task.native_size} x {task.native_size}'
    for fact in (shape, sizes, f'{len(task.classes)} classes', task.license):
        assert fact in row
