"""Cells to embed, of which half lack modalities."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards

collect_ignore: list[str] = []
try:
    import pyarrow  # noqa: F401
except ModuleNotFoundError:  # pragma: no cover
    collect_ignore_glob = ['test_*.py']


@pytest.fixture(scope='session')
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return seven small cells in two shards."""
    return make_pretrain_shards(tmp_path_factory.mktemp('shards'), n=7, size_divisor=16)
