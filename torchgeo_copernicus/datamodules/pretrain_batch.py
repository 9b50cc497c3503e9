"""Makes a batch of cells of which each has other modalities, and other numbers of images of them.

Nothing is made up for what is missing: the images of a modality are those of the cells that have it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.pretrain_crop import (
    GroundWindow,
    RandomCrop,
    SquareIn,
    cropped,
    followed,
    pixel_window,
    resized,
)
from torchgeo_copernicus.datamodules.pretrain_images import PretrainImage, images_of
from torchgeo_copernicus.datamodules.pretrain_statistics import PretrainInput
from torchgeo_copernicus.datasets.draw import drawn
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES, ModalityName

# Modalities of the same ground in similar pixels.
_GROUPS: tuple[tuple[ModalityName, ...], ...] = (
    ('s1_grd', 's2_toa'),
    ('s3_olci',),
    ('s5p_co', 's5p_no2', 's5p_o3', 's5p_so2'),
    ('dem',),
)
_GROUP_OF = {name: number for number, names in enumerate(_GROUPS) for name in names}
# After the draws of patches and dates by `Selection`, which have the same key.
_OWN_WINDOW, _SHARED_WINDOW = 3, 4


@dataclass(frozen=True)
class PretrainCollate:
    """Crops, resizes, normalises and stacks samples.

    What is drawn depends on seed, epoch and cell, not on the other samples of a batch.

    Attributes:
        inputs: How each modality goes into a model.
        crop: Draws windows.
        co_registered: One window for all images of the same ground: the dates of a modality, Sentinel-1 and
            -2 of a local patch, the gases of Sentinel-5P. It is the same in metres, to half a pixel. Without
            it each image has its own.
        fill: What stands in for missing pixels after normalising, where 0 is the mean; NaN when None.
        seed: Of windows and flips.
        epoch: The same.
    """

    inputs: Mapping[ModalityName, PretrainInput]
    crop: RandomCrop
    co_registered: bool = False
    fill: float | None = 0.0
    seed: int = 0
    epoch: int = 0

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            ValueError: If there is nothing to share a window, or *fill* is not finite.
        """
        if self.co_registered and set(self.inputs) == {'dem'}:
            raise ValueError(
                'co_registered shares windows among images, but elevation is a single one.'
            )
        if self.fill is not None and not math.isfinite(self.fill):
            raise ValueError(
                f'fill is {self.fill}; give a number, or None to keep missing pixels NaN.'
            )

    def at(self, epoch: int) -> PretrainCollate:
        """Return the same for an epoch."""
        return replace(self, epoch=epoch)

    def __call__(self, samples: Sequence[Sample]) -> Sample:
        """Return a batch.

        Args:
            samples: B samples, each with `grid_id` and, as dictionaries by modality, `image`, `metadata` and
                `local_id`.

        Returns:
            `grid_id` (int64 `[B]`), `present` (bool `[B]` for every modality: which samples have it) and, for
            the modalities that any sample has, `image` (float32 `[b, C, S, S]`, normalised), `metadata`
            (float32 `[b, 4]`, of the crop), `rows` (int64 `[b]`: the sample that an image is of, which is
            repeated where a sample has several), `local_id` (int64 `[b]`, of Sentinel-1 and -2).

        Raises:
            ValueError: If a sample is not as it should be, or has a modality without a place in *inputs*.
        """
        images: dict[ModalityName, list[Tensor]] = {name: [] for name in self.inputs}
        metadata: dict[ModalityName, list[Tensor]] = {name: [] for name in self.inputs}
        rows: dict[ModalityName, list[int]] = {name: [] for name in self.inputs}
        local_ids: dict[ModalityName, list[int]] = {name: [] for name in self.inputs}
        for row, sample in enumerate(samples):
            for name, one, window in self._windows(sample):
                image, vector = self._prepared(name, one, window)
                images[name].append(image)
                metadata[name].append(vector)
                rows[name].append(row)
                if one.local_id is not None:
                    local_ids[name].append(one.local_id)
        return {
            'grid_id': torch.tensor(
                [int(sample['grid_id']) for sample in samples], dtype=torch.long
            ),
            'present': {
                name: torch.zeros(len(samples), dtype=torch.bool).index_fill(
                    0, torch.tensor(found, dtype=torch.long), True
                )
                for name, found in rows.items()
            },
            'image': {name: torch.stack(found) for name, found in images.items() if found},
            'metadata': {name: torch.stack(found) for name, found in metadata.items() if found},
            'rows': {name: torch.tensor(found) for name, found in rows.items() if found},
            'local_id': {name: torch.tensor(found) for name, found in local_ids.items() if found},
        }

    def _windows(self, sample: Sample) -> list[tuple[ModalityName, PretrainImage, GroundWindow]]:
        """Return the images of a sample with the window of each, in the unit of `_unit`."""
        if unreal := [key for key in ('grid_id', 'image') if key not in sample]:
            raise ValueError(f'A sample has {list(sample)}, but lacks {unreal}.')
        if unknown := [name for name in sample['image'] if name not in self.inputs]:
            raise ValueError(
                f'A sample has {unknown}, but only {list(self.inputs)} are wanted: give the dataset the same '
                'modalities.'
            )
        found = [(name, one) for name in self.inputs for one in images_of(sample, name)]
        grounds: dict[tuple[int, ...], list[tuple[float, float]]] = {}
        keys = []
        counts = dict.fromkeys(self.inputs, 0)
        for name, one in found:
            key: tuple[int, ...]
            if self.co_registered:
                key = (_SHARED_WINDOW, _GROUP_OF[name], one.local_id or 0)
            else:
                key = (_OWN_WINDOW, MODALITY_NAMES.index(name), counts[name])
            counts[name] += 1
            keys.append(key)
            unit = self._unit(name, one)
            height, width = one.image.shape[1:]
            grounds.setdefault(key, []).append((height * unit, width * unit))
        grid_id = int(sample['grid_id'])
        windows = {}
        for key, sides in grounds.items():
            # What all of them have.
            height, width = (min(side) for side in zip(*sides, strict=True))
            chance = np.random.Philox(key=drawn(self.seed, self.epoch, grid_id, *key))
            windows[key] = self.crop.draw(height, width, np.random.Generator(chance))
        return [(name, one, windows[key]) for (name, one), key in zip(found, keys, strict=True)]

    def _unit(self, name: ModalityName, one: PretrainImage) -> float:
        """Return the side of a pixel: in metres where images share a window, else the pixel itself."""
        if not self.co_registered:
            return 1.0
        gsd_m = float(one.metadata[3])
        if not gsd_m > 0:
            raise ValueError(
                f'{name}: the ground sampling distance is {gsd_m} m, and no window can be shared with other '
                'images; set co_registered to False, or give it in the metadata.'
            )
        return gsd_m

    def _prepared(
        self, name: ModalityName, one: PretrainImage, ground: GroundWindow
    ) -> tuple[Tensor, Tensor]:
        wanted = self.inputs[name]
        height, width = one.image.shape[1:]
        window = pixel_window(ground, height, width, self._unit(name, one))
        image = resized(cropped(one.image, window), wanted.size_px)
        axes = [axis for axis, flip in ((1, ground.upside_down), (2, ground.mirrored)) if flip]
        image = wanted.normalised(image.flip(axes) if axes else image)
        if self.fill is not None:
            image = image.nan_to_num(self.fill)
        # Images of local patches are in UTM, those of whole cells in longitude and latitude.
        square_in: SquareIn = 'metres' if wanted.modality.local else 'degrees'
        vector = followed(one.metadata, window, height, width, wanted.size_px, square_in)
        return image, vector
