"""The fixed 2D sine-cosine position table of the encoder, and its resizing to other token grids."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sincos_table(embed_dim: int, grid: int) -> Tensor:
    """Return the position table of MAE (arXiv:2111.06377).

    The first half of the channels encodes the column, the second the row; each half is
    `[sin, cos]` of `position * 10000 ** (-i / (embed_dim / 4))`. The class token's row is zero.

    Args:
        embed_dim: Channels D, divisible by four.
        grid: Side of the square token grid.

    Returns:
        float32 tensor `[1, 1 + grid ** 2, D]`.

    Raises:
        ValueError: If *embed_dim* is not divisible by four.
    """
    if embed_dim % 4:
        raise ValueError(f'embed_dim must be divisible by four, got {embed_dim}.')
    quarter = embed_dim // 4
    omega = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angle = torch.arange(grid, dtype=torch.float64)[:, None] * omega
    axis = torch.cat((angle.sin(), angle.cos()), dim=1)
    columns = axis[None].expand(grid, grid, -1)
    rows = axis[:, None].expand(grid, grid, -1)
    table = torch.cat((columns, rows), dim=2).flatten(0, 1)
    return torch.cat((torch.zeros(1, embed_dim), table.float()))[None]


def resize_table(table: Tensor, height: int, width: int) -> Tensor:
    """Resize a position table to another token grid, the class token's row apart.

    Args:
        table: `[1, 1 + n * n, D]`.
        height: Token rows.
        width: Token columns.

    Returns:
        `[1, 1 + height * width, D]`, in the dtype of *table*.
    """
    grid = round((table.shape[1] - 1) ** 0.5)
    if (height, width) == (grid, grid):
        return table
    maps = table[:, 1:].float().reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    maps = F.interpolate(maps, (height, width), mode='bicubic', antialias=True)
    return torch.cat((table[:, :1], maps.flatten(2).transpose(1, 2).to(table.dtype)), dim=1)
