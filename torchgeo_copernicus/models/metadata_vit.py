"""A plain vision transformer that is told the metadata of each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from torchgeo_copernicus.metadata import check_metadata
from torchgeo_copernicus.models.metadata_encoding import encode_metadata

if TYPE_CHECKING:
    from torchgeo_copernicus.models.copernicus_fm import CopernicusFM
    from torchgeo_copernicus.models.specialization import Specialization

_FIELDS = ('coord', 'scale', 'time')


class MetadataViT(nn.Module):
    """timm's vision transformer with the metadata encoding of Copernicus-FM added to every token.

    Attributes:
        specialization: What it was made for.
    """

    specialization: Specialization

    def __init__(self, vit: VisionTransformer, kernel_size: int) -> None:
        """Build the metadata encoding around *vit*, with fresh weights.

        Args:
            vit: Static transformer.
            kernel_size: Its patch side (px).
        """
        super().__init__()
        dim = vit.embed_dim
        self.vit = vit
        self.kernel_size = kernel_size
        self.unknown = nn.ParameterList(nn.Parameter(torch.zeros(1, 1, dim)) for _ in _FIELDS)
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in _FIELDS)

    def take_from(self, encoder: CopernicusFM) -> None:
        """Copy the metadata encoding of an encoder."""
        state = encoder.state_dict()
        with torch.no_grad():
            for field, unknown, layer in zip(_FIELDS, self.unknown, self.layers, strict=True):
                unknown.copy_(state[f'{field}_token'])
                names = ('weight', 'bias')
                layer.load_state_dict({name: state[f'{field}_fc.{name}'] for name in names})

    def forward(self, x: Tensor, metadata: Tensor) -> Tensor:
        """Return one vector per image, `[B, D]` or `[B, num_classes]`.

        Args:
            x: Normalised images `[B, C, H, W]`.
            metadata: float32 `[B, 4]`, see `CopernicusFM`.
        """
        out: Tensor = self.vit.forward_head(self.forward_features(x, metadata))
        return out

    def forward_features(self, x: Tensor, metadata: Tensor) -> Tensor:
        """Return all tokens `[B, 1 + h * w, D]`, after the final norm if there is one."""
        out: Tensor = self.vit.norm(self.vit.blocks(self._embed(x, metadata)))
        return out

    def forward_intermediates(
        self, x: Tensor, metadata: Tensor, indices: Sequence[int] = (3, 5, 7, 11)
    ) -> list[Tensor]:
        """Return maps `[B, D, h, w]` of patch tokens after the blocks *indices*.

        Args:
            x: As in `forward`.
            metadata: As in `forward`.
            indices: Blocks from 0; negative from the end.

        Raises:
            ValueError: If there is none, or one is outside the encoder.
        """
        depth = len(self.vit.blocks)
        if not indices or any(not -depth <= index < depth for index in indices):
            raise ValueError(
                f'indices {list(indices)}: wanted blocks from {-depth} to {depth - 1} of {depth}.'
            )
        indices = [index % depth for index in indices]
        tokens, maps = self._embed(x, metadata), {}
        for index, block in enumerate(self.vit.blocks):
            tokens = block(tokens)
            if index in indices:
                grid = self.vit.patch_embed.grid_size
                maps[index] = tokens[:, 1:].transpose(1, 2).reshape(x.shape[0], -1, *grid)
        return [maps[index] for index in indices]

    def _embed(self, x: Tensor, metadata: Tensor) -> Tensor:
        # An exported graph has no way to refuse.
        if not torch.compiler.is_exporting():
            check_metadata(metadata)
            if metadata.shape[0] != x.shape[0]:
                raise ValueError(f'metadata has {len(metadata)} rows for {len(x)} images.')
        tokens: Tensor = self.vit._pos_embed(self.vit.patch_embed(x))
        return tokens + encode_metadata(
            metadata, self.kernel_size, list(self.unknown), list(self.layers)
        )
