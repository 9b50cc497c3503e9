from __future__ import annotations

import pytest
import torch
from torch import Tensor

from torchgeo_copernicus.models import (
    CopernicusFM,
    Modality,
    MultiModalCopernicusFM,
    resolve_channels,
)
from torchgeo_copernicus.models.channels import VariableChannels
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA, S3_OLCI

FUSIONS = ('mean', 'concat', 'token', 'dict')
HERE = torch.tensor([[11.57, 48.14, 18262.0, 10.0]])
INDICES = (0, 2)


@pytest.fixture(scope='module')
def encoder() -> CopernicusFM:
    torch.manual_seed(0)
    model = CopernicusFM(embed_dim=64, depth=3, num_heads=4).eval()
    with torch.no_grad():
        for layer in (model.coord_fc, model.scale_fc, model.time_fc):
            layer.weight.normal_(std=0.1)
        # At their start the blocks hardly look from one token to another.
        for block in model.blocks:
            block.attn.qkv.weight.normal_(std=0.3)
            block.attn.proj.weight.normal_(std=0.3)
    return model


@pytest.fixture(scope='module')
def modalities() -> dict[str, Modality]:
    dem = torch.randn(1, 2048, generator=torch.Generator().manual_seed(5))
    return {
        'S1': Modality(resolve_channels(S1_GRD), 16),
        'S2': Modality(resolve_channels(S2_TOA), 16),
        'DEM': Modality(VariableChannels(dem), 16),
        # 6 x 6 tokens where the others have 4 x 4.
        'S3': Modality(resolve_channels(S3_OLCI), 8),
    }


