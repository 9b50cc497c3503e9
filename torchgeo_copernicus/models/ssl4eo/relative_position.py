"""Relative position bias of BEiT for grids of any size, from a table of one size.

The table has one row per offset between two patches, and three more for the class token. A smaller grid
takes the rows of the offsets it has. A larger one interpolates linearly between the rows, whose offsets
are spread in a geometric progression: those of near patches hardly move. Source of the progression: the
fine-tuning of BEiT, arXiv:2106.08254.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchgeo_copernicus.models.constant import constant


class RelativePositionBias(nn.Module):
    """A bias of attention for each pair of tokens and each head."""

    def __init__(self, grid_size: int, num_heads: int) -> None:
        """Make a table of zeros.

        Args:
            grid_size: Patches along one side of the image it is for.
            num_heads: Attention heads.
        """
        super().__init__()
        self.grid_size = grid_size
        rows = (2 * grid_size - 1) ** 2 + 3
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, num_heads))

    def forward(self, height: int, width: int) -> Tensor:
        """Return the bias `[num_heads, 1 + h * w, 1 + h * w]` of a grid with the class token first.

        Args:
            height: Patches along the height.
            width: Patches along the width.
        """
        table = self.table_of(height, width)
        index = _token_pairs(height, width, table.device)
        return table[index].permute(2, 0, 1).contiguous()

    def table_of(self, height: int, width: int) -> Tensor:
        """Return the table `[(2 * h - 1) * (2 * w - 1) + 3, num_heads]` of a grid."""
        table = self.relative_position_bias_table
        if (height, width) == (self.grid_size, self.grid_size):
            return table
        side = 2 * self.grid_size - 1
        offsets = table[:-3].reshape(side, side, -1)
        vertical = _interpolation(self.grid_size, height, table.device).to(table.dtype)
        horizontal = _interpolation(self.grid_size, width, table.device).to(table.dtype)
        moved = torch.einsum('yu,xv,uvn->yxn', vertical, horizontal, offsets)
        return torch.cat([moved.flatten(0, 1), table[-3:]])


@constant
def _token_pairs(height: int, width: int, device: torch.device) -> Tensor:
    """Return the row of the table for each pair of tokens, int64 `[1 + h * w, 1 + h * w]`."""
    y, x = torch.meshgrid(_upto(height), _upto(width), indexing='ij')
    y, x = y.flatten(), x.flatten()
    down = y[:, None] - y[None, :] + height - 1
    right = x[:, None] - x[None, :] + width - 1
    rows = (2 * height - 1) * (2 * width - 1)
    tokens = 1 + height * width
    pairs = torch.empty(tokens, tokens, dtype=torch.long, device='cpu')
    pairs[1:, 1:] = down * (2 * width - 1) + right
    pairs[0, :] = rows  # From the class token to a patch.
    pairs[:, 0] = rows + 1  # From a patch to the class token.
    pairs[0, 0] = rows + 2
    return pairs.to(device)


@constant
def _interpolation(source: int, target: int, device: torch.device) -> Tensor:
    """Return the matrix `[2 * target - 1, 2 * source - 1]` from offsets of a grid to those of another."""
    reach = target - 1
    wanted = _upto(2 * target - 1).double() - reach
    known = _offsets(source - 1, reach)
    upper = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
    share = (wanted - known[upper - 1]) / (known[upper] - known[upper - 1])
    matrix = torch.zeros(len(wanted), len(known), dtype=torch.float64, device='cpu')
    row = _upto(len(wanted))
    matrix[row, upper] = share
    matrix[row, upper - 1] = 1 - share
    return matrix.float().to(device)


def _offsets(count: int, reach: int) -> Tensor:
    """Return where the known offsets are put so that they reach as far as the wanted ones."""
    if reach <= count:
        return _upto(2 * count + 1).double() - count
    steps = _upto(count).double()
    low, high = 1.0, float(reach)
    # The sum of q**0 ... q**(count - 1) grows with q and passes reach in between.
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if (middle**steps).sum() < reach else (low, middle)
    positive = (high**steps).cumsum(0)
    # The farthest offset is met exactly.
    positive[-1] = max(float(positive[-1]), float(reach))
    return torch.cat([-positive.flip(0), 0 * positive[:1], positive])


def _upto(count: int) -> Tensor:
    # Computed on the CPU, whatever device is the default, and then moved.
    return torch.arange(count, device='cpu')
