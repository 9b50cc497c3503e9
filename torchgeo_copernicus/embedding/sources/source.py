"""What images can be taken from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torchgeo_copernicus.embedding.image import EmbeddingImage, ImageKind


class EmbeddingSource(Protocol):
    """Items, each with any number of images, in an order that never changes.

    It travels to the processes of a loader, and so can be pickled.
    """

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """What decides on items and images, as JSON has it; no paths of this machine."""
        ...

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """What its images are, by modality."""
        ...

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def items(self, index: int) -> list[EmbeddingImage]:
        """Return the images of an item, none where there is no data.

        Raises:
            ValueError: If a file is damaged; names it.
            OSError: If one cannot be read.
        """
        ...
