"""From an image in physical units to what a model sees: crop or resize, normalise, fill.

Every number that decides on the result is spelled out in the fingerprint of a store.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from torchgeo_copernicus.datamodules.pretrain_crop import PixelWindow, cropped, followed, resized
from torchgeo_copernicus.embedding.footprint import cropped_corners
from torchgeo_copernicus.embedding.image import Corners, EmbeddingImage, ImageKind


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """What a model sees of an image.

    Attributes:
        image: float32 `[C, S, S]`, normalised, without NaN.
        metadata: float32 `[4]`, of what is left of the image, with the sampling distance after resizing.
        corners: Of what is left of the image.
        missing_share: Share of its values that were missing.
    """

    image: Tensor
    metadata: Tensor
    corners: Corners | None
    missing_share: float


@dataclass(frozen=True)
class KindPreprocessing:
    """Prepares the images of a kind.

    Attributes:
        kind: Which.
        size_px: Side of the prepared images.
        center_crop: Take the middle of larger images, instead of resizing the whole.
    """

    kind: ImageKind
    size_px: int
    center_crop: bool

    def __call__(self, image: EmbeddingImage) -> PreparedImage:
        """Prepare an image.

        Raises:
            ValueError: If it has other bands than its kind, or no pixel.
        """
        pixels = image.image
        if pixels.ndim != 3 or len(pixels) != len(self.kind.bands) or 0 in pixels.shape:
            raise ValueError(
                f'{image.key}: an image of {self.kind.name} is {list(pixels.shape)}; wanted '
                f'[{len(self.kind.bands)}, H, W], the bands {self.kind.band_names}.'
            )
        height, width = pixels.shape[1:]
        window = self._window(height, width)
        pixels = cropped(pixels, window)
        missing = 1 - float(pixels.isfinite().float().mean())
        normal = self.kind.normalised(resized(pixels, self.size_px))
        # 0 is the mean now.
        normal = normal.nan_to_num(0.0, posinf=0.0, neginf=0.0)
        square_in = self.kind.square_in
        metadata = followed(image.metadata, window, height, width, self.size_px, square_in)
        corners = image.corners
        if corners is not None and (window.height, window.width) != (height, width):
            corners = cropped_corners(corners, window, height, width)
        return PreparedImage(normal, metadata, corners, missing)

    def _window(self, height: int, width: int) -> PixelWindow:
        if not self.center_crop:
            return PixelWindow(0, 0, height, width)
        tall, wide = min(height, self.size_px), min(width, self.size_px)
        return PixelWindow((height - tall) // 2, (width - wide) // 2, tall, wide)

    def facts(self) -> dict[str, object]:
        """Return what decides on the result, as JSON has it."""
        mean, std = self.kind.statistics.of(self.kind.bands)
        return {
            'bands': self.kind.band_names,
            'mean': list(mean),
            'std': list(std),
            'unit': self.kind.statistics.unit,
            'clip': None if self.kind.clip is None else list(self.kind.clip),
            'size_px': self.size_px,
            'shape': 'centre crop, then resized' if self.center_crop else 'resized',
            'missing': 'mean',
        }


@dataclass(frozen=True)
class Preprocessing:
    """What to do differently from the published preprocessing.

    Attributes:
        statistics: Mean and standard deviation by modality and band, in the unit of the images, instead of
            the published ones: `{'s5p_no2': {'NO2': [mean, std]}}`.
        sizes_px: Side of the images that a model sees, by modality.
        center_crop: Take the middle of images that are larger, at their own resolution, instead of resizing
            the whole image.
    """

    statistics: Mapping[str, Mapping[str, Sequence[float]]] | None = None
    sizes_px: Mapping[str, int] | None = None
    center_crop: bool = False

    def of(self, kinds: Mapping[str, ImageKind]) -> dict[str, KindPreprocessing]:
        """Return how images of some kinds are prepared, by modality.

        Raises:
            ValueError: If a modality or band is unknown, or a number impossible.
        """
        for what, given in (('statistics', self.statistics), ('sizes_px', self.sizes_px)):
            if given is not None and not isinstance(given, Mapping):
                raise ValueError(f'{what} is {given!r}; wanted a mapping by modality.')
            if unknown := [name for name in given or () if name not in kinds]:
                raise ValueError(
                    f'{what} names {unknown}, which this source has not; it has {list(kinds)}.'
                )
        if not isinstance(self.center_crop, bool):
            raise ValueError(f'center_crop is {self.center_crop!r}; allowed are true and false.')
        found = {}
        for name, kind in kinds.items():
            if self.statistics is not None and name in self.statistics:
                kind = kind.with_statistics(_pairs(name, self.statistics[name]))
            size = (self.sizes_px or {}).get(name, kind.size_px)
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(
                    f'sizes_px of {name} is {size!r}; wanted a whole number of pixels.'
                )
            found[name] = KindPreprocessing(kind, size, self.center_crop)
        return found


def _pairs(name: str, given: object) -> dict[str, tuple[float, float]]:
    if not isinstance(given, Mapping):
        raise ValueError(f'statistics of {name} are {given!r}; give [mean, std] by band name.')
    pairs = {}
    for band, pair in given.items():
        if (
            not isinstance(pair, list | tuple)
            or len(pair) != 2
            or not all(type(value) in (int, float) and math.isfinite(value) for value in pair)
            or pair[1] <= 0
        ):
            raise ValueError(
                f'statistics of {name}, band {band}, are {pair!r}; wanted [mean, standard deviation], two '
                'numbers, the second above zero.'
            )
        pairs[str(band)] = (float(pair[0]), float(pair[1]))
    return pairs
