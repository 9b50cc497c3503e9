"""From a batch in physical units to what a model sees: clip, normalise, resize, augment.

Geometric operations act on all dates of an image and on its labels alike, and what they bring in from
outside the image is ignored in the labels (NaN in a regression), never a class.
"""

from __future__ import annotations

from typing import Literal

import kornia.augmentation as K
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.reading import enlarge
from torchgeo_copernicus.datasets.bench.task import IGNORE_INDEX

# Share of a pixel that may come from where no target is; above rounding, below any real pixel.
_COVERED = 1 - 1e-3


class Preprocess(nn.Module):
    """Normalises, resizes and augments a batch; keys other than `image` and `mask` pass through.

    The metadata is not touched: flips and rotations keep the centre, and the published protocol keeps
    the native sampling distance when it enlarges an image.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Tensor,
        std: Tensor,
        image_size: int,
        augmentation: K.AugmentationSequential | None = None,
        clip: tuple[float, float] | None = None,
        interpolation: Literal['nearest', 'bilinear'] = 'nearest',
        grid_size: int | None = None,
    ) -> None:
        """Set the steps.

        Args:
            mean: Per channel `[C]`, or per date and channel `[T, C]`.
            std: Of the same shape.
            image_size: Side (px) images and label maps are resized to.
            augmentation: Random geometric operations on images, or on images and label maps.
            clip: Range that values are clipped to first; NaN becomes its upper end.
            interpolation: How a regression's target is resized; classes never are interpolated.
            grid_size: Side (px) of the labels' grid, to which images are brought first with cubic
                interpolation; None when they have it.
        """
        super().__init__()
        self.register_buffer('mean', mean[..., None, None], persistent=False)
        self.register_buffer('std', std[..., None, None], persistent=False)
        self.image_size = (image_size, image_size)
        self.augmentation = augmentation
        self.clip = clip
        self.interpolation = interpolation
        self.grid_size = grid_size

    def forward(self, batch: Sample) -> Sample:
        """Return the batch with normalised images and label maps to match.

        Args:
            batch: `image` `[B, C, H, W]` or `[B, T, C, H, W]`; perhaps `mask` `[B, H, W]`, int64
                classes or float32 targets with NaN.
        """
        image = self._normalised(batch['image'])
        # All dates move together.
        planes = image.flatten(1, -3)
        if planes.shape[2:] != self.image_size:
            # As published: kornia's Resize with align_corners and without antialiasing.
            planes = F.interpolate(planes, self.image_size, mode='bilinear', align_corners=True)
        if 'mask' not in batch:
            moved, labels = self._augmented(planes, None)
            return {**batch, 'image': moved.reshape(*image.shape[:-2], *self.image_size)}
        mask: Tensor = batch['mask']
        move = self._move_target if mask.is_floating_point() else self._move_classes
        moved, labels = move(planes, mask)
        return {
            **batch,
            'image': moved.reshape(*image.shape[:-2], *self.image_size),
            'mask': labels,
        }

    def _normalised(self, image: Tensor) -> Tensor:
        if self.grid_size is not None:
            image = enlarge(image, self.grid_size)
        if self.clip is not None:
            low, high = self.clip
            image = image.clamp(low, high).nan_to_num(high)
        image = (image - self.mean.to(image)) / self.std.to(image)
        # NaN, which means no data, becomes the mean; so does the logarithm of nothing.
        return image.nan_to_num(0.0, posinf=0.0, neginf=0.0)

    def _move_classes(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        # Shifted so that the zeros a rotation brings in are IGNORE_INDEX.
        labels = (mask - IGNORE_INDEX).unsqueeze(1).to(image.dtype)
        if labels.shape[2:] != self.image_size:
            labels = F.interpolate(labels, self.image_size, mode='nearest')
        image, labels = self._augmented(image, labels)
        return image, labels.squeeze(1).round().long() + IGNORE_INDEX

    def _move_target(self, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        # The second plane tells where the first is known; what comes from outside is not.
        known = target.isfinite()
        planes = torch.stack([target.where(known, 0.0), known.to(target.dtype)], dim=1)
        if planes.shape[2:] != self.image_size:
            corners = None if self.interpolation == 'nearest' else True
            planes = F.interpolate(
                planes, self.image_size, mode=self.interpolation, align_corners=corners
            )
        image, planes = self._augmented(image, planes)
        values, share = planes.unbind(dim=1)
        return image, values.where(share > _COVERED, torch.nan)

    def _augmented(self, image: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        given = (image,) if labels is None else (image, labels)
        if self.augmentation is None:
            return image, given[-1]
        moved = self.augmentation(*given)
        return (moved, moved) if labels is None else tuple(moved)
