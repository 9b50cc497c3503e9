"""Checks a copy of SSL4EO-S12, whichever version it is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import FOLDERS
from torchgeo_copernicus.datasets.ssl4eo.v10.verify import describe_v10, verify_v10
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import Split
from torchgeo_copernicus.datasets.ssl4eo.v11.verify import describe_v11, verify_v11


def verify_ssl4eo(directory: Path | str, limit: int = 200) -> tuple[str, bool]:
    """Check a copy; nothing is downloaded, extracted or changed.

    Args:
        directory: Folder that holds `train` and `val` (v1.1), or `s1`, `s2c` and `s2a` (v1.0).
        limit: Places of each modality to read, spread over it; 0 for all.

    Returns:
        A text for people, and whether there are problems.

    Raises:
        FileNotFoundError: If it holds neither.
        ValueError: If *limit* is negative.
    """
    root = Path(directory)
    if any((root / split).is_dir() for split in get_args(Split)):
        reports = verify_v11(root, limit)
        return describe_v11(reports), any(report.problems for report in reports)
    raw = [FOLDERS[modality] for modality in FOLDERS if modality != 'S2RGB']
    if any((root / folder).is_dir() for folder in raw):
        found = verify_v10(root, limit)
        return describe_v10(found), any(report.problems for report in found)
    raise FileNotFoundError(
        f'{root} holds neither SSL4EO-S12 v1.1 (folders {", ".join(get_args(Split))}) nor v1.0 (folders '
        f'{", ".join(raw)}). Give the folder they are in.'
    )
