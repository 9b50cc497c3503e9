"""The Copernicus-FM encoder: one vision transformer for every Sentinel.

Promises the outputs of the released model, for images of any size, with metadata used per sample, in
float32 and bfloat16.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Literal, cast, get_args

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from torchgeo_copernicus.metadata import check_metadata, token_area_km2
from torchgeo_copernicus.models.channels import (
    Bands,
    Language,
    SpectralChannels,
    VariableChannels,
    resolve_channels,
)
from torchgeo_copernicus.models.hypernetwork import DynamicPatchEmbed, VariablePatchEmbed
from torchgeo_copernicus.models.kernel_resize import BASE_KERNEL_SIZE
from torchgeo_copernicus.models.metadata_encoding import (
    AREA_RANGE_KM2,
    encode_area,
    encode_days,
    encode_location,
)
from torchgeo_copernicus.models.position import resize_table, sincos_table

GlobalPool = Literal['token', 'avg']

# Deviation of the fresh weights that turn metadata encodings into tokens.
_METADATA_STD = 2e-4


class CopernicusFM(nn.Module):
    """Vision transformer with generated patch kernels and metadata encodings.

    Source: Wang et al., arXiv:2503.11849. State-dict keys are those of the released checkpoint.

    Every forward method takes the same inputs:

    - `x`: normalised images `[B, C, H, W]`, floating point; sides not smaller than the kernel.
    - `metadata`: float32 `[B, 4]` = longitude (deg), latitude (deg), days since 1970-01-01, ground
      sampling distance (m). A NaN field stands for the learned "unknown", for that sample alone; None
      means all unknown.
    - what the channels measure, in exactly one way: `bands` (a sensor, bands, or names);
      `wavelengths_nm` with `bandwidths_nm` (nm); or `language_embedding` (`[2048]`, `[C, 2048]`, or
      names of released variables).
    - `kernel_size`: patch size (px); 16 when None.

    They raise ValueError for wrong shapes, unknown bands and values in a wrong unit.
    """

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        num_classes: int = 0,
        global_pool: GlobalPool = 'token',
    ) -> None:
        """Build the encoder with fresh weights.

        Args:
            img_size: Image side (px) of the position table.
            patch_size: Patch side (px) of the position table, which has
                `(img_size // patch_size) ** 2` places; the patches of an input are `kernel_size`.
            embed_dim: Width, divisible by four.
            depth: Number of blocks.
            num_heads: Attention heads.
            mlp_ratio: Hidden width of the MLPs over *embed_dim*.
            num_classes: Outputs of a linear head; 0 for none.
            global_pool: `token` for the class token after the final norm, `avg` for a parameter-free
                LayerNorm of the mean patch token (the published benchmark protocol).

        Raises:
            ValueError: If *global_pool* is neither, or a size does not divide.
        """
        super().__init__()
        if global_pool not in get_args(GlobalPool):
            raise ValueError(
                f'global_pool is {global_pool!r}; allowed are {list(get_args(GlobalPool))}.'
            )
        if embed_dim % num_heads:
            raise ValueError(f'embed_dim {embed_dim} is not divisible by num_heads {num_heads}.')
        self.embed_dim = self.num_features = embed_dim
        self.num_classes = num_classes
        self.global_pool = global_pool
        self.grad_checkpointing = False
        self._warned_of_small_area = False

        norm_layer = cast(type[nn.LayerNorm], partial(nn.LayerNorm, eps=1e-6))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(
            sincos_table(embed_dim, img_size // patch_size), requires_grad=False
        )
        self.coord_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.scale_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.time_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.coord_fc = nn.Linear(embed_dim, embed_dim)
        self.scale_fc = nn.Linear(embed_dim, embed_dim)
        self.time_fc = nn.Linear(embed_dim, embed_dim)
        self.blocks = nn.ModuleList(
            Block(embed_dim, num_heads, mlp_ratio, qkv_bias=True, norm_layer=norm_layer)
            for _ in range(depth)
        )
        self.norm = norm_layer(embed_dim)
        # Kept under `avg` so that a checkpoint loads whole, but then no gradient reaches it.
        self.norm.requires_grad_(global_pool == 'token')
        self.fc_norm = nn.LayerNorm(embed_dim, eps=1e-6, elementwise_affine=False)
        self.head = nn.Linear(embed_dim, num_classes) if num_classes else nn.Identity()
        self.apply(_init_weights)
        for token in (self.cls_token, self.coord_token, self.scale_token, self.time_token):
            nn.init.normal_(token, std=0.02)
        # A location code is a hash of the place. At the usual scale it drowns the image in a fresh
        # encoder: logistic regression on its features of real EuroSAT chips fell from 0.6 to 0.35.
        for fc in (self.coord_fc, self.scale_fc, self.time_fc):
            nn.init.normal_(fc.weight, std=_METADATA_STD)
        # Last, because they bring their own initialisation.
        self.patch_embed_spectral = DynamicPatchEmbed(embed_dim)
        self.patch_embed_variable = VariablePatchEmbed(embed_dim)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        self.grad_checkpointing = enable

    def forward(
        self,
        x: Tensor,
        metadata: Tensor | None = None,
        *,
        bands: Bands | None = None,
        wavelengths_nm: Sequence[float] | Tensor | None = None,
        bandwidths_nm: Sequence[float] | Tensor | None = None,
        language_embedding: Language | None = None,
        kernel_size: int | None = None,
    ) -> Tensor:
        """Return one vector per image, `[B, D]` (or `[B, num_classes]`); see the class."""
        channels = resolve_channels(bands, wavelengths_nm, bandwidths_nm, language_embedding)
        tokens, _ = self._embed(x, metadata, channels, kernel_size)
        return self.forward_head(self._encode(tokens))

    def forward_features(
        self,
        x: Tensor,
        metadata: Tensor | None = None,
        *,
        bands: Bands | None = None,
        wavelengths_nm: Sequence[float] | Tensor | None = None,
        bandwidths_nm: Sequence[float] | Tensor | None = None,
        language_embedding: Language | None = None,
        kernel_size: int | None = None,
    ) -> Tensor:
        """Return all tokens `[B, 1 + h * w, D]`, class token first; see the class.

        They are after the final norm with `global_pool='token'` and before any with `'avg'`, like
        timm's.
        """
        channels = resolve_channels(bands, wavelengths_nm, bandwidths_nm, language_embedding)
        tokens, _ = self._embed(x, metadata, channels, kernel_size)
        return self._encode(tokens)

    def forward_intermediates(
        self,
        x: Tensor,
        metadata: Tensor | None = None,
        *,
        bands: Bands | None = None,
        wavelengths_nm: Sequence[float] | Tensor | None = None,
        bandwidths_nm: Sequence[float] | Tensor | None = None,
        language_embedding: Language | None = None,
        kernel_size: int | None = None,
        indices: Sequence[int] = (3, 5, 7, 11),
    ) -> list[Tensor]:
        """Return maps of patch tokens after the blocks *indices* (from 0; negative from the end).

        Returns:
            One `[B, D, h, w]` per index, in the order asked for, before any norm.
        """
        wanted = self.block_indices(indices)
        channels = resolve_channels(bands, wavelengths_nm, bandwidths_nm, language_embedding)
        tokens, grid = self._embed(x, metadata, channels, kernel_size)
        maps: dict[int, Tensor] = {}
        for index in range(max(wanted) + 1):
            tokens = self._block(index, tokens)
            if index in wanted:
                maps[index] = tokens[:, 1:].transpose(1, 2).reshape(len(x), -1, *grid)
        return [maps[index] for index in wanted]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool tokens `[B, N, D]` of `forward_features` and apply the head.

        Args:
            x: Tokens.
            pre_logits: Stop before the linear head.

        Returns:
            `[B, D]`, or `[B, num_classes]` when there is a head.
        """
        pooled = x[:, 0] if self.global_pool == 'token' else self.fc_norm(x[:, 1:].mean(dim=1))
        return pooled if pre_logits else self.head(pooled)

    def block_indices(self, indices: Sequence[int]) -> list[int]:
        """Return block *indices* counted from 0.

        Raises:
            ValueError: If there is none, or one is outside the encoder.
        """
        depth = len(self.blocks)
        if not indices or any(not -depth <= index < depth for index in indices):
            raise ValueError(
                f'indices {list(indices)}: wanted blocks from {-depth} to {depth - 1} of {depth}.'
            )
        return [index % depth for index in indices]

    def _embed(
        self,
        x: Tensor,
        metadata: Tensor | None,
        channels: SpectralChannels | VariableChannels,
        kernel_size: int | None,
    ) -> tuple[Tensor, tuple[int, int]]:
        """Return tokens `[B, 1 + h * w, D]` before the first block, and (h, w)."""
        kernel = BASE_KERNEL_SIZE if kernel_size is None else kernel_size
        if isinstance(channels, SpectralChannels):
            embed: DynamicPatchEmbed = self.patch_embed_spectral
            descriptions = embed.describe(channels.wavelengths_nm, channels.bandwidths_nm)
        else:
            embed = self.patch_embed_variable
            vectors = channels.vectors.to(x.device)
            descriptions = self.patch_embed_variable.describe_variables(vectors)
        _check_images(x, len(descriptions), kernel)
        dtype = self.cls_token.dtype
        maps = embed(x.to(dtype), descriptions.to(x.device), kernel)
        height, width = maps.shape[2:]
        position = resize_table(self.pos_embed, height, width)
        if metadata is None:
            metadata = x.new_full((len(x), 4), torch.nan, dtype=torch.float32)
        position = position + self._encode_metadata(metadata.to(x.device), len(x), kernel)
        patches = maps.flatten(2).transpose(1, 2) + position[:, 1:]
        tokens = torch.cat((self.cls_token + position[:, :1], patches), dim=1)
        return tokens, (height, width)

    def _encode_metadata(self, metadata: Tensor, batch: int, kernel_size: int) -> Tensor:
        """Return the sum of the three metadata encodings, `[B, 1, D]`."""
        check_metadata(metadata)
        if len(metadata) != batch:
            raise ValueError(f'metadata has {len(metadata)} rows for {batch} images.')
        longitude, latitude, days, gsd_m = metadata.float().unbind(dim=1)
        area = token_area_km2(gsd_m, kernel_size)
        smallest, largest = AREA_RANGE_KM2
        if not self._warned_of_small_area and bool((area < smallest).any()):
            self._warned_of_small_area = True
            warnings.warn(
                f'A token of {area.nan_to_num(largest).min().item():.3g} km2 is smaller than the '
                f'{smallest} km2 the encoder can tell apart; such areas are clamped to it.',
                stacklevel=2,
            )
        area = area.clamp(min=smallest)
        dim, dtype = self.embed_dim, self.cls_token.dtype
        total = torch.zeros((), device=metadata.device, dtype=dtype)
        for unknown, encoding, token, fc in (
            (
                longitude.isnan() | latitude.isnan(),
                encode_location(longitude, latitude, dim),
                self.coord_token,
                self.coord_fc,
            ),
            (area.isnan(), encode_area(area, dim), self.scale_token, self.scale_fc),
            (days.isnan(), encode_days(days, dim), self.time_token, self.time_fc),
        ):
            known = encoding[:, None].to(dtype)
            total = total + fc(torch.where(unknown[:, None, None], token, known))
        return total

    def _encode(self, tokens: Tensor) -> Tensor:
        for index in range(len(self.blocks)):
            tokens = self._block(index, tokens)
        return self.norm(tokens) if self.global_pool == 'token' else tokens

    def _block(self, index: int, tokens: Tensor) -> Tensor:
        block = self.blocks[index]
        if self.grad_checkpointing and torch.is_grad_enabled():
            out: Tensor = checkpoint(block, tokens, use_reentrant=False)
        else:
            out = block(tokens)
        return out


def _check_images(x: Tensor, channels: int, kernel_size: int) -> None:
    """Raise when images do not fit the channels or the kernel.

    Raises:
        ValueError: If they do not.
    """
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(
            f'Images must be floating point [B, C, H, W], got {x.dtype} {list(x.shape)}.'
        )
    if x.shape[1] != channels:
        raise ValueError(f'Images have {x.shape[1]} channels, but {channels} are described.')
    if kernel_size < 1 or min(x.shape[2:]) < kernel_size:
        raise ValueError(
            f'kernel_size {kernel_size} does not fit images of {x.shape[2]} x {x.shape[3]} px; it must '
            'be at least 1 and not larger than the smaller side.'
        )


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
