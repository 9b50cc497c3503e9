"""Fits the first convolution of a pretrained encoder to other bands, by name."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from torch import Tensor

from torchgeo_copernicus.sensors import Band, resolve_bands


def select_bands(
    pretrained: Sequence[str], bands: Sequence[Band | str | Enum] | None
) -> tuple[Band, ...]:
    """Return the bands of an input as values.

    Args:
        pretrained: Names of the bands a model was pretrained with, in the order of its channels.
        bands: Names or aliases of the input's bands in its order; the pretrained ones when None.

    Raises:
        ValueError: If a band is unknown or listed twice, or the model was not pretrained with it.
    """
    known = resolve_bands(list(pretrained))
    if bands is None:
        return known
    wanted = resolve_bands(bands)
    if foreign := [band.name for band in wanted if band not in known]:
        raise ValueError(
            f'There are no pretrained weights for the bands {foreign}; this model has them for '
            f'{[band.name for band in known]}. Leave those bands out (bands= of the datamodule).'
        )
    return wanted


def adapt_first_convolution(
    weight: Tensor, pretrained: Sequence[str], bands: Sequence[Band], *, rescale: bool = False
) -> Tensor:
    """Return the kernels for an input with other bands, or the same in another order.

    A band that the input lacks counts as zero, which is how the published benchmarks fed ten bands to
    models of thirteen.

    Args:
        weight: Kernels `[D, C, k, k]` of the first convolution.
        pretrained: Names of its C bands.
        bands: Bands of the input, all of them among *pretrained*.
        rescale: Multiply by C / len(bands), which keeps the size of the response where bands are about
            equal, as timm does for another number of channels.

    Returns:
        `[D, len(bands), k, k]`, a new tensor.

    Raises:
        ValueError: If the number of channels is not that of *pretrained*, or a band is not among them.
    """
    if weight.ndim != 4 or weight.shape[1] != len(pretrained):
        raise ValueError(
            f'The first convolution has the shape {list(weight.shape)}; wanted {len(pretrained)} '
            f'channels, those of {list(pretrained)}. Is it a checkpoint for other bands?'
        )
    select_bands(pretrained, bands)
    position = {band.name: at for at, band in enumerate(resolve_bands(list(pretrained)))}
    kernels = weight[:, [position[band.name] for band in bands]].clone()
    return kernels * (len(pretrained) / len(bands)) if rescale else kernels
