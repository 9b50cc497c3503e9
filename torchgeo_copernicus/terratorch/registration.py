"""Enters backbones, neck and decoders into TerraTorch's registries.

Imports no more of TerraTorch than its registry: this may run while TerraTorch itself is being imported.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

from torch import nn

from torchgeo_copernicus.models.builders import SIZES
from torchgeo_copernicus.registry import enter
from torchgeo_copernicus.terratorch.backbone import CopernicusFMBackbone
from torchgeo_copernicus.terratorch.decoders import (
    CopernicusFCNDecoder,
    CopernicusLinearProbeDecoder,
    CopernicusUPerNetDecoder,
)
from torchgeo_copernicus.terratorch.feature_pyramid import Feature2Pyramid
from torchgeo_copernicus.terratorch.multimodal_backbone import MultiModalBackbone
from torchgeo_copernicus.terratorch.ssl4eo_backbone import SSL4EO_BACKBONES


def _backbone_builder(size: str) -> Callable[..., nn.Module]:
    def build(**arguments: object) -> nn.Module:
        several = arguments.get('modalities') is not None
        backbone: type[nn.Module] = MultiModalBackbone if several else CopernicusFMBackbone
        known = set(signature(backbone).parameters) - {'size'}
        if unknown := sorted(f'backbone_{name}' for name in set(arguments) - known):
            kind = 'with' if several else 'without'
            raise ValueError(
                f'{size} {kind} backbone_modalities takes no {unknown}; allowed are '
                f'{sorted(f"backbone_{name}" for name in known)}.'
            )
        return backbone(size, **arguments)

    build.__name__ = size
    build.__doc__ = CopernicusFMBackbone.__init__.__doc__
    return build


_BACKBONES = {size: _backbone_builder(size) for size in SIZES}


def register() -> None:
    """Make `BACKBONE_REGISTRY`, `NECK_REGISTRY` and `DECODER_REGISTRY` know what is here.

    Raises:
        ValueError: If one of the names is taken by something else.
    """
    # Here, because loading the host calls this function.
    from terratorch.registry import (
        TERRATORCH_BACKBONE_REGISTRY,
        TERRATORCH_DECODER_REGISTRY,
        TERRATORCH_NECK_REGISTRY,
    )

    for name, build in (*_BACKBONES.items(), *SSL4EO_BACKBONES.items()):
        enter(TERRATORCH_BACKBONE_REGISTRY._registry, name, build, 'TerraTorch backbones')
    enter(
        TERRATORCH_NECK_REGISTRY._registry, 'Feature2Pyramid', Feature2Pyramid, 'TerraTorch necks'
    )
    for decoder in (CopernicusUPerNetDecoder, CopernicusFCNDecoder, CopernicusLinearProbeDecoder):
        enter(
            TERRATORCH_DECODER_REGISTRY._registry, decoder.__name__, decoder, 'TerraTorch decoders'
        )
