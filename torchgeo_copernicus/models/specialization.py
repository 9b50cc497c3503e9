"""A static vision transformer out of Copernicus-FM, for one set of bands, one kernel and one image size.

Promises the encoder's outputs (to 1e-5) without its hypernetworks: the patch embedding is an ordinary
convolution, and what is known about every image beforehand is part of the position table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Literal, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from torchgeo_copernicus.metadata import check_metadata
from torchgeo_copernicus.models.channels import Channels
from torchgeo_copernicus.models.metadata_vit import MetadataViT
from torchgeo_copernicus.models.padded_patch_embed import PaddedPatchEmbed

if TYPE_CHECKING:
    from torchgeo_copernicus.models.copernicus_fm import CopernicusFM, GlobalPool

#: What a specialised encoder knows of when and where: told with each image, nothing, or always the same.
Metadata = Literal['input', 'unknown'] | Sequence[float] | Tensor


@dataclass(frozen=True)
class Specialization:
    """What an encoder was specialised to; enough to build the module, but for its weights.

    Attributes:
        channels: Names of the channels in their order; `channel 0` and so on where they have none.
        kernel_size: Patch side (px).
        image_size: Height and width (px).
        metadata: `input`, `unknown`, or the four values every image is taken to have.
        embed_dim: Width.
        depth: Number of blocks.
        num_heads: Attention heads.
        mlp_ratio: Hidden width of the MLPs over the width.
        num_classes: Outputs of the head; 0 for none.
        global_pool: `token` or `avg`, see `CopernicusFM`.
    """

    channels: tuple[str, ...]
    kernel_size: int
    image_size: tuple[int, int]
    metadata: Literal['input', 'unknown'] | tuple[float, float, float, float]
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float
    num_classes: int
    global_pool: GlobalPool

    def build(self) -> StaticViT | MetadataViT:
        """Return the module with fresh weights, in evaluation mode; `specialization` is this."""
        vit = StaticViT(
            img_size=self.image_size,
            patch_size=self.kernel_size,
            in_chans=len(self.channels),
            num_classes=self.num_classes,
            global_pool=self.global_pool,
            embed_dim=self.embed_dim,
            depth=self.depth,
            num_heads=self.num_heads,
            mlp_ratio=self.mlp_ratio,
            embed_layer=PaddedPatchEmbed,
            norm_layer=cast(type[nn.LayerNorm], partial(nn.LayerNorm, eps=1e-6)),
            weight_init='skip',
        )
        module: StaticViT | MetadataViT = vit
        if self.metadata == 'input':
            module = MetadataViT(vit, self.kernel_size)
        module.specialization = self
        return module.eval()


class StaticViT(VisionTransformer):
    """timm's vision transformer, and what it was made for.

    Attributes:
        specialization: What it was made for.
    """

    specialization: Specialization


def specialize(
    encoder: CopernicusFM,
    channels: Channels,
    names: Sequence[str],
    kernel_size: int,
    image_size: int | tuple[int, int],
    metadata: Metadata,
) -> StaticViT | MetadataViT:
    """Return the encoder's static twin; see `CopernicusFM.specialize`."""
    kernel_size, *size = _sides(kernel_size, image_size)
    known = _known(metadata)
    specialization = Specialization(
        channels=tuple(names),
        kernel_size=kernel_size,
        image_size=(size[0], size[1]),
        metadata=known,
        embed_dim=encoder.embed_dim,
        depth=len(encoder.blocks),
        num_heads=encoder.num_heads,
        mlp_ratio=encoder.mlp_ratio,
        num_classes=encoder.num_classes,
        global_pool=encoder.global_pool,
    )
    module = specialization.build().to(encoder.cls_token.device, encoder.cls_token.dtype)
    vit = module.vit if isinstance(module, MetadataViT) else module
    blocks = encoder.blocks.state_dict()
    linear = (encoder.norm, encoder.head, encoder.coord_fc, encoder.scale_fc, encoder.time_fc)
    if blocks.keys() != vit.blocks.state_dict().keys() or any(
        layer.state_dict().keys() - {'weight', 'bias'} for layer in linear
    ):
        raise ValueError(
            'The encoder holds adapters, such as those of LoRA; merge them into the weights first '
            '(`merge_and_unload` of PEFT).'
        )
    with torch.no_grad():
        kernel, bias = encoder.embedding_of(channels).kernels_of(channels, kernel_size)
        vit.patch_embed.proj.load_state_dict({'weight': kernel, 'bias': bias})
        position = encoder.position(*vit.patch_embed.grid_size)
        if isinstance(module, MetadataViT):
            module.take_from(encoder)
        else:
            fixed = (
                None if isinstance(known, str) else torch.tensor([known], device=position.device)
            )
            position = position + encoder.encode_metadata(fixed, 1, kernel_size)
        vit.load_state_dict({'pos_embed': position, 'cls_token': encoder.cls_token}, strict=False)
        vit.blocks.load_state_dict(blocks)
        if encoder.global_pool == 'token':
            vit.norm.load_state_dict(encoder.norm.state_dict())
        vit.head.load_state_dict(encoder.head.state_dict())
    return module


def _sides(kernel_size: object, image_size: object) -> tuple[int, int, int]:
    sides = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
    # NumPy has whole numbers too.
    whole = [int(side) for side in (kernel_size, *sides) if isinstance(side, Integral)]
    if len(whole) != 3 or len(sides) != 2 or not 1 <= whole[0] <= min(whole):
        raise ValueError(
            f'image_size {image_size!r} must be a side or (height, width), each at least kernel_size '
            f'{kernel_size!r}, all in whole px.'
        )
    return whole[0], whole[1], whole[2]


def _known(metadata: Metadata) -> Literal['input', 'unknown'] | tuple[float, float, float, float]:
    allowed = (
        f'metadata is {metadata!r}; allowed are input, unknown, or four values (longitude, latitude, '
        'days since 1970-01-01, ground sampling distance in m; NaN for unknown).'
    )
    if isinstance(metadata, str):
        if metadata not in ('input', 'unknown'):
            raise ValueError(allowed)
        return metadata
    try:
        # A tensor keeps its dtype, so that one too coarse is refused.
        dtype = metadata.dtype if isinstance(metadata, Tensor) else torch.float32
        values = torch.as_tensor(metadata, dtype=dtype).cpu()
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(allowed) from error
    if values.shape not in ((4,), (1, 4)):
        raise ValueError(allowed)
    check_metadata(values.reshape(1, 4))
    longitude, latitude, days, gsd_m = values.float().flatten().tolist()
    return longitude, latitude, days, gsd_m
