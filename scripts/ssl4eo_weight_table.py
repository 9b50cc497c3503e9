"""Writes the table of weights into docs/ssl4eo_weights.md, from the entries; run it without arguments."""

from __future__ import annotations

from pathlib import Path

from torchgeo_copernicus.models.ssl4eo import ENTRIES, Entry
from torchgeo_copernicus.models.ssl4eo.registration import WEIGHTS
from torchgeo_copernicus.models.ssl4eo.source import HuggingFaceFile, ReleasedFile

PAGE = Path(__file__).parents[1] / 'docs' / 'ssl4eo_weights.md'
BEGIN, END = '<!-- weights: scripts/ssl4eo_weight_table.py -->\n', '<!-- end of weights -->\n'
INPUTS = {
    'SENTINEL2_L1C_ALL': 'S2 L1C, 13 bands',
    'SENTINEL2_L1C_RGB': 'S2 L1C, B04 B03 B02',
    'SENTINEL1_GRD': 'S1 GRD, VV VH',
}
METHODS = {
    'moco-v2': 'MoCo v2',
    'moco-v3': 'MoCo v3',
    'dino': 'DINO',
    'mae': 'MAE',
    'data2vec': 'data2vec',
}


def link(file: ReleasedFile) -> str:
    """Return a link to a file that says where it is."""
    host = file.repository.split('/')[0] if isinstance(file, HuggingFaceFile) else 'Drive'
    return f'[{file.form} ({host})]({file.url})'


def row(entry: Entry) -> str:
    """Return the line of a training run."""
    members = {member.entry.name: str(member) for enum in WEIGHTS.values() for member in enum}
    results = ' / '.join(str(value) for value in entry.published.values())
    files = ', '.join(link(file) for file in entry.files)
    return (
        f'| `{entry.name}` | `{members[entry.name]}` | {METHODS[entry.method]} | '
        f'{entry.architecture.title} | {INPUTS[entry.input]} | {entry.epochs} | {results} | {files} |\n'
    )


def table() -> str:
    """Return the table of all training runs."""
    head = (
        '| backbone | TorchGeo | method | network | input | epochs | BigEarthNet / EuroSAT / So2Sat (%) '
        '| files |\n'
    )
    return head + '|---|---|---|---|---|---|---|---|\n' + ''.join(map(row, ENTRIES.values()))


def with_table(text: str) -> str:
    """Return a text with the table between its marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == '__main__':
    PAGE.write_text(with_table(PAGE.read_text()))
