"""The page on the weights of SSL4EO-S12 runs as written, and its table is that of the entries."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from torchgeo_copernicus.models.ssl4eo import ENTRIES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs' / 'ssl4eo_weights.md').read_text()


def test_the_table_is_that_of_the_entries() -> None:
    script = runpy.run_path(str(ROOT / 'scripts' / 'ssl4eo_weight_table.py'))
    assert script['with_table'](PAGE) == PAGE, 'run scripts/ssl4eo_weight_table.py'
    for entry in ENTRIES.values():
        assert f'| `{entry.name}` |' in PAGE
        assert all(file.url in PAGE for file in entry.files)


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = '\n'.join(re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL))
    (tmp_path / 'example.py').write_text(code)
    runpy.run_path(str(tmp_path / 'example.py'))
    out = capsys.readouterr().out
    assert 'torch.Size([1, 13, 224, 224])' in out
    assert 'torch.Size([1, 512])' in out
