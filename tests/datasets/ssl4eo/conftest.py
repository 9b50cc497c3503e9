"""Small look-alikes of SSL4EO-S12 v1.1, made once and never damaged."""

import shutil
from pathlib import Path

import pytest

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import make_ssl4eo_v11


@pytest.fixture(scope='session')
def v11_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Zarr edition: 8 places for training in two files, 2 for validation, of 48 px."""
    return make_ssl4eo_v11(tmp_path_factory.mktemp('v11'), n=10, seed=0, size=48)


@pytest.fixture(scope='session')
def v11_tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same places in the WebDataset edition."""
    folder = tmp_path_factory.mktemp('tars')
    return make_ssl4eo_v11(folder, n=10, seed=0, size=48, edition='webdataset')


@pytest.fixture
def v11_copy(v11_root: Path, tmp_path: Path) -> Path:
    """The Zarr edition in a place where it may be damaged."""
    return shutil.copytree(v11_root, tmp_path / 'v11', ignore=shutil.ignore_patterns('.index'))
