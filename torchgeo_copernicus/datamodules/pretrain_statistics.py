"""What a model sees of each modality of Copernicus-Pretrain: statistics, side of the crop, kernel.

Statistics are by name of the band and in the units of the samples, so that radiance, which a dataset has
scaled already, is not scaled once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

from torchgeo_copernicus.datasets.pretrain.modality import (
    MODALITIES,
    Modality,
    ModalityName,
    chosen_modalities,
)
from torchgeo_copernicus.sensors import OLCI_SCALE, Sensor, Statistics

#: How columns of Sentinel-5P are scaled. `standardise`: by statistics that are given, for none are
#: published. `published`: not at all, as in the training of the released model. Their variance within a
#: patch, 1e-10 to 1e-8, is then less than what normalised targets of a masked autoencoder add to it (1e-6).
ScaleOfColumns = Literal['standardise', 'published']

#: Mean and standard deviation of bands by name, of modalities by name.
GivenStatistics = Mapping[ModalityName, Mapping[str, Sequence[float]]]

_T = TypeVar('_T')

# Sides (px) of the crops of arXiv:2503.11849; others are those of the shards.
_CROP_PX: Mapping[ModalityName, int] = {'s1_grd': 224, 's2_toa': 224}


@dataclass(frozen=True)
class PretrainInput:
    """How a modality goes into a model.

    Attributes:
        modality: Which.
        size_px: Side of the images.
        statistics: Of the samples, in their unit.
    """

    modality: Modality
    size_px: int
    statistics: Statistics

    @property
    def kernel_size(self) -> int:
        """Side (px) of a token."""
        return self.modality.sensor.kernel_size

    def normalised(self, image: Tensor) -> Tensor:
        """Return an image with mean 0 and standard deviation 1, as far as the statistics are right.

        Args:
            image: `[..., C, H, W]` in the unit of the samples; NaN stays.
        """
        mean, std = (
            torch.tensor(values, dtype=image.dtype, device=image.device)[:, None, None]
            for values in self.statistics.of(self.modality.sensor.bands)
        )
        return (image - mean) / std


def pretrain_inputs(
    modalities: Sequence[ModalityName] | None = None,
    statistics: GivenStatistics | None = None,
    s5p: ScaleOfColumns = 'standardise',
    sizes_px: Mapping[ModalityName, int] | None = None,
) -> dict[ModalityName, PretrainInput]:
    """Return how each modality goes into a model, in the usual order.

    Args:
        modalities: Which; all when None.
        statistics: Mean and standard deviation (both in the unit of the samples: dB, DN, mW m-2 sr-1 nm-1,
            mol m-2, m) by modality and band, such as `{'s5p_no2': {'NO2': [mean, std]}}`, instead of the
            published ones. Of the Sentinel-5P modalities none are published: give them
            (`measured_statistics` finds them), or leave these modalities out.
        s5p: See `ScaleOfColumns`.
        sizes_px: Side of the images by modality, a multiple of the kernel, instead of the published one.

    Raises:
        ValueError: If a modality or band is unknown or left out, a number is impossible, or Sentinel-5P is
            asked for without statistics.
    """
    names = chosen_modalities(modalities)
    given = _mapping('statistics', statistics, names)
    sizes = _mapping('sizes_px', sizes_px, names)
    if s5p not in ('standardise', 'published'):
        raise ValueError(f"s5p is {s5p!r}. Allowed: 'standardise', 'published'.")
    columns = [name for name in names if name.startswith('s5p_')]
    if s5p == 'published' and (both := [name for name in columns if name in given]):
        raise ValueError(
            f"statistics of {both} are given, but s5p is 'published'; leave one of them."
        )
    if s5p == 'published' and not columns:
        raise ValueError(f"s5p is 'published', but there is no Sentinel-5P among {list(names)}.")
    if s5p == 'standardise' and (missing := [name for name in columns if name not in given]):
        raise ValueError(
            f'No statistics of {missing} are published. Give their mean and standard deviation (mol m-2) as '
            "statistics, such as {'s5p_no2': {'NO2': [mean, std]}}; leave them out of modalities; or set "
            "s5p='published' for unscaled columns, which are next to nothing for a model."
        )
    return {
        name: PretrainInput(
            MODALITIES[name],
            _size(name, sizes[name])
            if name in sizes
            else _CROP_PX.get(name, MODALITIES[name].size_px),
            _given(name, given[name]) if name in given else _published(name),
        )
        for name in names
    }


def _published(name: ModalityName) -> Statistics:
    sensor = MODALITIES[name].sensor
    if name != 's3_olci':
        return sensor.statistics
    # Those of the sensor are of stored counts; samples hold radiance.
    mean, std = (
        {band: values[band] * OLCI_SCALE[band] for band in sensor.band_names}
        for values in (sensor.statistics.mean, sensor.statistics.std)
    )
    return Statistics(mean, std, 'mW m-2 sr-1 nm-1', sensor.statistics.source)


def _given(name: ModalityName, values: Mapping[str, Sequence[float]]) -> Statistics:
    sensor: Sensor = MODALITIES[name].sensor
    if not isinstance(values, Mapping):
        raise ValueError(f'statistics of {name} are {values!r}; give [mean, std] by band name.')
    # By alias, too: `B2` is `B02`.
    by_band = {sensor.select([band])[0].name: pair for band, pair in values.items()}
    if missing := [band for band in sensor.band_names if band not in by_band]:
        raise ValueError(f'statistics of {name} lack the bands {missing}; give all of them.')
    for band, pair in by_band.items():
        if not (_is_pair(pair) and all(map(math.isfinite, pair)) and pair[1] > 0):
            raise ValueError(
                f'statistics of {name}, band {band}, are {pair!r}; wanted [mean, standard deviation], two '
                'numbers, the second above zero.'
            )
    mean, std = ({band: float(pair[i]) for band, pair in by_band.items()} for i in (0, 1))
    return Statistics(mean, std, _published(name).unit, 'given')


def _is_pair(pair: object) -> bool:
    return (
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in pair)
    )


def _size(name: ModalityName, size: object) -> int:
    kernel = MODALITIES[name].sensor.kernel_size
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 or size % kernel:
        raise ValueError(
            f'sizes_px of {name} is {size!r}; wanted a multiple of the {kernel} px of its kernel.'
        )
    return size


def _mapping(
    what: str, given: Mapping[ModalityName, _T] | None, names: Sequence[ModalityName]
) -> Mapping[ModalityName, _T]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f'{what} is {given!r}; wanted a mapping by modality.')
    if unknown := [name for name in given if name not in names]:
        raise ValueError(
            f'{what} names {unknown}, which are not among the modalities {list(names)}.'
        )
    return given
