"""Lists of places of SSL4EO-S12 v1.0, from a file or a sequence: checked, each place once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from torchgeo_copernicus.datasets.ssl4eo.v10.void_ids import LAST_ID, VOID_IDS, is_released

_log = logging.getLogger(__name__)


def place_ids(given: Path | str | Sequence[int]) -> list[int]:
    """Return the numbers of places in the order given, each once.

    Args:
        given: Numbers, or the path of a text file with one number in each line.

    Raises:
        ValueError: If the list is empty, an entry is no number, or there is no such place.
    """
    if isinstance(given, Path | str):
        numbers = _read(Path(given))
    else:
        numbers = [_number(entry, f'ids[{position}]') for position, entry in enumerate(given)]
    if not numbers:
        raise ValueError('ids names no place; give at least one, or None for all.')
    if unknown := [number for number in numbers if not is_released(number)]:
        void = [number for number in unknown if number in VOID_IDS]
        if void:
            raise ValueError(
                f'ids holds {void[:5]}, which were never released: {len(VOID_IDS)} numbers of 0 to {LAST_ID} '
                'have no place (VOID_IDS). Remove them from the list.'
            )
        raise ValueError(f'ids holds {unknown[:5]}; places are numbered 0 to {LAST_ID}.')
    once = list(dict.fromkeys(numbers))
    if len(once) < len(numbers):
        _log.warning('ids holds %d repetitions, which are left out.', len(numbers) - len(once))
    return once


def _read(path: Path) -> list[int]:
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f'ids: {path} cannot be read ({error}).') from error
    return [
        _number(line.strip(), f'{path}, line {number}')
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _number(entry: object, where: str) -> int:
    if isinstance(entry, str) and entry.isdecimal():
        return int(entry)
    if isinstance(entry, int | np.integer) and not isinstance(entry, bool):
        return int(entry)
    raise ValueError(f'{where} is {entry!r}; wanted the number of a place, such as 200 or 0000200.')
