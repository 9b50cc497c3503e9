"""One small map of the world in every format, made once and never damaged."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

CHANNELS = 4
_MISSING = [name for name in ('xarray', 'dask') if find_spec(name) is None]
# The modules cannot even be imported without.
collect_ignore_glob = ['test_*.py'] if _MISSING else []


def pytest_report_header() -> str:
    return f'embeddings: not tested without {_MISSING}' if _MISSING else 'embeddings: tested'


@pytest.fixture(scope='session')
def values() -> NDArray[np.float32]:
    """Numbers of the map, `[721, 1440, 4]`."""
    from torchgeo_copernicus.datasets.lookalike.embed_map import paint_map

    return paint_map(CHANNELS, seed=1)


@pytest.fixture(scope='session')
def maps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same map as published, compressed, as `.pt`, and as `write_map` writes it."""
    from torchgeo_copernicus.datasets.embed import open_map, write_map
    from torchgeo_copernicus.datasets.lookalike.embed_map import make_embed_map

    root = tmp_path_factory.mktemp('maps')
    made = {
        'npz': make_embed_map(root / 'npz', CHANNELS, seed=1),
        'compressed': make_embed_map(root / 'compressed', CHANNELS, seed=1, compressed=True),
        'pt': make_embed_map(root / 'pt', CHANNELS, seed=1, kind='pt'),
    }
    ds = open_map(made['npz'])
    with pytest.MonkeyPatch.context() as patch:
        for suffix, side in (('tif', 16), ('zarr', 96)):
            # Few files, for each takes its time.
            patch.setattr(sys.modules[write_map.__module__], 'BLOCK_CELLS', side)
            made[suffix] = write_map(ds, root / f'embed_map_310k.{suffix}')
    return made
