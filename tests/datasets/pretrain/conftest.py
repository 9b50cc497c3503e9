"""Small copies of both formats, and an index of one; modules that need others have their own of these names."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return four cells as GeoTIFFs."""
    return make_pretrain_geotiff(tmp_path_factory.mktemp('geotiff'), 4, 0, 16)


@pytest.fixture(scope='module')
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return eight cells in four shards."""
    return make_pretrain_shards(tmp_path_factory.mktemp('shards'), 8, 0, 16, cells_per_shard=2)


@pytest.fixture(scope='module')
def index(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an index of the GeoTIFFs."""
    from torchgeo_copernicus.datasets.pretrain.index.convert_index import convert_index

    folder = tmp_path_factory.mktemp('index')
    convert_index(root, folder, cells_per_file=3, scheduler='synchronous', progress=False)
    return folder
