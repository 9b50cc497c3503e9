"""Makes a batch of images of which a few are smaller than the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch.utils.data import default_collate

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.reading import enlarge


@dataclass(frozen=True)
class CollateOnGrid:
    """Stacks samples; where images differ in size, all of them are brought to one grid before.

    Attributes:
        grid_size: Side (px) of that grid.
    """

    grid_size: int

    def __call__(self, samples: Sequence[Sample]) -> Sample:
        """Return the batch of samples with an `image` each."""
        if len({sample['image'].shape for sample in samples}) > 1:
            samples = [
                {**sample, 'image': enlarge(sample['image'], self.grid_size)} for sample in samples
            ]
        batch: Sample = default_collate(list(samples))
        return batch
