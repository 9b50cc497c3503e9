"""What a model sees of an image: crop or resize, statistics of the right bands, missing values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_copernicus.embedding.footprint import box_corners
from torchgeo_copernicus.embedding.image import EmbeddingImage
from torchgeo_copernicus.embedding.preprocessing import KindPreprocessing, Preprocessing
from torchgeo_copernicus.embedding.sources.pretrain_cell import pretrain_kinds
from torchgeo_copernicus.sensors import S1_GRD


def image(pixels: Tensor, modality: str = 's1_grd', gsd_m: float = 10.0) -> EmbeddingImage:
    metadata = torch.tensor([10.0, 50.0, 18_000.0, gsd_m])
    return EmbeddingImage('key', modality, pixels, metadata, 'file', box_corners(0, 0, 8, 8))


def prepare(modality: str = 's1_grd', **options: Any) -> KindPreprocessing:
    kinds = pretrain_kinds([modality])  # type: ignore[list-item]
    return Preprocessing(**options).of(kinds)[modality]


def test_sides_are_the_published_ones_unless_said_otherwise() -> None:
    kinds = pretrain_kinds(['s1_grd', 's2_toa', 's3_olci', 's5p_no2', 'dem'])
    sizes = {name: one.size_px for name, one in Preprocessing().of(kinds).items()}
    assert sizes == {'s1_grd': 224, 's2_toa': 224, 's3_olci': 96, 's5p_no2': 28, 'dem': 960}


def test_the_whole_image_is_resized_and_the_sampling_distance_follows() -> None:
    made = prepare(sizes_px={'s1_grd': 4})(image(torch.randn(2, 8, 8)))
    assert made.image.shape == (2, 4, 4)
    assert made.metadata.tolist() == [10, 50, 18_000, 20]
    np.testing.assert_array_equal(made.corners, box_corners(0, 0, 8, 8))  # type: ignore[arg-type]


def test_a_centre_crop_is_not_resampled_and_has_its_own_footprint() -> None:
    pixels = torch.randn(2, 8, 8)
    made = prepare(sizes_px={'s1_grd': 4}, center_crop=True)(image(pixels))
    mean, std = (torch.tensor(v)[:, None, None] for v in S1_GRD.statistics.of(S1_GRD.bands))
    assert torch.equal(made.image, (pixels[:, 2:6, 2:6] - mean) / std)
    assert made.metadata.tolist() == [10, 50, 18_000, 10]
    np.testing.assert_allclose(made.corners, box_corners(2, 2, 6, 6))  # type: ignore[arg-type]


def test_a_centre_crop_of_a_small_image_is_the_whole_of_it() -> None:
    made = prepare(sizes_px={'s1_grd': 16}, center_crop=True)(image(torch.randn(2, 8, 8)))
    assert made.metadata.tolist() == [10, 50, 18_000, 5]
    assert made.image.shape == (2, 16, 16)


def test_missing_values_become_the_mean_after_normalising_and_are_counted() -> None:
    pixels = torch.full((2, 8, 8), -12.59)
    pixels[:, :2] = torch.nan
    pixels[1, 7] = torch.inf
    made = prepare(sizes_px={'s1_grd': 8})(image(pixels))
    assert made.image.isfinite().all()
    assert made.missing_share == pytest.approx((2 * 16 + 8) / 128)
    assert made.image[0].abs().max() < 1e-5
    assert (made.image[1, :2] == 0).all() and (made.image[1, 2:7] != 0).all()


def test_radiance_is_not_scaled_once_more() -> None:
    made = prepare('s3_olci')(image(torch.full((21, 96, 96), 50.0), 's3_olci'))
    assert torch.allclose(made.image, torch.full((21, 96, 96), 50.0))


def test_given_statistics_are_by_band_and_not_by_place() -> None:
    given = {'s1_grd': {'VH': [1.0, 2.0], 'VV': [3.0, 4.0]}}
    one = prepare(statistics=given, sizes_px={'s1_grd': 8})
    made = one(image(torch.full((2, 8, 8), 5.0)))
    assert made.image[:, 0, 0].tolist() == [0.5, 2.0]
    assert one.facts()['mean'] == [3.0, 1.0]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'sizes_px': {'dem': 64}}, r"sizes_px names \['dem'\]"),
        ({'sizes_px': {'s1_grd': 1.5}}, 'whole number of pixels'),
        ({'sizes_px': 16}, 'mapping by modality'),
        ({'statistics': {'s1_grd': {'VV': [0, 1]}}}, r"lack the bands \['VH'\]"),
        ({'statistics': {'s1_grd': {'VV': [0, 0], 'VH': [0, 1]}}}, 'second above zero'),
        ({'statistics': {'s1_grd': {'VV': [0], 'VH': [0, 1]}}}, 'second above zero'),
        ({'statistics': {'s1_grd': {'B02': [0, 1]}}}, "Unknown band 'B02'"),
        ({'statistics': {'s1_grd': [0, 1]}}, 'by band name'),
        ({'center_crop': 'yes'}, 'allowed are true and false'),
    ],
)
def test_impossible_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(**options)


@pytest.mark.parametrize('shape', [(3, 8, 8), (2, 8), (2, 0, 8)])
def test_an_image_with_other_bands_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r'key: an image of s1_grd is .*VV'):
        prepare()(image(torch.zeros(shape)))
