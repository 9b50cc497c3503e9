"""Batches are a function of the unit alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from torchgeo_copernicus.embedding.image import EmbeddingImage, ImageKind
from torchgeo_copernicus.embedding.preprocessing import Preprocessing
from torchgeo_copernicus.embedding.sources.pretrain_cell import pretrain_kinds
from torchgeo_copernicus.embedding.units import UnitBatch, UnitStream, count_units


class Source:
    """Items of 0, 1, 2, 0, 1, ... images."""

    kinds: Mapping[str, ImageKind] = pretrain_kinds(['s1_grd', 'dem'])
    fingerprint: Mapping[str, object] = {}

    def __init__(self, modality: str = 's1_grd') -> None:
        self.modality = modality

    def __len__(self) -> int:
        return 10

    def items(self, index: int) -> list[EmbeddingImage]:
        pixels, metadata = torch.full((2, 4, 4), float(index)), torch.zeros(4)
        return [
            EmbeddingImage(f'{index}/{n}', self.modality, pixels, metadata, 'f')
            for n in range(index % 3)
        ]


def batches(units: list[int], source: Any = None, size: int = 2) -> list[UnitBatch]:
    source = source or Source()
    prepared = Preprocessing(sizes_px={'s1_grd': 4}).of(source.kinds)
    return list(UnitStream(source, prepared, units, items_per_unit=4, batch_size=size))


def test_the_batches_of_a_unit_do_not_depend_on_other_units() -> None:
    assert count_units(10, 4) == 3 and count_units(8, 4) == 2
    alone = {unit: batches([unit]) for unit in range(3)}
    together = batches([2, 0, 1])
    for batch in together:
        other = alone[batch.unit].pop(0)
        assert torch.equal(batch.images, other.images) and batch.modality == other.modality
    assert alone == {0: [], 1: [], 2: []}


def test_items_without_an_image_are_counted_and_the_last_unit_is_shorter() -> None:
    ends = [batch.end for batch in batches([0, 1, 2]) if batch.end is not None]
    assert [(end.items, end.empty_items, len(end.rows)) for end in ends] == [
        (4, 2, 3),
        (4, 1, 4),
        (2, 1, 2),
    ]
    assert [row.key for row in ends[0].rows] == ['1/0', '2/0', '2/1']


def test_a_batch_that_is_full_by_the_end_of_a_unit_comes_once() -> None:
    sizes = [len(batch.images) for batch in batches([1])]
    assert sizes == [2, 2, 0]


def test_a_modality_that_a_source_did_not_announce_is_named() -> None:
    with pytest.raises(ValueError, match="1/0 is of 's2_toa', which is none of the kinds"):
        batches([0], Source('s2_toa'))


def test_batches_move_as_a_whole() -> None:
    batch = batches([0])[0].to(torch.device('meta'))
    assert batch.images.device.type == batch.metadata.device.type == 'meta'
    assert batch.modality == 's1_grd'
