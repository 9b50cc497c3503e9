"""The networks of SSL4EO-S12 as backbones: all of them, from files in the released layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.models.ssl4eo import reference, released
from tests.models.ssl4eo.stand_ins import offline_hub, shrink
from torchgeo_copernicus.datasets import TASKS
from torchgeo_copernicus.models.ssl4eo import ENTRIES, SSL4EOTransforms
from torchgeo_copernicus.models.ssl4eo.entry import Entry
from torchgeo_copernicus.models.ssl4eo.fetching import path_of
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA
from torchgeo_copernicus.terratorch.ssl4eo_backbone import SSL4EO_BACKBONES, SSL4EOBackbone

every_entry = pytest.mark.parametrize('entry', ENTRIES.values(), ids=list(ENTRIES))
RESNET, VIT, BEIT = (
    'ssl4eo_s12_resnet50_s2_moco',
    'ssl4eo_s12_vits16_s2_mae',
    'ssl4eo_s12_vits16_s2_data2vec',
)
S1 = 'ssl4eo_s12_vits16_s1_mae'


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shrink(monkeypatch)
    return offline_hub(tmp_path, monkeypatch)


@pytest.fixture(scope='module', autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads take longer on small images than one, much longer beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(name: str, **arguments: object) -> SSL4EOBackbone:
    torch.manual_seed(0)
    found = SSL4EO_BACKBONES[name](**arguments)
    assert isinstance(found, SSL4EOBackbone)
    return found.eval()


def saved(entry: Entry, path: Path, full: bool = True) -> dict[str, Tensor]:
    size = released.SMALL[entry.architecture_name]
    tensors = released.encoder(entry, size)
    torch.save(released.full(entry, tensors, size) if full else tensors, path)
    return tensors


def image_of(channels: int = 13, side: int = 224) -> Tensor:
    return torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(3))


@every_entry
@torch.no_grad()
def test_every_weight_gives_the_maps_of_its_network(entry: Entry, hub: Path) -> None:
    tensors = saved(entry, path_of(entry.files[-1]))
    image, size = image_of(len(entry.bands)), released.SMALL[entry.architecture_name]
    last = len(entry.architecture.out_channels) - 1
    backbone = build(entry.name, pretrained=True, out_indices=[1, last])
    expected = reference.maps_of(entry, tensors, size, image, [1, last])
    for found, wanted in zip(backbone(image), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-4)
    assert backbone.out_indices == [1, last]
    assert backbone.patch_size == entry.architecture.patch_size


@every_entry
def test_real_sizes_have_the_channels_they_say(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with torch.device('meta'):
        backbone = build(entry.name)
        maps = backbone(torch.empty(1, len(entry.bands), 112, 112))
    assert [m.shape[1] for m in maps] == backbone.out_channels
    assert len(maps) == 4


@pytest.mark.terratorch
def test_terratorch_knows_all_of_them(hub: Path) -> None:
    from terratorch.registry import BACKBONE_REGISTRY

    for name in ENTRIES:
        assert name in BACKBONE_REGISTRY
        assert BACKBONE_REGISTRY.find_class(name) is SSL4EO_BACKBONES[name]
    entry = ENTRIES[RESNET]
    tensors = saved(entry, path_of(entry.files[0]), full=False)
    (path_of(entry.files[0])).rename(hub / entry.files[1].file_name)
    backbone = BACKBONE_REGISTRY.build(
        f'terratorch_{RESNET}', pretrained='true', bands='[B02, B03]'
    )
    wanted = tensors['conv1.weight'][:, 1:3]
    assert torch.equal(backbone.encoder.conv1.weight, wanted)


@pytest.mark.terratorch
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', ['ssl4eo_s12_resnet18_rgb_moco', BEIT])
def test_a_model_of_terratorch_is_built_around_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terratorch.models import EncoderDecoderFactory

    monkeypatch.undo()  # The decoder must get the channels that are declared.
    model = (
        EncoderDecoderFactory()
        .build_model(
            task='segmentation',
            backbone=name,
            backbone_kwargs={'norm': False},
            decoder='CopernicusUPerNetDecoder',
            decoder_kwargs={'channels': 8},
            num_classes=2,
        )
        .eval()
    )
    # 80 px are padded to 96 for a patch side of 16.
    output = model(image_of(len(ENTRIES[name].bands), 80)).output
    assert output.shape == (1, 2, 80, 80)
    with pytest.raises(ValueError, match='Set metadata to false'):
        model(image_of(len(ENTRIES[name].bands), 96), metadata=torch.zeros(1, 4))


@torch.no_grad()
def test_bands_are_followed_by_name_and_rescaled_if_asked(tmp_path: Path) -> None:
    entry = ENTRIES[VIT]
    saved(entry, tmp_path / 'x.pth')
    path = str(tmp_path / 'x.pth')
    whole = build(VIT, ckpt_path=path)
    few = build(VIT, ckpt_path=path, bands=['NIR_NARROW', 'RED'])
    assert [band.name for band in few.bands] == ['B8A', 'B04']
    image = torch.zeros(1, 13, 32, 32)
    image[:, [8, 3]] = image_of(2, 32)
    for a, b in zip(few(image[:, [8, 3]]), whole(image), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    larger = build(VIT, ckpt_path=path, bands=['B8A', 'B04'], rescale='true')
    kernels, plain = (b.encoder.patch_embed.proj.weight for b in (larger, few))
    torch.testing.assert_close(kernels, 6.5 * plain)


@torch.no_grad()
@pytest.mark.parametrize('name', [VIT, BEIT])
def test_the_final_norm_is_applied_if_asked(name: str, tmp_path: Path) -> None:
    entry = ENTRIES[name]
    tensors = saved(entry, tmp_path / 'x.pth')
    size = released.SMALL[entry.architecture_name]
    backbone = build(name, ckpt_path=str(tmp_path / 'x.pth'), norm=True, out_indices=[0, 11])
    expected = reference.maps_of(entry, tensors, size, image_of(), [0, 11], norm=True)
    for found, wanted in zip(backbone(image_of()), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-4)


def test_a_missing_norm_matters_only_where_it_is_used(tmp_path: Path) -> None:
    # It is not known whether the released encoders of MAE hold it.
    tensors = saved(ENTRIES[VIT], tmp_path / 'x.pth')
    del tensors['norm.weight'], tensors['norm.bias']
    torch.save(tensors, tmp_path / 'x.pth')
    build(VIT, ckpt_path=str(tmp_path / 'x.pth'))
    with pytest.raises(ValueError, match=r'missing from the file: norm\.weight'):
        build(VIT, ckpt_path=str(tmp_path / 'x.pth'), norm=True)


@torch.no_grad()
@pytest.mark.parametrize(
    ('name', 'task'),
    [(RESNET, 'eurosat_s2'), (VIT, 'cloud_s2'), (S1, 'dfc2020_s1'), (BEIT, 'lcz_s2')],
)
def test_what_a_datamodule_standardised_becomes_what_the_training_saw(name: str, task: str) -> None:
    entry = ENTRIES[name]
    bands = [band for band in entry.bands if band in TASKS[task].bands]
    statistics = TASKS[task].statistics[0]
    sensor = S1_GRD if name == S1 else S2_TOA
    mean, std = (torch.tensor(x)[:, None, None] for x in statistics.of(sensor.select(bands)))
    # In the task's unit: LCZ-S2 has reflectances, not digital numbers.
    image = image_of(len(bands), 32) * 4 * std + mean - 2 * std
    backbone = build(name, bands=bands, input_values=task)
    as_trained = SSL4EOTransforms(
        tuple(bands), entry.transforms.normalisation, resize_px=None, crop_px=None
    )
    scaled = as_trained(image * (1e4 if task == 'lcz_s2' else 1))
    found = backbone.input((image - mean) / std)
    torch.testing.assert_close(found, scaled, atol=1e-5, rtol=1e-4)
    assert scaled.std() > 0.01
    expected = build(name, bands=bands)(scaled)
    for a, b in zip(backbone((image - mean) / std), expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_physical_values_are_scaled_and_alternatives_have_an_effect() -> None:
    image = torch.stack([torch.full((4, 4), -14.0), torch.full((4, 4), -22.0)])[None]
    scaled = build(S1, input_values='physical').input(image)
    assert scaled.flatten(2).mean(2).tolist() == [
        [
            pytest.approx(0.25 * (-14 + 12.548) / 5.257 + 0.5),
            pytest.approx(0.25 * -1.808 / 5.912 + 0.5),
        ]
    ]
    other = build(S1, input_values='physical', normalisation='standardise').input(image)
    assert other.max() < 0
    optical = torch.full((1, 13, 4, 4), 2500.0)
    found = build(VIT, input_values='physical', offset_dn='1000').input(optical)
    torch.testing.assert_close(found, torch.full_like(optical, 0.15))
    assert torch.equal(build(VIT).input(optical), optical)
    half = build(VIT, input_values='physical').input(optical.half())
    assert half.dtype == torch.float16


def test_batch_keys_without_effect_are_refused_with_advice() -> None:
    backbone = build('ssl4eo_s12_resnet18_rgb_moco')
    with pytest.raises(ValueError, match=r"batch has \['metadata'\].*data\.init_args\.metadata"):
        backbone(image_of(3, 32), metadata=torch.zeros(1, 4))
    assert len(backbone(image_of(3, 32), image_size=(32, 32))) == 4


@torch.no_grad()
def test_one_image_may_come_in_a_dictionary() -> None:
    backbone = build(S1)
    image = image_of(2, 32)
    assert torch.equal(backbone({'S1GRD': image})[0], backbone(image)[0])
    with pytest.raises(ValueError, match=r"got the modalities \['a', 'b'\]"):
        backbone({'a': image, 'b': image})


@pytest.mark.parametrize(
    ('shape', 'message'),
    [
        ((1, 12, 32, 32), r'wanted \[B, 13, H, W\] with the channels'),
        ((1, 2, 13, 32, 32), r'wanted \[B, 13, H, W\]'),
        ((1, 13, 32, 40), r'Images are \[32, 40\] px; wanted multiples of the patch side 16'),
    ],
)
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str) -> None:
    for name in (VIT, BEIT):
        with pytest.raises(ValueError, match=message):
            build(name)(torch.zeros(shape))


@torch.no_grad()
@pytest.mark.parametrize('name', [RESNET, VIT, BEIT])
def test_other_and_oblong_image_sizes_run(name: str) -> None:
    backbone = build(name)
    for height, width in ((32, 96), (256, 320)):
        for found in backbone(torch.rand(1, 13, height, width)):
            stride = backbone.patch_size or height // found.shape[2]
            assert found.shape[2:] == (height // stride, width // stride)
            assert found.isfinite().all()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'bands': ['B99']}, "Unknown band 'B99'"),
        ({'bands': ['VV']}, r"no pretrained weights for the bands \['VV'\]"),
        ({'bands': 'B02'}, 'wanted a list of band names'),
        ({'out_indices': [12]}, r'out_indices is \[12\]; wanted ascending numbers from -12 to 11'),
        ({'out_indices': [11, 3]}, r'ascending.*each once'),
        ({'out_indices': [3, -9]}, r'ascending.*each once'),
        ({'out_indices': []}, r'out_indices is \[\]'),
        ({'pretrained': 'perhaps'}, "pretrained is 'perhaps'"),
        ({'norm': 'perhaps'}, "norm is 'perhaps'"),
        ({'rescale': True}, 'rescale is for pretrained weights'),
        ({'sha256': 'a' * 64}, 'sha256 is for a file of weights'),
        ({'input_values': 'counts'}, "input_values is 'counts'; allowed are 'scaled', 'physical'"),
        ({'input_values': 'flood_s1'}, "input_values is 'flood_s1'"),
        ({'input_values': 'eurosat_s1'}, 'No statistics for'),
        ({'normalisation': 'stretch'}, 'have no effect on scaled values'),
        ({'offset_dn': 1000}, 'have no effect on scaled values'),
        ({'input_values': 'physical', 'normalisation': 'minmax'}, "normalisation is 'minmax'"),
        ({'drop_path': 2}, 'drop_path is 2'),
        ({'grad_checkpointing': 'perhaps'}, "grad_checkpointing is 'perhaps'"),
        (
            {'model_bands': ['B02']},
            r"takes no \['backbone_model_bands'\]; allowed .*backbone_bands",
        ),
    ],
)
def test_a_wrong_argument_is_a_value_error_naming_it(arguments: dict, message: str) -> None:
    # TerraTorch turns a KeyError into "model not found".
    with pytest.raises(ValueError, match=message):
        build(VIT, **arguments)


def test_a_resnet_has_no_final_norm() -> None:
    with pytest.raises(ValueError, match='is a ResNet, which has no final norm'):
        build(RESNET, norm=True)


def test_files_are_those_asked_for(tmp_path: Path) -> None:
    entry = ENTRIES[VIT]
    path = tmp_path / 'x.pth'
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*x\.pth'):
        build(VIT, ckpt_path=str(path))
    with pytest.raises(ConnectionError, match=r'B13_vits16_mae_ep99_enc\.pth'):
        build(VIT, pretrained=True)
    saved(entry, path)
    build(VIT, ckpt_path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match='is what you gave'):
        build(VIT, ckpt_path=str(path), sha256='a' * 64)
    with pytest.raises(ValueError, match=r'x\.pth is a checkpoint of mae, but'):
        build('ssl4eo_s12_vits16_s2_dino', ckpt_path=str(path))
    with pytest.raises(ValueError, match='wanted 2 channels'):
        build(S1, ckpt_path=str(path))
    # Gets past all but the last check: a huge network has other widths.
    with pytest.raises(ValueError, match=r'x\.pth does not fit'):
        build('ssl4eo_s12_vith14_s2_mae', ckpt_path=str(path))


@pytest.mark.parametrize(
    ('name', 'indices'), [(RESNET, [1, 2]), (VIT, [2, 3]), (BEIT, [2]), (VIT, [11]), (RESNET, [0])]
)
@pytest.mark.parametrize('recompute', ['false', 'true'])
def test_no_trainable_parameter_is_without_gradient(
    name: str, indices: list[int], recompute: str
) -> None:
    # Distributed training fails on such parameters.
    backbone = build(name, out_indices=indices, grad_checkpointing=recompute).train()
    sum(m.square().sum() for m in backbone(torch.rand(2, 13, 64, 64))).backward()
    idle = [n for n, p in backbone.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []
    assert any(p.requires_grad for p in backbone.parameters())


def test_the_final_norm_learns_where_it_is_used() -> None:
    backbone = build(VIT, norm='true', out_indices=[0])
    backbone(image_of(13, 32))[0].square().sum().backward()
    assert backbone.encoder.norm.weight.grad is not None


def test_a_frozen_resnet_does_not_learn_statistics() -> None:
    backbone = build(RESNET).train()
    assert backbone.encoder.bn1.training
    for parameter in backbone.parameters():  # As TerraTorch freezes some models.
        parameter.requires_grad_(False)
    before = backbone.encoder.bn1.running_mean.clone()
    backbone(image_of(13, 64))
    assert torch.equal(backbone.encoder.bn1.running_mean, before)
    assert not any(module.training for module in backbone.encoder.modules())
    backbone.train()
    assert not backbone.encoder.training


def test_stochastic_depth_comes_as_text_from_the_command_line() -> None:
    for name in (RESNET, VIT, BEIT):
        modules = list(build(name, drop_path='0.25').modules())
        rates = [m.drop_prob for m in modules if type(m).__name__ == 'DropPath']
        assert max(rates) == pytest.approx(0.25)
