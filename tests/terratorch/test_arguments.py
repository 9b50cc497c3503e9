"""Arguments as the command line gives them: strings that must not be taken for something else."""

from __future__ import annotations

import math
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_copernicus.sensors import S2_TOA, SENSORS, resolve_bands
from torchgeo_copernicus.terratorch.arguments import (
    parse_bands,
    parse_bool,
    parse_float,
    parse_int,
    parse_ints,
    parse_str,
)


class Hls(Enum):
    BLUE = 'BLUE'


@pytest.mark.parametrize('value', [False, 'false', 'False', 'FALSE'])
def test_false_in_quotes_is_not_true(value: object) -> None:
    assert parse_bool('pretrained', value) is False


@pytest.mark.parametrize('value', [True, 'true', 'True'])
def test_true_is_true(value: object) -> None:
    assert parse_bool('pretrained', value) is True


@pytest.mark.parametrize(
    'value', ['maybe', '', ' ', '1', '0', 1, 0, None, 'null', 1.0, [True], '[true]', "'true'", '{']
)
def test_what_is_neither_true_nor_false_is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=r'^pretrained is .*allowed are true and false') as caught:
        parse_bool('pretrained', value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize('value', [64, '64', ' 64 '])
def test_a_number_in_quotes_is_a_number(value: object) -> None:
    found = parse_int('kernel_size', value)
    assert (found, type(found)) == (64, int)


@pytest.mark.parametrize(
    'value',
    [
        '64.5',
        64.5,
        64.0,
        '64.0',
        True,
        False,
        'true',
        '',
        'B02',
        None,
        'null',
        [64],
        '[64]',
        0,
        '-1',
    ],
)
def test_what_is_no_whole_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=r'^kernel_size is .*whole number of at least 1') as caught:
        parse_int('kernel_size', value)
    assert repr(value) in str(caught.value)


def test_the_smallest_number_is_allowed_and_named() -> None:
    assert parse_int('x', '-3', minimum=-3) == -3
    with pytest.raises(ValueError, match='at least -3'):
        parse_int('x', '-4', minimum=-3)


@pytest.mark.parametrize(('value', 'meant'), [('010', 10), ('1:40', None)])
def test_a_number_is_read_as_it_is_written(value: str, meant: int | None) -> None:
    try:
        assert parse_int('kernel_size', value) == meant
    except ValueError as error:
        assert 'kernel_size' in str(error)


@given(st.integers(1, 10**12))
def test_any_whole_number_survives_quotes(number: int) -> None:
    assert parse_int('x', str(number)) == number


@pytest.mark.parametrize('value', [0.1, '0.1', '.1', '1.0e-1'])
def test_a_fraction_in_quotes_is_a_number(value: object) -> None:
    assert parse_float('dropout', value, minimum=0, maximum=1) == 0.1


@pytest.mark.parametrize(('value', 'expected'), [(0, 0.0), ('1', 1.0), (1, 1.0), ('0.0', 0.0)])
def test_the_bounds_are_allowed_and_become_floats(value: object, expected: float) -> None:
    found = parse_float('dropout', value, minimum=0, maximum=1)
    assert (found, type(found)) == (expected, float)


@given(st.floats(0, 1))
def test_any_fraction_survives_quotes(number: float) -> None:
    assert parse_float('x', str(number), minimum=0, maximum=1) == number


@pytest.mark.parametrize(
    'value', [1.1, -0.1, '2', True, 'true', '', 'x', None, math.nan, '.nan', math.inf, '[0.1]']
)
def test_what_is_no_number_in_range_is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=r'^dropout is .*wanted a number from 0 to 1') as caught:
        parse_float('dropout', value, minimum=0, maximum=1)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        ([3, 5, 7, 11], [3, 5, 7, 11]),
        ((3, 5), [3, 5]),
        ('[3, 5]', [3, 5]),
        ('[-1]', [-1]),
        (['3', '5'], [3, 5]),
    ],
)
def test_a_list_in_quotes_is_a_list(value: object, expected: list[int]) -> None:
    assert parse_ints('out_indices', value) == expected


@pytest.mark.parametrize(
    'value', ['3', 3, '3, 5', '', None, '[3', [3, 'x'], [3.5], [True], [[3]], {3: 5}, '{3: 5}']
)
def test_what_is_no_list_of_whole_numbers_is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=r'^out_indices is .*whole number'):
        parse_ints('out_indices', value)


@pytest.mark.parametrize(
    'value', ['[B02, BLUE]', ['B02', 'BLUE'], ('B02', 'BLUE'), '[\'B02\', "BLUE"]']
)
def test_bands_in_quotes_are_a_list(value: object) -> None:
    assert parse_bands('model_bands', value) == ['B02', 'BLUE']


def test_bands_and_enums_pass_through() -> None:
    bands = [S2_TOA.bands[0], Hls.BLUE, 'B03']
    assert parse_bands('model_bands', bands) == bands


def test_no_band_name_means_something_else_in_yaml() -> None:
    bands = [band for sensor in SENSORS.values() for band in sensor.bands]
    for band in bands:
        for name in (band.name, *band.aliases):
            assert resolve_bands(parse_bands('x', f'[{name}]')) == (band,)


@pytest.mark.parametrize(
    'value', ['B02', '', None, 3, 'B02, B03', '[B02', Hls.BLUE, S2_TOA.bands[0], {'B02': 1}]
)
def test_what_is_no_list_of_bands_is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=r'^model_bands is .*such as \[B02, B03\]') as caught:
        parse_bands('model_bands', value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize('item', [2, None, True, 0.5, ['B02']])
def test_what_is_no_band_in_a_list_is_refused_by_name(item: object) -> None:
    with pytest.raises(ValueError, match=r'^model_bands holds .*wanted band names') as caught:
        parse_bands('model_bands', ['B03', item])
    assert repr(item) in str(caught.value)


def test_a_string_stays_what_it_is() -> None:
    assert parse_str('sensor', 's2_toa') == 's2_toa'
    assert parse_str('ckpt_path', '1e3') == '1e3'


@pytest.mark.parametrize('value', ['', None, 3, True, ['x'], Path('x')])
def test_what_is_no_string_is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=r'^sensor is .*wanted a string') as caught:
        parse_str('sensor', value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize('value', ['2020-99-99', '0b_', '0x_'])
def test_what_yaml_chokes_on_is_refused_by_name(value: str) -> None:
    with pytest.raises(ValueError, match=r'^kernel_size is'):
        parse_int('kernel_size', value)
