"""Batches of cells that differ: nothing made up, nothing shifted to another sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.pretrain.collate import collate_lists, collate_padded
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES
from torchgeo_copernicus.datasets.pretrain.selection import Selection


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pretrain_geotiff(tmp_path_factory.mktemp('pretrain'), 4, 0, 16)


@pytest.fixture(scope='module')
def samples(root: Path) -> list[Sample]:
    dataset = CopernicusPretrainGeoTIFF(root)
    return [dataset[row] for row in range(4)]


def test_lists_hold_the_entries_of_the_samples_that_have_them(samples: list[Sample]) -> None:
    batch = collate_lists(samples)
    assert batch['grid_id'].tolist() == [sample['grid_id'] for sample in samples]
    for name in MODALITY_NAMES:
        have = [row for row in range(4) if name in samples[row]['image']]
        assert torch.nonzero(batch['present'][name])[:, 0].tolist() == have
        for key in ('image', 'metadata'):
            assert len(batch[key][name]) == len(have)
            assert all(
                found is samples[row][key][name]
                for found, row in zip(batch[key][name], have, strict=True)
            )
    assert set(batch['local_id']) == {'s1_grd', 's2_toa'}


def test_padded_images_are_those_of_the_samples_and_nothing_else_is_finite(
    samples: list[Sample],
) -> None:
    batch = collate_padded(samples)
    for name, image in batch['image'].items():
        present, metadata = batch['present'][name], batch['metadata'][name]
        assert image.dtype == metadata.dtype == torch.float32
        assert image.shape[:2] == present.shape == metadata.shape[:2]
        for row, sample in enumerate(samples):
            images = sample['image'].get(name, [])
            images = [images] if name == 'dem' and len(images) else images
            assert present[row].sum() == len(images)
            assert present[row, : len(images)].all()
            for position, one in enumerate(images):
                h, w = one.shape[1:]
                found = image[row, position]
                torch.testing.assert_close(found[:, :h, :w], one, rtol=0, atol=0, equal_nan=True)
                assert found.isfinite().sum() == one.isfinite().sum()
            if images:
                rows = sample['metadata'][name].reshape(-1, 4)
                torch.testing.assert_close(
                    metadata[row, : len(images)], rows, rtol=0, atol=0, equal_nan=True
                )
        assert image[~present].isnan().all()
        assert metadata[~present].isnan().all()
        if name in ('s1_grd', 's2_toa'):
            assert ((batch['local_id'][name] >= 0) == present).all()
    assert batch['local_id']['s2_toa'][2].unique().tolist()[-3:] == (
        samples[2]['local_id']['s2_toa'].unique().tolist()
    )


def test_a_single_drawn_image_is_a_series_of_one(root: Path) -> None:
    dataset = CopernicusPretrainGeoTIFF(root, selection=Selection(patches=1, dates='random'))
    samples = [dataset[row] for row in range(4)]
    batch = collate_padded(samples)
    assert {present.shape for present in batch['present'].values()} == {(4, 1)}
    assert batch['local_id']['s1_grd'][:, 0].tolist() == [
        sample['local_id'].get('s1_grd', -1) for sample in samples
    ]


def test_a_stack_of_images_of_one_size_is_a_series_too(samples: list[Sample]) -> None:
    # As the shards have them.
    stacked: Sample = {
        **samples[0],
        'image': {'s5p_co': torch.stack(samples[0]['image']['s5p_co'])},
        'metadata': {'s5p_co': samples[0]['metadata']['s5p_co']},
        'local_id': {},
    }
    batch = collate_padded([stacked, samples[1]])
    count = len(samples[0]['image']['s5p_co'])
    assert batch['present']['s5p_co'][0].sum() == count
    height, width = samples[0]['image']['s5p_co'][0].shape[1:]
    found = batch['image']['s5p_co'][0, :count, :, :height, :width]
    assert torch.equal(found, stacked['image']['s5p_co'])


def test_a_modality_that_no_sample_has_is_not_made_up(samples: list[Sample]) -> None:
    for collate in (collate_lists, collate_padded):
        batch = collate([samples[3]])
        for key in ('image', 'metadata'):
            assert set(batch[key]) == set(samples[3]['image'])
    assert not collate_lists([samples[3]])['present']['dem'].any()


@pytest.mark.parametrize('collate', [collate_lists, collate_padded])
def test_what_is_no_sample_is_refused(collate: Any, samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match='no samples'):
        collate([])
    with pytest.raises(ValueError, match=r"but lacks \['metadata', 'local_id'\]"):
        collate([{'grid_id': 5, 'image': {}}])


def test_images_of_different_bands_are_not_padded_over(samples: list[Sample]) -> None:
    wrong = {**samples[0], 'image': {'s5p_co': [torch.zeros(2, 4, 4)]}}
    wrong['metadata'] = {'s5p_co': torch.zeros(1, 4)}
    with pytest.raises(ValueError, match=r's5p_co has images of \[1, 2\] bands'):
        collate_padded([wrong, samples[1]])
