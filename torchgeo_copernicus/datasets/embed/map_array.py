"""Numbers of a map in a file, read by position: what all formats have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS, ROWS


@dataclass(frozen=True)
class Layout:
    """What is read at a time.

    Attributes:
        rows: Cells that lie together, north to south.
        columns: The same, west to east.
        sequential: Whether the file is read from its start for each part, so that few parts are better.
    """

    rows: int = 1
    columns: int = 1
    sequential: bool = False


class MapArray(Protocol):
    """The numbers of a map in a file. It can be pickled, for other processes read, too."""

    @property
    def name(self) -> str:
        """Path or address, for messages."""

    @property
    def window(self) -> MapWindow:
        """The cells it has."""

    @property
    def channels(self) -> int:
        """Numbers of a cell."""

    @property
    def layout(self) -> Layout:
        """What is read at a time."""

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Read a part, as it is stored.

        Args:
            rows: Positions in its window, with start and stop, and no step.
            columns: The same.

        Returns:
            float32 `[rows, columns, channels]`, newly made.

        Raises:
            ValueError: If the file is damaged.
            OSError: If it cannot be read.
        """


def whole_map(name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> int:
    """Return the number of channels of an array that must be a whole map of real numbers.

    Args:
        name: Of the file, for messages.
        shape: Its shape.
        dtype: Its type.

    Raises:
        ValueError: If it is of another shape, which is named where it is a map with other axes.
    """
    if dtype.kind != 'f' or dtype.itemsize > 8:
        raise ValueError(f'{name} holds {dtype}; a map is of float16, float32 or float64.')
    if len(shape) == 3 and shape[:2] == (ROWS, COLUMNS) and shape[2] > 0:
        return shape[2]
    message = f'{name} has the shape {shape}; a map is ({ROWS}, {COLUMNS}, channels), north first.'
    if len(shape) == 3 and {ROWS, COLUMNS} <= set(shape):
        order = (shape.index(ROWS), shape.index(COLUMNS))
        message += f' Its axes are swapped: transpose it to {(*order, 3 - sum(order))}.'
    elif len(shape) == 3 and shape[:2] == (ROWS - 1, COLUMNS):
        message += ' It lacks the row of a pole.'
    raise ValueError(message)
