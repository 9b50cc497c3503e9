"""The tutorial runs as written, and shows what its text says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from rasterio import Affine

pytest.importorskip('dask', reason='maps of embeddings need the extra `embed`')
pytest.importorskip('pyarrow', reason='stores of embeddings need the extra `embed`')

from tests.embedding.tiny import TinyEncoder
from torchgeo_copernicus.datasets.lookalike.geotiff import Grid, write_geotiff
from torchgeo_copernicus.embedding import encoders
from torchgeo_copernicus.sensors import S2_TOA

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / 'docs' / 'embeddings.md').read_text()


def test_the_guide_to_embeddings_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # In place of the released weights.
    monkeypatch.setattr(encoders, 'CopernicusFMEncoder', TinyEncoder)
    image = np.random.default_rng(0).integers(0, 9000, (13, 300, 300)).astype(np.uint16)
    (tmp_path / 'my_geotiffs').mkdir()
    grid = Grid('EPSG:32632', Affine(10, 0, 600_000, 0, -10, 5_300_000))
    write_geotiff(tmp_path / 'my_geotiffs' / 'tile.tif', image, grid, S2_TOA.band_names)
    code = '\n'.join(re.findall(r'```python\n(.*?)```', GUIDE, re.DOTALL))
    (tmp_path / 'guide.py').write_text(code)
    runpy.run_path(str(tmp_path / 'guide.py'))
    out = capsys.readouterr().out
    assert out.startswith('[') and 'nan' not in out.splitlines()[0]
    assert "{'lat': 61, 'lon': 81, 'channel': 8}" in out
    assert "['t2m', 'embedding', 'valid'] (48, 64, 3)" in out
    assert '| Embed + coord | arXiv:2503.11849 |' in out
    # Cells that were averaged, and cells of the map.
    assert out.splitlines()[-2:] == ['2', '2']
    for name in ('similarity.png', 'pca.png', 'region.png'):
        assert matplotlib.image.imread(name).std() > 0.05
    assert 'select=' in Path('map.html').read_text()


def test_every_picture_it_shows_is_there_and_small() -> None:
    names = re.findall(r'!\[[^\]]+\]\(([^)]+)\)', GUIDE)
    assert len(names) == 3
    for name in names:
        assert 3_000 < (ROOT / 'docs' / name).stat().st_size < 100_000
