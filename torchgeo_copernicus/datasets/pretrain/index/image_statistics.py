"""The numbers of one image: how much of it is known, and range, mean and spread of each band.

From count, mean and standard deviation of images those of all their pixels together follow exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class ImageStatistics:
    """Numbers of an image of C bands; pixels without a finite value count for nothing.

    Attributes:
        count: Pixels with a value, int64 `[C]`.
        min: Smallest value, float64 `[C]`, as the others: in the unit of the image, NaN where there is none.
        max: Largest value.
        mean: Mean.
        std: Standard deviation of these very pixels (divided by their number, not by one less).
        missing_share: Share of the values of all bands that are not finite, 0 to 1.
        zero_share: Share of the values of all bands that are exactly 0, which is what Earth Engine wrote into
            Sentinel-2 where it had none, 0 to 1.
    """

    count: NDArray[np.int64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    missing_share: float
    zero_share: float

    @property
    def void(self) -> bool:
        """Whether there is not a single finite value."""
        return not self.count.any()

    @classmethod
    def unknown(cls, bands: int) -> ImageStatistics:
        """Return the numbers of an image that could not be read: no pixel, and NaN."""
        nan = np.full(bands, np.nan)
        return cls(np.zeros(bands, np.int64), nan, nan, nan, nan, np.nan, np.nan)

    @classmethod
    def of(cls, image: Tensor) -> ImageStatistics:
        """Return the numbers of an image.

        Args:
            image: float32 `[C, H, W]` of at least one pixel.

        Raises:
            ValueError: If it has another shape.
        """
        if image.ndim != 3 or not image.numel():
            raise ValueError(f'An image is [C, H, W], got {tuple(image.shape)}.')
        array: NDArray[np.float32] = image.numpy()
        rows = [_band(band) for band in array]
        count, low, high, mean, std = (np.array(column) for column in zip(*rows, strict=True))
        missing = 1 - int(count.sum()) / array.size
        zeros = 1 - int(np.count_nonzero(array)) / array.size
        return cls(count.astype(np.int64), low, high, mean, std, missing, zeros)


def _band(band: NDArray[np.float32]) -> tuple[int, float, float, float, float]:
    # Columns are as small as 1e-5 mol m-2: their squares, and sums over many pixels, want float64.
    values = band[np.isfinite(band)].astype(np.float64)
    if not values.size:
        return 0, np.nan, np.nan, np.nan, np.nan
    return values.size, values.min(), values.max(), values.mean(), values.std()
