"""The mean embedding of each cell, over its images.

The same images give the same numbers to the last bit, in whatever order, files or parts they come: the rows
of a cell are put in order before they are summed up in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchgeo_copernicus.embedding.averaging.cell_rows import CellRows

#: How images weigh: each the same, or each modality the same, and within it patches, then dates, then images.
Weights = Literal['images', 'modalities']
#: What is done with an image that is there twice.
Duplicates = Literal['raise', 'once']
# Of the sums in float64 that are in memory at a time.
_BLOCK_BYTES = 32 << 20


@dataclass(frozen=True, eq=False)
class CellMeans:
    """Means of some cells.

    Attributes:
        grid_id: Numbers of the cells, ascending, int32 `[N]`.
        embedding: float32 `[N, D]`.
        images: Images with a weight above 0 in each, int32 `[N]`.
    """

    grid_id: NDArray[np.int32]
    embedding: NDArray[np.float32]
    images: NDArray[np.int32]


def cell_means(
    rows: CellRows,
    weights: Weights = 'images',
    modality_weights: Mapping[str, float] | None = None,
    duplicates: Duplicates = 'raise',
) -> Iterator[CellMeans]:
    """Average over the images of each cell.

    Args:
        rows: All images of some cells.
        weights: `images`: each the same. `modalities`: the mean of images of a date, of dates of a patch, of
            patches of a modality, and of modalities; images whose date or patch is unknown are of one.
        modality_weights: What an image, or a modality, weighs on top of that, for all names that occur; 1 each
            when None. Cells that have nothing of weight are left out.
        duplicates: `raise`, or take them `once`. Known by `key`, or, without keys, by cell, modality, patch,
            date and vector.

    Yields:
        Means, some cells at a time, by number of the cell.

    Raises:
        ValueError: If an image is there twice; names it.
    """
    order, ties = _ordered(rows)
    order = _once(rows, order, ties, duplicates)
    per_row = _row_weights(rows, order, weights, modality_weights)
    order, per_row = order[per_row > 0], per_row[per_row > 0]
    cells, starts, images = np.unique(rows.grid_id[order], return_index=True, return_counts=True)
    step = max(1, _BLOCK_BYTES // (8 * max(rows.embedding.shape[1], 1)))
    for first in range(0, len(cells), step):
        part = slice(first, first + step)
        sums = np.zeros((len(cells[part]), rows.embedding.shape[1]))
        total = np.zeros(len(sums))
        # One image of each cell after the other, so that each sum has the order of its rows.
        for turn in range(int(images[part].max())):
            which = np.flatnonzero(images[part] > turn)
            at = starts[part][which] + turn
            sums[which] += rows.embedding[order[at]] * per_row[at, None]
            total[which] += per_row[at]
        means = (sums / total[:, None]).astype(np.float32)
        yield CellMeans(cells[part], means, images[part].astype(np.int32))


def _ordered(rows: CellRows) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return an order of rows that does not depend on the one they have.

    Returns:
        Positions by cell, modality, patch, date and bytes of the vector; and of each but the first whether
        all but the vector is as in the one before.
    """
    columns = [_codes(rows.modality), _codes(rows.patch), rows.date.astype(np.int64)]
    order = np.lexsort((columns[2], columns[1], columns[0], rows.grid_id))
    tied = _same(order, rows.grid_id, *columns)
    either = np.concatenate([tied, [False]]) | np.concatenate([[False], tied])
    places = np.flatnonzero(either)
    # Groups of ties are told apart by where they begin; each is put in order by its vectors.
    begins = np.maximum.accumulate(
        np.where(np.concatenate([[False], tied]), 0, np.arange(len(order)))
    )
    vectors = [rows.embedding[row].tobytes() for row in order[places]]
    ranked = sorted(range(len(places)), key=lambda i: (begins[places[i]], vectors[i]))
    order[places] = order[places][ranked]
    return order, tied


def _codes(names: NDArray[np.object_]) -> NDArray[np.intp]:
    codes, _ = pd.factorize(names, sort=True)
    return codes


def _same(order: NDArray[np.intp], *columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each row but the first whether it has the values of the one before, `[N - 1]`."""
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in columns:
        same &= column[order[1:]] == column[order[:-1]]
    return same


def _once(
    rows: CellRows, order: NDArray[np.intp], ties: NDArray[np.bool_], duplicates: Duplicates
) -> NDArray[np.intp]:
    """Return the order without images that are there twice, or raise."""
    again = np.zeros(len(order), bool)
    if rows.key is None:
        for place in np.flatnonzero(ties) + 1:
            again[place] = _equal(rows, order[place - 1], order[place])
    else:
        codes, _ = pd.factorize(rows.key[order])
        again = np.asarray(pd.Series(codes).duplicated(), bool)
        firsts = dict(zip(codes[~again].tolist(), order[~again].tolist(), strict=True))
        for place in np.flatnonzero(again):
            first = firsts[int(codes[place])]
            if duplicates == 'once' and not _equal(rows, first, order[place]):
                raise ValueError(
                    f'{rows.told(first)} and {rows.told(order[place])} have one key, but are not the same.'
                )
    if again.any() and duplicates == 'raise':
        place = order[np.flatnonzero(again)[0]]
        raise ValueError(
            f'{rows.told(place)} is there twice, as are {int(again.sum())} images of these cells. Leave out '
            "files that repeat others, or give duplicates='once'."
        )
    return order[~again]


def _equal(rows: CellRows, a: int, b: int) -> bool:
    same = rows.grid_id[a] == rows.grid_id[b] and rows.modality[a] == rows.modality[b]
    return bool(same and np.array_equal(rows.embedding[a], rows.embedding[b]))


def _row_weights(
    rows: CellRows,
    order: NDArray[np.intp],
    weights: Weights,
    modality_weights: Mapping[str, float] | None,
) -> NDArray[np.float64]:
    """Return the weight of each row, in the order given."""
    names, modality = np.unique(rows.modality.astype(str), return_inverse=True)
    given = [1.0 if modality_weights is None else modality_weights[name] for name in names.tolist()]
    found = np.array(given, np.float64)[modality[order]]
    if weights == 'images' or not len(order):
        return found
    # Levels from the innermost to the outermost; each divides by the number of members of its groups.
    levels: list[NDArray[Any]] = [
        rows.grid_id,
        modality,
        _codes(rows.patch),
        rows.date.astype(np.int64),
    ]
    inner = np.arange(len(order))
    for depth in (4, 3, 2):
        same = _same(order, *levels[:depth])
        group = np.concatenate([[0], np.cumsum(~same)])
        # Members of a group are the distinct groups of the level within.
        first = np.concatenate([[True], inner[1:] != inner[:-1]])
        found /= np.bincount(group, first)[group]
        inner = group
    return found
