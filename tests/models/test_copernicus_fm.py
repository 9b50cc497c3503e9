from __future__ import annotations

import warnings
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torchgeo.models import CopernicusFM as TorchGeoCopernicusFM

from tests.models.golden import language_vector
from torchgeo_copernicus.models import CopernicusFM
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA, S3_OLCI

NAN = float('nan')
HERE = (11.57, 48.14, 18262.0, 10.0)
THERE = (-122.42, 37.77, 18627.0, 10.0)


@pytest.fixture(scope='module')
def model() -> CopernicusFM:
    torch.manual_seed(0)
    return CopernicusFM(embed_dim=64, depth=3, num_heads=4).eval()


def images(batch: int = 2, channels: int = 13, height: int = 64, width: int = 64) -> Tensor:
    return torch.randn(
        batch, channels, height, width, generator=torch.Generator().manual_seed(batch + channels)
    )


def metadata(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float32)


@pytest.mark.parametrize('field', range(4))
@torch.no_grad()
def test_one_missing_field_does_not_change_other_samples(model: CopernicusFM, field: int) -> None:
    x = images()
    broken = list(THERE)
    broken[field] = NAN
    both = model(x, metadata(HERE, THERE), bands=S2_TOA)
    mixed = model(x, metadata(HERE, tuple(broken)), bands=S2_TOA)
    alone = model(x[1:], metadata(tuple(broken)), bands=S2_TOA)
    torch.testing.assert_close(mixed[0], both[0])
    torch.testing.assert_close(mixed[1:], alone)
    assert not torch.allclose(mixed[1], both[1])


@torch.no_grad()
def test_missing_metadata_is_the_learned_token_for_all_fields(model: CopernicusFM) -> None:
    x = images()
    unknown = model(x, metadata((NAN,) * 4, (NAN,) * 4), bands=S2_TOA)
    torch.testing.assert_close(model(x, bands=S2_TOA), unknown)


