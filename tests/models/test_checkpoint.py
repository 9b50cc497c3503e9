"""Checkpoints run nothing, and load whole or not at all."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from torchgeo_copernicus.models.checkpoint import load_tensors, read_tensors

TENSORS = {'weight': torch.arange(6.0).reshape(2, 3), 'bias': torch.tensor([7.0, 8.0])}


class Evil:
    """Makes a folder when it is unpickled by a careless reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def save(content: object, path: Path, *, new: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=new)
    return path


def assert_same(found: dict[str, Tensor]) -> None:
    assert list(found) == list(TENSORS)
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize(
    'content',
    [
        TENSORS,
        {'model': TENSORS, 'epoch': 3, 'optimizer': {'lr': 0.1}},
        {'state_dict': TENSORS, 'pytorch-lightning_version': '2.6'},
        {'model': {'state_dict': TENSORS}},
    ],
)
def test_every_usual_wrapping_is_opened(content: object, tmp_path: Path) -> None:
    assert_same(read_tensors(save(content, tmp_path / 'x.pth')))
    assert_same(read_tensors(str(save(content, tmp_path / 'old.pth', new=False))))


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / 'x.safetensors')
    found = read_tensors(tmp_path / 'x.safetensors')
    assert_same({name: found[name] for name in TENSORS})


def test_a_parameter_called_model_is_no_wrapping(tmp_path: Path) -> None:
    found = read_tensors(save({'model': TENSORS['bias']}, tmp_path / 'x.pth'))
    assert list(found) == ['model']


@pytest.mark.parametrize('new', [True, False])
@pytest.mark.parametrize('wrap', [lambda e: e, lambda e: {'model': TENSORS, 'args': e}])
def test_a_malicious_pickle_does_not_run(
    wrap: Callable[[object], object], new: bool, tmp_path: Path
) -> None:
    trap = tmp_path / 'trap'
    path = save(wrap(Evil(trap)), tmp_path / 'evil.pth', new=new)
    with pytest.raises(
        ValueError, match=r'evil\.pth holds more than tensors, or is damaged, and was not read'
    ):
        read_tensors(path)
    assert not trap.exists()
    # The trap is real.
    torch.load(path, weights_only=False)
    assert trap.exists()


def test_an_environment_variable_does_not_make_reading_unsafe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    path = save(Evil(tmp_path / 'trap'), tmp_path / 'evil.pth')
    with pytest.raises(ValueError, match='was not read'):
        read_tensors(path)
    assert not (tmp_path / 'trap').exists()


def damaged(raw: bytes) -> list[bytes]:
    """Return cut and altered copies, the same ones each time."""
    numbers = random.Random(0)
    copies = [raw[: numbers.randrange(len(raw))] for _ in range(60)]
    for _ in range(120):
        copy = bytearray(raw)
        copy[numbers.randrange(len(raw))] = numbers.randrange(256)
        copies.append(bytes(copy))
    return copies


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
@pytest.mark.parametrize('name', ['new.pth', 'old.pth', 'x.safetensors'])
def test_a_damaged_file_is_named_wherever_it_is_damaged(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == '.safetensors':
        save_file(TENSORS, path)
    else:
        save(TENSORS, path, new=name == 'new.pth')
    for copy in damaged(path.read_bytes()):
        path.write_bytes(copy)
        try:
            read_tensors(path)  # Some alterations hit a number, which no format notices.
        except ValueError as error:
            assert name in str(error)


@pytest.mark.parametrize('keep', [0, 1, 0.5])
@pytest.mark.parametrize('name', ['x.pth', 'x.safetensors'])
def test_a_truncated_file_is_named(name: str, keep: float, tmp_path: Path) -> None:
    path = tmp_path / name
    save_file(TENSORS, path) if path.suffix == '.safetensors' else save(TENSORS, path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * keep) if keep < 1 else len(raw) - 1])
    with pytest.raises(ValueError, match=rf'{name} .*cut off'):
        read_tensors(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([TENSORS['bias']], 'holds a list, wanted a dictionary of tensors'),
        (TENSORS['bias'], 'holds a Tensor'),
        (TENSORS | {'epoch': 3}, r"holds other things than tensors: \['epoch'\]"),
        ({'model': {**TENSORS, 'name': 'x'}}, r"\['name'\]"),
    ],
)
def test_what_is_no_dictionary_of_tensors_is_named(
    content: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_tensors(save(content, tmp_path / 'x.pth'))
    assert 'x.pth' in str(caught.value)


@pytest.mark.parametrize('name', ['none.pth', 'none.safetensors', '.'])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no checkpoint at') as caught:
        read_tensors(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def test_parameters_that_fit_are_loaded(model: nn.Module) -> None:
    assert load_tensors(model, TENSORS, 'here') == ([], [])
    assert_same(model.state_dict())


def test_expected_differences_pass_and_are_returned(model: nn.Module) -> None:
    before = model.state_dict()['bias'].clone()
    tensors = {'weight': TENSORS['weight'], 'mask_token': torch.zeros(1)}
    found = load_tensors(model, tensors, 'here', may_miss=['bias'], may_exceed=('mask_token',))
    assert found == (['bias'], ['mask_token'])
    assert torch.equal(model.state_dict()['weight'], TENSORS['weight'])
    assert torch.equal(model.state_dict()['bias'], before)


@pytest.mark.parametrize(
    ('tensors', 'messages'),
    [
        ({'weight': TENSORS['weight']}, ['missing from the file: bias']),
        (TENSORS | {'extra': torch.zeros(1)}, ['not in the model: extra']),
        (
            TENSORS | {'bias': torch.zeros(5)},
            ['of another shape', 'bias: [5] in the file, [2] in the model'],
        ),
        (
            {'weight': torch.ones(2, 3), **{f'block{i}': torch.zeros(1) for i in range(6)}},
            ['missing from the file: bias', 'block3 and 2 more'],
        ),
        ({}, ['missing from the file: weight, bias']),
    ],
)
def test_a_misfit_is_named_and_leaves_the_model_alone(
    model: nn.Module, tensors: dict[str, Tensor], messages: list[str]
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r'^somewhere does not fit Linear\.') as caught:
        load_tensors(model, tensors, 'somewhere', may_exceed=['mask_token'])
    for message in messages:
        assert message in str(caught.value)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
