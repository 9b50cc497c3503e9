"""What geophysical variables mean to a backbone: released language vectors, or stand-ins."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from torchgeo_copernicus.models.channels import VariableChannels, resolve_channels
from torchgeo_copernicus.models.language import stand_in_vector
from torchgeo_copernicus.sensors import Band


def language_vectors_of(bands: Sequence[Band], trained: bool) -> Tensor | None:
    """Return what variables mean to the model, `[C, 2048]`, or None for spectral bands.

    A fresh encoder has learned no meaning yet, so it can do without the released vectors.
    """
    try:
        channels = resolve_channels(bands=bands)
    except ConnectionError:
        if trained:
            raise
        names = [band.name for band in bands]
        warnings.warn(
            f'The language vectors of {names} could not be downloaded. As this encoder starts from '
            'nothing, random ones stand in for them; they are kept in its checkpoints. Released '
            'weights would need the real ones.',
            stacklevel=3,
        )
        return torch.stack([stand_in_vector(name) for name in names])
    return channels.vectors.clone() if isinstance(channels, VariableChannels) else None
