"""Written models: what is read back is what was written, and a bad file is never left behind."""

from __future__ import annotations

import json
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from torchgeo_copernicus.models import CopernicusFM, export_onnx, load_specialized, save_specialized
from torchgeo_copernicus.models.export import check_onnx, example_inputs, specialization_of
from torchgeo_copernicus.models.metadata_vit import MetadataViT
from torchgeo_copernicus.models.model_card import model_card
from torchgeo_copernicus.models.specialization import StaticViT
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

NAN = float('nan')
KNOWN = ['input', 'unknown', (11.57, NAN, 18262.0, 10.0)]
KEY = 'torchgeo_copernicus.specialization'


def specialised(
    metadata: Any = 'input', seed: int = 0, **arguments: Any
) -> StaticViT | MetadataViT:
    torch.manual_seed(seed)
    model = CopernicusFM(embed_dim=32, depth=1, num_heads=4, **arguments)
    torch.nn.init.normal_(model.coord_fc.weight, std=0.1)
    return model.specialize(S1_GRD, 8, (32, 40), metadata)


@pytest.fixture
def onnx() -> None:
    for name in ('onnx', 'onnxruntime', 'onnxscript'):
        pytest.importorskip(name, reason='needs the extra `export`')


@pytest.mark.usefixtures('onnx')
@pytest.mark.parametrize(
    ('metadata', 'pool', 'num_classes'),
    [('input', 'token', 0), ((11.57, NAN, 18262.0, 10.0), 'avg', 3)],
)
def test_onnx_gives_the_same_for_every_batch(
    metadata: Any, pool: str, num_classes: int, tmp_path: Path
) -> None:
    import onnxruntime

    model = specialised(metadata, global_pool=pool, num_classes=num_classes)
    path = export_onnx(model, tmp_path / 'new' / 'model.onnx')
    assert [file.name for file in path.parent.iterdir()] == ['model.onnx']
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    names = ['image', 'metadata'][: 1 + (metadata == 'input')]
    assert [entry.name for entry in session.get_inputs()] == names
    assert [entry.name for entry in session.get_outputs()] == ['embedding']
    for batch in (1, 2, 5):
        inputs = example_inputs(model, batch, seed=batch + 10)
        (found,) = session.run(None, dict(zip(names, (i.numpy() for i in inputs), strict=True)))
        with torch.no_grad():
            expected = model(*inputs)
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-5)
    assert check_onnx(model, path) < 1e-4
    # Other weights, and another shape of output.
    for other in (
        specialised(metadata, 1, global_pool=pool, num_classes=num_classes),
        specialised(metadata, global_pool=pool, num_classes=4),
    ):
        with pytest.raises(ValueError, match='differs from PyTorch'):
            check_onnx(other, path)


@pytest.mark.usefixtures('onnx')
def test_weights_beside_a_large_onnx_file_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    # As PyTorch does by itself above 1.5 GB.
    save = partialmethod(torch.onnx.ONNXProgram.save, external_data=True)
    monkeypatch.setattr(torch.onnx.ONNXProgram, 'save', save)
    path = export_onnx(specialised('unknown'), tmp_path / 'model.onnx')
    assert len(list(tmp_path.iterdir())) == 2
    onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])


@pytest.mark.usefixtures('onnx')
def test_an_onnx_file_that_fails_its_check_does_not_replace_a_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    model = specialised('unknown')
    good = tmp_path / 'good.onnx'
    good.write_bytes(b'an older model')
    run = onnxruntime.InferenceSession.run
    monkeypatch.setattr(onnxruntime.InferenceSession, 'run', lambda *args: [run(*args)[0] * 1.01])
    for path in (good, tmp_path / 'new.onnx'):
        with pytest.raises(ValueError, match=r'differs from PyTorch by .* at batch 1'):
            export_onnx(model, path)
    assert good.read_bytes() == b'an older model'
    assert list(tmp_path.iterdir()) == [good]


def test_only_float32_goes_to_onnx(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='float32'):
        export_onnx(specialised().bfloat16(), tmp_path / 'model.onnx')


@pytest.mark.parametrize('metadata', KNOWN)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_safetensors_come_back_to_the_bit(
    metadata: Any, dtype: torch.dtype, tmp_path: Path
) -> None:
    model = specialised(metadata, global_pool='avg', num_classes=3).to(dtype)
    path = save_specialized(model, tmp_path / 'model.safetensors')
    assert list(tmp_path.iterdir()) == [path]
    found = load_specialized(path)
    assert type(found) is type(model) and not found.training
    assert str(found.specialization) == str(model.specialization)
    assert found.state_dict().keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert found.state_dict()[name].dtype == dtype
        assert torch.equal(found.state_dict()[name], value), name
    inputs = example_inputs(model, 2)
    with torch.no_grad():
        assert torch.equal(found(*inputs), model(*inputs))
    with safe_open(path, 'pt') as file:
        assert json.loads(file.metadata()[KEY])['channels'] == ['VV', 'VH']


