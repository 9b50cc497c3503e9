"""Builders of the architectures that SSL4EO-S12 v1.0 has weights for."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal

from torch import nn

from torchgeo_copernicus.models.ssl4eo.architecture import ARCHITECTURES
from torchgeo_copernicus.models.ssl4eo.encoder import load_encoder
from torchgeo_copernicus.models.ssl4eo.first_convolution import select_bands
from torchgeo_copernicus.models.ssl4eo.weights import (
    SSL4EOS12BEiTSmall16_Weights,
    SSL4EOS12ResNet18_Weights,
    SSL4EOS12ResNet50_Weights,
    SSL4EOS12ViTBase16_Weights,
    SSL4EOS12ViTHuge14_Weights,
    SSL4EOS12ViTLarge16_Weights,
    SSL4EOS12ViTSmall16_Weights,
    SSL4EOS12Weights,
)
from torchgeo_copernicus.sensors import S2_TOA, Band, resolve_bands

Bands = Sequence[Band | str | Enum]
Pool = Literal['token', 'avg']


def ssl4eo_s12_resnet18(
    weights: SSL4EOS12ResNet18_Weights | None = None,
    *,
    bands: Bands | None = None,
    rescale: bool = False,
    num_classes: int = 0,
    drop_path: float = 0.0,
) -> nn.Module:
    """Build ResNet-18.

    Args:
        weights: Pretrained weights, or None for fresh ones.
        bands: Names or aliases of the input's bands in its order. Those of the pretraining when None, or
            the 13 of Sentinel-2 without weights. The first convolution is fitted to them by name.
        rescale: Enlarge the first convolution for fewer bands, see `adapt_first_convolution`.
        num_classes: Outputs of a linear head; 0 for none.
        drop_path: Share of samples that skip the last block in training, rising linearly.

    Raises:
        ValueError: If an argument is not understood, or the file does not fit.
        ConnectionError: If the weights cannot be downloaded.
    """
    checked = SSL4EOS12ResNet18_Weights.verify(weights)
    return _build('resnet18', checked, bands, rescale, num_classes, None, drop_path)


def ssl4eo_s12_resnet50(
    weights: SSL4EOS12ResNet50_Weights | None = None,
    *,
    bands: Bands | None = None,
    rescale: bool = False,
    num_classes: int = 0,
    drop_path: float = 0.0,
) -> nn.Module:
    """Build ResNet-50.

    Args:
        weights: Pretrained weights, or None for fresh ones.
        bands: See `ssl4eo_s12_resnet18`.
        rescale: See `ssl4eo_s12_resnet18`.
        num_classes: Outputs of a linear head; 0 for none.
        drop_path: Share of samples that skip the last block in training.

    Raises:
        ValueError: See `ssl4eo_s12_resnet18`.
        ConnectionError: If the weights cannot be downloaded.
    """
    checked = SSL4EOS12ResNet50_Weights.verify(weights)
    return _build('resnet50', checked, bands, rescale, num_classes, None, drop_path)


def ssl4eo_s12_vit_small_patch16_224(
    weights: SSL4EOS12ViTSmall16_Weights | None = None,
    *,
    bands: Bands | None = None,
    rescale: bool = False,
    num_classes: int = 0,
    global_pool: Pool = 'token',
    drop_path: float = 0.0,
) -> nn.Module:
    """Build ViT-S/16.

    Args:
        weights: Pretrained weights, or None for fresh ones.
        bands: See `ssl4eo_s12_resnet18`.
        rescale: See `ssl4eo_s12_resnet18`.
        num_classes: Outputs of a linear head; 0 for none.
        global_pool: What the head sees, see `Architecture.build`.
        drop_path: Share of samples that skip the last block in training.

    Raises:
        ValueError: See `ssl4eo_s12_resnet18`.
        ConnectionError: If the weights cannot be downloaded.
    """
    checked = SSL4EOS12ViTSmall16_Weights.verify(weights)
    return _build(
        'vit_small_patch16_224', checked, bands, rescale, num_classes, global_pool, drop_path
    )


def ssl4eo_s12_beit_small_patch16_224(
    weights: SSL4EOS12BEiTSmall16_Weights | None = None,
    *,
    bands: Bands | None = None,
    rescale: bool = False,
    num_classes: int = 0,
    global_pool: Pool = 'token',
    drop_path: float = 0.0,
) -> nn.Module:
    """Build ViT-S/16 as BEiT has it, see `Data2vecViT`.

    Args:
        weights: Pretrained weights, or None for fresh ones.
        bands: See `ssl4eo_s12_resnet18`.
        rescale: See `ssl4eo_s12_resnet18`.
        num_classes: Outputs of a linear head; 0 for none.
        global_pool: What the head sees, see `Architecture.build`.
        drop_path: Share of samples that skip the last block in training.

    Raises:
        ValueError: See `ssl4eo_s12_resnet18`.
        ConnectionError: If the weights cannot be downloaded.
    """
    checked = SSL4EOS12BEiTSmall16_Weights.verify(weights)
    return _build(
        'beit_small_patch16_224', checked, bands, rescale, num_classes, global_pool, drop_path
    )


def ssl4eo_s12_vit_base_patch16_224(
    weights: SSL4EOS12ViTBase16_Weights | None = None,
    *,
    bands: Bands | None = None,
    rescale: bool = False,
    num_classes: int = 0,
    global_pool: Pool = 'token',
    drop_path: float = 0.0,
) -> nn.Module:
    """Build ViT-B/16.

    Args:
        weights: Pretrained weights, or None for fresh ones.
        bands: See `ssl4eo_s12_resnet18`.
        rescale: See `ssl4eo_s12_resnet18`.
        num_classes: Outputs of a linear head; 0 for none.
        global_pool: What the head sees, see `Architecture.build`.
        drop_path: Share of samples that skip the last block in training.

    Raises:
        ValueError: See `ssl4eo_s12_resnet18`.
        ConnectionError: If the weights cannot be downloaded.
    """
    checked = SSL4EOS12ViTBase16_Weights.verify(weights)
    return _build(
        'vit_base_patch16_224', checked, bands, rescale, num_classes, global_pool, drop_path
    )


def ssl4eo_s12_vit_large_patch16_224(
    weights: SSL4EOS12ViTLarge16_Weights | None = None,
    *,
    bands: Bands | None = None,
    rescale: bool = False,
    num_classes: int = 0,
    global_pool: Pool = 'token',
    drop_path: float = 0.0,
) -> nn.Module:
    """Build ViT-L/16.

    Args:
        weights: Pretrained weights, or None for fresh ones.
        bands: See `ssl4eo_s12_resnet18`.
        rescale: See `ssl4eo_s12_resnet18`.
        num_classes: Outputs of a linear head; 0 for none.
        global_pool: What the head sees, see `Architecture.build`.
        drop_path: Share of samples that skip the last block in training.

    Raises:
        ValueError: See `ssl4eo_s12_resnet18`.
        ConnectionError: If the weights cannot be downloaded.
    """
    checked = SSL4EOS12ViTLarge16_Weights.verify(weights)
    return _build(
        'vit_large_patch16_224', checked, bands, rescale, num_classes, global_pool, drop_path
    )


def ssl4eo_s12_vit_huge_patch14_224(
    weights: SSL4EOS12ViTHuge14_Weights | None = None,
    *,
    bands: Bands | None = None,
    rescale: bool = False,
    num_classes: int = 0,
    global_pool: Pool = 'token',
    drop_path: float = 0.0,
) -> nn.Module:
    """Build ViT-H/14.

    Args:
        weights: Pretrained weights, or None for fresh ones.
        bands: See `ssl4eo_s12_resnet18`.
        rescale: See `ssl4eo_s12_resnet18`.
        num_classes: Outputs of a linear head; 0 for none.
        global_pool: What the head sees, see `Architecture.build`.
        drop_path: Share of samples that skip the last block in training.

    Raises:
        ValueError: See `ssl4eo_s12_resnet18`.
        ConnectionError: If the weights cannot be downloaded.
    """
    checked = SSL4EOS12ViTHuge14_Weights.verify(weights)
    return _build(
        'vit_huge_patch14_224', checked, bands, rescale, num_classes, global_pool, drop_path
    )


def _build(
    architecture_name: str,
    weights: SSL4EOS12Weights | None,
    bands: Bands | None,
    rescale: bool,
    num_classes: int,
    global_pool: str | None,
    drop_path: float,
) -> nn.Module:
    architecture = ARCHITECTURES[architecture_name]
    if weights is None:
        if rescale:
            raise ValueError('rescale is for pretrained weights; there are none.')
        values = resolve_bands(S2_TOA if bands is None else bands)
    else:
        values = select_bands(weights.entry.bands, bands)
    model = architecture.build(
        len(values), num_classes=num_classes, global_pool=global_pool, drop_path=drop_path
    )
    if weights is not None:
        tensors = weights.get_state_dict()
        load_encoder(model, tensors, weights.entry, values, str(weights), rescale=rescale)
    return model
