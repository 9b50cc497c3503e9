"""Compares the GeoParquet table of a split of SSL4EO-S12 v1.1 with the places in its files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from torchgeo_copernicus.datasets.ssl4eo.v11.layout import Split, split_table
from torchgeo_copernicus.datasets.ssl4eo.v11.place_index import PlaceIndex


def table_problems(root: Path, split: Split, index: PlaceIndex) -> list[str]:
    """Return in what the table and the files differ; nothing without a table or without pyarrow.

    Args:
        root: Folder that holds `splits`.
        split: Which split.
        index: Places of the files that are there.
    """
    path = root / split_table(split)
    if not path.is_file() or find_spec('pyarrow') is None:
        return []
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        return [f'{path} cannot be read ({error})']
    # The WebDataset edition names the archive instead.
    column = 'file' if 'file' in table else 'tar'
    if absent := [name for name in (column, 'sample_id') if name not in table]:
        return [f'{path} has no columns {absent}; it has {list(table)}']
    files = index.files[index.container_file[index.container]]
    found = set(zip(files.tolist(), index.sample_id.tolist(), strict=True))
    names, ids = table[column].astype(str), table['sample_id'].astype(int)
    listed = set(zip(names.tolist(), ids.tolist(), strict=True))
    here = {pair for pair in listed if pair[0] in set(index.files.tolist())}
    problems = []
    for what, pairs in (('lacks', found - listed), ('has in addition', here - found)):
        if pairs:
            some = ', '.join(f'{number:07d} in {name}' for name, number in sorted(pairs)[:3])
            problems.append(f'{path.name} {what} {len(pairs)} places: {some}')
    return problems
