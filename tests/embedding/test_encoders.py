"""Copernicus-FM and backbones of TerraTorch: the embedding is what it is said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from torchgeo_copernicus.embedding.encoders import BackboneEncoder, CopernicusFMEncoder
from torchgeo_copernicus.embedding.fingerprint import weights_sha256
from torchgeo_copernicus.embedding.image import ImageKind
from torchgeo_copernicus.embedding.sources.pretrain_cell import pretrain_kinds
from torchgeo_copernicus.models import builders
from torchgeo_copernicus.models.builders import Size
from torchgeo_copernicus.sensors import DEM

SMALL = 'copernicus_fm_small'
METADATA = torch.tensor([[10.0, 50.0, 18_000.0, 10.0], [-70.0, -20.0, 19_000.0, 10.0]])


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Seeded weights of an encoder of 32 channels and two blocks."""
    monkeypatch.setitem(builders.SIZES, SMALL, Size(32, 2, 4, 16, (0, 0, 1, 1)))
    torch.manual_seed(0)
    path = tmp_path / 'weights.safetensors'
    save_file(builders.SIZES[SMALL].build().state_dict(), path)
    return path


@pytest.fixture
def kind() -> ImageKind:
    (found,) = pretrain_kinds(['s2_toa']).values()
    return found


def encoder(weights: Path, **options: Any) -> CopernicusFMEncoder:
    return CopernicusFMEncoder(SMALL, ckpt_path=str(weights), **options)


def images(kind: ImageKind) -> Tensor:
    return torch.randn(2, len(kind.bands), 48, 32 + 16, generator=torch.Generator().manual_seed(1))


def test_pools_are_the_class_token_the_published_mean_and_the_map(
    weights: Path, kind: ImageKind
) -> None:
    x = images(kind)
    cls, mean, dense = (
        encoder(weights, pool=pool).encode(x, METADATA, kind) for pool in ('cls', 'mean', 'dense')
    )
    model = builders.build_from(SMALL, False, weights)[0]
    call: dict[str, Any] = {'bands': kind.bands, 'kernel_size': 16}
    tokens = model.forward_features(x, METADATA, **call)
    torch.testing.assert_close(cls, tokens[:, 0])
    assert dense.shape == (2, 32, 3, 3)
    # Row by row.
    torch.testing.assert_close(dense[:, :, 1, 2], tokens[:, 1 + 1 * 3 + 2])
    average = builders.build_from(SMALL, False, weights, 'avg')[0]
    torch.testing.assert_close(mean, average(x, METADATA, **call))
    assert not torch.allclose(mean, cls)


def test_bands_are_told_by_value(weights: Path, kind: ImageKind) -> None:
    from dataclasses import replace

    x = images(kind)
    order = list(range(12, -1, -1))
    turned = replace(kind, bands=tuple(kind.bands[i] for i in order))
    one = encoder(weights)
    torch.testing.assert_close(
        one.encode(x[:, order], METADATA, turned), one.encode(x, METADATA, kind), atol=1e-5, rtol=1e-4
    )  # fmt: skip
    assert one.facts([turned]) != one.facts([kind])


def test_without_metadata_places_do_not_matter(weights: Path, kind: ImageKind) -> None:
    x = images(kind)[:1].expand(2, -1, -1, -1)
    told, untold = (encoder(weights, metadata=m).encode(x, METADATA, kind) for m in (True, False))
    assert not torch.allclose(told[0], told[1])
    assert torch.allclose(untold[0], untold[1])
    assert encoder(weights).facts([kind]) != encoder(weights, metadata=False).facts([kind])


def test_the_fingerprint_tells_weights(weights: Path, kind: ImageKind) -> None:
    facts = encoder(weights).facts([kind])
    assert encoder(weights).facts([kind]) == facts
    tensors = builders.SIZES[SMALL].build().state_dict()
    tensors['norm.bias'] = tensors['norm.bias'] + 1
    save_file(tensors, weights)
    assert encoder(weights).facts([kind]) != facts


def test_a_hash_of_weights_tells_names_shapes_and_types() -> None:
    first, second = nn.Linear(2, 3), nn.Linear(3, 2)
    for layer in (first, second):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    assert weights_sha256(first) != weights_sha256(second)
    assert weights_sha256(nn.Linear(2, 3).bfloat16()) != weights_sha256(nn.Linear(2, 3))
    assert weights_sha256(nn.Sequential(first)) != weights_sha256(first)


def test_variables_are_told_by_their_language_vectors(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchgeo_copernicus.models import channels

    def vectors(names: tuple[str, ...], seed: int = 0) -> Tensor:
        return torch.randn(len(names), 2048, generator=torch.Generator().manual_seed(seed))

    (dem,) = pretrain_kinds(['dem']).values()
    monkeypatch.setattr(channels, 'language_vectors', vectors)
    one = encoder(weights)
    one.check(dem, 128)
    found = one.encode(torch.randn(2, 1, 128, 128), METADATA, dem)
    assert found.shape == (2, 32)
    facts = one.facts([dem])
    monkeypatch.setattr(channels, 'language_vectors', lambda names: vectors(names, 1))
    assert one.facts([dem]) != facts
    with pytest.raises(ValueError, match=r'multiple of the 64 px'):
        one.check(dem, 96)
    assert dem.sensor is DEM


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'pool': 'max'}, "Unknown pool 'max'"),
        ({'pretrained': False}, 'Untrained weights are others each time'),
        ({'size': 'copernicus_fm_small'}, 'No weights are released'),
        ({'size': 'vit'}, "size is 'vit'"),
    ],
)
def test_impossible_encoders_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CopernicusFMEncoder(**options)


