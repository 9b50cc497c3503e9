"""Language vectors: the right one or an error, never a zero."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from torch import Tensor

from torchgeo_copernicus.models import language
from torchgeo_copernicus.models.language import (
    VARIABLES,
    check_language_vectors,
    language_file,
    language_vector,
    read_language_file,
)
from torchgeo_copernicus.sensors import SENSORS

FILE = 'varname_embed_llama3.2_1B.pt'
NAMES = (
    'Sentinel 5P Carbon Monoxide',
    'Sentinel 5P Nitrogen Dioxide',
    'Sentinel 5P Ozone',
    'Sentinel 5P Sulfur Dioxide',
    'Copernicus Digital Elevation Model',
)


def vectors() -> dict[str, Tensor]:
    """Return made-up vectors, each filled with its own number."""
    return {name: torch.full((2048,), float(number)) for number, name in enumerate(NAMES, 1)}


@pytest.fixture
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives the place of the file; there is no network."""

    def offline(*args: object, **options: object) -> str:
        raise OSError('no route to host')

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(language, 'hf_hub_download', offline)
    path = tmp_path / 'hub' / 'checkpoints' / FILE
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ('name', 'number'),
    [
        *(('s5p_co', 1), ('CO', 1), ('s5p_no2', 2), ('NO2', 2), ('Sentinel 5P Ozone', 3)),
        *(('O3', 3), ('SO2', 4), ('dem', 5), ('DEM', 5)),
    ],
)
def test_every_name_of_a_variable_gives_its_own_vector(
    name: str, number: int, by_hand: Path
) -> None:
    torch.save(vectors(), by_hand)
    assert torch.equal(language_vector(name), torch.full((2048,), float(number)))


def test_every_variable_of_the_sensors_is_known() -> None:
    bands = [band for sensor in SENSORS.values() for band in sensor.bands]
    assert {band.variable for band in bands if band.variable} == set(NAMES)
    assert set(VARIABLES.values()) == set(NAMES)


def test_a_file_placed_by_hand_comes_before_a_download(by_hand: Path) -> None:
    torch.save(vectors(), by_hand)
    assert language_file() == by_hand


def test_the_released_file_is_downloaded(
    by_hand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(*args: str) -> str:
        asked.append(args)
        return str(tmp_path / 'cached.pt')

    monkeypatch.setattr(language, 'hf_hub_download', download)
    assert language_file() == tmp_path / 'cached.pt'
    assert asked == [('wangyi111/Copernicus-FM', f'varname_embed/{FILE}')]


@pytest.mark.parametrize('error', [OSError('no route'), LocalEntryNotFoundError('no route')])
def test_being_offline_says_where_to_put_the_file(
    error: Exception, by_hand: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*args: object) -> str:
        raise error

    monkeypatch.setattr(language, 'hf_hub_download', offline)
    with pytest.raises(ConnectionError, match='no route') as caught:
        language_vector('NO2')
    assert f'put it at {by_hand}' in str(caught.value)
    assert 'wangyi111/Copernicus-FM' in str(caught.value)
    assert '`language_embedding`' in str(caught.value)


@pytest.mark.parametrize('name', ['', 'CH4', 'no2', 'B02'])
def test_an_unknown_variable_lists_those_there_are(name: str, by_hand: Path) -> None:
    with pytest.raises(ValueError, match=f'No language vector is released for {name!r}') as caught:
        language_vector(name)
    for known in (*NAMES, 's5p_no2', 'NO2', 'dem', 'length 2048'):
        assert known in str(caught.value)


def test_a_variable_that_is_not_in_the_file_is_named(by_hand: Path) -> None:
    few = vectors()
    del few[NAMES[2]]
    torch.save(few, by_hand)
    with pytest.raises(ValueError, match=f'has no vector for {NAMES[2]!r}; it has') as caught:
        language_vector('O3')
    assert str(by_hand) in str(caught.value)
    assert NAMES[1] in str(caught.value)


@pytest.mark.parametrize(
    ('vector', 'message'),
    [
        (torch.zeros(2048), 'all zero, or not finite'),
        (torch.cat([torch.ones(2047), torch.tensor([torch.nan])]), 'all zero, or not finite'),
        (torch.cat([torch.ones(2047), torch.tensor([torch.inf])]), 'all zero, or not finite'),
        (torch.ones(2047), r'length 2048, got shape \[1, 2047\]'),
        (torch.ones(2, 2048), r'length 2048, got shape \[1, 4096\]'),
    ],
)
def test_an_unusable_vector_in_the_file_is_named(
    vector: Tensor, message: str, by_hand: Path
) -> None:
    torch.save(vectors() | {NAMES[3]: vector}, by_hand)
    with pytest.raises(ValueError, match=f'{NAMES[3]}.*{message}') as caught:
        language_vector('NO2')
    assert str(by_hand) in str(caught.value)


def test_half_precision_rows_become_float32_vectors(by_hand: Path) -> None:
    torch.save({name: vector[None].half() for name, vector in vectors().items()}, by_hand)
    found = language_vector('DEM')
    assert found.dtype == torch.float32
    assert found.shape == (2048,)


@pytest.mark.parametrize('content', [{'Sentinel 5P Ozone': 'a string'}, [torch.ones(2048)]])
def test_a_file_of_something_else_is_named(content: object, by_hand: Path) -> None:
    torch.save(content, by_hand)
    with pytest.raises(ValueError, match=FILE):
        read_language_file(by_hand)


def test_changing_a_vector_does_not_change_the_next_one(by_hand: Path) -> None:
    torch.save(vectors(), by_hand)
    language_vector('NO2').mul_(0)
    assert language_vector('NO2').eq(2).all()


def test_a_corrected_file_is_read_again(by_hand: Path) -> None:
    few = vectors()
    torch.save({NAMES[0]: few[NAMES[0]]}, by_hand)
    with pytest.raises(ValueError, match='has no vector'):
        language_vector('NO2')
    torch.save(vectors(), by_hand)
    assert language_vector('NO2').eq(2).all()


def test_vectors_first_read_in_inference_mode_can_be_trained_with(by_hand: Path) -> None:
    torch.save(vectors(), by_hand)
    with torch.inference_mode():
        language.language_vectors(('NO2', 'DEM'))
    layer = torch.nn.Linear(2048, 1)
    layer(language.language_vectors(('NO2', 'DEM'))).sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.eq(2 + 5).all()


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        (torch.ones(2048), r'got shape \[2048\]'),
        (torch.ones(2, 1024), r'got shape \[2, 1024\]'),
        (torch.ones(1, 1, 2048), r'got shape \[1, 1, 2048\]'),
        (torch.stack([torch.ones(2048), torch.zeros(2048)]), 'all zero'),
        (torch.full((1, 2048), torch.nan), 'not finite'),
    ],
)
def test_unusable_vectors_of_the_user_are_refused(rows: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f'yours: .*{message}'):
        check_language_vectors(rows, 'yours')
    check_language_vectors(torch.eye(2, 2048), 'yours')
