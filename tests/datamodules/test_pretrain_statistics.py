"""Statistics and sizes of the modalities for pretraining."""

import pytest
import torch

from torchgeo_copernicus.datamodules.pretrain_measure import measured_statistics
from torchgeo_copernicus.datamodules.pretrain_statistics import pretrain_inputs
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES
from torchgeo_copernicus.sensors import OLCI_SCALE

COLUMNS = [name for name in MODALITY_NAMES if name.startswith('s5p_')]
OTHERS = [name for name in MODALITY_NAMES if name not in COLUMNS]


def test_sizes_and_kernels_are_the_published_ones() -> None:
    inputs = pretrain_inputs(s5p='published')
    assert list(inputs) == list(MODALITY_NAMES)
    sizes = [inputs[name].size_px for name in MODALITY_NAMES]
    assert sizes == [224, 224, 96, 28, 28, 28, 28, 960]
    tokens = [(one.size_px // one.kernel_size) ** 2 for one in inputs.values()]
    assert tokens == [196, 196, 144, 49, 49, 49, 49, 225]


def test_statistics_are_the_published_ones_by_band() -> None:
    inputs = pretrain_inputs(OTHERS)
    s2 = inputs['s2_toa'].normalised(torch.full((13, 1, 1), 1612.9))
    # B01 is at its mean; B8A, the ninth, at (1612.9 - 2581.0) / 1345.9.
    assert s2[0].item() == pytest.approx(0, abs=1e-6)
    assert s2[8].item() == pytest.approx(-0.719296, rel=1e-5)
    s1 = inputs['s1_grd'].normalised(torch.tensor([-12.59, -20.26])[:, None, None])
    assert s1.abs().max() < 1e-6
    assert inputs['dem'].normalised(torch.full((1, 1, 1), 2500.0)).item() == 0.25


def test_sentinel_3_is_not_scaled_twice() -> None:
    # Datasets give radiance, which the published training did not scale any further.
    radiance = torch.rand(21, 2, 2) * 100
    one = pretrain_inputs(['s3_olci'])['s3_olci']
    assert torch.allclose(one.normalised(radiance), radiance)
    assert one.statistics.unit == 'mW m-2 sr-1 nm-1'
    counts = radiance / torch.tensor(list(OLCI_SCALE.values()))[:, None, None]
    assert not torch.allclose(one.normalised(counts), radiance)


def test_no_statistics_are_made_up_for_sentinel_5p() -> None:
    with pytest.raises(ValueError, match=r"No statistics of \['s5p_no2'\] are published.*s5p='pub"):
        pretrain_inputs(['s5p_no2', 'dem'])
    with pytest.raises(ValueError, match='s5p_co'):
        pretrain_inputs()


def test_the_variance_of_columns_is_not_erased() -> None:
    # A masked autoencoder divides by sqrt(var + 1e-6), which the published columns are far below.
    generator = torch.Generator().manual_seed(0)
    columns = 2e-5 + 1e-5 * torch.randn(1, 28, 28, generator=generator)
    given = {'s5p_no2': {'NO2': [2e-5, 1e-5]}}
    ours = pretrain_inputs(['s5p_no2'], given)['s5p_no2'].normalised(columns)
    assert ours.var().item() == pytest.approx(1, rel=0.2)
    published = pretrain_inputs(['s5p_no2'], s5p='published')['s5p_no2'].normalised(columns)
    assert torch.equal(published, columns)
    assert published.var() < 1e-6


def test_missing_pixels_stay_missing_when_normalised() -> None:
    image = torch.tensor([[[torch.nan, 100.0]]])
    found = pretrain_inputs(['dem'])['dem'].normalised(image)
    assert found.isnan().tolist() == [[[True, False]]]


def test_given_statistics_and_sizes_are_used_by_band_and_alias() -> None:
    given = {'dem': {'DEM': (500, 250.0)}, 's1_grd': {'VH': [-20, 2], 'VV': [-10, 1]}}
    inputs = pretrain_inputs(['dem', 's1_grd'], given, sizes_px={'dem': 128})
    assert list(inputs) == ['s1_grd', 'dem']
    assert inputs['dem'].size_px == 128
    assert inputs['dem'].normalised(torch.full((1, 1, 1), 750.0)).item() == 1
    assert inputs['s1_grd'].normalised(torch.zeros(2, 1, 1)).flatten().tolist() == [10, 10]
    s2 = {f'B{i}': [i, 1] for i in range(1, 13)}
    s2['B8A'] = [100, 1]
    found = pretrain_inputs(['s2_toa'], {'s2_toa': s2})['s2_toa'].normalised(torch.zeros(13, 1, 1))
    assert found.flatten().tolist() == [-1, -2, -3, -4, -5, -6, -7, -8, -100, -9, -10, -11, -12]


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'modalities': ['s4']}, 'Unknown modalities'),
        ({'s5p': 'raw'}, "Allowed: 'standardise', 'published'"),
        ({'s5p': 'published'}, 'no Sentinel-5P among'),
        ({'statistics': {'s5p_co': {'CO': [0, 1]}}}, 'not among the modalities'),
        ({'statistics': [1, 2]}, 'wanted a mapping'),
        ({'statistics': {'dem': [1, 2]}}, 'give .mean, std. by band'),
        ({'statistics': {'dem': {'height': [1, 2]}}}, "Unknown band 'height'"),
        ({'statistics': {'s1_grd': {'VV': [1, 2]}}}, r"lack the bands \['VH'\]"),
        ({'statistics': {'dem': {'DEM': [1]}}}, 'two numbers'),
        ({'statistics': {'dem': {'DEM': [1, 0]}}}, 'above zero'),
        ({'statistics': {'dem': {'DEM': [float('nan'), 1]}}}, 'two numbers'),
        ({'statistics': {'dem': {'DEM': ['1', 1]}}}, 'two numbers'),
        ({'sizes_px': {'dem': 100}}, 'multiple of the 64 px'),
        ({'sizes_px': {'dem': 64.0}}, 'multiple of the 64 px'),
        ({'sizes_px': {'s5p_co': 28}}, 'not among the modalities'),
    ],
)
def test_impossible_arguments_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pretrain_inputs(**({'modalities': OTHERS} | options))  # type: ignore[arg-type]


