"""Samples of Copernicus-Pretrain as both formats give them, tiny, and a dataset of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.draw import drawn
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName
from torchgeo_copernicus.datasets.pretrain.selection import Selection

SMALL_PX: Mapping[ModalityName, int] = {
    's1_grd': 16,
    's2_toa': 16,
    's3_olci': 8,
    's5p_co': 4,
    's5p_no2': 4,
    's5p_o3': 4,
    's5p_so2': 4,
    'dem': 64,
}


def fake_sample(
    grid_id: int,
    modalities: Sequence[ModalityName],
    *,
    images: int | None = None,
    as_list: bool = False,
    size_px: int = 20,
    draw: int = 0,
    latitude: float = 50.0,
) -> Sample:
    """Return a sample of random images around 100; `images` of each but elevation, one when None."""
    sample: Sample = {'grid_id': grid_id, 'image': {}, 'metadata': {}, 'local_id': {}}
    for name in modalities:
        modality = MODALITIES[name]
        generator = torch.Generator().manual_seed(drawn(grid_id, draw, len(name)) >> 1)
        single = images is None or name == 'dem'
        count = 1 if images is None or single else images
        found = []
        for number in range(count):
            side = size_px + (number if as_list else 0)
            noise = torch.randn(len(modality.sensor.bands), side, size_px, generator=generator)
            found.append(100 + noise)
        day = float('nan') if name == 'dem' else 18_000.0
        rows = torch.tensor(
            [[12.0, latitude, day + i, modality.sensor.gsd_m] for i in range(count)]
        )
        if name == 'dem':
            rows[:, 2] = torch.nan
        sample['image'][name] = found[0] if single else found if as_list else torch.stack(found)
        sample['metadata'][name] = rows[0] if single else rows
        if modality.local:
            ids = torch.arange(count) // 2 + 1000 * grid_id
            sample['local_id'][name] = int(ids[0]) if single else ids
    return sample


class FakeCells:
    """Cells of which some lack modalities, as a map-style dataset that draws anew in each epoch."""

    def __init__(
        self,
        count: int = 12,
        modalities: Sequence[ModalityName] | None = None,
        selection: Selection | None = None,
        seed: int = 0,
        size_px: int = 20,
    ) -> None:
        self.count, self.size_px, self.seed, self.epoch = count, size_px, seed, 0
        self.modalities: Sequence[ModalityName] = modalities or list(MODALITIES)
        self.selection = selection or Selection()

    def __len__(self) -> int:
        return self.count

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.count:
            raise IndexError(index)
        there = [name for n, name in enumerate(self.modalities) if (index + n) % 4 or n == 0]
        draw = drawn(self.seed, self.epoch, index) % 1000
        return fake_sample(index, there, draw=draw, size_px=self.size_px)

    @property
    def grid_ids(self) -> NDArray[np.int64]:
        return np.arange(self.count)


def same_batches(first: Sequence[Sample], second: Sequence[Sample]) -> bool:
    """Return whether batches are equal to the last bit, NaN being equal to NaN."""
    return len(first) == len(second) and all(map(_same, first, second))


def _same(first: object, second: object) -> bool:
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    return first.dtype == second.dtype and torch.equal(
        first.double().nan_to_num(-9e9), second.double().nan_to_num(-9e9)
    )
