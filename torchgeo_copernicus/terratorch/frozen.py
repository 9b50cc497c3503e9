"""Keeps a frozen encoder in evaluation mode, where TerraTorch leaves it in training mode."""

from __future__ import annotations

from typing import Self

from torch import nn

from torchgeo_copernicus.models.copernicus_fm import CopernicusFM


class FrozenInEval(nn.Module):
    """A backbone whose encoder, once frozen, neither drops paths nor learns statistics.

    Attributes:
        encoder: Set by the backbone.
    """

    encoder: CopernicusFM

    def freeze(self) -> None:
        """Freeze the encoder and keep it in evaluation mode."""
        self.requires_grad_(False)
        self.keep_frozen_in_eval()

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        self.keep_frozen_in_eval()
        return self

    def keep_frozen_in_eval(self) -> None:
        """Put a frozen encoder back; TerraTorch freezes some models without telling the module."""
        if self.encoder.training and not any(p.requires_grad for p in self.parameters()):
            self.encoder.eval()