def test_statistics_given_and_not_wanted_are_a_contradiction() -> None:
    with pytest.raises(ValueError, match='leave one of them'):
        pretrain_inputs(['s5p_co'], {'s5p_co': {'CO': [0, 1]}}, s5p='published')


def sample(**images: torch.Tensor) -> dict[str, object]:
    return {
        'image': images,
        'metadata': {
            name: torch.zeros(4 if image.ndim == 3 else (len(image), 4))
            for name, image in images.items()
        },
        'local_id': {
            name: 1 if image.ndim == 3 else torch.ones(len(image))
            for name, image in images.items()
            if MODALITIES[name].local
        },
    }


def test_measured_statistics_count_each_known_pixel_once() -> None:
    generator = torch.Generator().manual_seed(1)
    series = 3e-5 + 1e-6 * torch.randn(3, 1, 8, 8, generator=generator)
    single = 2e-5 + 1e-6 * torch.randn(1, 5, 7, generator=generator)
    series[0, 0, :4] = torch.nan
    s1 = torch.randn(2, 4, 4, generator=generator)
    found = measured_statistics([sample(s5p_no2=series, s1_grd=s1), sample(s5p_no2=single)])
    known = torch.cat([series[series.isfinite()], single.flatten()]).double()
    mean, std = found['s5p_no2']['NO2']
    assert mean == pytest.approx(known.mean().item(), rel=1e-9)
    assert std == pytest.approx(known.std(correction=0).item(), rel=1e-6)
    assert found['s1_grd']['VH'][0] == pytest.approx(s1[1].mean().item(), rel=1e-5)
    # In the form that is asked for.
    one = pretrain_inputs(['s5p_no2'], {'s5p_no2': found['s5p_no2']})['s5p_no2']
    assert one.normalised(known.float()[None, None]).mean().abs() < 1e-3


def test_what_cannot_be_measured_is_named() -> None:
    with pytest.raises(ValueError, match='CO has no known pixel'):
        measured_statistics([sample(s5p_co=torch.full((1, 2, 2), torch.nan))])
    with pytest.raises(ValueError, match=r'O3 is 1.0 everywhere'):
        measured_statistics([sample(s5p_o3=torch.ones(1, 2, 2))])