def images(batch: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(batch)
    shapes = {'S1': (2, 64), 'S2': (13, 64), 'DEM': (1, 64), 'S3': (21, 48)}
    return {
        name: torch.randn(batch, channels, size, size, generator=generator)
        for name, (channels, size) in shapes.items()
    }


PRESENT = {
    'S1': torch.tensor([True, False, True]),
    'S2': torch.tensor([True, True, False]),
    'DEM': torch.tensor([False, True, True]),
    'S3': torch.tensor([True, True, True]),
}


def maps_of(layer: Tensor | dict[str, Tensor]) -> Tensor:
    return (
        layer
        if isinstance(layer, Tensor)
        else torch.cat([m.flatten(1) for m in layer.values()], dim=1)
    )


@pytest.mark.parametrize('fusion', FUSIONS)
@torch.no_grad()
def test_a_sample_is_what_it_is_alone_with_the_modalities_it_has(
    encoder: CopernicusFM, modalities: dict[str, Modality], fusion: str
) -> None:
    model = MultiModalCopernicusFM(encoder, modalities, fusion)  # type: ignore[arg-type]
    x, rows = images(), HERE.repeat(3, 1)
    together = model(x, rows, PRESENT, INDICES)
    for sample in range(3):
        has = [name for name in modalities if PRESENT[name][sample]]
        one = {name: x[name][sample : sample + 1] for name in has}
        alone = model(one, rows[sample : sample + 1], indices=INDICES)
        for found, expected in zip(together, alone, strict=True):
            if isinstance(found, dict):
                found = {name: found[name][sample : sample + 1] for name in has}
            else:
                found = found[sample : sample + 1]
            torch.testing.assert_close(maps_of(found), maps_of(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('junk', [torch.nan, torch.inf, 1e30])
@pytest.mark.parametrize('fusion', FUSIONS)
@torch.no_grad()
def test_what_a_missing_image_holds_gets_nowhere(
    encoder: CopernicusFM, modalities: dict[str, Modality], fusion: str, junk: float
) -> None:
    model = MultiModalCopernicusFM(encoder, modalities, fusion)  # type: ignore[arg-type]
    expected = model(images(), None, PRESENT, INDICES)
    x = images()
    for name, flags in PRESENT.items():
        x[name][~flags] = junk
    for found, wanted in zip(model(x, None, PRESENT, INDICES), expected, strict=True):
        assert torch.equal(maps_of(found), maps_of(wanted))


@pytest.mark.parametrize('fusion', FUSIONS)
@torch.no_grad()
def test_every_modality_changes_the_result(
    encoder: CopernicusFM, modalities: dict[str, Modality], fusion: str
) -> None:
    model = MultiModalCopernicusFM(encoder, modalities, fusion)  # type: ignore[arg-type]
    base = maps_of(model(images(), indices=[2])[0])
    for name in modalities:
        x = images()
        x[name] = x[name] + 1
        assert not torch.allclose(maps_of(model(x, indices=[2])[0]), base, atol=1e-4), name


@torch.no_grad()
def test_one_modality_alone_is_the_plain_encoder(
    encoder: CopernicusFM, modalities: dict[str, Modality]
) -> None:
    x = images()['S2']
    rows = HERE.repeat(3, 1)
    expected = encoder.forward_intermediates(x, rows, bands=S2_TOA, indices=INDICES)
    for fusion in ('mean', 'token'):
        model = MultiModalCopernicusFM(encoder, {'S2': modalities['S2']}, fusion)  # type: ignore[arg-type]
        for found, wanted in zip(model({'S2': x}, rows, indices=INDICES), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_mean_is_that_of_the_maps_of_each_modality(
    encoder: CopernicusFM, modalities: dict[str, Modality]
) -> None:
    two = {name: modalities[name] for name in ('S1', 'S2')}
    x = {name: images()[name] for name in two}
    by_name = MultiModalCopernicusFM(encoder, two, 'dict')(x, indices=[2])[0]
    assert isinstance(by_name, dict)
    mean = MultiModalCopernicusFM(encoder, two, 'mean')(x, indices=[2])[0]
    assert isinstance(mean, Tensor)
    torch.testing.assert_close(mean, (by_name['S1'] + by_name['S2']) / 2)
    joint = MultiModalCopernicusFM(encoder, two, 'token')(x, indices=[2])[0]
    assert isinstance(joint, Tensor)
    assert not torch.allclose(mean, joint, atol=1e-3)


@torch.no_grad()
def test_channels_of_a_concatenation_keep_their_modality(
    encoder: CopernicusFM, modalities: dict[str, Modality]
) -> None:
    model = MultiModalCopernicusFM(encoder, modalities, 'concat')
    x = images()
    whole = model(x, indices=[2])[0]
    del x['S2']
    less = model(x, indices=[2])[0]
    assert isinstance(whole, Tensor)
    assert isinstance(less, Tensor)
    assert whole.shape == less.shape == (3, 4 * 64, 6, 6)
    parts = zip(less.chunk(4, dim=1), whole.chunk(4, dim=1), modalities, strict=True)
    for part, before, name in parts:
        expected = torch.zeros_like(before) if name == 'S2' else before
        torch.testing.assert_close(part, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_metadata_of_a_modality_is_not_given_to_another(
    encoder: CopernicusFM, modalities: dict[str, Modality]
) -> None:
    two = {name: modalities[name] for name in ('S1', 'S2')}
    model = MultiModalCopernicusFM(encoder, two, 'dict')
    x, rows = {name: images()[name] for name in two}, HERE.repeat(3, 1)
    unknown, told = model(x, indices=[2])[0], model(x, {'S1': rows}, indices=[2])[0]
    assert isinstance(unknown, dict)
    assert isinstance(told, dict)
    torch.testing.assert_close(told['S2'], unknown['S2'])
    assert not torch.allclose(told['S1'], unknown['S1'], atol=1e-4)


@torch.no_grad()
def test_modalities_of_equal_grids_take_one_pass(
    encoder: CopernicusFM, modalities: dict[str, Modality]
) -> None:
    passes: list[int] = []
    hook = encoder.blocks[0].register_forward_hook(lambda *seen: passes.append(len(seen[1][0])))
    MultiModalCopernicusFM(encoder, modalities)(images(2), indices=[0])
    hook.remove()
    assert passes == [6, 2]


def test_gradients_of_missing_images_are_zero_and_not_nan(
    encoder: CopernicusFM, modalities: dict[str, Modality]
) -> None:
    x = {name: image.requires_grad_() for name, image in images().items()}
    for fusion in ('mean', 'concat', 'token'):
        model = MultiModalCopernicusFM(encoder, modalities, fusion)  # type: ignore[arg-type]
        out = model(x, None, PRESENT, INDICES)
        total = torch.stack([maps_of(layer).square().sum() for layer in out]).sum()
        for name, gradient in zip(x, torch.autograd.grad(total, list(x.values())), strict=True):
            assert not gradient[~PRESENT[name]].any()
            assert gradient[PRESENT[name]].isfinite().all()
            assert gradient[PRESENT[name]].any()


def test_language_vectors_are_kept_in_checkpoints(
    encoder: CopernicusFM, modalities: dict[str, Modality]
) -> None:
    model = MultiModalCopernicusFM(encoder, modalities)
    other = dict(modalities)
    other['DEM'] = Modality(VariableChannels(torch.ones(1, 2048)), 16)
    copy = MultiModalCopernicusFM(encoder, other)
    with torch.no_grad():
        expected = model(images(), indices=[2])[0]
        assert not torch.allclose(maps_of(copy(images(), indices=[2])[0]), maps_of(expected))
        copy.load_state_dict(model.state_dict())
        assert torch.equal(maps_of(copy(images(), indices=[2])[0]), maps_of(expected))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'images': {}}, 'No images'),
        ({'images': {'S9': torch.zeros(3, 2, 64, 64)}}, r"images has \['S9'\]"),
        ({'metadata': {'S9': HERE}}, r"metadata has \['S9'\]"),
        ({'present': {'S9': torch.ones(3, dtype=torch.bool)}}, r"present has \['S9'\]"),
        ({'present': {'S1': torch.ones(3)}}, 'must be bool'),
        ({'present': {'S1': torch.ones(2, dtype=torch.bool)}}, r'must be bool \[3\]'),
        ({'images': images() | {'S1': torch.zeros(2, 2, 64, 64)}}, 'different batch sizes'),
        ({'indices': [3]}, 'blocks from -3 to 2'),
        (
            {'present': {name: torch.tensor([True, False, True]) for name in PRESENT}},
            'none of the modalities',
        ),
    ],
)
def test_what_does_not_go_together_is_named(
    encoder: CopernicusFM, modalities: dict[str, Modality], change: dict, message: str
) -> None:
    inputs: dict = {'images': images(), 'indices': INDICES} | change
    with pytest.raises(ValueError, match=message):
        MultiModalCopernicusFM(encoder, modalities)(**inputs)


def test_unknown_fusions_and_no_modality_are_refused(
    encoder: CopernicusFM, modalities: dict[str, Modality]
) -> None:
    with pytest.raises(ValueError, match="fusion is 'sum'; allowed are"):
        MultiModalCopernicusFM(encoder, modalities, 'sum')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='at least one'):
        MultiModalCopernicusFM(encoder, {})
