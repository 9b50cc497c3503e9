"""What makes an embedding of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from torch import Tensor, nn

from torchgeo_copernicus.embedding.image import ImageKind

#: What becomes the embedding: the class token, the mean of the patch tokens, or the map of patch tokens.
Pool = Literal['cls', 'mean', 'dense']


class EmbeddingEncoder(Protocol):
    """A frozen model, and how its output becomes embeddings."""

    @property
    def module(self) -> nn.Module:
        """The weights, to be moved to a device."""
        ...

    @property
    def pool(self) -> Pool:
        """What becomes the embedding."""
        ...

    def check(self, kind: ImageKind, size_px: int) -> None:
        """Raise unless images of a kind and size can be encoded.

        Raises:
            ValueError: If they cannot.
        """
        ...

    def facts(self, kinds: Sequence[ImageKind]) -> Mapping[str, object]:
        """Return what decides on embeddings of some kinds, weights included, as JSON has it."""
        ...

    def encode(self, images: Tensor, metadata: Tensor, kind: ImageKind) -> Tensor:
        """Encode images.

        Args:
            images: `[B, C, S, S]`, normalised.
            metadata: float32 `[B, 4]`; see `metadata.py`.
            kind: What they are.

        Returns:
            `[B, D]`, or `[B, D, h, w]` of maps.
        """
        ...
