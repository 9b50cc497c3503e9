from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchgeo_copernicus.models import copernicus_fm_small
from torchgeo_copernicus.sensors import S2_TOA, S5P_NO2
from torchgeo_copernicus.terratorch.backbone import CopernicusFMBackbone

RGB = ['B04', 'B03', 'B02']


def build(**arguments: object) -> CopernicusFMBackbone:
    torch.manual_seed(0)
    return CopernicusFMBackbone('copernicus_fm_small', **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope='module')
def backbone() -> CopernicusFMBackbone:
    return build(model_bands=RGB, out_indices=[0, 1]).eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


HERE = torch.tensor([[11.5, 48.0, 18262.0, 10.0]])


@torch.no_grad()
def test_metadata_reaches_the_encoder(backbone: CopernicusFMBackbone, x: Tensor) -> None:
    rows = HERE.expand(2, -1)
    found = backbone(x, metadata=rows)
    expected = backbone.encoder.forward_intermediates(x, rows, bands=RGB, indices=[0, 1])
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not torch.allclose(found[0], backbone(x)[0])


@torch.no_grad()
def test_metadata_of_other_datasets_is_understood(
    backbone: CopernicusFMBackbone, x: Tensor
) -> None:
    rows = HERE.expand(2, -1).clone()
    rows[:, 3] = torch.nan
    expected = backbone(x, metadata=rows)[0]
    seconds = torch.full((2,), 18262 * 86400 + 3600, dtype=torch.float64)
    lat, lon = torch.full((2,), 48.0), torch.full((2,), 11.5)
    torchgeo = backbone(x, lat=lat, lon=lon, time=seconds)[0]
    terratorch = backbone(
        x,
        location_coords=torch.stack([lat, lon], dim=1),
        temporal_coords=torch.tensor([[[2020.0, 0.0]]] * 2),
    )[0]
    assert torch.equal(torchgeo, expected)
    assert torch.equal(terratorch, expected)


def test_ignored_batch_keys_are_named_once(x: Tensor) -> None:
    backbone = build(model_bands=RGB, out_indices=[0])
    with pytest.warns(UserWarning, match=r"ignores the batch keys \['clouds'\]"):
        backbone(x, clouds=torch.zeros(2))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        backbone(x, clouds=torch.zeros(2))


@torch.no_grad()
def test_tiles_of_one_image_share_its_metadata(backbone: CopernicusFMBackbone, x: Tensor) -> None:
    expected = backbone(x, metadata=HERE.expand(2, -1))[0]
    assert torch.equal(backbone(x, metadata=HERE)[0], expected)


def test_tiles_of_several_images_are_not_given_the_wrong_metadata(x: Tensor) -> None:
    backbone = build(model_bands=RGB, out_indices=[0]).eval()
    with pytest.warns(UserWarning, match='taken as unknown'):
        found = backbone(x, metadata=HERE.expand(3, -1))[0]
    assert torch.equal(found, backbone(x)[0])


def test_band_names_of_both_vocabularies_mean_the_same() -> None:
    ours = build(model_bands=RGB, out_indices=[0]).bands
    assert build(model_bands=['RED', 'GREEN', 'BLUE'], out_indices=[0]).bands == ours
    assert build(model_bands='[RED, GREEN, BLUE]', out_indices=[0]).bands == ours
    assert build(model_bands=RGB, sensor='s2_toa', out_indices=[0]).bands == ours


def test_a_sensor_brings_its_bands_and_kernel() -> None:
    backbone = build(sensor='s3_olci', out_indices=[0])
    assert (len(backbone.bands), backbone.kernel_size, backbone.patch_size) == (21, 8, 8)
    assert build(sensor='s3_olci', kernel_size='16', out_indices=[0]).kernel_size == 16
    assert build(sensor='s2_toa', out_indices=[0]).bands == S2_TOA.bands
    assert build(model_bands=RGB, out_indices='[0, -1]').out_indices == [0, 11]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({}, 'Say what the channels are'),
        ({'model_bands': ['B99']}, "Unknown band 'B99'"),
        ({'model_bands': 'B02'}, 'wanted a list of band names'),
        ({'model_bands': RGB, 'sensor': 's1_grd'}, 'no bands of s1_grd'),
        ({'sensor': 's9'}, "Unknown sensor 's9'"),
        ({'model_bands': RGB, 'pretrained': 'yes please'}, "pretrained is 'yes please'"),
        ({'model_bands': RGB, 'kernel_size': 'big'}, "kernel_size is 'big'"),
        ({'model_bands': RGB, 'out_indices': [99]}, 'indices'),
        ({'model_bands': RGB, 'pretrained': 'true'}, 'No weights are released'),
    ],
)
def test_a_wrong_argument_is_a_value_error_naming_it(arguments: dict, message: str) -> None:
    # TerraTorch turns a KeyError into "model not found".
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_the_string_false_is_not_true() -> None:
    assert build(model_bands=RGB, pretrained='false', out_indices=[0]).patch_size == 16


