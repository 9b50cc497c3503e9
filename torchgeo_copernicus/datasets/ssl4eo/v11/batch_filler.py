"""Fills one slot of a batch: reads a place, cuts a window, flips and scales it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets import ordering
from torchgeo_copernicus.datasets.ssl4eo.scale import Scale
from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.dataset import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import GSD_M
from torchgeo_copernicus.metadata import METRES_PER_DEGREE

# Draws of a sample, apart from that of its dates.
_CROP, _FLIP = 1, 2


@dataclass(frozen=True)
class Window:
    """What is taken of the images of a sample.

    Attributes:
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.
        upside_down: Rows are reversed.
        mirrored: Columns are reversed.
    """

    top: int
    left: int
    height: int
    width: int
    upside_down: bool = False
    mirrored: bool = False

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns as slices, in the order they are wanted."""
        return _slice(self.top, self.height, self.upside_down), _slice(
            self.left, self.width, self.mirrored
        )


def _slice(start: int, length: int, reverse: bool) -> slice:
    if not reverse:
        return slice(start, start + length)
    return slice(start + length - 1, start - 1 if start else None, -1)


class BatchFiller:
    """Reads samples into places of arrays; safe for threads."""

    def __init__(
        self,
        dataset: SSL4EOS12v11,
        size: tuple[int, int],
        crop: tuple[int, int],
        scales: Mapping[Modality, Scale] | None,
        random_crop: bool,
        flip: bool,
        seed: int,
    ) -> None:
        """Prepare; see `SSL4EOS12v11Stream` for the arguments."""
        self._dataset, self._size, self._crop = dataset, size, crop
        self._random_crop, self._flip, self._seed = random_crop, flip, seed
        self._scales = scales
        self._affine = {name: self._factors(name) for name in dataset.modalities}

    def window(self, epoch: int, number: int) -> Window:
        """Return what is taken of a sample, the same for all of its modalities and dates."""
        rows, columns = (a - b for a, b in zip(self._size, self._crop, strict=True))
        top, left = rows // 2, columns // 2
        if self._random_crop:
            chosen = ordering.draw((rows + 1) * (columns + 1), self._seed, epoch, number, _CROP)
            top, left = divmod(chosen, columns + 1)
        flips = ordering.draw(4, self._seed, epoch, number, _FLIP) if self._flip else 0
        return Window(top, left, *self._crop, bool(flips & 1), bool(flips & 2))

    def fill(
        self,
        number: int,
        epoch: int,
        images: Mapping[Modality, NDArray[np.float32]],
        metadata: Mapping[Modality, NDArray[np.float32]],
    ) -> int:
        """Read a sample.

        Args:
            number: Its number in the dataset.
            epoch: Epoch, for window and flips.
            images: Filled with its images by modality, `[T, C, h, w]`.
            metadata: Filled with their metadata, `[T, 4]`.

        Returns:
            The id of the place.

        Raises:
            ValueError: If a file is damaged; names file, place and date.
        """
        place, dates = self._dataset.place_and_dates(number)
        window = self.window(epoch, number)
        for name, image in images.items():
            scale, shift = self._affine[name]
            for position, date in enumerate(dates):
                target = image[position]
                self._dataset.read_into(name, place, date, target, window.box, scale, shift)
                self._finish(name, target)
            metadata[name][...] = self._dataset.metadata(name, place, dates).numpy()
            self._move(metadata[name], window)
        return self._dataset.place_id(place)

    def _finish(self, name: Modality, image: NDArray[np.float32]) -> None:
        """Put the mean where nothing is, and cut off."""
        if self._scales is None:
            return
        scale = self._scales[name]
        # Whole numbers are never missing.
        if name == 'S1GRD':
            known = np.isfinite(image)
            if not known.all():
                triple = zip(scale.fill, scale.offset, scale.span, strict=True)
                fill = np.array([(f - o) / s for f, o, s in triple], np.float32)[:, None, None]
                np.copyto(image, fill, where=~known)
        if scale.clip:
            np.clip(image, 0, 1, out=image)

    def _move(self, metadata: NDArray[np.float32], window: Window) -> None:
        """Move longitude and latitude from the centre of the image to that of the window.

        Up is taken for north; the grid is turned against it by less than 10 m within an image.
        """
        south = (window.top + window.height / 2 - self._size[0] / 2) * GSD_M / METRES_PER_DEGREE
        east = (window.left + window.width / 2 - self._size[1] / 2) * GSD_M / METRES_PER_DEGREE
        latitude = np.radians(metadata[:, 1].astype(np.float64))
        longitude = metadata[:, 0] + east / np.cos(latitude)
        # Where the window crosses the date line.
        metadata[:, 0] = (longitude + 180) % 360 - 180
        metadata[:, 1] -= south

    def _factors(self, name: Modality) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return factor and summand of each band, from stored values to those of a batch."""
        bands, stored = len(self._dataset.bands[name]), self._dataset.offset(name)
        if self._scales is None:
            return np.ones(bands, np.float32), np.full(bands, -stored, np.float32)
        offset, span = (np.array(v) for v in (self._scales[name].offset, self._scales[name].span))
        return (1 / span).astype(np.float32), (-(offset + stored) / span).astype(np.float32)
