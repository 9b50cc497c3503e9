"""How stored values become what a model sees: standardised, or as the released weights saw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.sensors import Statistics

#: `standardise`: mean 0, deviation 1. `pretraining`: 0 to 1, as in the training of the released weights.
Normalisation = Literal['standardise', 'pretraining']

_REFLECTANCE = 10_000.0
_COUNTS = 255.0


@dataclass(frozen=True)
class Scale:
    """How values of a modality are scaled: `(x - offset) / span`.

    Attributes:
        offset: Of each channel.
        span: Of each channel.
        fill: What stands in for missing values (NaN, infinite) of each channel, before scaling.
        clip: Cut off what is outside 0 to 1 then.
    """

    offset: Sequence[float]
    span: Sequence[float]
    fill: Sequence[float]
    clip: bool = False


def scale_of(
    modality: Modality, bands: Sequence[str], statistics: Statistics, normalisation: Normalisation
) -> Scale:
    """Return how to scale a modality; missing values become the mean.

    Args:
        modality: Which.
        bands: Names of its channels.
        statistics: Of the images; with an offset in its unit for images that have it.
        normalisation: `pretraining` divides Sentinel-2 by 10,000 and counts by 255, and stretches
            Sentinel-1 from two deviations below to two above the mean; all cut off at 0 and 1.
    """
    mean = [statistics.mean[band] for band in bands]
    std = [statistics.std[band] for band in bands]
    if normalisation == 'standardise':
        return Scale(mean, std, fill=mean)
    if modality == 'S1GRD':
        low = [m - 2 * s for m, s in zip(mean, std, strict=True)]
        return Scale(low, [4 * s for s in std], fill=mean, clip=True)
    offset = 1000.0 if statistics.unit.endswith('+ 1000') else 0.0
    span = _COUNTS if 'counts' in statistics.unit else _REFLECTANCE
    return Scale([offset] * len(bands), [span] * len(bands), fill=mean, clip=True)
