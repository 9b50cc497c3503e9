"""The BEiT encoder that data2vec was pretrained with, for images of any size.

Its parameters have the names of timm's `Beit` with a shared relative position bias and no absolute one, so
that either loads the other's state dict; timm's takes one image size alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models.beit import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from torchgeo_copernicus.models.ssl4eo.relative_position import RelativePositionBias


class Data2vecViT(nn.Module):
    """Vision transformer with layer scale and one relative position bias for all blocks.

    Source: data2vec, arXiv:2202.03555; BEiT, arXiv:2106.08254.
    """

    def __init__(
        self,
        in_chans: int = 13,
        patch_size: int = 16,
        grid_size: int = 14,
        embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        num_classes: int = 0,
        global_pool: Literal['token', 'avg'] = 'token',
        drop_path_rate: float = 0.0,
        init_values: float = 1e-4,
    ) -> None:
        """Make a fresh encoder.

        Args:
            in_chans: Channels of the images.
            patch_size: Patch side (px).
            grid_size: Patches along a side in pretraining: the size of the bias table.
            embed_dim: Width.
            depth: Number of blocks.
            num_heads: Attention heads.
            num_classes: Outputs of a linear head; 0 for none.
            global_pool: What the head sees: `token` the class token, `avg` the mean of the patch tokens,
                either after the pretrained norm.
            drop_path_rate: Share of samples that skip the last block in training, rising linearly.
            init_values: First values of the layer scale.

        Raises:
            ValueError: If *global_pool* is unknown.
        """
        super().__init__()
        if global_pool not in ('token', 'avg'):
            raise ValueError(f"global_pool is {global_pool!r}; allowed are ['token', 'avg'].")
        self.embed_dim = self.num_features = embed_dim
        self.num_classes = num_classes
        self.num_prefix_tokens = 1
        self.global_pool = global_pool
        self.grad_checkpointing = False
        self.patch_size = patch_size
        self.patch_embed = PatchEmbed(
            img_size=None, patch_size=patch_size, in_chans=in_chans, embed_dim=embed_dim
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.rel_pos_bias = RelativePositionBias(grid_size, num_heads)
        rates = torch.linspace(0, drop_path_rate, depth, device='cpu').tolist()
        blocks = [
            Block(embed_dim, num_heads, qkv_bias=True, drop_path=rate, init_values=init_values)
            for rate in rates
        ]
        self.blocks = nn.ModuleList(blocks)
        self.feature_info = [
            {'module': f'blocks.{i}', 'num_chs': embed_dim, 'reduction': patch_size}
            for i in range(depth)
        ]
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.head = nn.Linear(embed_dim, num_classes) if num_classes else nn.Identity()
        self.apply(_initialise)
        with torch.no_grad():
            # As in BEiT: what the blocks add up to does not grow with their number.
            for number, block in enumerate(blocks, 1):
                block.attn.proj.weight.div_(math.sqrt(2 * number))
                block.mlp.fc2.weight.div_(math.sqrt(2 * number))
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[B, num_classes]`, or the pooled features `[B, D]` without a head.

        Args:
            x: Images `[B, C, H, W]`, H and W multiples of the patch side.

        Raises:
            ValueError: If they are not.
        """
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return tokens `[B, 1 + h * w, D]` after the final norm, the class token first."""
        tokens, bias, _ = self._embed(x)
        for block in self.blocks:
            tokens = self._pass(block, tokens, bias)
        normed: Tensor = self.norm(tokens)
        return normed

    def forward_intermediates(
        self,
        x: Tensor,
        indices: Sequence[int] | None = None,
        *,
        norm: bool = False,
        stop_early: bool = True,
        intermediates_only: bool = True,
    ) -> list[Tensor]:
        """Return maps `[B, D, h, w]` of patch tokens after blocks, as timm's models do.

        Args:
            x: Images `[B, C, H, W]`, H and W multiples of the patch side.
            indices: Blocks from 0, ascending; all when None.
            norm: Apply the final norm to each.
            stop_early: Must be True.
            intermediates_only: Must be True.

        Raises:
            ValueError: If an option is False that must be True, or H or W is no such multiple.
        """
        if not stop_early or not intermediates_only:
            raise ValueError('Only the intermediates are returned, and no further block is run.')
        taken = range(len(self.blocks)) if indices is None else indices
        tokens, bias, (height, width) = self._embed(x)
        maps = []
        for number, block in enumerate(self.blocks[: max(taken) + 1]):
            tokens = self._pass(block, tokens, bias)
            if number in taken:
                patches = (self.norm(tokens) if norm else tokens)[:, 1:]
                maps.append(patches.transpose(1, 2).reshape(len(x), -1, height, width))
        return maps

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool tokens `[B, 1 + N, D]` and apply the head, unless *pre_logits*."""
        pooled = x[:, 0] if self.global_pool == 'token' else x[:, 1:].mean(dim=1)
        logits: Tensor = pooled if pre_logits else self.head(pooled)
        return logits

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations, or not."""
        self.grad_checkpointing = enable

    def no_weight_decay(self) -> set[str]:
        """Return the names of parameters that weight decay should spare."""
        return {'cls_token', 'rel_pos_bias.relative_position_bias_table'}

    def _embed(self, x: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """Return tokens, the bias of attention, and the grid."""
        if x.shape[-2] % self.patch_size or x.shape[-1] % self.patch_size:
            raise ValueError(
                f'Images are {list(x.shape[-2:])} px; wanted multiples of the patch side '
                f'{self.patch_size}.'
            )
        height, width = x.shape[-2] // self.patch_size, x.shape[-1] // self.patch_size
        patches = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches], dim=1)
        return tokens, self.rel_pos_bias(height, width), (height, width)

    def _pass(self, block: nn.Module, tokens: Tensor, bias: Tensor) -> Tensor:
        passed: Tensor
        if self.grad_checkpointing and torch.is_grad_enabled():
            passed = checkpoint(block, tokens, bias, use_reentrant=False)
        else:
            passed = block(tokens, shared_rel_pos_bias=bias)
        return passed


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