@torch.no_grad()
def test_the_output_does_not_depend_on_neighbours(model: CopernicusFM) -> None:
    x = images(4)
    rows = metadata(HERE, THERE, (NAN,) * 4, HERE)
    whole = model(x, rows, bands=S2_TOA)
    for index in range(4):
        one = model(x[index : index + 1], rows[index : index + 1], bands=S2_TOA)
        torch.testing.assert_close(one, whole[index : index + 1], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_permuting_bands_with_their_wavelengths_changes_nothing(model: CopernicusFM) -> None:
    x = images()
    order = torch.randperm(13, generator=torch.Generator().manual_seed(1)).tolist()
    permuted = model(x[:, order], bands=[S2_TOA.bands[i] for i in order])
    torch.testing.assert_close(permuted, model(x, bands=S2_TOA), rtol=0, atol=1e-5)
    assert not torch.allclose(model(x[:, order], bands=S2_TOA), permuted, atol=1e-4)


@torch.no_grad()
def test_bands_stand_for_their_wavelengths(model: CopernicusFM) -> None:
    x = images(channels=2)
    expected = model(x, wavelengths_nm=[490, 842], bandwidths_nm=[65, 115])
    assert torch.equal(model(x, bands=['B02', 'NIR_BROAD']), expected)
    x = images(channels=2, batch=1)
    by_value = model(x, wavelengths_nm=torch.tensor([5e7, 5e7]), bandwidths_nm=[1e9, 1e9])
    assert torch.equal(model(x, bands=S1_GRD), by_value)


@torch.no_grad()
def test_every_input_changes_the_output(model: CopernicusFM) -> None:
    x = images()
    base = model(x, metadata(HERE, HERE), bands=S2_TOA)
    narrow = [10.0] * 13
    nm = [band.wavelength_nm for band in S2_TOA.bands]
    for other in (
        model(x, metadata(THERE, THERE), bands=S2_TOA),
        model(x, metadata(HERE, HERE), bands=S2_TOA, kernel_size=8),
        model(x, metadata(HERE, HERE), wavelengths_nm=nm, bandwidths_nm=narrow),
    ):
        assert not torch.allclose(base, other, atol=1e-4)


@pytest.mark.parametrize(('height', 'width'), [(64, 96), (50, 77), (16, 16), (31, 128)])
@torch.no_grad()
def test_any_size_not_smaller_than_the_kernel_works(
    model: CopernicusFM, height: int, width: int
) -> None:
    maps = model.forward_intermediates(images(1, 13, height, width), bands=S2_TOA, indices=(0, 2))
    grid = [(height - 14) // 16 + 1, (width - 14) // 16 + 1]
    assert [list(m.shape) for m in maps] == [[1, 64, *grid]] * 2


@torch.no_grad()
def test_rows_and_columns_of_the_position_table_are_not_swapped(model: CopernicusFM) -> None:
    x = images(1, 13, 64, 96)
    upright = model.forward_intermediates(x, bands=S2_TOA, indices=[0])[0]
    turned = model.forward_intermediates(x.transpose(2, 3), bands=S2_TOA, indices=[0])[0]
    assert upright.shape[2:] == turned.shape[:1:-1]
    assert not torch.allclose(upright, turned.transpose(2, 3), atol=1e-3)


@torch.no_grad()
def test_head_of_features_is_forward(model: CopernicusFM) -> None:
    x = images()
    tokens = model.forward_features(x, bands=S2_TOA)
    assert tokens.shape == (2, 17, 64)
    torch.testing.assert_close(model.forward_head(tokens), model(x, bands=S2_TOA))
    classifier = CopernicusFM(embed_dim=64, depth=1, num_heads=4, num_classes=3, global_pool='avg')
    tokens = classifier.forward_features(x, bands=S2_TOA)
    assert classifier.forward_head(tokens).shape == (2, 3)
    assert classifier.forward_head(tokens, pre_logits=True).shape == (2, 64)


@torch.no_grad()
def test_intermediates_come_in_the_order_asked_for(model: CopernicusFM) -> None:
    x = images()
    first, last = model.forward_intermediates(x, bands=S2_TOA, indices=[0, 2])
    turned = model.forward_intermediates(x, bands=S2_TOA, indices=[-1, 0])
    assert torch.equal(turned[0], last)
    assert torch.equal(turned[1], first)
    before_norm = model.norm(last.flatten(2).transpose(1, 2))
    torch.testing.assert_close(before_norm, model.forward_features(x, bands=S2_TOA)[:, 1:])


@pytest.mark.parametrize('indices', [[], [3], [-4]])
def test_a_block_outside_the_encoder_is_refused(model: CopernicusFM, indices: list[int]) -> None:
    with pytest.raises(ValueError, match='blocks from -3 to 2'):
        model.forward_intermediates(images(), bands=S2_TOA, indices=indices)


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        ({}, 'exactly one way'),
        ({'bands': S2_TOA, 'wavelengths_nm': [490] * 13}, 'exactly one way'),
        ({'wavelengths_nm': [490] * 13}, 'go together'),
        ({'wavelengths_nm': [490] * 13, 'bandwidths_nm': [65]}, '13 wavelengths_nm, but 1'),
        ({'wavelengths_nm': [0.49] * 13, 'bandwidths_nm': [65] * 13}, r'0\.49 .*nanometres'),
        ({'wavelengths_nm': [490] * 13, 'bandwidths_nm': [0.065] * 13}, r'0\.065 .*nanometres'),
        ({'wavelengths_nm': [NAN] * 13, 'bandwidths_nm': [65] * 13}, 'nan .*nanometres'),
        ({'bands': S3_OLCI}, '13 channels, but 21'),
        ({'bands': ['B02', 'NO2']}, 'mixes spectral bands with variables'),
        ({'bands': ['B99']}, "Unknown band 'B99'"),
        ({'language_embedding': torch.zeros(2048)}, 'all zero'),
        ({'language_embedding': torch.ones(512)}, 'length 2048'),
        ({'language_embedding': torch.full((2048,), NAN)}, 'not finite'),
        ({'language_embedding': 's5p_ch4'}, 'No language vector'),
        ({'language_embedding': []}, 'language_embedding is empty'),
        ({'bands': S2_TOA, 'kernel_size': 65}, 'kernel_size 65 does not fit'),
        ({'bands': S2_TOA, 'kernel_size': 0}, 'kernel_size 0'),
    ],
)
def test_a_wrong_description_of_the_channels_is_named(
    model: CopernicusFM, inputs: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model(images(), **inputs)


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ((48.14, 111.57, 18262.0, 10.0), 'latitude is 111.57'),
        ((400.0, 48.14, 18262.0, 10.0), 'longitude is 400'),
        ((11.57, 48.14, 1.6e9, 10.0), 'days, not seconds'),
        ((11.57, 48.14, 18262.0, 0.0256), 'is it an area in km2'),
    ],
)
def test_metadata_in_a_wrong_unit_is_named(
    model: CopernicusFM, row: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model(images(), metadata(HERE, row), bands=S2_TOA)


def test_metadata_in_half_precision_is_refused_not_rounded(model: CopernicusFM) -> None:
    with pytest.raises(ValueError, match='cannot hold a date'):
        model(images(), metadata(HERE, HERE).bfloat16(), bands=S2_TOA)


@pytest.mark.parametrize(
    ('x', 'message'),
    [
        (torch.zeros(2, 13, 64, 64, dtype=torch.int32), 'floating point'),
        (torch.zeros(13, 64, 64), 'floating point'),
        (torch.zeros(3, 13, 64, 64), '2 rows for 3 images'),
    ],
)
def test_images_of_another_shape_are_named(model: CopernicusFM, x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(x, metadata(HERE, HERE), bands=S2_TOA)


@torch.no_grad()
def test_a_token_below_the_fourier_range_is_clamped_with_one_warning() -> None:
    model = CopernicusFM(embed_dim=64, depth=1, num_heads=4).eval()
    x = images(1)
    with pytest.warns(UserWarning, match='clamped'):
        one_metre = model(x, metadata((*HERE[:3], 1.0)), bands=S2_TOA)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        half_metre = model(x, metadata((*HERE[:3], 0.5)), bands=S2_TOA)
    torch.testing.assert_close(one_metre, half_metre)


@torch.no_grad()
def test_several_variables_each_have_their_vector(model: CopernicusFM) -> None:
    x = images(channels=2)
    vectors = torch.stack([language_vector(0), language_vector(1)])
    both = model(x, language_embedding=vectors, kernel_size=4)
    swapped = model(x.flip(1), language_embedding=vectors.flip(0), kernel_size=4)
    torch.testing.assert_close(both, swapped, rtol=0, atol=1e-5)
    assert not torch.allclose(both, model(x, language_embedding=vectors.flip(0), kernel_size=4))
    alone = model(x[:, :1], language_embedding=vectors[0], kernel_size=4)
    assert alone.shape == both.shape


@torch.no_grad()
def test_bfloat16_is_close_to_float32() -> None:
    torch.manual_seed(0)
    model = CopernicusFM(embed_dim=64, depth=3, num_heads=4).eval()
    x, rows = images(), metadata(HERE, (NAN,) * 4)
    for inputs in ({'bands': S2_TOA, 'kernel_size': 8}, {'bands': S2_TOA}):
        expected = model.float()(x, rows, **inputs)
        with torch.autocast('cpu', torch.bfloat16):
            autocast = model(x, rows, **inputs)
        pure = model.bfloat16()(x.bfloat16(), rows, **inputs)
        assert pure.dtype == torch.bfloat16
        scale = expected.abs().mean()
        for found in (autocast, pure):
            assert (found.float() - expected).abs().mean() < 0.03 * scale


def test_gradients_with_checkpointing_are_the_same() -> None:
    torch.manual_seed(0)
    model = CopernicusFM(embed_dim=64, depth=2, num_heads=4)
    grads = []
    for enable in (False, True):
        model.zero_grad()
        model.set_grad_checkpointing(enable)
        model(images(), metadata(HERE, THERE), bands=S2_TOA).square().sum().backward()
        grads.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name in grads[0]:
        torch.testing.assert_close(grads[0][name], grads[1][name])


def test_no_gradient_is_nan_when_metadata_is_missing() -> None:
    model = CopernicusFM(embed_dim=64, depth=1, num_heads=4)
    model(images(), metadata(HERE, (NAN,) * 4), bands=S2_TOA).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name


def test_a_first_call_in_inference_mode_does_not_break_later_training() -> None:
    model = CopernicusFM(embed_dim=64, depth=1, num_heads=4)
    with torch.inference_mode():
        model(images(), bands=S2_TOA, kernel_size=5)
    out = model(images(), bands=S2_TOA, kernel_size=5)
    (out * torch.arange(64)).sum().backward()
    grad = model.patch_embed_spectral.weight_generator.fc_weight.weight.grad
    assert grad is not None and grad.any()


def test_average_pooling_leaves_no_trainable_parameter_without_gradient() -> None:
    model = CopernicusFM(embed_dim=64, depth=1, num_heads=4, global_pool='avg')
    model(images(), metadata(HERE, THERE), bands=S2_TOA).square().sum().backward()
    idle = {n for n, p in model.named_parameters() if p.requires_grad and p.grad is None}
    unknown_metadata = {'coord_token', 'scale_token', 'time_token'}
    assert {n for n in idle if not n.startswith('patch_embed_variable')} <= unknown_metadata


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="'token', 'avg'"):
        CopernicusFM(global_pool='max')  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('size', 'kernel', 'channels'), [(64, 16, 3), (48, 6, 4), (60, 12, 2), (32, 4, 5), (96, 48, 1)]
)
@pytest.mark.parametrize('pool', ['token', 'avg'])
@torch.no_grad()
def test_outputs_equal_those_of_torchgeo_with_the_official_norm(
    size: int, kernel: int, channels: int, pool: str
) -> None:
    torch.manual_seed(1)
    ours = CopernicusFM(embed_dim=64, depth=2, num_heads=4, global_pool=pool).eval()  # type: ignore[arg-type]
    theirs = TorchGeoCopernicusFM(
        embed_dim=64,
        depth=2,
        num_heads=4,
        global_pool=pool == 'avg',
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    ).eval()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    x = images(2, channels, size, size)
    rows = metadata((190.5, -33.3, 19000, 10), (0.25, 12.125, 17167, 10))
    official = rows.clone()
    official[:, 3] = (kernel * rows[:, 3].double() / 1000).square().float()
    nm = torch.linspace(410, 2200, channels).tolist()
    widths = torch.linspace(10, 200, channels).tolist()
    found = ours(x, rows, wavelengths_nm=nm, bandwidths_nm=widths, kernel_size=kernel)
    expected = theirs(x, official, nm, widths, kernel_size=kernel)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)
