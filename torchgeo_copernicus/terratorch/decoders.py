"""Decoders of the published protocol; TerraTorch adds the final linear layer.

Their dropout is inside, because TerraTorch's head drops single values where the protocol drops channels,
and gives the auxiliary head the main head's settings.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_copernicus.terratorch.arguments import parse_float, parse_int


class CopernicusUPerNetDecoder(nn.Module):
    """UPerNet over a pyramid of maps: TerraTorch's, with the settings of the published protocol.

    32,256,000 parameters for four maps of 768 channels. Source: arXiv:1807.10221.
    """

    def __init__(
        self, embed_dim: list[int], channels: int | str = 512, dropout: float | str = 0.1
    ) -> None:
        """Build the decoder.

        Args:
            embed_dim: Channels of the maps, finest first.
            channels: Channels inside and of the output.
            dropout: Share of output channels dropped in training.

        Raises:
            ValueError: If an argument is not understood.
        """
        super().__init__()
        from terratorch.models.decoders import UperNetDecoder

        self.out_channels = parse_int('decoder_channels', channels)
        self.decoder: nn.Module = UperNetDecoder(
            embed_dim, channels=self.out_channels, align_corners=False
        )
        self.dropout = nn.Dropout2d(parse_float('decoder_dropout', dropout, minimum=0, maximum=1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Map the pyramid to `[B, channels, H, W]` at the scale of its first map.

        Raises:
            ValueError: If one image alone is trained on, which its batch normalisation cannot do.
        """
        if self.training and len(features[0]) < 2:
            raise ValueError(
                'UPerNet normalises over the batch and cannot train on one image; set batch_size to at '
                'least 2.'
            )
        out: Tensor = self.dropout(self.decoder(features))
        return out


class CopernicusFCNDecoder(nn.Module):
    """One 3 x 3 convolution on one map, the auxiliary decoder of the published protocol.

    1,769,984 parameters for 768 channels. TerraTorch's `FCNDecoder` upsamples and is larger.
    """

    def __init__(
        self,
        embed_dim: list[int],
        channels: int | str = 256,
        in_index: int | str = 2,
        dropout: float | str = 0.1,
    ) -> None:
        """Build the decoder.

        Args:
            embed_dim: Channels of the maps.
            channels: Channels of the output.
            in_index: Which map is used, after the neck.
            dropout: Share of output channels dropped in training.

        Raises:
            ValueError: If an argument is not understood.
        """
        super().__init__()
        self.out_channels = parse_int('decoder_channels', channels)
        self.in_index = parse_int('decoder_in_index', in_index, minimum=0)
        if self.in_index >= len(embed_dim):
            raise ValueError(f'decoder_in_index {self.in_index}: there are {len(embed_dim)} maps.')
        self.layers = nn.Sequential(
            nn.Conv2d(embed_dim[self.in_index], self.out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(self.out_channels),
            nn.ReLU(),
            nn.Dropout2d(parse_float('decoder_dropout', dropout, minimum=0, maximum=1)),
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return `[B, channels, h, w]`."""
        out: Tensor = self.layers(features[self.in_index])
        return out


class CopernicusLinearProbeDecoder(nn.Module):
    """Mean of the last map, layer-normalised and batch-normalised, without any parameter.

    With TerraTorch's linear head behind it this is the linear probe of the published protocol. As there,
    evaluation uses running statistics that forget their start at 0 and 1 by 0.9 a batch, so the first
    thirty batches or so evaluate worse than they trained.
    """

    def __init__(self, embed_dim: Sequence[int]) -> None:
        """Build the probe.

        Args:
            embed_dim: Channels of the maps; the last is used.
        """
        super().__init__()
        self.out_channels = embed_dim[-1]
        self.norm = nn.BatchNorm1d(self.out_channels, affine=False, eps=1e-6)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Map the last of the maps `[B, D, h, w]` to `[B, D]`.

        Raises:
            ValueError: If one image alone is trained on, which its batch normalisation cannot do.
        """
        if self.training and len(features[-1]) < 2:
            raise ValueError(
                'The linear probe normalises over the batch and cannot train on one image; set '
                'batch_size to at least 2.'
            )
        pooled = features[-1].flatten(2).mean(dim=2)
        out: Tensor = self.norm(F.layer_norm(pooled, pooled.shape[1:], eps=1e-6))
        return out
