"""Chance that depends on its arguments alone, the same in every process and for ever.

For draws that must not change with the order, the number of workers or the version of a library.
"""

from __future__ import annotations

from hashlib import blake2b


def drawn(*key: int) -> int:
    """Return a number from 0 up to 2**64 - 1, evenly drawn for each key.

    Args:
        *key: Whole numbers such as seed, epoch and number of a place; their order matters.
    """
    text = '/'.join(map(str, key)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), 'big')
