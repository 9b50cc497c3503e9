"""From a batch in physical units to what a model sees: normalise, resize, augment.

Geometric operations act on image and label alike, and what they bring in from outside the image is
ignored in the label, never a class.
"""

from __future__ import annotations

from collections.abc import Sequence

import kornia.augmentation as K
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.task import IGNORE_INDEX


class Preprocess(nn.Module):
    """Normalises, resizes and augments a batch; keys other than `image` and `mask` pass through.

    The metadata is not touched: flips and rotations keep the centre, and the published protocol keeps
    the native sampling distance when it enlarges an image.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        image_size: int,
        augmentation: K.AugmentationSequential | None = None,
    ) -> None:
        """Set the steps.

        Args:
            mean: Per channel.
            std: Per channel.
            image_size: Side (px) images and label maps are resized to.
            augmentation: Random geometric operations on `[image]` or `[image, mask]`.
        """
        super().__init__()
        self.register_buffer('mean', torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer('std', torch.tensor(std)[:, None, None], persistent=False)
        self.image_size = (image_size, image_size)
        self.augmentation = augmentation

    def forward(self, batch: Sample) -> Sample:
        """Return the batch with `image` `[B, C, S, S]` normalised and `mask` `[B, S, S]` to match."""
        image: Tensor = batch['image']
        # NaN, which means no data, becomes the mean; so does the logarithm of nothing.
        image = ((image - self.mean.to(image)) / self.std.to(image)).nan_to_num(
            0.0, posinf=0.0, neginf=0.0
        )
        if image.shape[2:] != self.image_size:
            # As published: kornia's Resize with align_corners and without antialiasing.
            image = F.interpolate(image, self.image_size, mode='bilinear', align_corners=True)
        if 'mask' not in batch:
            if self.augmentation is not None:
                image = self.augmentation(image)
            return {**batch, 'image': image}
        # Shifted so that the zeros a rotation brings in are IGNORE_INDEX.
        mask = (batch['mask'] - IGNORE_INDEX).unsqueeze(1).to(image.dtype)
        if mask.shape[2:] != self.image_size:
            mask = F.interpolate(mask, self.image_size, mode='nearest')
        if self.augmentation is not None:
            image, mask = self.augmentation(image, mask)
        mask = mask.squeeze(1).round().long() + IGNORE_INDEX
        return {**batch, 'image': image, 'mask': mask}


def classification_augmentation() -> K.AugmentationSequential:
    """Return the published augmentation of classification: flips."""
    return K.AugmentationSequential(
        K.RandomHorizontalFlip(p=0.5), K.RandomVerticalFlip(p=0.5), data_keys=['input']
    )


def segmentation_augmentation() -> K.AugmentationSequential:
    """Return the published augmentation of segmentation: rotation by up to 90 degrees, flips."""
    return K.AugmentationSequential(
        K.RandomRotation(degrees=90, p=0.5, align_corners=True),
        K.RandomHorizontalFlip(p=0.5),
        K.RandomVerticalFlip(p=0.5),
        data_keys=['input', 'mask'],
    )