def test_a_model_that_would_not_read_back_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / 'model.safetensors'
    path.write_bytes(b'an older model')
    mixed = specialised('unknown')
    mixed.norm.bfloat16()
    changed = specialised('unknown')
    changed.reset_classifier(5)
    for model, message in ((mixed, 'norm.weight is torch.bfloat16'), (changed, 'head.weight')):
        with pytest.raises(ValueError, match=message):
            save_specialized(model, path)
    assert path.read_bytes() == b'an older model'
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_file_is_no_model(tmp_path: Path) -> None:
    whole = save_specialized(specialised(), tmp_path / 'whole.safetensors').read_bytes()
    path = tmp_path / 'model.safetensors'
    for content in (b'', whole[:7], whole[:400], whole[:-1], whole + b'0', b'PK' + whole):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r'model\.safetensors is no whole'):
            load_specialized(path)
    with pytest.raises(FileNotFoundError, match='There is no model at'):
        load_specialized(tmp_path / 'none.safetensors')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'depth': 2}, 'missing from the file: vit.blocks.1'),
        ({'embed_dim': 36}, 'of another shape'),
        ({'num_heads': 5}, 'damaged, or of another version'),
        ({'num_heads': 0}, 'damaged, or of another version'),
        ({'image_size': 32}, 'damaged, or of another version'),
        ({'global_pool': 'max and min'}, 'damaged, or of another version'),
        ({'from_the_future': 1}, 'damaged, or of another version'),
        ({'metadata': None}, 'damaged, or of another version'),
        ({'metadata': 'unknown'}, 'does not fit StaticViT'),
    ],
)
def test_a_header_that_does_not_fit_is_named(change: dict, message: str, tmp_path: Path) -> None:
    model = specialised()
    path = save_specialized(model, tmp_path / 'model.safetensors')
    with safe_open(path, 'pt') as file:
        header = json.loads(file.metadata()[KEY]) | change
    save_file(model.state_dict(), path, {KEY: json.dumps(header)})
    with pytest.raises(ValueError, match=message):
        load_specialized(path)


@pytest.mark.parametrize('header', [None, {'format': 'pt'}, {KEY: '{'}, {KEY: '[]'}, {KEY: '{}'}])
def test_tensors_of_something_else_are_named(header: dict | None, tmp_path: Path) -> None:
    path = tmp_path / 'model.safetensors'
    save_file({'weight': torch.ones(2)}, path, header)
    with pytest.raises(ValueError, match=r'does not say what it is for|damaged, or of another'):
        load_specialized(path)


@pytest.mark.parametrize(
    ('write', 'name'),
    [(save_specialized, 'model.onnx'), (save_specialized, 'model'), (export_onnx, 'model.pt')],
)
def test_another_suffix_is_refused(write: Any, name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf'{name}: the name must end in \.'):
        write(specialised(), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('write', 'name'), [(save_specialized, 'm.safetensors'), (export_onnx, 'm.onnx')]
)
def test_a_model_that_was_not_specialised_is_refused(write: Any, name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'CopernicusFM is no specialised encoder.*specialize'):
        write(CopernicusFM(embed_dim=32, depth=1, num_heads=4), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_card_says_what_goes_in_and_comes_out() -> None:
    torch.manual_seed(0)
    encoder = CopernicusFM(embed_dim=32, depth=1, num_heads=4, num_classes=3, global_pool='avg')
    bands = ['B04', 'B02', 'B8A']
    model = encoder.specialize(bands, 8, (32, 40))
    card = model_card(specialization_of(model), 'My model', 'a file of mine', 'cc-by-4.0')
    assert card.startswith('---\nlicense: cc-by-4.0\n')
    for words in (
        '# My model',
        'a file of mine',
        '`image`: float32 `[batch, 3, 32, 40]`',
        'patches of 8 px',
        S2_TOA.statistics.unit,
        S2_TOA.statistics.source,
        '`metadata`: float32 `[batch, 4]`: longitude (deg), latitude (deg), days since 1970-01-01',
        '`[batch, 3]`, logits, from the mean patch token',
        'model(image, metadata)',
        '{"image": image, "metadata": metadata}',
    ):
        assert words in card
    rows = [line.split(' | ') for line in card.splitlines() if line.startswith('| B')]
    assert [row[0].strip('| ') for row in rows] == bands
    for row in rows:
        assert float(row[1]) == pytest.approx(S2_TOA.statistics.mean[row[0].strip('| ')], rel=1e-5)
        assert float(row[2].strip('| ')) == pytest.approx(
            S2_TOA.statistics.std[row[0].strip('| ')], rel=1e-5
        )


def test_the_card_tells_unknown_metadata_from_fixed() -> None:
    def card(metadata: Any) -> str:
        return model_card(specialization_of(specialised(metadata)), 'M', 'nowhere', 'other')

    assert 'No metadata: place, date and scale are unknown' in card('unknown')
    fixed = card((11.57, NAN, 18262.0, 10.0))
    assert 'longitude (deg) 11.57' in fixed and 'days since 1970-01-01 18262' in fixed
    for text in (card('unknown'), fixed):
        assert 'model(image)' in text and '`[batch, 32]`, from the class token' in text
        assert 'NaN for unknown' not in text


def test_a_card_of_channels_without_names_invents_no_statistics() -> None:
    torch.manual_seed(0)
    encoder = CopernicusFM(embed_dim=32, depth=1, num_heads=4)
    model = encoder.specialize(None, 8, 32, wavelengths_nm=[490.0], bandwidths_nm=[65.0])
    card = model_card(specialization_of(model), 'M', 'nowhere', 'other')
    assert 'channel 0, with the statistics the encoder was trained with' in card
    assert '| channel |' not in card
