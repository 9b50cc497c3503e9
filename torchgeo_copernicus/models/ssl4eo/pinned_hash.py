"""Trust on first use: the hash of a file is written beside it, and holds from then on.

For files whose publisher states no hash. `<file>.sha256` is in the format of `sha256sum --check`; a user
who knows the hash may write it there before the download.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from torchgeo_copernicus.download import sha256_of

_LOGGER = logging.getLogger(__name__)


def pin_of(path: Path) -> Path:
    """Return where the hash of a file is written."""
    return path.with_name(f'{path.name}.sha256')


def read_pin(path: Path) -> str | None:
    """Return the hash written beside a file, or None.

    Raises:
        ValueError: If what is written there is no hash.
    """
    pin = pin_of(path)
    if not pin.exists():
        return None
    words = pin.read_text(errors='replace').split()
    if not words:
        raise ValueError(f'{pin} is empty; write the SHA-256 there, or delete it.')
    return check_sha256(words[0], str(pin))


def check_sha256(value: object, where: str) -> str:
    """Return a SHA-256 in lower case.

    Raises:
        ValueError: If it has not 64 hexadecimal digits.
    """
    if not isinstance(value, str) or not re.fullmatch('[0-9a-fA-F]{64}', value):
        raise ValueError(f'{where} is {value!r}; wanted the 64 hexadecimal digits of a SHA-256.')
    return value.lower()


def verify(path: Path, *, sha256: str | None = None, prefix: str = '') -> str:
    """Compare a file with all that is known of its hash, and pin the hash where none was given.

    Args:
        path: A file that is whole.
        sha256: Its hash as the user knows it.
        prefix: First digits of the hash as published.

    Returns:
        Its SHA-256, which is also logged when it is seen for the first time.

    Raises:
        ValueError: If the file is another one.
    """
    given = None if sha256 is None else check_sha256(sha256, 'sha256')
    pinned = read_pin(path)
    found = sha256_of(path)
    for wanted, whose in (
        (given, 'is what you gave'),
        (pinned, f'is written in {pin_of(path)}'),
        (prefix or None, 'are the first digits published'),
    ):
        if wanted is not None and not found.startswith(wanted):
            raise ValueError(
                f'{path} has SHA-256 {found}, but {wanted} {whose}. Move the file away to get it anew; '
                'if it is right, correct the other.'
            )
    if given is None and pinned is None:
        _pin(path, found)
    return found


def _pin(path: Path, sha256: str) -> None:
    try:
        pin_of(path).write_text(f'{sha256}  {path.name}\n')
    except OSError as error:  # A cache that is shared and read-only.
        _LOGGER.warning(
            '%s has SHA-256 %s, which could not be kept (%s): later changes will not be noticed.',
            path,
            sha256,
            error,
        )
    else:
        _LOGGER.info('%s has SHA-256 %s; from now on no other is taken.', path, sha256)
