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
    Channels,
    Language,
    SpectralChannels,
    resolve_channels,
)
from torchgeo_copernicus.models.derived import DerivedTensors
from torchgeo_copernicus.models.hypernetwork import DynamicPatchEmbed, VariablePatchEmbed
from torchgeo_copernicus.models.kernel_resize import BASE_KERNEL_SIZE
from torchgeo_copernicus.models.metadata_encoding import AREA_RANGE_KM2, encode_metadata
from torchgeo_copernicus.models.metadata_vit import MetadataViT
from torchgeo_copernicus.models.position import resize_table, sincos_table
from torchgeo_copernicus.models.specialization import Metadata, StaticViT, specialize
from torchgeo_copernicus.require import readable
from torchgeo_copernicus.sensors import Sensor, resolve_bands

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
        drop_path: float = 0.0,
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
            drop_path: Share of samples that skip the last block in training (stochastic depth); it
                rises linearly from 0 at the first block.

        Raises:
            ValueError: If *global_pool* is neither, a size does not divide, or *drop_path* is no share.
        """
        super().__init__()
        if global_pool not in get_args(GlobalPool):
            raise ValueError(
                f'global_pool is {global_pool!r}; allowed are {list(get_args(GlobalPool))}.'
            )
        if embed_dim % num_heads:
            raise ValueError(f'embed_dim {embed_dim} is not divisible by num_heads {num_heads}.')
        if not 0 <= drop_path < 1:
            raise ValueError(f'drop_path is {drop_path}; wanted a share from 0 to below 1.')
        self.embed_dim = self.num_features = embed_dim
        self.num_heads = num_heads
        self.mlp_ratio = mlp_ratio
        self.num_classes = num_classes
        self.global_pool = global_pool
        self.grad_checkpointing = False
        self.kept_positions = DerivedTensors()
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
            Block(
                embed_dim,
                num_heads,
                mlp_ratio,
                qkv_bias=True,
                norm_layer=norm_layer,
                drop_path=drop_path * index / max(1, depth - 1),
            )
            for index in range(depth)
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

    def freeze(self, n_blocks: int | None = None) -> None:
        """Freeze the embeddings of images and metadata and the first blocks; they stay in evaluation mode.

        Args:
            n_blocks: How many blocks; None for the whole encoder but its head.

        Raises:
            ValueError: If there are fewer blocks.
        """
        depth = len(self.blocks)
        if n_blocks is not None and not 0 <= n_blocks <= depth:
            raise ValueError(f'n_blocks is {n_blocks}; the encoder has 0 to {depth} to freeze.')
        later = [self.head, *([] if n_blocks is None else [self.norm, *self.blocks[n_blocks:]])]
        kept = {parameter for module in later for parameter in module.parameters()}
        for parameter in set(self.parameters()) - kept:
            parameter.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> CopernicusFM:
        """Set the mode; frozen blocks stay in evaluation mode, where none of their samples skips one."""
        super().train(mode)
        for block in self.blocks:
            if not any(parameter.requires_grad for parameter in block.parameters()):
                block.eval()
        return self

    def group_matcher(
        self, coarse: bool = False
    ) -> dict[str, str | list[tuple[str, tuple[int] | None]]]:
        """Return which parameters form a layer, as timm's layer-wise learning rates want to know.

        Args:
            coarse: Take all blocks for one layer.
        """
        stem = r'^(?:cls|coord|scale|time)_|^pos_embed|^patch_embed'
        # timm's mark for "the layer before".
        blocks = [(r'^blocks\.(\d+)', None), (r'^norm', (99999,))]
        return {'stem': stem, 'blocks': r'^blocks|^norm' if coarse else blocks}

    def no_weight_decay(self) -> set[str]:
        """Return the names of parameters that weight decay would harm, as timm wants to know."""
        return {'pos_embed', 'cls_token', 'coord_token', 'scale_token', 'time_token'}

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
        tokens, _ = self.embed(x, metadata, channels, kernel_size)
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
        tokens, _ = self.embed(x, metadata, channels, kernel_size)
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
        tokens, grid = self.embed(x, metadata, channels, kernel_size)
        maps: dict[int, Tensor] = {}
        for index in range(max(wanted) + 1):
            tokens = self.run_block(index, tokens)
            if index in wanted:
                maps[index] = tokens[:, 1:].transpose(1, 2).reshape(x.shape[0], -1, *grid)
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

    def specialize(
        self,
        bands: Bands | None = None,
        kernel_size: int | None = None,
        image_size: int | tuple[int, int] = 224,
        metadata: Metadata = 'input',
        *,
        wavelengths_nm: Sequence[float] | Tensor | None = None,
        bandwidths_nm: Sequence[float] | Tensor | None = None,
        language_embedding: Language | None = None,
    ) -> StaticViT | MetadataViT:
        """Return a static copy of this encoder for one kind of image, without hypernetworks.

        Its outputs are those of the encoder to 1e-5, its patch embedding an ordinary convolution. It is
        smaller by both hypernetworks (52.5 M parameters of base), and compiles and exports like any
        vision transformer. Later changes of the encoder do not reach it.

        Args:
            bands: What the channels measure; or say it by the other arguments, see the class.
            kernel_size: Patch side (px); that of the sensor when *bands* is a `Sensor`, else 16.
            image_size: Side, or (height, width), of the images (px).
            metadata: `input` for `[B, 4]` with every call; `unknown`; or the four values that every
                image is taken to have (NaN for an unknown one).
            wavelengths_nm: See the class.
            bandwidths_nm: See the class.
            language_embedding: See the class.

        Returns:
            A `VisionTransformer` of timm, called with images alone; with `metadata='input'` a `MetadataViT`,
            called with images and metadata. Both in evaluation mode, on the encoder's device and in its
            dtype; their attribute `specialization` says what they are for.

        Raises:
            ValueError: If the channels, sizes or metadata are not understood, or the blocks hold adapters.
        """
        channels = resolve_channels(bands, wavelengths_nm, bandwidths_nm, language_embedding)
        names = [f'channel {index}' for index in range(len(channels))]
        if bands is not None:
            names = [band.name for band in resolve_bands(bands)]
        if kernel_size is None:
            kernel_size = bands.kernel_size if isinstance(bands, Sensor) else BASE_KERNEL_SIZE
        return specialize(self, channels, names, kernel_size, image_size, metadata)

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

    def embed(
        self, x: Tensor, metadata: Tensor | None, channels: Channels, kernel_size: int | None
    ) -> tuple[Tensor, tuple[int, int]]:
        """Return tokens `[B, 1 + h * w, D]` before the first block, and (h, w); see the class."""
        kernel = BASE_KERNEL_SIZE if kernel_size is None else kernel_size
        _check_images(x, len(channels), kernel)
        maps = self.embedding_of(channels)(x.to(self.cls_token.dtype), channels, kernel)
        height, width = maps.shape[2:]
        position = self.position(height, width) + self.encode_metadata(
            None if metadata is None else metadata.to(x.device), x.shape[0], kernel
        )
        patches = maps.flatten(2).transpose(1, 2) + position[:, 1:]
        tokens = torch.cat((self.cls_token + position[:, :1], patches), dim=1)
        return tokens, (height, width)

    def embedding_of(self, channels: Channels) -> DynamicPatchEmbed:
        """Return the patch embedding for such channels."""
        if isinstance(channels, SpectralChannels):
            return self.patch_embed_spectral
        return self.patch_embed_variable

    def position(self, height: int, width: int) -> Tensor:
        """Return the position table `[1, 1 + height * width, D]` of a token grid; shared."""
        if self.pos_embed.requires_grad:
            return resize_table(self.pos_embed, height, width)
        (table,) = self.kept_positions.get(
            (height, width),
            [self.pos_embed],
            lambda: (resize_table(self.pos_embed, height, width),),
        )
        return table

    def encode_metadata(self, metadata: Tensor | None, batch: int, kernel_size: int) -> Tensor:
        """Return what metadata `[B, 4]` adds to every token, `[B, 1, D]`."""
        if metadata is None:
            metadata = self.cls_token.new_full((batch, 4), torch.nan, dtype=torch.float32)
        else:
            self._check_metadata(metadata, batch, kernel_size)
        return encode_metadata(
            metadata,
            kernel_size,
            (self.coord_token, self.scale_token, self.time_token),
            (self.coord_fc, self.scale_fc, self.time_fc),
        )

    def _check_metadata(self, metadata: Tensor, batch: int, kernel_size: int) -> None:
        check_metadata(metadata)
        if metadata.shape[0] != batch:
            raise ValueError(f'metadata has {len(metadata)} rows for {batch} images.')
        if self._warned_of_small_area or not readable(metadata):
            return
        area = token_area_km2(metadata[:, 3].float(), kernel_size)
        smallest, largest = AREA_RANGE_KM2
        if bool((area < smallest).any()):
            self._warned_of_small_area = True
            warnings.warn(
                f'A token of {area.nan_to_num(largest).min().item():.3g} km2 is smaller than the '
                f'{smallest} km2 the encoder can tell apart; such areas are clamped to it.',
                stacklevel=3,
            )

    def run_block(self, index: int, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run one block.

        Args:
            index: Which, from 0.
            tokens: `[B, N, D]`.
            mask: bool `[B, 1, 1, N]`, False for tokens that nobody attends to; None when all count.

        Returns:
            `[B, N, D]`.
        """
        block = self.blocks[index]
        if self.grad_checkpointing and torch.is_grad_enabled():
            out: Tensor = checkpoint(block, tokens, mask, use_reentrant=False)
        else:
            out = block(tokens, mask)
        return out

    def _encode(self, tokens: Tensor) -> Tensor:
        for index in range(len(self.blocks)):
            tokens = self.run_block(index, tokens)
        return self.norm(tokens) if self.global_pool == 'token' else tokens


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
