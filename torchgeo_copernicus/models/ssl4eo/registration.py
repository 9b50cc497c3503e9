"""Enters the builders and weights of SSL4EO-S12 into TorchGeo's tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from torchgeo_copernicus.models.ssl4eo import builders, weights
from torchgeo_copernicus.registry import enter

#: Which enum each builder takes.
WEIGHTS: Mapping[Callable[..., nn.Module], type[weights.SSL4EOS12Weights]] = {
    builders.ssl4eo_s12_resnet18: weights.SSL4EOS12ResNet18_Weights,
    builders.ssl4eo_s12_resnet50: weights.SSL4EOS12ResNet50_Weights,
    builders.ssl4eo_s12_vit_small_patch16_224: weights.SSL4EOS12ViTSmall16_Weights,
    builders.ssl4eo_s12_beit_small_patch16_224: weights.SSL4EOS12BEiTSmall16_Weights,
    builders.ssl4eo_s12_vit_base_patch16_224: weights.SSL4EOS12ViTBase16_Weights,
    builders.ssl4eo_s12_vit_large_patch16_224: weights.SSL4EOS12ViTLarge16_Weights,
    builders.ssl4eo_s12_vit_huge_patch14_224: weights.SSL4EOS12ViTHuge14_Weights,
}


def register() -> None:
    """Make TorchGeo's `get_model`, `get_weight` and `get_model_weights` know them.

    Raises:
        ValueError: If one of the names is taken by something else.
    """
    # Here, because loading the host calls this function.
    from torchgeo.models import api

    for builder, enum in WEIGHTS.items():
        enter(api._model, builder.__name__, builder, 'torchgeo.models')
        enter(api._model_weights, builder, enum, 'torchgeo.models')
        enter(api._model_weights, builder.__name__, enum, 'torchgeo.models')
