"""Numbers of the cells that tables of embeddings name, for many rows at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.pretrain.grid import Cell


def grid_ids_of(names: Sequence[str] | NDArray[np.object_], where: str) -> NDArray[np.int32]:
    """Return the numbers of cells named such as `0906994_128.50_67.25`.

    Args:
        names: Names, `[N]`.
        where: File they are from, for messages.

    Raises:
        ValueError: If one is no such name, or its number and coordinates are of different cells.
    """
    codes, distinct = pd.factorize(np.asarray(names, object))
    try:
        if len(codes) and codes.min() < 0:
            raise ValueError('a row names no cell.')
        numbers = np.array([Cell.named(str(name)).grid_id for name in distinct], np.int32)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error
    return numbers[codes]
