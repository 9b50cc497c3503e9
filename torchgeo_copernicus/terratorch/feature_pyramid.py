"""The neck of the published protocol: four maps of one scale to a pyramid of four scales."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Feature2Pyramid(nn.Module):
    """Rescales the maps of a plain vision transformer by 4, 2, 1 and 1/2, keeping their channels.

    TerraTorch's `LearnedInterpolateToPyramidal` has the same scales, but shrinks the channels of the
    first two maps. Source: mmsegmentation's `Feature2Pyramid`, as Copernicus-Bench uses it
    (7,081,728 parameters for 768 channels).
    """

    def __init__(self, channel_list: Sequence[int]) -> None:
        """Build the four branches.

        Args:
            channel_list: Channels of the four maps; all the same.

        Raises:
            ValueError: If there are not four maps of the same number of channels.
        """
        super().__init__()
        if len(channel_list) != 4 or len(set(channel_list)) != 1:
            raise ValueError(
                f'Feature2Pyramid takes four maps of the same number of channels, got channels '
                f'{list(channel_list)}; choose four backbone_out_indices.'
            )
        self.channel_list = list(channel_list)
        dim = channel_list[0]
        self.branches = nn.ModuleList(
            [
                nn.Sequential(
                    nn.ConvTranspose2d(dim, dim, 2, stride=2),
                    nn.BatchNorm2d(dim),
                    nn.GELU(),
                    nn.ConvTranspose2d(dim, dim, 2, stride=2),
                ),
                nn.ConvTranspose2d(dim, dim, 2, stride=2),
                nn.Identity(),
                nn.MaxPool2d(2),
            ]
        )

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the channels of the output: those of the input."""
        return channel_list

    def forward(self, features: list[Tensor], **_: object) -> list[Tensor]:
        """Map four `[B, D, h, w]` to sides 4h, 2h, h and h/2.

        Raises:
            ValueError: If a map has fewer than two rows or columns.
        """
        if min(features[3].shape[2:]) < 2:
            raise ValueError(
                f'A token grid of {list(features[3].shape[2:])} cannot be halved; use larger images or '
                'a smaller kernel_size.'
            )
        return [branch(x) for branch, x in zip(self.branches, features, strict=True)]
