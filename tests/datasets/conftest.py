"""Small look-alikes of the benchmark tasks, made once and never damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.test_every_dataset import every_archive
from torchgeo_copernicus.datasets import write_sample
from torchgeo_copernicus.datasets.bench import DATASETS


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


@pytest.fixture
def copy(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Callable[[str], Path]:
    """Put the archive of a task where it may be damaged, and return the list of its first split."""
    root = every_archive(tmp_path_factory)

    def put(task: str) -> Path:
        declared = DATASETS[task].task
        shutil.copytree(root / declared.folder, tmp_path / 'copy' / declared.folder)
        return tmp_path / 'copy' / declared.folder / declared.split_file.format('train')

    return put
