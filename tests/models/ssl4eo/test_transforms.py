"""Images come to a model as its training had them."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
import torch
from torch import Tensor

from torchgeo_copernicus.models.ssl4eo import (
    ENTRIES,
    SSL4EOS12ResNet18_Weights,
    SSL4EOS12ResNet50_Weights,
    SSL4EOTransforms,
)
from torchgeo_copernicus.models.ssl4eo.normalisation import allowed_normalisations, scaling_of
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

S2 = SSL4EOS12ResNet50_Weights.SENTINEL2_L1C_ALL_MOCO.transforms
S1 = SSL4EOS12ResNet50_Weights.SENTINEL1_GRD_MOCO.transforms
RGB = SSL4EOS12ResNet18_Weights.SENTINEL2_L1C_RGB_MOCO.transforms
# As they come, so that numbers can be compared.
WHOLE = {'resize_px': None, 'crop_px': None}


def plane(values: list[float], bands: int) -> Tensor:
    return torch.tensor(values)[None, None, :].repeat(bands, 1, 1)


def test_the_callers_image_is_not_changed_at_the_size_it_needs() -> None:
    # TorchGeo's transforms divide it by 10000 in place when it is 256 x 256.
    image = torch.full((13, 256, 256), 5000.0)
    found = S2(image)
    assert torch.equal(image, torch.full((13, 256, 256), 5000.0))
    assert torch.equal(found, torch.full((13, 224, 224), 0.5))
    as_it_is = dataclasses.replace(S2, **WHOLE)
    image = torch.full((13, 4, 4), 20000.0)
    assert as_it_is(image).max() == 1
    assert image.max() == 20000


def test_bright_pixels_are_clipped() -> None:
    whole = dataclasses.replace(S2, **WHOLE)
    found = whole(plane([-5, 0, 2500, 10000, 20000], 13))
    assert torch.equal(found, plane([0, 0, 0.25, 1, 1], 13))


def test_the_offset_of_new_products_is_taken_off_first() -> None:
    whole = dataclasses.replace(S2, offset_dn=1000, **WHOLE)
    found = whole(plane([500, 1000, 3500, 12000], 13))
    torch.testing.assert_close(found, plane([0, 0, 0.25, 1], 13))


def test_radar_is_stretched_as_in_the_training() -> None:
    whole = dataclasses.replace(S1, **WHOLE)
    image = torch.stack([torch.tensor([[-50.0, -12.548, -10.0, 5.0]]), torch.full((1, 4), -20.192)])
    # (x - (m - 2 s)) / (4 s), as 0.25 (x - m) / s + 0.5.
    expected = torch.tensor([[0, 0.5, 0.25 * 2.548 / 5.257 + 0.5, 1]])
    torch.testing.assert_close(whole(image)[0], expected)
    torch.testing.assert_close(whole(image)[1], torch.full((1, 4), 0.5))


def test_standardising_is_torchgeos_and_four_times_as_wide() -> None:
    other = dataclasses.replace(S1, normalisation='standardise', **WHOLE)
    image = torch.stack([torch.tensor([[-50.0, -12.59]]), torch.tensor([[-50.0, -20.26]])])
    expected = [[(-50 + 12.59) / 5.26, 0], [(-50 + 20.26) / 5.91, 0]]
    torch.testing.assert_close(other(image)[:, 0], torch.tensor(expected))


def test_rgb_may_be_stretched_like_the_8_bit_release() -> None:
    stretched = dataclasses.replace(RGB, normalisation='stretch', **WHOLE)
    mean = torch.tensor([1373.1, 1322.3, 1397.6])[:, None, None]  # B04, B03, B02.
    torch.testing.assert_close(stretched(mean), torch.full((3, 1, 1), 0.5))
    torch.testing.assert_close(
        stretched(mean + torch.tensor([1144.9, 878.7, 854.3])[:, None, None]),
        torch.full((3, 1, 1), 0.75),
    )
    shifted = dataclasses.replace(stretched, offset_dn=1000)
    torch.testing.assert_close(shifted(mean + 1000), stretched(mean))


def test_the_8_bit_steps_of_the_training_can_be_had() -> None:
    steps = dataclasses.replace(S2, quantised=True, **WHOLE)
    # The mean of B10, 22, was lost in them.
    found = steps(plane([22, 39, 40, 10000], 13))
    assert torch.equal(found, plane([0, 0, 1 / 255, 1], 13))


def test_every_entry_has_the_scaling_of_its_training() -> None:
    for entry in ENTRIES.values():
        radar = entry.bands == S1_GRD.band_names
        assert entry.transforms.normalisation == ('stretch' if radar else 'reflectance')
        assert entry.transforms.bands == entry.bands


@pytest.mark.parametrize('shape', [(13, 120, 120), (2, 13, 264, 200), (1, 2, 13, 300, 256)])
@pytest.mark.parametrize('dtype', [torch.uint16, torch.int16, torch.float32, torch.float16])
def test_images_of_any_type_and_size_come_out_alike(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    found = S2(torch.full(shape, 2000).to(dtype))
    assert found.shape == (*shape[:-2], 224, 224)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full_like(found, 0.2))
    assert S2(torch.zeros(shape, dtype=torch.float64)).dtype == torch.float64


def test_values_are_clipped_before_they_are_mixed_by_resizing() -> None:
    image = torch.zeros(13, 512, 512)
    image[:, :, ::2] = 30000
    assert S2(image)[:, 50:100, 50:100].mean() == pytest.approx(0.5, abs=0.01)


def test_missing_values_stay_missing() -> None:
    image = torch.full((13, 4, 4), 100.0)
    image[:, 0, 0] = torch.nan
    found = dataclasses.replace(S2, **WHOLE)(image)
    assert found.isnan().sum() == 13


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'normalisation': 'minmax'}, "'minmax'; allowed for s2_toa are"),
        ({'quantised': True, 'normalisation': 'standardise'}, 'quantised is not for'),
        ({'resize_px': 0}, 'resize_px is 0'),
        ({'crop_px': 2.5}, 'crop_px is 2.5'),
        ({'crop_px': True}, 'crop_px is True'),
        ({'bands': ('B02', 'VV')}, 'not all of Sentinel-1 or all of Sentinel-2'),
        ({'bands': ('VV',), 'normalisation': 'reflectance'}, 'allowed for s1_grd are'),
        ({'bands': ('VV',), 'normalisation': 'stretch', 'offset_dn': 1000}, 'no such offset'),
    ],
)
def test_settings_that_are_not_understood_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(S2, **options)


@pytest.mark.parametrize(
    ('image', 'got'),
    [
        (torch.zeros(12, 8, 8), r'\[12, 8, 8\]'),
        (torch.zeros(8, 8), r'\[8, 8\]'),
        ([1, 2], 'list'),
        (torch.zeros(13, 8, 8, dtype=torch.bool), 'torch.bool'),
        (torch.zeros(13, 8, 8, dtype=torch.complex64), 'torch.complex64'),
    ],
)
def test_what_is_no_such_image_is_refused(image: object, got: str) -> None:
    with pytest.raises(ValueError, match=f'Wanted an image.*{got}'):
        S2(image)  # type: ignore[arg-type]


def test_every_way_has_an_effect() -> None:
    for bands in (S1_GRD.band_names, S2_TOA.rgb, S2_TOA.band_names):
        scalings = [scaling_of(bands, way) for way in allowed_normalisations(bands)]
        assert len(set(scalings)) == len(scalings) >= 2


def test_transforms_can_be_copied_and_sent_to_other_processes() -> None:
    for again in (copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))):
        assert again(S1) == S1
    assert isinstance(S1, SSL4EOTransforms)
    assert S1 != S2
