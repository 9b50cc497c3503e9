"""Checks a copy of SSL4EO-S12 v1.0: what is there, what is missing, and what the values look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.raster import reading_several
from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS, Modality
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import FOLDERS
from torchgeo_copernicus.datasets.ssl4eo.v10.place import (
    DATES,
    Scene,
    folder_name,
    list_places,
    list_scenes,
)
from torchgeo_copernicus.datasets.ssl4eo.v10.scene import SceneReader, Variant, grid_px
from torchgeo_copernicus.datasets.ssl4eo.v10.void_ids import is_released, released_ids

#: Side (px) of the images of the release.
PUBLISHED_PX = 264


@dataclass
class ModalityReport:
    """What was found of a modality.

    Attributes:
        modality: Its name.
        places: Places there are.
        dates: Places by their number of dates.
        read: Scenes that were read.
        size: Side (px) of the 10 m grid; 0 when nothing was read.
        bands: Names of the bands.
        missing_share: Share of pixels without data.
        located: Scenes with a place.
        first: First day of all scenes read, days since 1970-01-01; NaN without any.
        last: Last day of them.
        mean: Mean of each band (DN or dB).
        problems: What is wrong, in words.
    """

    modality: Modality
    places: int = 0
    dates: Counter[int] = field(default_factory=Counter)
    read: int = 0
    size: int = 0
    bands: tuple[str, ...] = ()
    missing_share: float = 0.0
    located: int = 0
    first: float = float('nan')
    last: float = float('nan')
    mean: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def verify_v10(
    root: Path | str, limit: int = 200, variant: Variant = 'raw'
) -> list[ModalityReport]:
    """Check the modalities in a folder; nothing is extracted, downloaded or changed.

    A part of the release is no problem; a modality that has other places than the rest is.

    Args:
        root: Folder that holds `s1`, `s2c` or `s2a` (`rgb` of the RGB subset).
        limit: Places of each modality to read whole, spread over it; 0 for all. Folders are listed for
            all.
        variant: `raw`, `8bit` or `rgb`.

    Raises:
        FileNotFoundError: If none of the folders is there.
        ValueError: If *limit* is negative or the variant unknown.
    """
    one_of('variant', variant, Variant)
    if limit < 0:
        raise ValueError(f'limit must not be negative, got {limit}.')
    root = Path(root)
    wanted: list[Modality] = [m for m in FOLDERS if (m == 'S2RGB') == (variant == 'rgb')]
    found = [modality for modality in wanted if (root / FOLDERS[modality]).is_dir()]
    if not found:
        names = ', '.join(FOLDERS[modality] for modality in wanted)
        raise FileNotFoundError(
            f'{root} holds no SSL4EO-S12 v1.0 (folders {names}). Give the folder they are in.'
        )
    places: dict[Modality, list[int]] = {}
    reports = []
    for modality in found:
        report = ModalityReport(modality, bands=MODALITY_BANDS[modality])
        reports.append(report)
        try:
            places[modality] = list_places(root / FOLDERS[modality])
        except ValueError as error:
            report.problems.append(str(error))
            continue
        _check_places(root / FOLDERS[modality], places[modality], limit, variant, report)
    every = set().union(*places.values())
    for report in reports:
        absent = sorted(every.difference(places.get(report.modality, every)))
        if absent:
            report.problems.append(
                f'{len(absent)} places of other modalities are missing: {_some(absent)}'
            )
    return reports


def _check_places(
    folder: Path, places: list[int], limit: int, variant: Variant, report: ModalityReport
) -> None:
    report.places = len(places)
    if void := [place_id for place_id in places if not is_released(place_id)]:
        report.problems.append(
            f'{len(void)} folders have numbers that were never released: {_some(void)}; '
            'was the copy renumbered?'
        )
    scenes: dict[int, list[Scene]] = {}
    for place_id in places:
        try:
            scenes[place_id] = list_scenes(folder / folder_name(place_id))
        except ValueError as error:
            report.problems.append(str(error))
    report.dates = Counter(len(found) for found in scenes.values())
    if odd := [place_id for place_id, found in scenes.items() if len(found) != DATES]:
        report.problems.append(f'{len(odd)} places have other than {DATES} dates: {_some(odd)}')
    chosen = [place_id for place_id in scenes if scenes[place_id]]
    if limit and limit < len(chosen):
        chosen = [chosen[row] for row in np.linspace(0, len(chosen) - 1, limit, dtype=int)]
    _read([scene for place_id in chosen for scene in scenes[place_id]], variant, report)


def _read(scenes: Sequence[Scene], variant: Variant, report: ModalityReport) -> None:
    """Read scenes whole and add what is in them to the report."""
    reader: SceneReader | None = None
    totals = np.zeros((2, len(report.bands)))
    days = []
    with reading_several():
        for scene in scenes:
            try:
                if reader is None:
                    report.size = grid_px(scene, report.modality)
                    reader = SceneReader(
                        report.modality, report.bands, variant, True, 'bilinear', 'nan', report.size
                    )
                image, metadata = reader.read(scene)
            except ValueError as error:
                report.problems.append(str(error))
                continue
            report.read += 1
            report.located += int(bool(metadata[:2].isfinite().all()))
            days.append(float(metadata[2]))
            known = image.isfinite()
            totals[0] += known.sum((1, 2)).numpy()
            totals[1] += image.where(known, 0.0).double().sum((1, 2)).numpy()
    if report.read:
        count, total = totals
        report.first, report.last = min(days), max(days)
        report.missing_share = 1 - float(count.sum()) / (
            report.read * len(report.bands) * report.size**2
        )
        means = total / np.maximum(count, 1)
        report.mean = dict(zip(report.bands, means.tolist(), strict=True))
        report.problems += [
            f'{b} has no data' for b, n in zip(report.bands, count, strict=True) if not n
        ]
        if report.size != PUBLISHED_PX:
            report.problems.append(f'images of {report.size} px, {PUBLISHED_PX} px were published')


def _some(ids: Sequence[int]) -> str:
    """Return the first few numbers of places."""
    names = ', '.join(folder_name(place_id) for place_id in ids[:5])
    return f'{names}, ...' if len(ids) > 5 else names


def describe_v10(reports: Sequence[ModalityReport]) -> str:
    """Return the reports as text for people."""
    lines = ['SSL4EO-S12 v1.0']
    for report in reports:
        dates = ', '.join(f'{n} with {dates} dates' for dates, n in sorted(report.dates.items()))
        lines.append(
            f'{report.modality:5}  {report.places} of {len(released_ids())} places ({dates}); '
            f'{report.read} scenes read: {len(report.bands)} bands, {report.size} px, '
            f'{report.missing_share:.2%} of the values missing, {report.located} with a place'
        )
        if report.read:
            first, last = np.array([report.first, report.last]).astype('datetime64[D]')
            means = ' '.join(f'{band} {mean:.5g}' for band, mean in report.mean.items())
            lines.append(f'       {first} to {last}, means {means}')
    problems = [f'{report.modality}: {text}' for report in reports for text in report.problems]
    lines += [f'PROBLEM {text}' for text in problems] or ['No problem found.']
    return '\n'.join(lines)
