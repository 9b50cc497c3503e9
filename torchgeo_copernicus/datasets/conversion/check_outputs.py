"""Checks the files that a conversion made against the sizes and SHA-256 it noted down; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from torchgeo_copernicus.datasets.conversion.conversion_manifest import NOTES, ConversionManifest


@dataclass(frozen=True)
class OutputCheck:
    """What was found.

    Attributes:
        files: Files of the conversion.
        hashed: Those whose SHA-256 was compared.
        problems: What is wrong, in words.
    """

    files: int
    hashed: int
    problems: tuple[str, ...]


def check_outputs(folder: Path, limit: int = 0) -> OutputCheck | None:
    """Check the files of a conversion, or return None where there is no manifest of one.

    Args:
        folder: That was converted into.
        limit: Files to compare by SHA-256, spread over all; 0 for all. Sizes of all are compared.
    """
    # The manifest would take in the notes of a run that was stopped, and so change the folder.
    if any((folder / NOTES).glob('*.json')):
        return OutputCheck(
            0, 0, ('a conversion was stopped here, or still runs; start it again to end it',)
        )
    if not (folder / 'conversion.json').exists():
        return None
    try:
        manifest = ConversionManifest(folder)
    except ValueError as error:
        return OutputCheck(0, 0, (str(error),))
    problems = []
    names = sorted(manifest)
    chosen = set(names)
    if limit and limit < len(names):
        chosen = {names[i] for i in np.linspace(0, len(names) - 1, limit, dtype=int).tolist()}
    for name in names:
        path, known = folder / name, manifest[name]
        if not path.is_file():
            problems.append(f'{name} is missing, which {manifest.path.name} lists')
        elif path.stat().st_size != known.bytes:
            problems.append(
                f'{name} has {path.stat().st_size} bytes, {known.bytes} were written; convert again'
            )
        elif name in chosen and not known.is_at(path):
            problems.append(
                f'{name} is not the file that was written: its SHA-256 differs; convert again'
            )
    return OutputCheck(len(names), len(chosen), tuple(problems))
