"""Numbers of an image as plain numpy has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from torchgeo_copernicus.sensors import OLCI_SCALE

LISTS = ('count', 'min', 'max', 'mean', 'std')


def expected(pixels: np.ndarray[Any, Any]) -> dict[str, list[float]]:
    """Return the numbers of an image by other means: band for band in float64."""
    bands = pixels.astype(np.float64).reshape(len(pixels), -1)
    return {
        'count': np.isfinite(bands).sum(1).tolist(),
        'min': np.nanmin(bands, 1).tolist(),
        'max': np.nanmax(bands, 1).tolist(),
        'mean': np.nanmean(bands, 1).tolist(),
        'std': np.nanstd(bands, 1).tolist(),
    }


def raw(path: Path, modality: str) -> np.ndarray[Any, Any]:
    with rasterio.open(path) as file:
        pixels = file.read().astype(np.float32)
    if modality == 's3_olci':
        pixels *= np.array(list(OLCI_SCALE.values()), np.float32)[:, None, None]
    return np.asarray(pixels)


def assert_numbers(row: Any, pixels: np.ndarray[Any, Any]) -> None:
    for name, numbers in expected(pixels).items():
        np.testing.assert_allclose(getattr(row, name), numbers, rtol=1e-12, err_msg=name)
    assert row.missing_share == pytest.approx(np.mean(~np.isfinite(pixels)))
    assert row.zero_share == pytest.approx(np.mean(pixels == 0))
    assert (row.height, row.width) == pixels.shape[1:]
