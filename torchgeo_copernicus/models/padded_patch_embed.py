"""Patch embedding by an ordinary convolution that pads by one pixel, as Copernicus-FM does."""

from __future__ import annotations

from timm.layers.patch_embed import PatchEmbed
from torch import nn


def token_grid(height: int, width: int, kernel_size: int) -> tuple[int, int]:
    """Return (rows, columns) of tokens of an image; one more than patches fit where padding adds one."""
    return (height + 2 - kernel_size) // kernel_size + 1, (
        width + 2 - kernel_size
    ) // kernel_size + 1


class PaddedPatchEmbed(PatchEmbed):
    """timm's patch embedding, padded: patch i sees the pixels `i * k - 1` to `i * k + k - 2`."""

    def __init__(
        self,
        img_size: tuple[int, int],
        patch_size: int,
        in_chans: int,
        embed_dim: int,
        *,
        bias: bool = True,
        **settings: object,
    ) -> None:
        """Build the convolution.

        Args:
            img_size: Height and width of the images (px).
            patch_size: Kernel size (px).
            in_chans: Channels of the images.
            embed_dim: Channels of the tokens.
            bias: Must be True; the encoder's patch embedding has one.
            **settings: What timm's transformer tells its patch embedding besides; None or False here.

        Raises:
            ValueError: If a setting asks for something else than the encoder has.
        """
        if not bias or any(value not in (None, False) for value in settings.values()):
            raise ValueError(
                f'bias={bias} and {settings} are not how Copernicus-FM embeds patches.'
            )
        super().__init__(img_size, patch_size, in_chans, embed_dim)
        self.proj = nn.Conv2d(in_chans, embed_dim, patch_size, stride=patch_size, padding=1)
        self.grid_size = token_grid(*img_size, patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]

    def dynamic_feat_size(self, img_size: tuple[int, int]) -> tuple[int, int]:
        """Return the token grid of images of *img_size* (px)."""
        return token_grid(*img_size, self.patch_size[0])
