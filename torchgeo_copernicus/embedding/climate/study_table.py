"""The table of the climate study: errors of our runs beside the published ones, for people."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from torchgeo_copernicus.embedding.climate.published import PUBLISHED, TARGETS, UNITS, VARIABLES
from torchgeo_copernicus.embedding.climate.study import StudyResult

#: By our input: what the paper names it.
PAPER_NAMES = {
    'coordinates': 'Coord raw',
    'fourier': 'Coord Fourier',
    'embedding': 'Embed',
    'embedding+coordinates': 'Embed + coord',
    'embedding+fourier': 'Embed + coord',
}
_PAPER = 'arXiv:2503.11849'


def study_table(result: StudyResult) -> Table:
    """Return a table for the terminal: a row for each input, ours and the published one."""
    header, *rows = _rows(result)
    table = Table(title=_caption(result), title_justify='left')
    for name in header:
        table.add_column(name, justify='left' if name in header[:2] else 'right')
    for row in rows:
        table.add_row(*row, style='dim' if row[1] == _PAPER else None)
    return table


def markdown(result: StudyResult) -> str:
    """Return the same table as Markdown."""
    header, *rows = _rows(result)
    marks = ['---', '---', *('---:' for _ in header[2:])]
    lines = [_caption(result), '']
    lines += [f'| {" | ".join(row)} |' for row in (header, marks, *rows)]
    return '\n'.join(lines) + '\n'


def write_result(result: StudyResult, path: Path | str) -> tuple[Path, Path]:
    """Write a result as JSON, and its table as Markdown beside it.

    Args:
        result: From `climate_study`.
        path: File that ends with `.json`; replaced when it is there.

    Returns:
        Both files.

    Raises:
        ValueError: If it has another ending.
        OSError: If it cannot be written.
    """
    target = Path(path)
    if target.suffix != '.json':
        raise ValueError(f'{target} must end with .json.')
    published = {
        name: {t: list(pair) for t, pair in row.items()} for name, row in PUBLISHED.items()
    }
    document = {'version': 1, **asdict(result), 'published': {_PAPER: published}}
    target.parent.mkdir(parents=True, exist_ok=True)
    files = (target, target.with_suffix('.md'))
    for file, text in zip(
        files,
        (json.dumps(document, indent=1, allow_nan=False) + '\n', markdown(result)),
        strict=True,
    ):
        part = file.with_name(f'.{file.name}.{os.getpid()}.part')
        part.write_text(text, encoding='utf-8')
        os.replace(part, file)
    return files


def _caption(result: StudyResult) -> str:
    sizes = ', '.join('/'.join(map(str, one)) for one in sorted(set(result.cells)))
    first, last = result.months
    return (
        f'RMSE on test cells, mean of {len(result.cells)} runs (± standard deviation); training/validation/test '
        f'cells {sizes}; ERA5 of {first} to {last}'
    )


def _rows(result: StudyResult) -> Iterator[list[str]]:
    yield [
        'input',
        'from',
        *(f'{name} {statistic} ({UNITS[name]})' for name in VARIABLES for statistic in ('mean', 'std')),
    ]  # fmt: skip
    yield ['(spread of the cells)', 'here', *(f'{result.spread[target]:.2f}' for target in TARGETS)]
    for name in result.rmse:
        ours, paper = result.mean_rmse(name), PUBLISHED[PAPER_NAMES[name]]
        yield [name, 'here', *(_told(ours[target]) for target in TARGETS)]
        yield [PAPER_NAMES[name], _PAPER, *(_told(paper[target]) for target in TARGETS)]
    yield ['Coord SatCLIP', _PAPER, *(_told(PUBLISHED['Coord SatCLIP'][t]) for t in TARGETS)]


def _told(pair: tuple[float, float]) -> str:
    return f'{pair[0]:.2f} ({pair[1]:.2f})'
