"""Parses arguments of `model_args`, which TerraTorch hands on untyped.

A command-line override arrives as a string there: `'false'` would be true, and `'64'` no number.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from enum import Enum

import yaml

from torchgeo_copernicus.sensors import Band


def parse_bool(name: str, value: object) -> bool:
    """Return a truth value.

    Args:
        name: Name of the argument, for the message.
        value: A bool, or `true` or `false` as a string.

    Raises:
        ValueError: If it is anything else.
    """
    words = {'true': True, 'false': False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    if not isinstance(value, bool):
        raise ValueError(f'{name} is {value!r}; allowed are true and false.')
    return value


def parse_int(name: str, value: object, *, minimum: int = 1) -> int:
    """Return a whole number.

    Args:
        name: Name of the argument, for the message.
        value: An int, or one in decimal digits as a string.
        minimum: Smallest allowed value.

    Raises:
        ValueError: If it is anything else, or too small.
    """
    number = value
    if isinstance(value, str) and re.fullmatch(r'[+-]?[0-9]+', value.strip()):
        number = int(value)
    if not isinstance(number, int) or isinstance(number, bool) or number < minimum:
        raise ValueError(f'{name} is {value!r}; wanted a whole number of at least {minimum}.')
    return number


def parse_float(name: str, value: object, *, minimum: float, maximum: float) -> float:
    """Return a number.

    Args:
        name: Name of the argument, for the message.
        value: A number, or one as a string.
        minimum: Smallest allowed value.
        maximum: Largest allowed value.

    Raises:
        ValueError: If it is anything else, or out of range.
    """
    number = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            number = float(value)
    if not minimum <= number <= maximum:
        raise ValueError(f'{name} is {value!r}; wanted a number from {minimum} to {maximum}.')
    return number


def parse_ints(name: str, value: object) -> list[int]:
    """Return a list of whole numbers, negative ones included.

    Args:
        name: Name of the argument, for the message.
        value: A sequence of ints, or one as a string such as `[3, 5, 7, 11]`.

    Raises:
        ValueError: If it is anything else.
    """
    parsed = _list(value)
    if not isinstance(parsed, Sequence) or isinstance(parsed, str):
        raise ValueError(f'{name} is {value!r}; wanted a list of whole numbers.')
    return [parse_int(name, item, minimum=-(10**6)) for item in parsed]


def parse_str(name: str, value: object) -> str:
    """Return a string that is not empty.

    Args:
        name: Name of the argument, for the message.
        value: The string.

    Raises:
        ValueError: If it is anything else.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f'{name} is {value!r}; wanted a string.')
    return value


def parse_bands(name: str, value: object) -> list[Band | str | Enum]:
    """Return a list of bands or band names.

    Args:
        name: Name of the argument, for the message.
        value: A sequence of bands, names or members of TerraTorch's band enums, or such a list of names
            as a string.

    Raises:
        ValueError: If it is anything else.
    """
    parsed = _list(value)
    if not isinstance(parsed, Sequence) or isinstance(parsed, str):
        raise ValueError(f'{name} is {value!r}; wanted a list of band names such as [B02, B03].')
    bands: list[Band | str | Enum] = []
    for item in parsed:
        if not isinstance(item, Band | str | Enum):
            raise ValueError(f'{name} holds {item!r}; wanted band names such as B02.')
        bands.append(item)
    return bands


def _list(value: object) -> object:
    """Return the list that a string such as `[B02, B03]` stands for; everything else as it is."""
    if not isinstance(value, str) or not value.strip().startswith('['):
        return value
    try:
        parsed: object = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        return value
    return parsed