def test_a_frozen_encoder_stays_in_eval_mode_however_it_was_frozen(x: Tensor) -> None:
    for freeze in (
        lambda b: b.freeze(),
        lambda b: [p.requires_grad_(False) for p in b.parameters()],
    ):
        backbone = build(model_bands=RGB, out_indices=[0])
        assert backbone.train().encoder.training
        freeze(backbone)
        backbone(x)
        assert not any(module.training for module in backbone.encoder.modules())
        backbone.train()
        assert not backbone.encoder.training


def test_no_trainable_parameter_is_without_gradient(x: Tensor) -> None:
    # Distributed training fails on such parameters.
    backbone = build(model_bands=RGB, out_indices=[3, 5])
    rows = torch.cat([HERE, torch.full((1, 4), torch.nan)])
    sum(m.square().sum() for m in backbone(x, metadata=rows)).backward()
    idle = [n for n, p in backbone.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []


def test_a_checkpoint_of_ones_own_is_loaded(tmp_path: Path, x: Tensor) -> None:
    torch.manual_seed(7)
    encoder = copernicus_fm_small().eval()
    torch.save({'model': encoder.state_dict()}, tmp_path / 'mine.pth')
    backbone = build(
        model_bands=RGB, ckpt_path=str(tmp_path / 'mine.pth'), out_indices=[0], pretrained=False
    ).eval()
    with torch.no_grad():
        expected = encoder.forward_intermediates(x, bands=RGB, indices=[0])[0]
        assert torch.equal(backbone(x)[0], expected)


def test_a_checkpoint_of_another_size_is_named(tmp_path: Path) -> None:
    torch.save({'cls_token': torch.zeros(1, 1, 768)}, tmp_path / 'base.pth')
    with pytest.raises(ValueError, match=r'base\.pth does not fit'):
        build(model_bands=RGB, ckpt_path=str(tmp_path / 'base.pth'))


@torch.no_grad()
def test_one_modality_may_come_in_a_dictionary(backbone: CopernicusFMBackbone, x: Tensor) -> None:
    assert torch.equal(backbone({'S2L1C': x})[0], backbone(x)[0])
    with pytest.raises(ValueError, match='modalities'):
        backbone({'S2L1C': x, 'S1GRD': x})


def test_variables_are_found_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')

    def offline(*_: object) -> str:
        raise OSError('offline')

    monkeypatch.setattr('torchgeo_copernicus.models.language.hf_hub_download', offline)
    with pytest.raises(ConnectionError, match=r'put it at .*varname_embed_llama3\.2_1B\.pt'):
        build(sensor='s5p_no2', pretrained=True)
    (tmp_path / 'checkpoints').mkdir()
    torch.save(
        {band.variable: torch.ones(2048) for band in S5P_NO2.bands},
        tmp_path / 'checkpoints' / 'varname_embed_llama3.2_1B.pt',
    )
    backbone = build(sensor='s5p_no2', out_indices=[0])
    assert backbone(torch.randn(1, 1, 28, 28))[0].shape == (1, 384, 7, 7)
    assert not any(p.requires_grad for p in backbone.encoder.patch_embed_spectral.parameters())


def test_fine_tuning_options_come_as_text_from_the_command_line() -> None:
    plain = build(model_bands=RGB).encoder
    assert not plain.grad_checkpointing
    assert all(parameter.requires_grad for parameter in plain.blocks[0].parameters())
    backbone = build(
        model_bands=RGB, grad_checkpointing='true', drop_path='0.22', freeze_blocks='2'
    )
    encoder = backbone.train().encoder
    assert encoder.grad_checkpointing
    assert encoder.blocks[11].drop_path1.drop_prob == pytest.approx(0.22)
    frozen = [not any(p.requires_grad for p in block.parameters()) for block in encoder.blocks]
    assert frozen == [True] * 2 + [False] * 10
    assert [block.training for block in encoder.blocks] == [not f for f in frozen]
    assert not any(p.requires_grad for p in encoder.patch_embed_spectral.parameters())


@pytest.mark.parametrize(
    'arguments',
    [
        {'grad_checkpointing': 'perhaps'},
        {'drop_path': '1.5'},
        {'drop_path': 1.0},
        {'freeze_blocks': -1},
        {'freeze_blocks': 13},
        {'freeze_blocks': 'all'},
    ],
)
def test_fine_tuning_options_that_are_not_understood_are_refused(arguments: dict) -> None:
    name, value = next(iter(arguments.items()))
    with pytest.raises(ValueError, match=f'{name.replace("freeze", "(freeze|n)")}.*{value}'):
        build(model_bands=RGB, **arguments)
