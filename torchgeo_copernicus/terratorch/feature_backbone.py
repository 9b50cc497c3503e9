"""Builds a backbone of TerraTorch's registry for its features alone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from torchgeo_copernicus.compat import has_terratorch
from torchgeo_copernicus.models.checkpoint import load_tensors, read_tensors


def build_feature_backbone(
    name: str, arguments: Mapping[str, object], weights_path: str | None = None
) -> nn.Module:
    """Build a backbone.

    Args:
        name: In the registry of backbones; TerraTorch's own, or that of timm and others with a prefix.
        arguments: Of its builder.
        weights_path: State dict to load, all of it; what the builder loads when None.

    Raises:
        ValueError: If TerraTorch is not installed, name or an argument is unknown, or weights do not
            fit.
        FileNotFoundError: If there is no file of weights.
    """
    if not has_terratorch():
        raise ValueError('Backbones of TerraTorch need the extra `terratorch`.')
    # Here, because it takes seconds, and TerraTorch need not be there.
    from terratorch.registry import BACKBONE_REGISTRY

    if name not in BACKBONE_REGISTRY:
        raise ValueError(
            f'{name!r} is no backbone that TerraTorch knows; BACKBONE_REGISTRY lists them.'
        )
    try:
        model: nn.Module = BACKBONE_REGISTRY.build(name, **arguments)
    except TypeError as error:
        raise ValueError(f'{name} cannot be built with {dict(arguments)}: {error}') from error
    if weights_path is not None:
        load_tensors(model, read_tensors(weights_path), weights_path)
    return model
