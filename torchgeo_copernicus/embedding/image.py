"""What is embedded: one image, and what is known of all images of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.datamodules.pretrain_crop import SquareIn
from torchgeo_copernicus.sensors import Band, Sensor, Statistics

#: Corners of an image: longitude and latitude (deg) of upper left, upper right, lower right and lower left,
#: `[4, 2]`. Longitudes go on beyond 180 rather than jump.
Corners = NDArray[np.float64]


@dataclass(frozen=True)
class ImageKind:
    """A modality of a source.

    Attributes:
        name: Of the modality, in rows and configurations.
        sensor: What took the images.
        bands: Of the images, in their order.
        statistics: Mean and deviation of the bands, in the unit of the images.
        size_px: Side of the images that a model sees.
        square_in: What pixels are squares of.
        clip: Range that values are cut off to; None to leave them.
    """

    name: str
    sensor: Sensor
    bands: tuple[Band, ...]
    statistics: Statistics
    size_px: int
    square_in: SquareIn = 'metres'
    clip: tuple[float, float] | None = None

    @property
    def band_names(self) -> list[str]:
        """Names of the bands."""
        return [band.name for band in self.bands]

    @property
    def kernel_size(self) -> int:
        """Side (px) of a token."""
        return self.sensor.kernel_size

    def with_statistics(self, values: Mapping[str, tuple[float, float]]) -> ImageKind:
        """Return the same with other means and deviations.

        Args:
            values: Mean and deviation of each band, by name or alias.

        Raises:
            ValueError: If a band is unknown, or has none.
        """
        named = {self.sensor.select([band])[0].name: pair for band, pair in values.items()}
        if missing := [name for name in self.band_names if name not in named]:
            raise ValueError(
                f'statistics of {self.name} lack the bands {missing}; give all of them.'
            )
        mean, std = ({name: pair[i] for name, pair in named.items()} for i in (0, 1))
        unit = self.statistics.unit
        return replace(self, statistics=Statistics(mean, std, unit, 'given'))

    def normalised(self, image: Tensor) -> Tensor:
        """Return an image `[..., C, H, W]` with mean 0 and deviation 1; NaN stays."""
        if self.clip is not None:
            image = image.clamp(*self.clip)
        mean, std = (
            torch.tensor(values, dtype=image.dtype)[:, None, None]
            for values in self.statistics.of(self.bands)
        )
        return (image - mean) / std


@dataclass(frozen=True, eq=False)
class EmbeddingImage:
    """One image.

    Attributes:
        key: Tells it from all others of its source.
        modality: Name of its kind.
        image: float32 `[C, h, w]` in physical units; NaN where there is no data.
        metadata: float32 `[4]`: longitude and latitude (deg) of the centre, days since 1970-01-01, ground
            sampling distance (m); NaN when unknown.
        source: File, or shard and key.
        corners: Of the image; None when unknown.
        grid_id: Cell that it was collected for; that of its centre when None.
        local_id: Number of its local patch, where it has one.
        local_id_coord: Name of the local patch.
    """

    key: str
    modality: str
    image: Tensor
    metadata: Tensor
    source: str
    corners: Corners | None = None
    grid_id: int | None = None
    local_id: int | None = None
    local_id_coord: str | None = None
