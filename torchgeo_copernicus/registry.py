"""Enters names into a host's table without ever replacing what is there."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TypeVar

K = TypeVar('K')
V = TypeVar('V')


def enter(table: MutableMapping[K, V], name: K, value: V, where: str) -> None:
    """Set `table[name] = value`, once.

    Args:
        table: A host's registry.
        name: Key to enter.
        value: What the key stands for.
        where: Name of the registry, for the message.

    Raises:
        ValueError: If the name stands for something else already.
    """
    taken = table.get(name, value)
    if taken is not value:
        raise ValueError(
            f'{name!r} is already registered in {where} as {taken!r}. Two plugins offer the same name; '
            'uninstall one of them.'
        )
    table[name] = value
