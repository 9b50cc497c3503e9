"""The README runs as written, and says what is so."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from rasterio import Affine

from torchgeo_copernicus.datasets import TASKS
from torchgeo_copernicus.datasets.lookalike.geotiff import Grid, write_geotiff
from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards
from torchgeo_copernicus.datasets.pretrain.shards import shard_names
from torchgeo_copernicus.sensors import S2_TOA

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()


@pytest.fixture(scope='module')
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands in for the shards on the hub."""
    return make_pretrain_shards(tmp_path_factory.mktemp('hub'), 12, 0, 8)


@pytest.mark.parametrize('code', re.findall(r'```python\n(.*?)```', README, re.DOTALL))
def test_the_python_examples_run(
    code: str,
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(shard_names.PUBLISHED, '100_example', (str(shards),))
    if 'embed' in code:
        _without_released_files(monkeypatch)
    image = np.random.default_rng(0).integers(0, 9000, (13, 300, 300)).astype(np.uint16)
    (tmp_path / 'my_geotiffs').mkdir()
    grid = Grid('EPSG:32632', Affine(10, 0, 600_000, 0, -10, 5_300_000))
    write_geotiff(tmp_path / 'my_geotiffs' / 'tile.tif', image, grid, S2_TOA.band_names)
    (tmp_path / 'example.py').write_text(code)
    runpy.run_path(str(tmp_path / 'example.py'))
    assert capsys.readouterr().out


def _without_released_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a look-alike map and an encoder of a few weights stand in for what is downloaded."""
    for package in ('dask', 'pyarrow'):
        pytest.importorskip(package, reason='needs the extra `embed`')
    from tests.embedding.tiny import TinyEncoder
    from torchgeo_copernicus.datasets import embed
    from torchgeo_copernicus.datasets.lookalike.embed_map import make_embed_map
    from torchgeo_copernicus.embedding import encoders

    def made(name: str, root: str) -> Path:
        assert name in embed.embed_files.FILES
        return make_embed_map(root, seed=1)

    monkeypatch.setattr(embed, 'download_embed', made)
    monkeypatch.setattr(encoders, 'CopernicusFMEncoder', TinyEncoder)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


def test_every_file_it_names_is_there() -> None:
    guide = (ROOT / 'docs' / 'bench.md').read_text()
    links = re.findall(r'\]\((?!http)([^)]+)\)', README)
    links += re.findall(r'\]\(\.\./([^)]+)\)', guide)
    configs = re.findall(r'terratorch_configs/\S+?\.yaml', README)
    assert links
    assert configs
    for name in {*links, *configs}:
        assert (ROOT / name).exists(), name


def test_the_table_of_tasks_is_that_of_the_declarations() -> None:
    script = runpy.run_path(str(ROOT / 'scripts' / 'task_table.py'))
    guide = (ROOT / 'docs' / 'bench.md').read_text()
    assert script['with_table'](guide) == guide, 'run scripts/task_table.py'
    assert all(f'[{task.title}](' in guide for task in TASKS.values())


def test_the_guide_to_a_sixteenth_task_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = (ROOT / 'docs' / 'add_a_task.md').read_text()
    code = '\n'.join(re.findall(r'```python\n(.*?)```', guide, re.DOTALL))
    (tmp_path / 'snow.py').write_text(code)
    runpy.run_path(str(tmp_path / 'snow.py'))
    out = capsys.readouterr().out
    assert 'torch.Size([2, 4, 64, 64])' in out
    assert 'No problem found.' in out


def test_the_guide_to_the_encoder_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('onnxruntime', reason='needs the extra `export`')
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / 'docs' / 'encoder.md').read_text()
    code = '\n'.join(re.findall(r'```python\n(.*?)```', guide, re.DOTALL))
    (tmp_path / 'guide.py').write_text(code)
    runpy.run_path(str(tmp_path / 'guide.py'))
    lines = capsys.readouterr().out.splitlines()
    assert 'True 1 set of kernels' in lines
    assert 'VisionTransformer True' in lines
    assert '(2, 384)' in lines
    assert lines[-1] == '4 torch.Size([2, 384, 4, 4])'


def test_the_guide_to_ssl4eo_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / 'docs' / 'ssl4eo.md').read_text()
    code = '\n'.join(re.findall(r'```python\n(.*?)```', guide, re.DOTALL))
    (tmp_path / 'guide.py').write_text(code)
    runpy.run_path(str(tmp_path / 'guide.py'))
    lines = capsys.readouterr().out.splitlines()
    assert "{'S2L2A': (4, 3, 64, 64), 'S1GRD': (4, 2, 64, 64)}" in lines
    assert '(8, 13, 48, 48) 8 True' in lines
    assert lines[-1].endswith("{'S2L1C': (4, 13, 48, 48), 'S1GRD': (4, 2, 48, 48)}")
    assert (tmp_path / 'place.png').stat().st_size > 10_000


def test_the_guide_to_copernicus_pretrain_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('dask', reason='needs the extra `convert`')
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / 'docs' / 'pretrain.md').read_text()
    code = '\n'.join(re.findall(r'```python\n(.*?)```', guide, re.DOTALL))
    (tmp_path / 'guide.py').write_text(code)
    runpy.run_path(str(tmp_path / 'guide.py'))
    lines = capsys.readouterr().out.splitlines()
    assert "'s2_toa': (13, 33, 33)" in lines[0]
    assert 'True' in lines
    assert any(line.endswith("['s2_toa']") for line in lines)
    assert any("'cells': 8" in line for line in lines)
    assert "'s2_toa': " in lines[-1]
    assert (tmp_path / 'cell.png').stat().st_size > 10_000