BANDS = ['B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B11', 'B12']


@pytest.mark.terratorch
def test_a_backbone_of_terratorch_gives_the_mean_of_its_last_map(kind: ImageKind) -> None:
    from dataclasses import replace

    torch.manual_seed(0)
    some = replace(kind, bands=kind.sensor.select(BANDS))
    one = BackboneEncoder('timm_resnet18', BANDS, {'pretrained': False, 'in_chans': 10})
    one.check(some, 64)
    x = torch.randn(2, 10, 64, 64)
    found = one.encode(x, METADATA, some)
    assert found.shape == (2, 512)
    assert not one.module.training
    torch.testing.assert_close(found, one.module(x)[-1].mean((2, 3)))
    assert one.facts([some])['class'] == 'TerraTorch timm_resnet18'
    with pytest.raises(ValueError, match='make them the same'):
        one.check(kind, 64)
    three = BackboneEncoder('timm_resnet18', BANDS, {'pretrained': False})
    with pytest.raises(ValueError, match=r'does not take images \[1, 10, 64, 64\]'):
        three.check(some, 64)
    # timm asserts the size of its images.
    fixed = BackboneEncoder(
        'timm_vit_tiny_patch16_224',
        BANDS,
        {'pretrained': False, 'in_chans': 10, 'dynamic_img_size': False},
    )
    fixed.check(some, 224)
    with pytest.raises(ValueError, match=r'does not take images \[1, 10, 64, 64\]'):
        fixed.check(some, 64)


@pytest.mark.terratorch
def test_our_backbones_are_told_the_metadata(weights: Path, kind: ImageKind) -> None:
    arguments: dict[str, object] = {'sensor': 's2_toa', 'ckpt_path': str(weights)}
    names = list(kind.band_names)
    one = BackboneEncoder(SMALL, names, arguments, pool='dense')
    x = images(kind)
    found = one.encode(x, METADATA, kind)
    assert found.shape == (2, 32, 3, 3)
    assert not torch.allclose(found, one.encode(x, METADATA.flip(0), kind))
    with pytest.raises(ValueError, match='without a class token'):
        BackboneEncoder(SMALL, names, arguments, pool='cls').encode(x, METADATA, kind)


@pytest.mark.terratorch
def test_tokens_are_brought_to_maps_without_the_class_token(
    kind: ImageKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchgeo_copernicus.embedding.encoders import backbone

    class Tokens(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [torch.arange(10.0)[None, :, None].expand(len(x), -1, 4)]

    class Prepared(Tokens):
        def prepare_features_for_image_model(self, features: list[Tensor]) -> list[Tensor]:
            return [f[:, 1:].transpose(1, 2).reshape(len(f), -1, 3, 3) for f in features]

    def build(model: nn.Module, pool: Any) -> BackboneEncoder:
        monkeypatch.setattr(backbone, 'build_feature_backbone', lambda *given: model)
        return BackboneEncoder('tokens', list(kind.band_names), pool=pool)

    x = images(kind)
    assert build(Prepared(), 'mean').encode(x, METADATA, kind)[0, 0] == 5
    assert build(Prepared(), 'cls').encode(x, METADATA, kind)[0, 0] == 0
    assert build(Prepared(), 'dense').encode(x, METADATA, kind)[0, 0, 1, 2] == 6
    with pytest.raises(ValueError, match='wanted maps'):
        build(Tokens(), 'mean').encode(x, METADATA, kind)


@pytest.mark.terratorch
@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'backbone': 'no_such_model'}, 'no backbone that TerraTorch knows'),
        ({'bands': []}, 'name those of the input'),
        ({'pool': 'max'}, "Unknown pool 'max'"),
        ({'arguments': {'colour': 1}}, "cannot be built with .*'colour'"),
    ],
)
def test_impossible_backbones_are_named(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {'backbone': 'timm_resnet18', 'bands': BANDS} | options
    with pytest.raises(ValueError, match=message):
        BackboneEncoder(**given)


@pytest.mark.terratorch
def test_weights_of_a_backbone_are_loaded_whole_or_not_at_all(tmp_path: Path) -> None:
    arguments: dict[str, object] = {'pretrained': False, 'in_chans': 10}
    one = BackboneEncoder('timm_resnet18', BANDS, arguments)
    path = tmp_path / 'weights.safetensors'
    tensors = {name: tensor.contiguous() for name, tensor in one.module.state_dict().items()}
    save_file(tensors, path)
    again = BackboneEncoder('timm_resnet18', BANDS, arguments, weights_path=str(path))
    assert weights_sha256(again.module) == weights_sha256(one.module)
    tensors.popitem()
    save_file(tensors, path)
    with pytest.raises(ValueError, match='missing from the file'):
        BackboneEncoder('timm_resnet18', BANDS, arguments, weights_path=str(path))
