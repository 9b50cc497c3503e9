"""The network architectures of the released checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import timm
from torch import nn

from torchgeo_copernicus.models.ssl4eo.data2vec import Data2vecViT


@dataclass(frozen=True)
class Architecture:
    """One network architecture.

    Attributes:
        name: timm's name of it, or `beit_small_patch16_224`, which timm has not.
        title: Name in the README.
        patch_size: Patch side (px); None for a convolutional network.
        out_indices: Blocks, or stages from 1 to 4, whose maps a decoder takes by default.
        first_convolution: Name of the parameter that sees the bands.
        out_channels: Channels after each block, or after the stem and each stage.
    """

    name: str
    title: str
    patch_size: int | None
    out_indices: tuple[int, int, int, int]
    first_convolution: str
    out_channels: tuple[int, ...]

    @property
    def is_transformer(self) -> bool:
        """Whether it has patches, a class token and a final norm."""
        return self.patch_size is not None

    def build(
        self,
        in_chans: int,
        *,
        num_classes: int = 0,
        global_pool: str | None = None,
        drop_path: float = 0.0,
    ) -> nn.Module:
        """Build a network with fresh weights.

        Args:
            in_chans: Channels of the images.
            num_classes: Outputs of a linear head; 0 for none.
            global_pool: What the head of a transformer sees: `token` (None, too) the class token, `avg`
                the mean of the patch tokens, either after the pretrained norm. A ResNet has the mean of
                its map alone.
            drop_path: Share of samples that skip the last block in training, rising linearly.

        Raises:
            ValueError: If *global_pool* is not understood.
        """
        allowed = ('token', 'avg') if self.is_transformer else ('avg',)
        pool = allowed[0] if global_pool is None else global_pool
        if pool not in allowed:
            raise ValueError(
                f'global_pool is {global_pool!r}; allowed for {self.name} are {list(allowed)}.'
            )
        if self.name == 'beit_small_patch16_224':
            return Data2vecViT(
                in_chans=in_chans,
                num_classes=num_classes,
                global_pool='token' if pool == 'token' else 'avg',
                drop_path_rate=drop_path,
            )
        create = partial(
            timm.create_model,
            self.name,
            pretrained=False,
            in_chans=in_chans,
            num_classes=num_classes,
            global_pool=pool,
            drop_path_rate=drop_path,
        )
        # Position embeddings follow the size of each image. The norm stays where it was pretrained,
        # before the pooling; timm would put it behind the mean.
        return create(dynamic_img_size=True, fc_norm=False) if self.is_transformer else create()


def _resnet(depth: int, widths: tuple[int, ...]) -> Architecture:
    return Architecture(
        f'resnet{depth}', f'ResNet{depth}', None, (1, 2, 3, 4), 'conv1.weight', widths
    )


def _vit(
    name: str, title: str, patch_size: int, out_indices: tuple[int, int, int, int], width: int
) -> Architecture:
    # The last of the four indices is the last block.
    widths = (width,) * (out_indices[-1] + 1)
    return Architecture(name, title, patch_size, out_indices, 'patch_embed.proj.weight', widths)


#: All of them by name. The transformers' indices are those of the segmentation protocol of
#: Copernicus-Bench for so many blocks.
ARCHITECTURES: Mapping[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        _resnet(18, (64, 64, 128, 256, 512)),
        _resnet(50, (64, 256, 512, 1024, 2048)),
        _vit('vit_small_patch16_224', 'ViT-S/16', 16, (3, 5, 7, 11), 384),
        _vit('beit_small_patch16_224', 'ViT-S/16', 16, (3, 5, 7, 11), 384),
        _vit('vit_base_patch16_224', 'ViT-B/16', 16, (3, 5, 7, 11), 768),
        _vit('vit_large_patch16_224', 'ViT-L/16', 16, (7, 11, 15, 23), 1024),
        _vit('vit_huge_patch14_224', 'ViT-H/14', 14, (7, 15, 23, 31), 1280),
    )
}
