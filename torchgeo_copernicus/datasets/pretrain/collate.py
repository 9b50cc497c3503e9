"""Puts samples of Copernicus-Pretrain together, whose cells have other modalities, places, dates and sizes.

For batches that go into a model at once, normalised and of one size, see the datamodule.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES, ModalityName


def collate_lists(samples: Sequence[Sample]) -> Sample:
    """Keep images as they are.

    Args:
        samples: B samples of `CopernicusPretrainGeoTIFF` or of the stream of shards.

    Returns:
        `grid_id` (int64 `[B]`), `present` (modality -> bool `[B]`: which samples have it) and, for the modalities
        that any sample has, `image`, `metadata` and `local_id` (modality -> list of the entries of those
        samples that have it, in their order).

    Raises:
        ValueError: If there is no sample, or one is not of this kind.
    """
    _check(samples)
    batch = _start(samples)
    for key in ('image', 'metadata', 'local_id'):
        batch[key] = {
            name: found
            for name in MODALITY_NAMES
            if (found := [sample[key][name] for sample in samples if name in sample[key]])
        }
    return batch


def collate_padded(samples: Sequence[Sample]) -> Sample:
    """Bring the images of each modality to one size and number, with NaN below, to the right and behind.

    Args:
        samples: B samples of `CopernicusPretrainGeoTIFF` or of the stream of shards.

    Returns:
        `grid_id` (int64 `[B]`), `present` (modality -> bool `[B, n]`: which images there are, of at most n in a
        sample) and, for the modalities that any sample has, `image` (float32 `[B, n, C, H, W]`), `metadata`
        (float32 `[B, n, 4]`), both NaN where there is nothing, and `local_id` (int64 `[B, n]`, -1 where there is
        nothing). A modality that no sample has is in none of them.

    Raises:
        ValueError: If there is no sample, or one is not of this kind.
    """
    _check(samples)
    batch = _start(samples)
    batch['present'], batch['image'], batch['metadata'], batch['local_id'] = {}, {}, {}, {}
    for name in MODALITY_NAMES:
        images = [_images(sample, name) for sample in samples]
        if not (most := max(map(len, images))):
            continue
        shapes = [image.shape for series in images for image in series]
        if len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f'{name} has images of {sorted({s[0] for s in shapes})} bands.')
        shape = [max(sides) for sides in zip(*shapes, strict=True)]
        present = torch.zeros(len(samples), most, dtype=torch.bool)
        image = torch.full((len(samples), most, *shape), torch.nan)
        metadata = torch.full((len(samples), most, 4), torch.nan)
        local_id = torch.full((len(samples), most), -1, dtype=torch.int64)
        for row, (sample, series) in enumerate(zip(samples, images, strict=True)):
            if not series:
                continue
            present[row, : len(series)] = True
            metadata[row, : len(series)] = sample['metadata'][name]
            if name in sample['local_id']:
                local_id[row, : len(series)] = torch.as_tensor(sample['local_id'][name])
            for position, one in enumerate(series):
                image[row, position, :, : one.shape[1], : one.shape[2]] = one
        batch['present'][name], batch['image'][name] = present, image
        batch['metadata'][name] = metadata
        if any(name in sample['local_id'] for sample in samples):
            batch['local_id'][name] = local_id
    return batch


def _check(samples: Sequence[Sample]) -> None:
    if not samples:
        raise ValueError('There are no samples to put together.')
    wanted = ('grid_id', 'image', 'metadata', 'local_id')
    for sample in samples:
        if lacking := [key for key in wanted if key not in sample]:
            raise ValueError(f'A sample has {list(sample)}, but lacks {lacking}.')


def _start(samples: Sequence[Sample]) -> Sample:
    return {
        'grid_id': torch.tensor([int(sample['grid_id']) for sample in samples]),
        'present': {
            name: torch.tensor([name in sample['image'] for sample in samples])
            for name in MODALITY_NAMES
        },
    }


def _images(sample: Sample, name: ModalityName) -> list[Tensor]:
    """Return the images of a modality, `[C, h, w]` each."""
    found = sample['image'].get(name, [])
    if isinstance(found, Tensor) and found.ndim == 3:
        return [found]
    return list(found)
