"""Where the shared reference outputs and real samples are, and what is skipped without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from torchgeo_copernicus.compat import has_terratorch

SHARED = Path(os.environ.get('COPERNICUS_SHARED', '../shared'))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Compare with reference outputs first, and skip what needs TerraTorch where it is missing.

    What ran before in a process changes how its matrix products are summed up, and so the last digits of
    float32: by more than the stated tolerance in a feature or two, right as they are in float64.
    """
    items.sort(key=lambda item: item.path.name != 'test_golden.py')
    if has_terratorch():
        return
    for item in items:
        if item.get_closest_marker('terratorch'):
            item.add_marker(pytest.mark.skip(reason='TerraTorch is not installed'))


def _shared(*parts: str) -> Path:
    path = SHARED.joinpath(*parts).resolve()
    if not path.exists():
        pytest.skip(f'{"/".join(parts)} is not under COPERNICUS_SHARED')
    return path


@pytest.fixture(scope='session')
def golden_dir() -> Path:
    return _shared('golden')


@pytest.fixture(scope='session')
def real_bench_root() -> Path:
    return _shared('realdata', 'copernicus_bench')


@pytest.fixture(scope='session')
def terramind_dir() -> Path:
    """Real chips of three places, each as S1, S2, elevation and land cover."""
    return _shared('realdata', 'terramind')


@pytest.fixture(scope='session')
def ssl4eo_v11_table() -> Path:
    """The published table of the validation places of SSL4EO-S12 v1.1."""
    return _shared('realdata', 'ssl4eo_s12_v11', 'val_metadata.parquet')
