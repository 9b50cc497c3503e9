"""Measures mean and standard deviation of each band from samples, such as those of Sentinel-5P."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.pretrain_images import images_of
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName


def measured_statistics(
    samples: Iterable[Sample],
) -> dict[ModalityName, dict[str, tuple[float, float]]]:
    """Return mean and standard deviation of the bands of all modalities that the samples have.

    In the form, and in the units, that `pretrain_inputs` takes. Every pixel that is known counts the same.

    Args:
        samples: Of Copernicus-Pretrain, in their own units; a few hundred cells from all over the Earth.

    Raises:
        ValueError: If a band has no known pixel or never changes, or an image has other bands.
    """
    sums: dict[ModalityName, torch.Tensor] = {}
    for sample in samples:
        for name in MODALITY_NAMES:
            for one in images_of(sample, name):
                # Columns are as small as 1e-5 mol m-2, and their squares are beyond float32.
                planes = one.image.double().flatten(1)
                known = planes.isfinite()
                planes = planes.where(known, 0.0)
                found = torch.stack([known.sum(1), planes.sum(1), planes.square().sum(1)])
                sums[name] = sums[name] + found if name in sums else found
    return {name: _moments(name, sums[name]) for name in MODALITY_NAMES if name in sums}


def _moments(name: ModalityName, sums: torch.Tensor) -> dict[str, tuple[float, float]]:
    bands = MODALITIES[name].sensor.band_names
    moments = {}
    for band, (count, total, squares) in zip(bands, sums.T.tolist(), strict=True):
        if not count:
            raise ValueError(f'{name}: band {band} has no known pixel in these samples.')
        mean = total / count
        variance = squares / count - mean**2
        if variance <= 0:
            raise ValueError(f'{name}: band {band} is {mean} everywhere in these samples.')
        moments[band] = (mean, variance**0.5)
    return moments
