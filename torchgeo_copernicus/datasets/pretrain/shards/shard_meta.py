"""What the JSON of a cell says of its images: dates and local patches, and whether they are its own.

The published converter kept its variables from one cell to the next, so a cell that lacks a modality may
carry the tensor of the cell before. Every image is named with the cell it is of, which tells.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from torchgeo_copernicus.datasets.pretrain.grid import Cell, split_name
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.metadata import days_since_epoch

#: Above this a JSON is not read: that of a cell has a few thousand bytes.
LARGEST_JSON_BYTES = 1 << 24
_DATE = re.compile(r'\d{8}|\d{4}-\d{2}-\d{2}')


@dataclass(frozen=True)
class Series:
    """The images of one modality of a cell.

    Attributes:
        grid: Name of the cell they are of.
        patches: Names of the local patches, `N` of them; empty where images are of the whole cell.
        days: Days since 1970-01-01 of the images, `[N][T]`, or `[1][T]` of the whole cell; NaN of elevation.
    """

    grid: str
    patches: tuple[str, ...]
    days: tuple[tuple[float, ...], ...]

    @property
    def grid_id(self) -> int:
        """Number of the cell they are of."""
        return _cell(self.grid).grid_id


@dataclass(frozen=True)
class CellMeta:
    """What is known of a cell.

    Attributes:
        series: Its images by modality, also those of another cell.
        faults: What is wrong with the others.
    """

    series: Mapping[ModalityName, Series]
    faults: Mapping[ModalityName, str]

    def stale(self, grid_id: int) -> dict[ModalityName, str]:
        """Return the modalities whose images are of another cell than *grid_id*, with its name."""
        return {n: s.grid for n, s in self.series.items() if s.grid_id != grid_id}


def read_meta(content: bytes) -> CellMeta:
    """Read the JSON of a cell.

    Raises:
        ValueError: If it is none.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'the JSON is damaged ({error}).') from error
    if not isinstance(found, dict):
        raise ValueError(f'the JSON holds a {type(found).__name__}, wanted names by modality.')
    series, faults = {}, {}
    for name in MODALITY_NAMES:
        # A missing modality is absent, null or empty.
        if not found.get(name):
            continue
        try:
            series[name] = _series(name, found[name])
        except ValueError as error:
            faults[name] = f'{name} of the JSON: {error}'
    return CellMeta(series, faults)


def _series(name: ModalityName, value: object) -> Series:
    local = MODALITIES[name].local
    wanted = 1 if name == 'dem' else 3 if local else 2
    rows = [
        [_leaf(item).split('/') for item in _items(row)]
        for row in (_items(value) if local else [value])
    ]
    if wrong := ['/'.join(part) for row in rows for part in row if len(part) != wanted]:
        raise ValueError(f'{wrong[0]!r} has not the {wanted} parts of such an image.')
    grids = {part[0] for row in rows for part in row}
    if len(grids) != 1:
        raise ValueError(f'it is of several cells {sorted(grids)[:3]}.')
    (grid,) = grids
    _cell(grid)
    days = tuple(tuple(math.nan if wanted == 1 else _day(p[-1]) for p in row) for row in rows)
    patches = tuple(_patch(row) for row in rows) if local else ()
    if len({len(row) for row in days}) != 1 or len(set(patches)) != len(patches):
        raise ValueError('patches have different numbers of dates, or come twice.')
    return Series(grid, patches, days)


def _patch(row: Sequence[Sequence[str]]) -> str:
    names = {part[1] for part in row}
    if len(names) != 1:
        raise ValueError(f'one row is of several patches {sorted(names)[:3]}.')
    (name,) = names
    split_name(name)
    return name


def _items(value: object) -> Iterator[object]:
    if not isinstance(value, list) or not value:
        raise ValueError(f'{str(value)[:60]!r} is no list of images.')
    yield from value


def _leaf(value: object) -> str:
    """Return a name; the published ones are lists of one, a trace of batches of one."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise ValueError(f'{str(value)[:60]!r} is no name of an image.')
    return value


@lru_cache(maxsize=1 << 16)
def _day(text: str) -> float:
    if not _DATE.fullmatch(text):
        raise ValueError(f'{text!r} is no date such as 20210621.')
    return days_since_epoch(text)


@lru_cache(maxsize=1 << 16)
def _cell(name: str) -> Cell:
    return Cell.named(name)
