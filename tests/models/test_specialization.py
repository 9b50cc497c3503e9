"""Specialised encoders: the outputs of the encoder, without its hypernetworks and without a tie to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from tests.models.golden import language_vector
from torchgeo_copernicus.models import CopernicusFM
from torchgeo_copernicus.models.metadata_vit import MetadataViT
from torchgeo_copernicus.models.specialization import StaticViT
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA, S3_OLCI

NAN = float('nan')
HERE = (11.57, 48.14, 18262.0, 10.0)
THERE = (-122.42, 37.77, 18627.0, 300.0)
NO2 = {'language_embedding': language_vector(1)}


def encoder(seed: int = 0, depth: int = 2, **arguments: Any) -> CopernicusFM:
    torch.manual_seed(seed)
    model = CopernicusFM(embed_dim=32, depth=depth, num_heads=4, **arguments).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Fresh metadata layers are too weak to show, fresh norms and biases do nothing.
            parameter += 0.05 * torch.randn(parameter.shape) * (name != 'pos_embed')
    return model


def images(channels: int = 13, height: int = 64, width: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(channels + height)
    return torch.randn(2, channels, height, width, generator=generator)


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize('pool', ['token', 'avg'])
@pytest.mark.parametrize(
    ('inputs', 'channels', 'kernel_size'),
    [
        ({'bands': S2_TOA}, 13, 16),
        ({'bands': S1_GRD}, 2, 16),
        ({'bands': S3_OLCI}, 21, 8),
        (NO2, 1, 4),
        ({'language_embedding': language_vector(4)}, 1, 64),
        ({'bands': ['B04', 'B03', 'B02', 'B8A']}, 4, 8),
        ({'wavelengths_nm': [490.0, 842.0], 'bandwidths_nm': [65.0, 115.0]}, 2, 5),
    ],
)
@torch.no_grad()
def test_outputs_are_those_of_the_encoder(
    inputs: dict, channels: int, kernel_size: int, pool: str
) -> None:
    model = encoder(num_classes=3 if kernel_size == 8 else 0, global_pool=pool)
    static = model.specialize(**inputs, kernel_size=kernel_size, image_size=64)
    x, rows = images(channels), torch.tensor([HERE, (NAN, 48.0, NAN, 10.0)])
    close(static(x, rows), model(x, rows, **inputs, kernel_size=kernel_size))
    # The position table alone would hide what the image does.
    assert (static(x, rows) - static(-x, rows)).abs().max() > 1e-3


@pytest.mark.parametrize('pool', ['token', 'avg'])
@pytest.mark.parametrize(
    'known', [HERE, (NAN, 48.0, 18262.0, NAN), (NAN,) * 4, torch.tensor(THERE)]
)
@torch.no_grad()
def test_fixed_metadata_is_that_of_every_image(known: Any, pool: str) -> None:
    model = encoder(global_pool=pool, num_classes=3)
    static = model.specialize(S2_TOA, 8, 64, known)
    assert isinstance(static, StaticViT)
    rows = torch.as_tensor(known).expand(2, 4)
    expected = model(images(), rows, bands=S2_TOA, kernel_size=8)
    close(static(images()), expected)
    if not rows.isnan().all():
        assert (model(images(), bands=S2_TOA, kernel_size=8) - expected).abs().max() > 1e-3


@torch.no_grad()
def test_unknown_metadata_is_unknown() -> None:
    model = encoder()
    static = model.specialize(S2_TOA, 16, 64, 'unknown')
    close(static(images()), model(images(), bands=S2_TOA))
    close(static.forward_features(images()), model.forward_features(images(), bands=S2_TOA))


@pytest.mark.parametrize('size', [(64, 96), (96, 64), (50, 77), (16, 31), (224, 224)])
@torch.no_grad()
def test_any_image_size_has_its_own_token_grid(size: tuple[int, int]) -> None:
    model = encoder()
    x, rows = images(13, *size), torch.tensor([HERE, THERE])
    static = model.specialize(S2_TOA, 16, size)
    close(static(x, rows), model(x, rows, bands=S2_TOA))
    maps = static.forward_intermediates(x, rows, indices=(-1, 0))
    expected = model.forward_intermediates(x, rows, bands=S2_TOA, indices=(-1, 0))
    for one, other in zip(maps, expected, strict=True):
        close(one, other)
    plain = model.specialize(S2_TOA, 16, size, 'unknown')
    maps = plain.forward_intermediates(x, indices=[0, 1], intermediates_only=True)
    expected = model.forward_intermediates(x, bands=S2_TOA, indices=[0, 1])
    for one, other in zip(maps, expected, strict=True):
        close(one, other)


@pytest.mark.parametrize('pool', ['token', 'avg'])
def test_both_hypernetworks_are_gone_and_nothing_else(pool: str) -> None:
    model = encoder(img_size=64, num_classes=3, global_pool=pool)
    static = model.specialize(S2_TOA, 16, 62)
    hypernetworks = count(model.patch_embed_spectral, model.patch_embed_variable)
    # With `avg` the unused norm becomes the norm of the mean.
    kept = count(static) - count(static.vit.patch_embed)
    assert kept == count(model) - hypernetworks
    assert count(static.vit.patch_embed) == 32 * (13 * 16 * 16 + 1)
    metadata_layers = 3 * (32 * 32 + 32) + 3 * 32
    unknown = model.specialize(S2_TOA, 16, 62, 'unknown')
    assert count(unknown) == count(static) - metadata_layers


def test_the_copy_is_an_ordinary_vision_transformer() -> None:
    static = encoder().specialize(S2_TOA, metadata='unknown')
    assert isinstance(static, VisionTransformer)
    assert not static.training
    projection = static.patch_embed.proj
    assert type(projection) is nn.Conv2d
    assert projection.weight.shape == (32, 13, 16, 16)
    assert static.specialization.channels == S2_TOA.band_names
    assert static.specialization.kernel_size == S2_TOA.kernel_size
    told = encoder().specialize(S2_TOA)
    assert isinstance(told, MetadataViT) and isinstance(told.vit, VisionTransformer)


def test_the_kernel_of_a_sensor_is_the_default() -> None:
    assert encoder().specialize(S3_OLCI).specialization.kernel_size == 8
    assert encoder().specialize(S3_OLCI.band_names).specialization.kernel_size == 16


@torch.no_grad()
def test_later_changes_do_not_reach_the_copy_nor_the_encoder() -> None:
    model, rows = encoder(num_classes=3), torch.tensor([HERE, THERE])
    for metadata, inputs in (('input', (images(), rows)), ('unknown', (images(),))):
        static = model.specialize(S2_TOA, 16, 64, metadata)
        before, whole = static(*inputs), model(images(), rows, bands=S2_TOA)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        for parameter in model.parameters():
            parameter.mul_(-2)
        assert torch.equal(static(*inputs), before)
        model.load_state_dict(state)
        for parameter in static.parameters():
            parameter.zero_()
        close(model(images(), rows, bands=S2_TOA), whole)


@pytest.mark.parametrize('metadata', ['input', 'unknown', HERE])
@torch.no_grad()
def test_a_bfloat16_encoder_gives_a_bfloat16_copy(metadata: Any) -> None:
    model = encoder().bfloat16()
    x, rows = images().bfloat16(), torch.tensor([HERE, HERE])
    static = model.specialize(S2_TOA, 16, 64, metadata)
    assert {parameter.dtype for parameter in static.parameters()} == {torch.bfloat16}
    inputs = (x, rows) if metadata == 'input' else (x,)
    expected = model(x, None if metadata == 'unknown' else rows, bands=S2_TOA)
    assert expected.dtype == torch.bfloat16
    # Eight bits hold 0.4 %; sums are taken in another order.
    close(static(*inputs).float(), expected.float(), 0.03)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'image_size': 8}, 'image_size 8 must'),
        ({'image_size': (64, 8)}, r'image_size \(64, 8\) must'),
        ({'image_size': (64,)}, r'image_size \(64,\) must'),
        ({'image_size': (13, 64, 64)}, r'image_size \(13, 64, 64\) must'),
        ({'image_size': 64.0}, r'image_size 64\.0 must'),
        ({'image_size': '64'}, "image_size '64' must"),
        ({'image_size': None}, 'image_size None must'),
        ({'kernel_size': 0}, 'kernel_size 0'),
        ({'kernel_size': 65}, 'kernel_size 65'),
        ({'kernel_size': 16.0}, r'kernel_size 16\.0'),
        ({'metadata': 'inputs'}, "metadata is 'inputs'"),
        ({'metadata': None}, 'metadata is None'),
        ({'metadata': (11.57, 48.14)}, r'metadata is \(11\.57, 48\.14\)'),
        ({'metadata': torch.zeros(2, 2)}, 'metadata is tensor'),
        ({'metadata': (11.57, 148.0, NAN, 10.0)}, 'latitude is 148'),
        ({'metadata': (11.57, 48.14, NAN, 0.01)}, 'ground sampling distance .* is 0.01'),
        ({'metadata': torch.tensor(HERE).bfloat16()}, 'bfloat16, which cannot hold a date'),
        ({'bands': ['B99']}, "Unknown band 'B99'"),
        ({'bands': ['B02', 'NO2']}, 'mixes spectral bands with variables'),
        ({'bands': None}, 'exactly one way'),
        (NO2, 'exactly one way'),
    ],
)
def test_a_bad_argument_is_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder(depth=1).specialize(
            **{'bands': S2_TOA, 'kernel_size': 16, 'image_size': 64} | arguments
        )


@pytest.mark.parametrize('target', ['qkv', 'head', 'coord_fc'])
@pytest.mark.parametrize('metadata', ['input', 'unknown'])
def test_adapters_are_refused_not_lost(target: str, metadata: Any) -> None:
    peft = pytest.importorskip('peft', reason='needs the extra `lora`')
    model = encoder(num_classes=3)
    peft.inject_adapter_in_model(peft.LoraConfig(target_modules=[target]), model)
    with pytest.raises(ValueError, match='merge_and_unload'):
        model.specialize(S2_TOA, 16, 64, metadata)


@torch.no_grad()
def test_adapters_of_a_hypernetwork_become_part_of_the_kernels() -> None:
    peft = pytest.importorskip('peft', reason='needs the extra `lora`')
    model = encoder()
    # Kernels are kept now, for fewer parameters than there will be.
    before = model(images(), bands=S2_TOA)
    config = peft.LoraConfig(target_modules=['fclayer.w2'], init_lora_weights=False)
    peft.inject_adapter_in_model(config, model)
    expected = model(images(), bands=S2_TOA)
    assert (expected - before).abs().max() > 1e-4
    close(model.specialize(S2_TOA, 16, 64, 'unknown')(images()), expected)


def test_metadata_of_a_specialised_encoder_is_checked() -> None:
    static = encoder().specialize(S2_TOA, 16, 64)
    rows = torch.tensor([HERE, THERE])
    with pytest.raises(ValueError, match='1 rows for 2 images'):
        static(images(), rows[:1])
    with pytest.raises(ValueError, match='cannot hold a date'):
        static(images(), rows.bfloat16())
    with pytest.raises(ValueError, match='latitude is'):
        static(images(), rows[:, [1, 0, 2, 3]])
    for indices in ([], [2], [-3]):
        with pytest.raises(ValueError, match='blocks from -2 to 1'):
            static.forward_intermediates(images(), rows, indices)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(AssertionError, match=r'width \(96\)'):
        encoder().specialize(S2_TOA, 16, 64, 'unknown')(images(13, 64, 96))
