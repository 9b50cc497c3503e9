"""A map of random vectors that are like embeddings, and a text that tries to break a page."""

from __future__ import annotations

import numpy as np
import xarray as xr

from torchgeo_copernicus.datasets.embed import MapWindow, map_dataset

NASTY = '</script><script>alert(1)</script> & "quotes" {{data}} \\u003c'


def random_map(channels: int = 40, window: MapWindow | None = None, sea: float = 0.3) -> xr.Dataset:
    """Vectors with a few strong directions, as embeddings have, and much in common."""
    window = MapWindow(100, 700, 60, 80) if window is None else window
    rng = np.random.default_rng(5)
    shape = (window.rows, window.columns)
    spread = 2.0 ** -np.arange(channels)
    cells = 1 + rng.normal(size=(*shape, channels)) * spread
    cells[rng.random(shape) < sea] = 0
    return map_dataset(cells.astype(np.float32), window, source='/private/folder/' + NASTY)
