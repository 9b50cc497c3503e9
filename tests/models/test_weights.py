"""Released weights: one entry says all about a file, and only that very file is loaded."""

from __future__ import annotations

import copy
import hashlib
import pickle
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights
from torchvision.models._api import Weights

from torchgeo_copernicus.models import (
    CopernicusFM,
    CopernicusFMBase16_Weights,
    builders,
    copernicus_fm_base,
    copernicus_fm_small,
    weights,
)
from torchgeo_copernicus.models.weights import load_weights
from torchgeo_copernicus.sensors import SENSORS, resolve_bands

ENTRY = CopernicusFMBase16_Weights.COPERNICUS_PRETRAIN
PARAMETERS = {
    'copernicus_fm_small': 48_823_936,
    'copernicus_fm_base': 139_452_544,
    'copernicus_fm_large': 375_110_784,
    'copernicus_fm_huge': 721_352_832,
}


def tiny(num_classes: int = 0, embed_dim: int = 16, seed: int = 0) -> CopernicusFM:
    torch.manual_seed(seed)
    return CopernicusFM(
        img_size=32, embed_dim=embed_dim, depth=1, num_heads=2, num_classes=num_classes
    )


def released(model: nn.Module) -> dict[str, Tensor]:
    """Return what a file like the released one holds: the decoder's mask token, too."""
    return {**model.state_dict(), 'mask_token': torch.zeros(1, 1, 512)}


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / 'hub' / 'checkpoints'
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(folder.parent))
    return folder


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serves `tiny.pth` as if it were the released file; gives the address."""
    torch.save(released(tiny()), tmp_path / 'tiny.pth')
    for name in ('no_proxy', 'NO_PROXY'):
        monkeypatch.setenv(name, '*')
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        url = f'http://127.0.0.1:{running.server_port}/tiny.pth'
        sha256 = hashlib.sha256((tmp_path / 'tiny.pth').read_bytes()).hexdigest()
        stand_in = Weights(url, ENTRY.transforms, ENTRY.meta | {'sha256': sha256})
        monkeypatch.setattr(ENTRY, '_value_', stand_in)
        yield url
        running.shutdown()
        thread.join()


def test_the_entry_says_what_a_user_must_know() -> None:
    meta = ENTRY.meta
    assert len(meta['sha256']) == 64
    assert int(meta['sha256'], 16)
    assert meta['license'] == 'CC-BY-4.0'
    assert meta['unexpected'] == ('mask_token',)
    assert getattr(builders, meta['builder']) is copernicus_fm_base
    assert meta['num_params'] == PARAMETERS[meta['builder']]
    assert meta['parameter_bytes'] == 4 * meta['num_params']
    assert ENTRY.url.startswith('https://')


def test_every_modality_has_its_bands_and_statistics() -> None:
    modalities = ENTRY.meta['modalities']
    assert list(modalities) == list(SENSORS)
    for modality in modalities.values():
        bands = resolve_bands(modality['bands'])
        for key in ('mean', 'std', 'wavelengths_nm', 'bandwidths_nm'):
            assert len(modality[key]) == len(bands)
        assert modality['wavelengths_nm'] == [band.wavelength_nm for band in bands]
    assert modalities['s2_toa']['std'][8] == 1345.9


def test_the_transform_leaves_a_batch_alone() -> None:
    batch = {'image': torch.ones(1)}
    assert ENTRY.transforms(batch) is batch


@pytest.mark.parametrize(
    'again', [copy.copy, copy.deepcopy, lambda entry: pickle.loads(pickle.dumps(entry))]
)
def test_a_copied_entry_is_the_entry(again: Callable[[object], object]) -> None:
    # Lightning copies hyper-parameters, and spawned processes get them pickled.
    assert again(ENTRY) is ENTRY


def test_the_file_is_fetched_into_the_hub_by_its_hash(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fetch(url: str, path: Path, **options: object) -> Path:
        calls.append((url, path, options))
        torch.save({'model': {'a': torch.ones(2)}}, tmp_path / 'x.pth')
        return tmp_path / 'x.pth'

    monkeypatch.setattr(weights, 'fetch', fetch)
    assert list(ENTRY.get_state_dict(progress=False)) == ['a']
    path = hub / 'CopernicusFM_ViT_base_varlang_e100.pth'
    assert ENTRY.path() == path
    options = {'sha256': ENTRY.meta['sha256'], 'progress': False}
    assert calls == [(ENTRY.url, path, options)]


@pytest.mark.parametrize('option', ['check_hash', 'weights_only'])
def test_less_safety_is_refused_before_the_download(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, 'fetch', None)
    with pytest.raises(ValueError, match=f'COPERNICUS_PRETRAIN is always verified.*{option}'):
        ENTRY.get_state_dict(**{option: False})


def test_a_download_arrives_in_the_hub_and_in_the_model(server: str, hub: Path) -> None:
    model = tiny(num_classes=3, seed=1)
    head = model.head.weight.detach().clone()
    load_weights(model, ENTRY)
    assert (hub / 'tiny.pth').is_file()
    for name, value in tiny().state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert torch.equal(model.head.weight, head)


def test_a_file_placed_by_hand_needs_no_network(
    server: str, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Weights('http://127.0.0.1:9/tiny.pth', ENTRY.transforms, ENTRY.meta)
    monkeypatch.setattr(ENTRY, '_value_', gone)
    hub.mkdir(parents=True)
    (hub / 'tiny.pth').write_bytes((tmp_path / 'tiny.pth').read_bytes())
    assert 'mask_token' in ENTRY.get_state_dict(progress=False)


def test_another_file_of_that_name_is_not_loaded(server: str, hub: Path) -> None:
    hub.mkdir(parents=True)
    torch.save(released(tiny(seed=2)), hub / 'tiny.pth')
    with pytest.raises(ValueError, match=r'tiny\.pth: expected SHA-256'):
        ENTRY.get_state_dict(progress=False)


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """What the released file holds, to be changed by the test."""
    tensors = released(tiny())
    monkeypatch.setattr(CopernicusFMBase16_Weights, 'get_state_dict', lambda self: tensors)
    return tensors


def test_weights_of_another_size_leave_the_model_alone(content: dict[str, Tensor]) -> None:
    model = tiny(embed_dim=32)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=r'COPERNICUS_PRETRAIN does not fit.*another size'):
        load_weights(model, ENTRY)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    'name', ['cls_token', 'norm.weight', 'patch_embed_variable.fclayer.w1.bias']
)
def test_a_parameter_that_is_not_in_the_file_is_named(
    name: str, content: dict[str, Tensor]
) -> None:
    del content[name]
    with pytest.raises(ValueError, match=f'missing from the file: {name}'):
        load_weights(tiny(num_classes=2), ENTRY)


def test_a_parameter_that_is_only_in_the_file_is_named(content: dict[str, Tensor]) -> None:
    content['decoder.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'not in the model: decoder\.weight'):
        load_weights(tiny(), ENTRY)


@pytest.mark.parametrize('name', PARAMETERS)
def test_each_size_has_the_parameters_of_the_official_one(name: str) -> None:
    with torch.device('meta'):
        model = getattr(builders, name)()
        with_head = getattr(builders, name)(num_classes=10, global_pool='avg')
    assert count(model) == PARAMETERS[name]
    assert count(with_head) == PARAMETERS[name] + 10 * (model.embed_dim + 1)
    assert with_head.global_pool == 'avg'
    assert set(PARAMETERS) == set(builders.SIZES)


@pytest.mark.parametrize('name', [name for name in PARAMETERS if name != 'copernicus_fm_base'])
def test_sizes_without_released_weights_refuse_them(name: str) -> None:
    with pytest.raises(ValueError, match=f'No weights are released for {name}'):
        getattr(builders, name)(weights=ENTRY)


def test_weights_of_another_model_are_refused() -> None:
    with torch.device('meta'), pytest.raises(TypeError, match='CopernicusFMBase16_Weights'):
        copernicus_fm_base(weights=ResNet18_Weights.DEFAULT)  # type: ignore[arg-type]


def test_base_loads_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(builders, 'load_weights', lambda model, entry: given.append(entry))
    with torch.device('meta'):
        copernicus_fm_base()
        assert given == []
        copernicus_fm_base(ENTRY)
    assert given == [ENTRY]


def test_an_unknown_pooling_is_refused() -> None:
    with torch.device('meta'), pytest.raises(ValueError, match=r"'mean'.*'token', 'avg'"):
        copernicus_fm_small(global_pool='mean')  # type: ignore[arg-type]
