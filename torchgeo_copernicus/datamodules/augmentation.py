"""The published random operations, for images and what is drawn on them."""

from __future__ import annotations

import kornia.augmentation as K


def flips(*data_keys: str) -> K.AugmentationSequential:
    """Return the augmentation of classification: flips.

    Args:
        *data_keys: What is given: `input` for images, `mask` for label maps.
    """
    return K.AugmentationSequential(
        K.RandomHorizontalFlip(p=0.5), K.RandomVerticalFlip(p=0.5), data_keys=list(data_keys)
    )


def rotation_and_flips(*data_keys: str) -> K.AugmentationSequential:
    """Return the augmentation of label maps: rotation by up to 90 degrees, flips.

    Args:
        *data_keys: What is given: `input` for what is interpolated, `mask` for what is not.
    """
    return K.AugmentationSequential(
        K.RandomRotation(degrees=90, p=0.5, align_corners=True),
        K.RandomHorizontalFlip(p=0.5),
        K.RandomVerticalFlip(p=0.5),
        data_keys=list(data_keys),
    )
