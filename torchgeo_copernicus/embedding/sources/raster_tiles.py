"""How rasters are cut into tiles: all of each raster, once, with borders filled up beyond its edge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from affine import Affine

from torchgeo_copernicus.embedding.sources.raster_files import RasterFile, RasterFiles

# Part of a pixel by which a raster may reach into a tile without being taken for a part of it.
_TOUCH = 1e-3


class RasterTile(NamedTuple):
    """A tile.

    Attributes:
        key: Tells it from all others.
        files: Numbers of the files it is in.
        row: First row in its grid, which may be that of the file or of the mosaic.
        column: First column.
        transform: From its pixels to coordinates of the grid.
    """

    key: str
    files: tuple[int, ...]
    row: int
    column: int
    transform: Affine


def tiles_of_files(files: Sequence[RasterFile], size: int, stride: int) -> Iterator[RasterTile]:
    """Yield the tiles of each file, by row, then column, from its first pixel.

    Args:
        files: The files.
        size: Side of a tile (px).
        stride: From a tile to the next (px).
    """
    for number, file in enumerate(files):
        for row in _starts(file.height, size, stride):
            for column in _starts(file.width, size, stride):
                transform = _moved(file.transform, row, column)
                key = f'{file.name}/{row}/{column}'
                yield RasterTile(key, (number,), row, column, transform)


def tiles_of_mosaics(found: RasterFiles, size: int, stride: int) -> Iterator[RasterTile]:
    """Yield the tiles of the mosaic of each day that files reach into, by row, then column.

    Args:
        found: The files and their common grid.
        size: Side of a tile (px).
        stride: From a tile to the next (px).
    """
    wide, high = found.resolution
    days = sorted(enumerate(found.files), key=lambda item: str(item[1].day or ''))
    for day, group in groupby(days, key=lambda item: item[1].day):
        members = list(group)
        left = min(file.box[0] for _, file in members)
        top = max(file.box[3] for _, file in members)
        reached: dict[tuple[int, int], list[int]] = {}
        for number, file in members:
            west, south, east, north = file.box
            for row in _reached((top - north) / high, (top - south) / high, size, stride):
                for column in _reached((west - left) / wide, (east - left) / wide, size, stride):
                    reached.setdefault((row * stride, column * stride), []).append(number)
        for (row, column), numbers in sorted(reached.items()):
            transform = Affine(wide, 0, left + column * wide, 0, -high, top - row * high)
            key = f'mosaic/{day or ""}/{row}/{column}'
            yield RasterTile(key, tuple(numbers), row, column, transform)


def _moved(grid: Affine, row: int, column: int) -> Affine:
    x = grid.c + column * grid.a + row * grid.b
    y = grid.f + column * grid.d + row * grid.e
    return Affine(grid.a, grid.b, x, grid.d, grid.e, y)


def _starts(length: int, size: int, stride: int) -> range:
    """Return where tiles start; the last covers the end, also of a raster smaller than a tile."""
    return range(0, max(math.ceil((length - size) / stride), 0) * stride + 1, stride)


def _reached(first: float, last: float, size: int, stride: int) -> range:
    """Return the numbers of the tiles that a stretch of pixels reaches into."""
    lowest = max(math.floor((first + _TOUCH - size) / stride) + 1, 0)
    # With overlap, a tile that only repeats the end of the one before adds nothing.
    return range(lowest, max(math.ceil((last - _TOUCH - size) / stride), lowest) + 1)
