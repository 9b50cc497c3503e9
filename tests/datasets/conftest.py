"""Small look-alikes of the benchmark tasks, made once and never damaged."""

import shutil
from pathlib import Path

import pytest

from torchgeo_copernicus.datasets import write_sample


@pytest.fixture(scope='session')
def bench_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cloud-S2 with 6/2/2 scenes of 64 px and EuroSAT-S2 with 30/10/10 chips of 32 px."""
    root = tmp_path_factory.mktemp('bench')
    write_sample('cloud_s2', root, n=10, size=64)
    write_sample('eurosat_s2', root, n=50, size=32)
    return root


@pytest.fixture
def bench_copy(bench_root: Path, tmp_path: Path) -> Path:
    """The same in a place where it may be damaged."""
    return shutil.copytree(bench_root, tmp_path / 'bench')
