"""Tells images of a shard from those that were repeated to make up a number of dates."""

from __future__ import annotations

from collections.abc import Sequence

from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.stored_images import StoredImages


def distinct_dates(
    name: ModalityName, days: Sequence[float], first: int, stored: StoredImages
) -> list[int]:
    """Return the positions of the dates of a patch, without repetitions.

    Of several images of one day, which S3A and S3B take, only pixels tell whether they are repetitions.

    Args:
        name: Modality.
        days: Day of each image of the patch.
        first: Number of the first of them among the stored images.
        stored: The images.

    Raises:
        ValueError: If the file is cut off or damaged.
        OSError: If it cannot be read.
    """
    kept: dict[float, list[int]] = {}
    for date, day in enumerate(days):
        before = kept.setdefault(day, [])
        repeated = before and (
            MODALITIES[name].monthly
            or any(stored.same(first + other, first + date) for other in before)
        )
        if not repeated:
            before.append(date)
    return sorted(date for dates in kept.values() for date in dates)
