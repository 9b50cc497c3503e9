"""The images of a modality in a sample of Copernicus-Pretrain, however many there are, one by one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName


@dataclass(frozen=True)
class PretrainImage:
    """One image.

    Attributes:
        image: float32 `[C, H, W]`, in the unit of the samples.
        metadata: float32 `[4]`.
        local_id: Number of the local patch; None for images of a whole cell.
    """

    image: Tensor
    metadata: Tensor
    local_id: int | None


def images_of(sample: Sample, name: ModalityName) -> list[PretrainImage]:
    """Return the images of a modality; none where it is missing.

    Args:
        sample: With `image`, `metadata` and `local_id`, each a dictionary by modality. An image is
            `[C, H, W]`, `[n, C, H, W]`, or a list of n tensors `[C, h, w]`.
        name: Of the modality.

    Raises:
        ValueError: If shapes or bands are not as they should be.
    """
    if name not in sample['image']:
        return []
    where = f'cell {sample.get("grid_id", "?")}, {name}'
    given = sample['image'][name]
    single = isinstance(given, Tensor) and given.ndim == 3
    images = [given] if single else list(given)
    bands = MODALITIES[name].sensor.band_names
    for image in images:
        if not isinstance(image, Tensor) or image.ndim != 3 or len(image) != len(bands):
            shape = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
            raise ValueError(
                f'{where}: an image is {shape}; wanted [{len(bands)}, H, W], the bands {list(bands)}.'
            )
        if not image.is_floating_point() or 0 in image.shape:
            raise ValueError(
                f'{where}: an image is {image.dtype} {list(image.shape)}; wanted float32.'
            )
    metadata = _rows(sample, 'metadata', name, where).reshape(-1, 4)
    local = MODALITIES[name].local
    local_ids = _rows(sample, 'local_id', name, where).reshape(-1).tolist() if local else [None]
    if len(metadata) != len(images) or (local and len(local_ids) != len(images)):
        patches = f', {len(local_ids)} local patches' if local else ''
        raise ValueError(
            f'{where}: there are {len(images)} images, {len(metadata)} rows of metadata{patches}; wanted one '
            'for each image.'
        )
    ids = local_ids if local else [None] * len(images)
    return [PretrainImage(*one) for one in zip(images, metadata, ids, strict=True)]


def _rows(sample: Sample, key: str, name: ModalityName, where: str) -> Tensor:
    try:
        values = torch.as_tensor(sample[key][name])
    except KeyError as error:
        raise ValueError(f'{where}: the sample has an image, but no {key}.') from error
    wanted = 4 if key == 'metadata' else 1
    if values.numel() % wanted:
        raise ValueError(f'{where}: {key} is {list(values.shape)}.')
    return values
