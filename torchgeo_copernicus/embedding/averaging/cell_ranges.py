"""Divides cells among files so that the rows of each fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.embedding.averaging.cell_rows import CellRange
from torchgeo_copernicus.embedding.averaging.rows_source import RowGroup


def cell_ranges(counts: NDArray[np.int64], most_rows: int) -> list[CellRange]:
    """Divide all cells with rows into ranges that follow on each other.

    Args:
        counts: Rows of each cell, `[cells]`.
        most_rows: Rows of a range; one cell with more of them is a range of its own.

    Returns:
        First cell, and the one behind the last, of each range.
    """
    cells = np.flatnonzero(counts)
    edges, rows = [int(cells[0])], 0
    for cell, number in zip(cells.tolist(), counts[cells].tolist(), strict=True):
        if rows and rows + number > most_rows:
            edges.append(cell)
            rows = 0
        rows += number
    return list(pairwise([*edges, int(cells[-1]) + 1]))


def ranges_of(cells: NDArray[np.integer], ranges: Sequence[CellRange]) -> NDArray[np.intp]:
    """Return the positions of the ranges that cells are in, ascending, each once."""
    firsts = np.array([first for first, _ in ranges])
    return np.unique(np.searchsorted(firsts, cells, 'right') - 1)


def groups_of_ranges(
    groups: Sequence[RowGroup], ranges: Sequence[CellRange]
) -> list[list[RowGroup]]:
    """Return the groups of rows with a cell of each range, in their order."""
    found: list[list[RowGroup]] = [[] for _ in ranges]
    for group in groups:
        for number in ranges_of(group.cells, ranges):
            found[number].append(group)
    return found


def times_read(members: Sequence[Sequence[RowGroup]], rows: int) -> float:
    """Return how often rows are read on average when each range reads whole groups.

    Args:
        members: Groups of each range.
        rows: Rows of all groups.
    """
    return sum(group.rows for of_range in members for group in of_range) / rows
