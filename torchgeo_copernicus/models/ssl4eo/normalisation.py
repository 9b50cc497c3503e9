"""How images were scaled in the pretraining on SSL4EO-S12, and the ways that are in use beside it.

- `reflectance`: `clip(DN / 10000, 0, 1)`, as the README states for Sentinel-2. The training itself did not
  clip: values above 1.004 wrapped round in 8 bits.
- `stretch`: from two standard deviations below the mean to two above it, clipped to [0, 1]; how the 8-bit
  Sentinel-1 images of the training, and the 8-bit RGB images of the release, were made.
- `standardise`: `(x - mean) / std` without clipping; TorchGeo's for Sentinel-1, not the training's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from torchgeo_copernicus.models.constant import constant
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA, Band, Statistics, resolve_bands

Normalisation = Literal['reflectance', 'stretch', 'standardise']

_S1_TRAINING = Statistics(
    {'VV': -12.548, 'VH': -20.192},
    {'VV': 5.257, 'VH': 5.912},
    'dB',
    'SSL4EO-S12 v1.0, 50k subset (arXiv:2211.07044)',
)
#: Statistics of each way, by sensor. The README's conversion to RGB and TorchGeo have the rounded values
#: that Copernicus-FM has too.
STATISTICS: Mapping[tuple[str, str], Statistics] = {
    ('stretch', S1_GRD.name): _S1_TRAINING,
    ('stretch', S2_TOA.name): S2_TOA.statistics,
    ('standardise', S1_GRD.name): S1_GRD.statistics,
    ('standardise', S2_TOA.name): S2_TOA.statistics,
}


@dataclass(frozen=True)
class Scaling:
    """`(x - shift) / scale` per channel, clipped to [0, 1] or not.

    Attributes:
        shift: Per channel, in the unit of the image.
        scale: Per channel, in the unit of the image.
        clip: Whether the result is clipped.
    """

    shift: tuple[float, ...]
    scale: tuple[float, ...]
    clip: bool

    def __call__(self, image: Tensor) -> Tensor:
        """Return a scaled copy, float32 (float64 of float64); NaN stays NaN.

        Args:
            image: `[..., C, H, W]` of any number type.

        Raises:
            ValueError: If it is no image tensor of so many channels.
        """
        if not isinstance(image, Tensor) or image.ndim < 3 or image.shape[-3] != len(self.shift):
            got = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
            raise ValueError(f'Wanted an image [..., {len(self.shift)}, H, W], got {got}.')
        if image.is_complex() or image.dtype == torch.bool:
            raise ValueError(f'Wanted an image of numbers, got {image.dtype}.')
        values = image if image.dtype == torch.float64 else image.float()
        shift = _per_channel(self.shift, values.dtype, values.device)
        scaled = (values - shift) / _per_channel(self.scale, values.dtype, values.device)
        return scaled.clamp(0, 1) if self.clip else scaled


@constant
def _per_channel(numbers: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(numbers, dtype=dtype, device=device)[:, None, None]


def allowed_normalisations(bands: Sequence[Band | str]) -> tuple[Normalisation, ...]:
    """Return the ways that make sense for bands, that of the pretraining first.

    Args:
        bands: Of Sentinel-1, or of Sentinel-2.

    Raises:
        ValueError: If they are of neither, or of both.
    """
    if _sensor_of(resolve_bands(bands)) == S1_GRD.name:
        return ('stretch', 'standardise')
    return ('reflectance', 'stretch', 'standardise')


def scaling_of(
    bands: Sequence[Band | str], normalisation: str, *, offset_dn: float = 0.0
) -> Scaling:
    """Return the scaling of images in physical units.

    Args:
        bands: In the order of the channels.
        normalisation: `reflectance`, `stretch` or `standardise`, see the module.
        offset_dn: What was added to the digital numbers of Sentinel-2 (1000 since processing baseline
            04.00, and in the Zarr edition of SSL4EO-S12 v1.1); it is taken off first.

    Raises:
        ValueError: If the bands have no such scaling, or an offset makes no sense.
    """
    values = resolve_bands(bands)
    sensor = _sensor_of(values)
    allowed = allowed_normalisations(values)
    if normalisation not in allowed:
        raise ValueError(
            f'normalisation is {normalisation!r}; allowed for {sensor} are {list(allowed)}.'
        )
    if offset_dn and sensor == S1_GRD.name:
        raise ValueError(f'offset_dn is {offset_dn}, but Sentinel-1 in dB has no such offset.')
    if normalisation == 'reflectance':
        return Scaling((float(offset_dn),) * len(values), (1e4,) * len(values), clip=True)
    means, stds = STATISTICS[normalisation, sensor].of(values)
    if normalisation == 'standardise':
        return Scaling(tuple(mean + offset_dn for mean in means), stds, clip=False)
    pairs = list(zip(means, stds, strict=True))
    return Scaling(
        tuple(mean + offset_dn - 2 * std for mean, std in pairs),
        tuple(4 * std for _, std in pairs),
        clip=True,
    )


def _sensor_of(bands: Sequence[Band]) -> str:
    for sensor in (S1_GRD, S2_TOA):
        if all(band in sensor.bands for band in bands):
            return sensor.name
    raise ValueError(
        f'{[band.name for band in bands]} are not all of Sentinel-1 or all of Sentinel-2, which '
        'SSL4EO-S12 has.'
    )
