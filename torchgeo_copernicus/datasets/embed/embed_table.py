"""Parquet files of embeddings: their columns, and the vectors of rows."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Columns that every such file has.
NEEDED = ('grid_id_coord', 'embedding')
_FLOATS = ('halffloat', 'float', 'double')


def pyarrow() -> ModuleType:
    """Return pyarrow.

    Raises:
        ValueError: If it is not installed; says how to.
    """
    try:
        import_module('pyarrow.parquet')
        return import_module('pyarrow')
    except ModuleNotFoundError as error:
        raise ValueError(
            'Parquet needs pyarrow: pip install "torchgeo-copernicus[embed]".'
        ) from error


# `Any` here and below: pyarrow ships no type information.
def open_table(path: Path | str) -> Any:  # noqa: ANN401
    """Open a Parquet file of embeddings, and check its columns; nothing more is read.

    Args:
        path: The file.

    Returns:
        A `pyarrow.parquet.ParquetFile`.

    Raises:
        ValueError: If pyarrow is missing, or it is damaged or something else.
    """
    arrow = pyarrow()
    try:
        file = arrow.parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f'{path} is no whole Parquet file ({error}).') from error
    schema = file.schema_arrow
    if lacking := [name for name in NEEDED if name not in schema.names]:
        raise ValueError(f'{path} has no column {lacking}; it has {schema.names}.')
    kind = schema.field('embedding').type
    if not (_is_list(arrow, kind) and str(kind.value_type) in _FLOATS):
        raise ValueError(f'{path} has embeddings of type {kind}, wanted lists of floats.')
    return file


def vectors(column: Any, where: str) -> NDArray[np.float32]:  # noqa: ANN401
    """Return a column of lists as an array.

    Args:
        column: A pyarrow array or chunked array of lists, all of one length.
        where: File it is of, for messages.

    Returns:
        float32 `[N, D]`.

    Raises:
        ValueError: If a list is missing or of another length.
    """
    arrow = pyarrow()
    if isinstance(column, arrow.ChunkedArray):
        column = column.combine_chunks()
    if not len(column):
        return np.empty((0, 0), np.float32)
    flat = column.flatten()
    if column.null_count or flat.null_count:
        raise ValueError(f'{where} has rows without an embedding, or numbers that are missing.')
    lengths = np.unique(arrow.compute.list_value_length(column).to_numpy(zero_copy_only=False))
    if len(lengths) != 1 or not lengths[0]:
        raise ValueError(
            f'{where} has embeddings of {lengths.tolist()} numbers, wanted one length.'
        )
    values = flat.to_numpy(zero_copy_only=False).reshape(len(column), int(lengths[0]))
    found: NDArray[np.float32] = values.astype(np.float32)
    return found


def _is_list(arrow: ModuleType, kind: object) -> bool:
    tests = (arrow.types.is_list, arrow.types.is_large_list, arrow.types.is_fixed_size_list)
    return any(test(kind) for test in tests)
