"""Reads a table with one column of 0 and 1 for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor


@dataclass(frozen=True)
class LabelTable:
    """Rows of a split.

    Attributes:
        others: The columns that are no classes, by name.
        labels: int64 `[N, K]` of 0 and 1.
    """

    others: dict[str, list[str]]
    labels: Tensor


def read_label_table(
    path: Path, classes: Sequence[str], others: Sequence[str], codes: Sequence[str] = ()
) -> LabelTable:
    """Read a CSV file with a header: some columns of text, then one column for each class.

    Args:
        path: The file.
        classes: Classes in the order of their columns. The names in the header may be others, such as
            codes; where they are the classes, they have to be in this order.
        codes: What the header may call the classes, in their order.
        others: Names to give to the first columns.

    Raises:
        ValueError: If it has another number or order of columns, or a label that is not 0 or 1.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is no table: {error}') from error
    wanted = len(others) + len(classes)
    if table.shape[1] != wanted:
        raise ValueError(
            f'{path} has {table.shape[1]} columns, wanted {wanted}: {list(others)} and '
            f'{len(classes)} classes.'
        )
    cells = table.iloc[:, len(others) :]
    header = [str(name) for name in cells.columns]
    # pandas makes a second "0" of a header "0.1".
    if {name.split('.')[0] for name in header} <= {'0', '1'}:
        raise ValueError(f'{path} has no header: its first line is a sample.')
    for names in (list(classes), list(codes)):
        if sorted(header) == sorted(names) and header != names:
            raise ValueError(f'{path} has the classes in another order: {header}.')
    if not bool(cells.isin(['0', '1']).all(axis=None)):
        bad = cells.to_numpy()[~cells.isin(['0', '1']).to_numpy()][0]
        raise ValueError(f'{path} holds the label {bad!r}; allowed are 0 and 1.')
    return LabelTable(
        {name: table.iloc[:, index].tolist() for index, name in enumerate(others)},
        torch.from_numpy((cells == '1').to_numpy(dtype='int64')),
    )
