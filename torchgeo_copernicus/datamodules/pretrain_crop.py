"""Random resized crops and flips of images, with the metadata carried along.

A window is drawn in metres from the centre of an image, so that images of one place in several modalities can
share it. What is drawn depends on a generator alone, never on other samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from torchgeo_copernicus.metadata import METRES_PER_DEGREE

#: Whether images are mirrored by chance: never, left and right as published, or also up and down.
Flip = Literal['none', 'horizontal', 'both']
#: What pixels are squares of: `metres` in UTM, `degrees` in grids of longitude and latitude.
SquareIn = Literal['metres', 'degrees']

_TRIES = 10
# Of a degree from a pole: nearer to it, longitudes mean nothing.
_LEAST_COSINE = math.cos(math.radians(90 - 0.01))
# Share of a resized pixel that has to be known; with a half, what is missing neither grows nor shrinks.
_KNOWN = 0.5


@dataclass(frozen=True)
class GroundWindow:
    """A window on the ground, from the centre of an image.

    Attributes:
        south: From the centre to the centre of the window, in metres or whatever unit it was drawn in.
        east: The same.
        height: Side from north to south.
        width: Side from west to east.
        mirrored: Columns are reversed.
        upside_down: Rows are reversed.
    """

    south: float
    east: float
    height: float
    width: float
    mirrored: bool = False
    upside_down: bool = False


@dataclass(frozen=True)
class PixelWindow:
    """A window in whole pixels of an image."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class RandomCrop:
    """Draws windows.

    Attributes:
        scale: Smallest and largest area of a window, as shares of the largest square in the image (of the
            whole image where that is square); None for this square in the middle, always.
        ratio: Smallest and largest width by height.
        flip: See `Flip`.
    """

    scale: tuple[float, float] | None = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: Flip = 'horizontal'

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            ValueError: If one is not allowed.
        """
        if self.scale is not None:
            low, high = _pair('crop scale', self.scale)
            # A list in a YAML file is the same crop as a tuple.
            object.__setattr__(self, 'scale', (low, high))
            if not 0 < low <= high <= 1:
                raise ValueError(
                    f'crop scale is {self.scale}; wanted 0 < smallest <= largest <= 1.'
                )
        low, high = _pair('crop ratio', self.ratio)
        object.__setattr__(self, 'ratio', (low, high))
        if not 0 < low <= high < math.inf:
            raise ValueError(f'crop ratio is {self.ratio}; wanted 0 < smallest <= largest.')
        if self.flip not in ('none', 'horizontal', 'both'):
            raise ValueError(f"flip is {self.flip!r}. Allowed: 'none', 'horizontal', 'both'.")

    def draw(self, height: float, width: float, generator: np.random.Generator) -> GroundWindow:
        """Return a window.

        Args:
            height: Of the image, in any unit of length.
            width: The same.
            generator: Of chance. It is used as often as is needed, so take one for each draw.
        """
        mirrored = self.flip != 'none' and generator.random() < 0.5
        upside_down = self.flip == 'both' and generator.random() < 0.5
        side = min(height, width)
        if self.scale is not None:
            low, high = map(math.log, self.ratio)
            for _ in range(_TRIES):
                area = side**2 * generator.uniform(*self.scale)
                ratio = math.exp(generator.uniform(low, high))
                tall, wide = math.sqrt(area / ratio), math.sqrt(area * ratio)
                if tall <= height and wide <= width:
                    south = (generator.random() - 0.5) * (height - tall)
                    east = (generator.random() - 0.5) * (width - wide)
                    return GroundWindow(south, east, tall, wide, mirrored, upside_down)
        return GroundWindow(0, 0, side, side, mirrored, upside_down)


def pixel_window(window: GroundWindow, height: int, width: int, gsd: float) -> PixelWindow:
    """Return the whole pixels of an image that are nearest to a window.

    Args:
        window: In the unit of *gsd*.
        height: Rows of the image.
        width: Columns.
        gsd: Side of a pixel.
    """
    tall = min(max(round(window.height / gsd), 1), height)
    wide = min(max(round(window.width / gsd), 1), width)
    top = round(window.south / gsd + (height - tall) / 2)
    left = round(window.east / gsd + (width - wide) / 2)
    return PixelWindow(min(max(top, 0), height - tall), min(max(left, 0), width - wide), tall, wide)


def cropped(image: Tensor, window: PixelWindow) -> Tensor:
    """Return a window of an image `[C, H, W]`, as a view."""
    rows = slice(window.top, window.top + window.height)
    return image[:, rows, window.left : window.left + window.width]


def resized(image: Tensor, size: int) -> Tensor:
    """Return an image with another number of pixels, antialiased; what is missing does not spread.

    Each pixel is the mean of the known ones among those it is interpolated from, and missing (NaN) where
    these are less than half of them.

    Args:
        image: `[C, H, W]`; NaN and infinite are missing.
        size: Side (px).

    Returns:
        float32 `[C, size, size]`.
    """
    known = image.isfinite()
    image = image.float()
    if bool(known.all()):
        return image if image.shape[1:] == (size, size) else _interpolated(image, size)
    if image.shape[1:] == (size, size):
        return image.where(known, torch.nan)
    share = _interpolated(known.float(), size)
    return (_interpolated(image.where(known, 0.0), size) / share).where(share >= _KNOWN, torch.nan)


def _interpolated(image: Tensor, size: int) -> Tensor:
    planes = F.interpolate(image[None], (size, size), mode='bilinear', antialias=True)
    return planes[0]


def followed(
    metadata: Tensor, window: PixelWindow, height: int, width: int, size: int, square_in: SquareIn
) -> Tensor:
    """Return the metadata of a window that is resized.

    North is up; in UTM it is off by up to three degrees, by which the centre is off by 5 % of the way moved.

    Args:
        metadata: Of the image, `[4]`: longitude and latitude of its centre, day, ground sampling distance
            (m). Unknown values (NaN) stay unknown; without a distance the place stays that of the image.
        window: What is taken of it.
        height: Rows of the image.
        width: Columns.
        size: Side (px) of the resized window.
        square_in: What its pixels are squares of.

    Returns:
        float32 `[4]`, of the centre of the window. The distance is that of a square of the same area, so that
        the area of a token is right though the window is none.
    """
    longitude, latitude, days, gsd_m = metadata.tolist()
    south = window.top + window.height / 2 - height / 2
    east = window.left + window.width / 2 - width / 2
    enlarged = math.sqrt(window.height * window.width) / size
    place = (longitude, latitude)
    if math.isfinite(gsd_m) and math.isfinite(latitude):
        cosine = _cosine(latitude)
        # A pixel that is a square in degrees is narrower in metres, by the cosine.
        by_area = square_in == 'degrees'
        north_deg = gsd_m / METRES_PER_DEGREE / (math.sqrt(cosine) if by_area else 1)
        east_deg = north_deg / cosine if square_in == 'metres' else north_deg
        moved = min(max(latitude - south * north_deg, -90.0), 90.0)
        place = (_wrapped(longitude, east * east_deg), moved)
        if by_area:
            enlarged *= math.sqrt(_cosine(moved) / cosine)
    return torch.tensor([*place, days, gsd_m * enlarged], dtype=torch.float32)


def _cosine(latitude: float) -> float:
    return max(math.cos(math.radians(latitude)), _LEAST_COSINE)


def _wrapped(longitude: float, shift: float) -> float:
    moved = longitude + shift
    # What is within stays to the last bit.
    return moved if -180 <= moved <= 180 else (moved + 180) % 360 - 180


def _pair(what: str, values: object) -> tuple[float, float]:
    if (
        not isinstance(values, list | tuple)
        or len(values) != 2
        or not all(isinstance(value, int | float) for value in values)
    ):
        raise ValueError(f'{what} is {values!r}; wanted two numbers.')
    return float(values[0]), float(values[1])
