"""Asks Earth Engine for the pixels of an image on an exact grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.collect.client import EarthEngine, Image
from torchgeo_copernicus.collect.georeference import PixelGrid
from torchgeo_copernicus.collect.products import Product
from torchgeo_copernicus.collect.queries import filled
from torchgeo_copernicus.collect.request import Asker

#: Most bytes of pixels in one answer of Earth Engine.
MOST_BYTES = 48 * 2**20


def read_pixels(
    client: EarthEngine, ask: Asker, image: Image, product: Product, grid: PixelGrid
) -> NDArray[np.float32] | NDArray[np.uint16]:
    """Return the pixels of an image.

    Args:
        client: Earth Engine.
        ask: Sends requests.
        image: Image with the bands of the product.
        product: What it is.
        grid: Pixels to return; across the date line they are asked for in two parts.

    Returns:
        `[C, H, W]` in the type of the product; NaN where there is no data, 0 in uint16.

    Raises:
        ValueError: If they are too many for one answer, or something else was sent.
        OSError: If Earth Engine fails again and again.
    """
    expression = filled(image, product)
    parts = [_part(client, ask, expression, product, part) for part in grid.parts()]
    pixels = np.concatenate(parts, axis=2)
    if product.dtype == 'uint16':
        return pixels.astype(np.uint16, copy=False)
    real = pixels.astype(np.float32, copy=False)
    real[real == product.fill] = np.nan
    return real


def _part(
    client: EarthEngine, ask: Asker, expression: Image, product: Product, grid: PixelGrid
) -> NDArray[np.generic]:
    dtype = np.dtype(product.dtype)
    need = grid.width * grid.height * len(product.bands) * dtype.itemsize
    if need > MOST_BYTES:
        raise ValueError(
            f'{grid.width} x {grid.height} pixels of {product.modality} are {need} bytes; Earth Engine sends '
            f'{MOST_BYTES} at most. Leave places as near to a pole as this one out.'
        )
    params: dict[str, object] = {
        'expression': expression,
        'fileFormat': 'NUMPY_NDARRAY',
        'grid': grid.request(),
    }
    sent = ask(lambda: client.data.computePixels(params))
    if not isinstance(sent, np.ndarray) or sent.dtype.names != product.bands:
        raise ValueError(
            f'Earth Engine sent {type(sent).__name__} with bands {getattr(sent, "dtype", None)} of '
            f'{product.collection}; wanted {list(product.bands)}.'
        )
    if sent.shape != (grid.height, grid.width):
        raise ValueError(
            f'Earth Engine sent {sent.shape} pixels of {product.collection}; wanted '
            f'{(grid.height, grid.width)}.'
        )
    return np.stack([sent[name].astype(dtype) for name in product.bands])
