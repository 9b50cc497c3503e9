"""Released files are known by their keys, and run nothing."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.models.ssl4eo import released
from torchgeo_copernicus.models.ssl4eo import ENTRIES, read_checkpoint, read_full
from torchgeo_copernicus.models.ssl4eo.encoder import read_encoder

MAE = ENTRIES['ssl4eo_s12_vits16_s2_mae']
SIZE = released.Size(12, 6, depth=1)


class Evil:
    """Makes a folder when it is unpickled by a careless reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def saved(content: object, path: Path, *, new: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=new)
    return path


def mae() -> dict[str, object]:
    return released.full(MAE, released.encoder(MAE, SIZE), SIZE)


@pytest.mark.parametrize('new', [True, False])
def test_training_arguments_are_tolerated_and_not_allowed_elsewhere(
    new: bool, tmp_path: Path
) -> None:
    before = set(torch.serialization.get_safe_globals())
    path = saved(mae(), tmp_path / 'x.pth', new=new)
    with pytest.raises(Exception, match='Namespace'):
        torch.load(path, weights_only=True)
    assert read_checkpoint(path).epoch == 99
    assert set(torch.serialization.get_safe_globals()) == before


def test_what_the_user_allowed_stays_allowed(tmp_path: Path) -> None:
    path = saved(mae(), tmp_path / 'x.pth')
    with torch.serialization.safe_globals([Namespace]):
        read_checkpoint(path)
        assert Namespace in torch.serialization.get_safe_globals()


@pytest.mark.parametrize('where', ['args', 'inside'])
def test_a_malicious_pickle_does_not_run(where: str, tmp_path: Path) -> None:
    trap = tmp_path / 'trap'
    content = mae()
    evil = Evil(trap)
    content['args'] = Namespace(model=evil) if where == 'inside' else evil
    path = saved(content, tmp_path / 'evil.pth')
    for read in (read_checkpoint, read_full, lambda path: read_encoder(path, MAE)):
        with pytest.raises(ValueError, match=r'evil\.pth holds more than tensors.*was not read'):
            read(path)
    assert not trap.exists()
    torch.load(path, weights_only=False)  # The trap is real.
    assert trap.exists()


@pytest.mark.parametrize('other', [Fraction(1, 2), Path('x'), released.REAL['resnet18']])
def test_no_other_type_is_let_in(other: object, tmp_path: Path) -> None:
    content = mae() | {'args': Namespace(other=other)}
    with pytest.raises(ValueError, match='holds more than tensors'):
        read_checkpoint(saved(content, tmp_path / 'x.pth'))


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = saved(mae(), tmp_path / 'x.pth')
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r'x\.pth is not a readable checkpoint'):
        read_checkpoint(path)
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*y\.pth'):
        read_checkpoint(tmp_path / 'y.pth')


@pytest.mark.parametrize('name', [MAE.name, 'ssl4eo_s12_vits16_s2_data2vec'])
def test_safetensors_are_read(name: str, tmp_path: Path) -> None:
    entry = ENTRIES[name]
    tensors = released.encoder(entry, SIZE)
    save_file(tensors, tmp_path / 'x.safetensors')
    found = read_encoder(tmp_path / 'x.safetensors', entry)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize(
    'wrap',
    [
        lambda t: t,
        lambda t: {'state_dict': t},
        lambda t: {'model': t},
        lambda t: {'module': t},
        lambda t: {f'module.{key}': value for key, value in t.items()},
        lambda t: {f'backbone.{key}': value for key, value in t.items()},
        lambda t: {'state_dict': {f'module.backbone.{key}': value for key, value in t.items()}},
        lambda t: {**t, 'head.weight': torch.zeros(2, 12), 'head.bias': torch.zeros(2)},
        lambda t: {**t, 'mask_token': torch.zeros(1, 1, 12)},
    ],
)
def test_a_backbone_is_known_in_any_wrapping(wrap: Callable, tmp_path: Path) -> None:
    tensors = released.encoder(MAE, SIZE)
    path = saved(wrap(tensors), tmp_path / 'x.pth')
    checkpoint = read_checkpoint(path)
    assert (checkpoint.layout, checkpoint.epoch) == ('backbone', None)
    assert checkpoint.parts.encoder.keys() == tensors.keys()
    with pytest.raises(ValueError, match=r'x\.pth holds an encoder alone'):
        read_full(path)


def test_a_backbone_of_data2vec_is_no_full_checkpoint(tmp_path: Path) -> None:
    entry = ENTRIES['ssl4eo_s12_vits16_s2_data2vec']
    path = saved({'model': released.encoder(entry, SIZE)}, tmp_path / 'x.pth')
    assert not read_checkpoint(path).is_full
    with pytest.raises(ValueError, match='holds an encoder alone'):
        read_full(path)


def test_the_decoder_of_mae_is_returned(tmp_path: Path) -> None:
    content = mae()
    parts = read_full(saved(content, tmp_path / 'x.pth')).parts
    model = content['model']
    assert isinstance(model, dict)
    assert all(torch.equal(value, model[key]) for key, value in parts.decoder.items())
    assert {'mask_token', 'decoder_pred.weight'} <= parts.decoder.keys()
    assert not {'mask_token', 'decoder_pred.weight'} & parts.encoder.keys()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'layers.0.weight': torch.zeros(1)}, r"innermost keys are \['layers\.0\.weight'\]"),
        (
            {'model': {'stem.weight': torch.zeros(1)}, 'args': Namespace()},
            r"holds \['model', 'args'\]",
        ),
        ({'state_dict': {f'x{i}': torch.zeros(1) for i in range(9)}}, r"'x7'\] and 1 more"),
        ({}, r'innermost keys are \[\]'),
        ([torch.zeros(1)], 'holds a list'),
        ({'model': {'conv1.weight': torch.zeros(1), 'step': 3}}, r"other things .*\['step'\]"),
    ],
)
def test_keys_that_fit_no_layout_are_named(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_checkpoint(saved(content, tmp_path / 'x.pth'))
    assert 'x.pth' in str(caught.value)


def test_a_checkpoint_of_another_method_is_not_taken_for_this_one(tmp_path: Path) -> None:
    # Both are ViT-S/16 with the same keys inside.
    path = saved(mae(), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=r'x\.pth is a checkpoint of mae.*s2_dino is of dino'):
        read_encoder(path, ENTRIES['ssl4eo_s12_vits16_s2_dino'])


def test_the_teacher_of_dino_is_taken_and_not_the_student(tmp_path: Path) -> None:
    entry = ENTRIES['ssl4eo_s12_vits16_s2_dino']
    tensors = released.encoder(entry, SIZE)
    path = saved(released.full(entry, tensors, SIZE), tmp_path / 'x.pth')
    assert torch.equal(read_encoder(path, entry)['cls_token'], tensors['cls_token'])
    other = read_checkpoint(path).parts.other
    student = other['student.module.backbone.cls_token']
    assert not torch.equal(student, tensors['cls_token'])


def test_the_trained_encoder_of_moco_is_taken_and_not_the_momentum(tmp_path: Path) -> None:
    for name in ('ssl4eo_s12_resnet18_rgb_moco', 'ssl4eo_s12_vits16_s2_moco'):
        entry = ENTRIES[name]
        size = released.SMALL[entry.architecture_name]
        tensors = released.encoder(entry, size)
        path = saved(released.full(entry, tensors, size), tmp_path / 'x.pth')
        key = entry.architecture.first_convolution
        assert torch.equal(read_encoder(path, entry)[key], tensors[key])
