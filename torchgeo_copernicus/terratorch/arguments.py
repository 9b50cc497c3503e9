"""Parses arguments of `model_args`, which TerraTorch hands on untyped.

A command-line override arrives as a string there: `'false'` would be true, and `'64'` no number.
"""

from __future__ import annotations

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
    parsed = _unquoted(value)
    if not isinstance(parsed, bool):
        raise ValueError(f'{name} is {value!r}; allowed are true and false.')
    return parsed


def parse_int(name: str, value: object, *, minimum: int = 1) -> int:
    """Return a whole number.

    Args:
        name: Name of the argument, for the message.
        value: An int, or one as a string.
        minimum: Smallest allowed value.

    Raises:
        ValueError: If it is anything else, or too small.
    """
    parsed = _unquoted(value)
    if not isinstance(parsed, int) or isinstance(parsed, bool) or parsed < minimum:
        raise ValueError(f'{name} is {value!r}; wanted a whole number of at least {minimum}.')
    return parsed


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
    parsed = _unquoted(value)
    number = isinstance(parsed, int | float) and not isinstance(parsed, bool)
    if not number or not minimum <= float(str(parsed)) <= maximum:
        raise ValueError(f'{name} is {value!r}; wanted a number from {minimum} to {maximum}.')
    return float(str(parsed))


def parse_ints(name: str, value: object) -> list[int]:
    """Return a list of whole numbers, negative ones included.

    Args:
        name: Name of the argument, for the message.
        value: A sequence of ints, or one as a string such as `[3, 5, 7, 11]`.

    Raises:
        ValueError: If it is anything else.
    """
    parsed = _unquoted(value)
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
    parsed = _unquoted(value)
    if not isinstance(parsed, Sequence) or isinstance(parsed, str):
        raise ValueError(f'{name} is {value!r}; wanted a list of band names such as [B02, B03].')
    bands: list[Band | str | Enum] = []
    for item in parsed:
        if not isinstance(item, Band | str | Enum):
            raise ValueError(f'{name} holds {item!r}; wanted band names such as B02.')
        bands.append(item)
    return bands


def _unquoted(value: object) -> object:
    """Return what a string stands for in YAML; everything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        parsed: object = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return parsed
