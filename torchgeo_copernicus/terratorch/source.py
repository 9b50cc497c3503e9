"""What the channels of a backbone's input are, as a YAML says it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from torchgeo_copernicus.models.kernel_resize import BASE_KERNEL_SIZE
from torchgeo_copernicus.sensors import Band, get_sensor, resolve_bands
from torchgeo_copernicus.terratorch.arguments import parse_bands, parse_int, parse_str

ModelBands = Sequence[Band | str | Enum] | str


class Source(NamedTuple):
    """Bands of an input in their order, and the patch side (px) to read it with."""

    bands: tuple[Band, ...]
    kernel_size: int


def parse_source(
    sensor: str | None, model_bands: ModelBands | None, kernel_size: int | str | None
) -> Source:
    """Return what an input is.

    Args:
        sensor: Name of a modality such as `s2_toa`; gives all its bands, or limits *model_bands* to it.
        model_bands: Band names in the order of the input, ours (B02) or TerraTorch's (BLUE).
        kernel_size: Patch side (px); the one the sensor was pretrained with when *sensor* is given, 16
            otherwise.

    Raises:
        ValueError: If neither bands nor sensor are given, or they are not understood.
    """
    known = None if sensor is None else get_sensor(parse_str('sensor', sensor))
    names = None if model_bands is None else parse_bands('model_bands', model_bands)
    given = known if names is None else names
    if given is None:
        raise ValueError(
            'Say what the channels are: backbone_model_bands (such as [B02, B03, B04]) or '
            'backbone_sensor (such as s2_toa).'
        )
    bands = resolve_bands(given)
    if known is not None and (foreign := [b.name for b in bands if b not in known.bands]):
        raise ValueError(
            f'{foreign} are no bands of {known.name}; it has {list(known.band_names)}.'
        )
    if kernel_size is not None:
        return Source(bands, parse_int('kernel_size', kernel_size))
    return Source(bands, BASE_KERNEL_SIZE if known is None else known.kernel_size)
