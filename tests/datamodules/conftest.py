"""The data these tests run on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.datasets.conftest import bench_copy, bench_root
from torchgeo_copernicus.datasets import TASKS, write_sample

__all__ = ('bench_copy', 'bench_root')
# More where there are many strata.
SAMPLES = {'eurosat_s1': 60, 'eurosat_s2': 60, 'lcz_s2': 102, 'bigearthnet_s1s2': 30}


@pytest.fixture(scope='session')
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Look-alikes of all archives, made once."""
    root = tmp_path_factory.mktemp('archives')
    for task in TASKS.values():
        if not (root / task.folder).exists():
            write_sample(task.name, root, n=SAMPLES.get(task.folder, 10), size=32)
    return root


@pytest.fixture(scope='module', autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they bring on images this small, above all where others run, too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
