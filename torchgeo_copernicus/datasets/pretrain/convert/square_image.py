"""Brings an image to the square that the shards hold, as the published converter did."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional


def square_image(image: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    """Resize an image so that its smaller side fits, and cut off what the larger has too much at both ends.

    The same as kornia's `SmallestMaxSize` and `CenterCrop` (bilinear, corners aligned, no antialiasing), but
    for pixels without a value: there, one of the four neighbours without a value makes the result NaN, and
    here the nearest pixel decides, so that gaps do not grow.

    Args:
        image: `[C, H, W]`, NaN where it has no value.
        side_px: Side of the square.

    Returns:
        `[C, side_px, side_px]`; exactly the pixels of *image* where its smaller side is *side_px*.
    """
    height, width = image.shape[-2:]
    rows, columns = _resized(height, width, side_px)
    found = torch.from_numpy(image)
    if (rows, columns) != (height, width):
        found = functional.interpolate(
            found[None], (rows, columns), mode='bilinear', align_corners=True
        )[0]
        unknown = found.isnan()
        if bool(unknown.any()):
            nearest = torch.from_numpy(image)[:, _nearest(height, rows)][
                :, :, _nearest(width, columns)
            ]
            found = torch.where(unknown, nearest, found)
    top, left = (rows - side_px) // 2, (columns - side_px) // 2
    square: NDArray[np.float32] = found[:, top : top + side_px, left : left + side_px].numpy()
    return square


def _resized(height: int, width: int, side_px: int) -> tuple[int, int]:
    # Truncated in these very steps, as kornia does.
    aspect = width / height
    if aspect < 1:
        return int(side_px / aspect), side_px
    return side_px, int(side_px * aspect)


def _nearest(size: int, wanted: int) -> torch.Tensor:
    """Return the pixels along an axis that are nearest to those wanted, with the corners on each other."""
    return torch.linspace(0, size - 1, wanted, dtype=torch.float64).round().long()
