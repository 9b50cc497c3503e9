"""Each training run is one member of an enum, found by its name, and loaded by its builder."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchgeo.models import get_model, get_model_weights, get_weight, list_models

from tests.models.ssl4eo import released
from torchgeo_copernicus.models.ssl4eo import (
    ENTRIES,
    SSL4EOS12BEiTSmall16_Weights,
    SSL4EOS12ResNet18_Weights,
    SSL4EOS12ResNet50_Weights,
    SSL4EOS12ViTSmall16_Weights,
    ssl4eo_s12_beit_small_patch16_224,
    ssl4eo_s12_resnet18,
    ssl4eo_s12_vit_small_patch16_224,
)
from torchgeo_copernicus.models.ssl4eo.fetching import path_of
from torchgeo_copernicus.models.ssl4eo.registration import WEIGHTS
from torchgeo_copernicus.models.ssl4eo.weights import SSL4EOS12Weights

MEMBERS = [member for enum in WEIGHTS.values() for member in enum]
every_member = pytest.mark.parametrize('member', MEMBERS, ids=str)
RGB = SSL4EOS12ResNet18_Weights.SENTINEL2_L1C_RGB_MOCO


def place(member: SSL4EOS12Weights, form: str = 'full') -> dict[str, Tensor]:
    """Put a file where the download would; return the numbers of its encoder."""
    entry = member.entry
    size = released.SMALL[entry.architecture_name]
    tensors = released.encoder(entry, size)
    content = released.full(entry, tensors, size) if form == 'full' else tensors
    torch.save(content, path_of(entry.of_form(form)[-1]))  # type: ignore[arg-type]
    return tensors


@every_member
def test_each_is_found_by_its_name_in_torchgeo(member: SSL4EOS12Weights) -> None:
    # Aliases are not: TorchGeo's own SENTINEL1_GRD_MOCO cannot be got.
    assert get_weight(str(member)) is member
    assert get_weight(f'{type(member).__name__}.{member.name}') is member


def test_all_runs_have_one_member_each() -> None:
    assert sorted(member.entry.name for member in MEMBERS) == sorted(ENTRIES)
    for enum in WEIGHTS.values():
        assert list(enum.__members__.values()) == list(enum)  # No aliases.
    assert all(member.name == member.entry.member for member in MEMBERS)
    assert len({member.url for member in MEMBERS}) == len(MEMBERS)


def test_each_builder_has_its_enum_in_torchgeo() -> None:
    for builder, enum in WEIGHTS.items():
        assert get_model_weights(builder.__name__) is enum
        assert get_model_weights(builder) is enum
        assert builder.__name__ in list_models()
        assert {member.meta['builder'] for member in enum} == {builder.__name__}
        assert {member.meta['model'] for member in enum} == {builder.__name__[11:]}


@every_member
def test_the_meta_data_say_what_a_user_must_know(member: SSL4EOS12Weights) -> None:
    meta, entry = member.meta, member.entry
    assert meta['license'] == 'CC-BY-4.0'
    assert meta['in_chans'] == len(meta['bands']) == len(entry.bands)
    assert meta['ssl_method'] == entry.method
    assert meta['files'] == {file.file_name: file.url for file in entry.files}
    assert meta['normalisations'][0] == member.transforms.normalisation
    assert meta['epochs'] in (100, 200)
    if meta['torchgeo'] is not None:
        theirs = get_weight(meta['torchgeo'])
        assert theirs.url.rsplit('/', 1)[1] == entry.files[0].file_name
        assert theirs.url.split('/resolve/')[1] == entry.files[0].url.split('/resolve/')[1]
        assert [f'{band}'.upper() for band in theirs.meta['bands']] == [
            band.replace('B0', 'B') for band in meta['bands']
        ]


@pytest.mark.parametrize(
    'again', [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copied_member_is_the_member(again: object) -> None:
    # Lightning copies hyper-parameters, and spawned processes get them pickled.
    for member in MEMBERS:
        assert again(member) is member  # type: ignore[operator]


@every_member
@torch.no_grad()
def test_the_builder_loads_what_the_enum_reads(
    member: SSL4EOS12Weights, small: None, hub: Path
) -> None:
    tensors = place(member)
    model = get_model(member.meta['builder'], weights=member, num_classes=3)
    state = model.state_dict()
    assert all(torch.equal(state[key], tensors[key]) for key in tensors)
    assert {key.split('.')[0] for key in state.keys() - tensors.keys()} <= {'head', 'fc'}
    assert model.eval()(torch.rand(1, len(member.entry.bands), 28 * 4, 28 * 4)).shape == (1, 3)


def test_the_state_dict_is_of_plain_tensors(hub: Path) -> None:
    tensors = place(RGB)
    found = RGB.get_state_dict(progress=False)
    assert found.keys() == tensors.keys()
    model = torch.nn.Module()  # As TorchGeo's tasks do.
    model.conv1 = torch.nn.Conv2d(3, 64, 7, bias=False)
    model.load_state_dict(found, strict=False)
    assert torch.equal(model.conv1.weight, tensors['conv1.weight'])


@pytest.mark.parametrize('option', ['check_hash', 'weights_only'])
def test_less_safety_is_refused_before_the_download(option: str, hub: Path) -> None:
    with pytest.raises(ValueError, match=f'RGB_MOCO is always verified.*{option}'):
        RGB.get_state_dict(**{option: False})


def test_the_full_checkpoint_is_read_whole(hub: Path) -> None:
    member = SSL4EOS12ViTSmall16_Weights.SENTINEL1_GRD_MAE
    with pytest.raises(ConnectionError, match=r'B2_vits16_mae_ep99\.pth'):
        member.read_full()
    place(member, 'backbone')
    with pytest.raises(ConnectionError, match=r'B2_vits16_mae_ep99\.pth'):
        member.read_full()
    place(member)
    assert 'decoder_pred.weight' in member.read_full().parts.decoder


def test_a_form_that_is_not_released_is_named(hub: Path) -> None:
    with pytest.raises(ValueError, match=r"rgb_moco: form is 'backbone'; released are \['full'\]"):
        RGB.fetch('backbone')
    with pytest.raises(ValueError, match="form is 'half'"):
        RGB.fetch('half')  # type: ignore[arg-type]


@pytest.mark.parametrize(
    'weights',
    ['SENTINEL9', 'x.SENTINEL2_L1C_RGB_MOCO', 5, SSL4EOS12ResNet50_Weights.SENTINEL1_GRD_MOCO],
)
def test_weights_of_another_model_are_refused_and_those_there_named(weights: object) -> None:
    with pytest.raises(ValueError, match=r'allowed are .*RGB_MOCO_EP200.* and None'):
        ssl4eo_s12_resnet18(weights)  # type: ignore[arg-type]


@torch.no_grad()
def test_a_name_will_do_and_bands_are_followed_by_name(small: None, hub: Path) -> None:
    place(RGB)
    rgb = ssl4eo_s12_resnet18('SSL4EOS12ResNet18_Weights.SENTINEL2_L1C_RGB_MOCO').eval()  # type: ignore[arg-type]
    bgr = ssl4eo_s12_resnet18(RGB, bands=['BLUE', 'GREEN', 'RED']).eval()
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(bgr(image.flip(1)), rgb(image), atol=1e-4, rtol=1e-4)
    one = ssl4eo_s12_resnet18(RGB, bands=['GREEN'], rescale=True)
    assert torch.equal(one.conv1.weight, 3 * rgb.conv1.weight[:, 1:2])
    with pytest.raises(ValueError, match='no pretrained weights'):
        ssl4eo_s12_resnet18(RGB, bands=['B08'])


def test_fresh_models_take_any_bands_and_refuse_what_has_no_effect() -> None:
    with torch.device('meta'):
        assert ssl4eo_s12_resnet18().conv1.weight.shape[1] == 13
        assert ssl4eo_s12_resnet18(bands=['VV', 'B02']).conv1.weight.shape[1] == 2
        with pytest.raises(ValueError, match='rescale is for pretrained weights'):
            ssl4eo_s12_resnet18(rescale=True)


def test_a_transformer_pools_after_the_pretrained_norm(small: None, hub: Path) -> None:
    image = torch.rand(1, 13, 224, 224)
    for builder, member in (
        (ssl4eo_s12_vit_small_patch16_224, SSL4EOS12ViTSmall16_Weights.SENTINEL2_L1C_ALL_MAE),
        (
            ssl4eo_s12_beit_small_patch16_224,
            SSL4EOS12BEiTSmall16_Weights.SENTINEL2_L1C_ALL_DATA2VEC,
        ),
    ):
        place(member)
        token, mean = (builder(member, global_pool=pool).eval() for pool in ('token', 'avg'))  # type: ignore[operator]
        with torch.no_grad():
            tokens = token.forward_features(image)
            torch.testing.assert_close(token(image), tokens[:, 0])
            torch.testing.assert_close(mean(image), tokens[:, 1:].mean(dim=1))
        with pytest.raises(ValueError, match="global_pool is 'max'"):
            builder(global_pool='max')  # type: ignore[operator]


def test_a_missing_norm_is_not_left_random(small: None, hub: Path) -> None:
    # TorchGeo's builders tolerate it.
    member = SSL4EOS12ViTSmall16_Weights.SENTINEL2_L1C_ALL_DINO
    entry = member.entry
    tensors = released.encoder(entry, released.SMALL[entry.architecture_name])
    del tensors['norm.weight'], tensors['norm.bias']
    torch.save(tensors, path_of(entry.files[1]))
    with pytest.raises(ValueError, match=r'missing from the file: norm\.weight, norm\.bias'):
        ssl4eo_s12_vit_small_patch16_224(member)


def test_stochastic_depth_reaches_the_blocks() -> None:
    with torch.device('meta'):
        for builder in WEIGHTS:
            rates = [
                module.drop_prob
                for module in builder(drop_path=0.25).modules()
                if type(module).__name__ == 'DropPath'
            ]
            assert max(rates) == pytest.approx(0.25), builder


def test_other_image_sizes_interpolate_the_positions(small: None, hub: Path) -> None:
    member = SSL4EOS12ViTSmall16_Weights.SENTINEL2_L1C_ALL_MOCO
    place(member)
    model = ssl4eo_s12_vit_small_patch16_224(member).eval()
    with torch.no_grad():
        assert model.forward_features(torch.rand(1, 13, 64, 128)).shape == (1, 1 + 4 * 8, 24)


def test_torchgeos_own_task_trains_from_them(hub: Path) -> None:
    try:
        from torchgeo.tasks import Classification
    except ModuleNotFoundError:
        from torchgeo.trainers import ClassificationTask as Classification
    tensors = place(RGB)
    task = Classification(model='resnet18', weights=str(RGB), in_channels=3, num_classes=2)
    assert isinstance(task.model, nn.Module)
    assert torch.equal(
        task.model.state_dict()['layer1.0.conv1.weight'], tensors['layer1.0.conv1.weight']
    )
