"""Kernels follow the names of bands, not their positions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from torchgeo_copernicus.models.ssl4eo import adapt_first_convolution
from torchgeo_copernicus.models.ssl4eo.first_convolution import select_bands
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA, resolve_bands

ALL = S2_TOA.band_names
WEIGHT = torch.randn(4, 13, 3, 3, generator=torch.Generator().manual_seed(0))


def test_bands_in_another_order_give_the_same_response() -> None:
    # EuroSAT stores B8A last.
    stored = [name for name in ALL if name != 'B8A'] + ['B8A']
    image = torch.rand(1, 13, 8, 8)
    moved = image[:, [ALL.index(name) for name in stored]]
    fitted = adapt_first_convolution(WEIGHT, ALL, resolve_bands(stored))
    torch.testing.assert_close(F.conv2d(moved, fitted), F.conv2d(image, WEIGHT))
    assert not torch.allclose(F.conv2d(moved, WEIGHT), F.conv2d(image, WEIGHT))


def test_a_missing_band_counts_as_zero() -> None:
    names = ['SWIR_1', 'B02', 'B8A']
    bands = select_bands(ALL, names)
    assert [band.name for band in bands] == ['B11', 'B02', 'B8A']
    few, image = torch.rand(1, 3, 8, 8), torch.zeros(1, 13, 8, 8)
    image[:, [ALL.index(band.name) for band in bands]] = few
    fitted = adapt_first_convolution(WEIGHT, ALL, bands)
    torch.testing.assert_close(F.conv2d(few, fitted), F.conv2d(image, WEIGHT))


def test_rescaling_keeps_the_response_to_an_even_image() -> None:
    even = torch.ones_like(WEIGHT)
    bands = select_bands(ALL, ['B02', 'B03'])
    fitted = adapt_first_convolution(even, ALL, bands, rescale=True)
    assert fitted.sum() == pytest.approx(even.sum())
    assert torch.equal(fitted, 6.5 * adapt_first_convolution(even, ALL, bands))


def test_the_pretrained_kernels_are_not_shared() -> None:
    fitted = adapt_first_convolution(WEIGHT, ALL, S2_TOA.bands)
    assert torch.equal(fitted, WEIGHT)
    assert fitted.data_ptr() != WEIGHT.data_ptr()


@pytest.mark.parametrize('names', [['VV'], ['B02', 'VH'], ['NO2']])
def test_bands_without_pretrained_weights_are_named(names: list[str]) -> None:
    with pytest.raises(ValueError, match=rf'no pretrained weights for the bands .*{names[-1]}'):
        select_bands(ALL, names)
    with pytest.raises(ValueError, match='no pretrained weights'):
        adapt_first_convolution(WEIGHT, ALL, resolve_bands(names))


def test_a_band_of_rgb_models_is_found_by_its_name() -> None:
    assert S2_TOA.rgb == ('B04', 'B03', 'B02')
    kernels = adapt_first_convolution(WEIGHT[:, :3], S2_TOA.rgb, select_bands(S2_TOA.rgb, ['BLUE']))
    assert torch.equal(kernels, WEIGHT[:, 2:3])
    with pytest.raises(ValueError, match='B08'):
        select_bands(S2_TOA.rgb, ['B08'])
    with pytest.raises(ValueError, match='Unknown band'):
        select_bands(S2_TOA.rgb, ['B99'])


@pytest.mark.parametrize('weight', [WEIGHT[:, :12], WEIGHT[0]])
def test_kernels_for_other_bands_are_refused(weight: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r'first convolution has the shape.*wanted 13 channels'):
        adapt_first_convolution(weight, ALL, S2_TOA.bands)


def test_all_bands_are_those_of_the_pretraining() -> None:
    assert select_bands(S1_GRD.band_names, None) == S1_GRD.bands
