"""Checks a copy of SSL4EO-S12 v1.1: what is there, what is wrong, and what the values look like."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np

from torchgeo_copernicus.datasets.ssl4eo.statistics import OFFSET_DN, Edition, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.crc_check import containers, damaged_members
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import (
    CLOUD_CLASSES,
    DATES,
    IMAGE_SIZE,
    PLACES_PER_FILE,
    PUBLISHED_FILES,
    PUBLISHED_PLACES,
    SUFFIX,
    Split,
    split_list,
)
from torchgeo_copernicus.datasets.ssl4eo.v11.patch_reader import PatchReader
from torchgeo_copernicus.datasets.ssl4eo.v11.place_index import PlaceIndex
from torchgeo_copernicus.datasets.ssl4eo.v11.table import table_problems
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.chunk_place import spans_of
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip import ZarrZip
from torchgeo_copernicus.datasets.storage.byte_source import LocalFile
from torchgeo_copernicus.datasets.storage.folder import LocalFolder


@dataclass
class ModalityReport:
    """What was found of a modality in a split.

    Attributes:
        split: Its split.
        modality: Its name.
        edition: Edition of its files.
        files: Files there are.
        index: Places of those files that can be read.
        members: Members of the zip archives.
        members_checked: Those of them whose CRC was compared.
        reordered: Places of Sentinel-1 that are not stored in the order of their acquisition.
        read: Images that were read, a place and date each.
        size: Height and width (px) of an image.
        missing_share: Share of values that are NaN.
        mean: Mean of each band as stored (DN, dB or counts).
        clouds: Pixels by class of the cloud mask.
        notes: What is unusual, and no harm.
        problems: What is wrong, in words.
    """

    split: Split
    modality: Modality
    edition: Edition
    files: tuple[str, ...]
    index: PlaceIndex | None = None
    members: int = 0
    members_checked: int = 0
    reordered: int = 0
    read: int = 0
    size: tuple[int, int] = (0, 0)
    missing_share: float = 0.0
    mean: dict[str, float] = field(default_factory=dict)
    clouds: Counter[int] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def verify_v11(root: Path | str, limit: int = 200) -> list[ModalityReport]:
    """Check the modalities of both splits; nothing is downloaded or changed.

    A part of the release is no problem; a modality that lacks files or places of another is.

    Args:
        root: Folder that holds `train` and `val`.
        limit: Of each split and modality: places and dates to read, spread over it, and members of zip
            archives to compare with their CRC, at least one a file; 0 for all.

    Raises:
        FileNotFoundError: If there is no file of the release.
        ValueError: If *limit* is negative.
    """
    if limit < 0:
        raise ValueError(f'limit must not be negative, got {limit}.')
    reports = []
    for split in get_args(Split):
        found = [r for m in get_args(Modality) for r in _found(Path(root), split, m)]
        for report in found:
            _check_files(Path(root) / split / report.modality, report, limit)
            _check_list(Path(root), report)
            if report.index is not None:
                _read(Path(root) / split / report.modality, report.index, report, limit)
                report.problems += table_problems(Path(root), split, report.index)
        _compare(found)
        reports += found
    if not reports:
        raise FileNotFoundError(
            f'{root} holds no SSL4EO-S12 v1.1 (train/<modality>/*{SUFFIX["zarr"]}). Give the folder that '
            'train and val are in.'
        )
    return reports


def _found(root: Path, split: Split, modality: Modality) -> list[ModalityReport]:
    folder = LocalFolder(root / split / modality)
    by_edition = {edition: tuple(folder.stamps(SUFFIX[edition])) for edition in get_args(Edition)}
    return [
        ModalityReport(split, modality, edition, files)
        for edition, files in by_edition.items()
        if files
    ]


def _check_files(folder: Path, report: ModalityReport, limit: int) -> None:
    """Check every file for itself, then make the index of those that are right."""
    stamps = LocalFolder(folder).stamps(SUFFIX[report.edition])
    at_most = math.ceil(limit / len(report.files)) if limit else None
    right = {}
    for name, stamp in stamps.items():
        try:
            for container in containers(LocalFile(folder / name)):
                group = ZarrZip(container)
                chunks = {chunk for array in group.arrays.values() for chunk in array.chunk_names()}
                if absent := sorted(chunks.difference(group.members)):
                    raise ValueError(f'{container.name} lacks the chunks {absent[:3]}.')
                if damaged := damaged_members(group, at_most):
                    raise ValueError(f'{container.name}: the CRC of {damaged[:3]} differs.')
                report.members += len(group.members)
                report.members_checked += min(len(group.members), at_most or len(group.members))
            PlaceIndex.build({name: stamp}, lambda n: LocalFile(folder / n))
        except (ValueError, OSError) as error:
            report.problems.append(str(error))
        else:
            right[name] = stamp
    if right:
        try:
            report.index = PlaceIndex.build(right, lambda n: LocalFile(folder / n))
        except ValueError as error:
            report.problems.append(str(error))


def _check_list(root: Path, report: ModalityReport) -> None:
    """Compare with the list of the split and the published numbers."""
    listed = LocalFolder(root).text(split_list(report.split))
    if listed is not None and report.edition == 'zarr':
        names = set(listed.split())
        if strange := sorted(set(report.files) - names):
            report.problems.append(
                f'{len(strange)} files are not in the list of the split: {strange[:3]}'
            )
        if absent := len(names.difference(report.files)):
            report.notes.append(f'{absent} of {len(names)} files of the list are not here')
    index = report.index
    if index is None:
        return
    ids, counts = np.unique(index.sample_id, return_counts=True)
    if (counts > 1).any():
        report.problems.append(f'the places {ids[counts > 1][:3].tolist()} are there twice')
    if report.edition == 'zarr':
        sizes = Counter(np.bincount(index.container).tolist())
        if odd := {size: files for size, files in sizes.items() if size != PLACES_PER_FILE}:
            numbers = ', '.join(f'{files} of {size}' for size, files in sorted(odd.items()))
            report.problems.append(f'files of other than {PLACES_PER_FILE} places: {numbers}')
    if index.order.shape[1] != DATES:
        report.problems.append(f'{index.order.shape[1]} dates, {DATES} were published')
    report.reordered = int((np.diff(index.order.astype(int), axis=1) < 0).any(axis=1).sum())
    if report.reordered and report.edition == 'webdataset':
        report.problems.append(
            f'{report.reordered} places are not in the order of time; the edition is older than '
            '2026-02-19 (the reader repairs it)'
        )
    if (np.diff(np.sort(index.stated_seconds, axis=1)) <= 0).any():
        report.notes.append('some places have two images of one time')
    if not np.array_equal(np.sort(index.stated_seconds, axis=1), index.seconds):
        report.notes.append('times in time_ are not those of the product names')


def _read(folder: Path, index: PlaceIndex, report: ModalityReport, limit: int) -> None:
    """Read images whole and add what is in them to the report."""
    reader = PatchReader(index, lambda name: LocalFile(folder / name))
    report.size = reader.size
    if report.size != (IMAGE_SIZE, IMAGE_SIZE):
        report.problems.append(f'images of {report.size} px, {IMAGE_SIZE} px were published')
    spans = spans_of(range(len(index.band_names)))
    totals = np.zeros((2, len(index.band_names)))
    count = index.order.size
    chosen = range(count)
    if limit and limit < count:
        chosen = np.linspace(0, count - 1, limit, dtype=int).tolist()
    for number in chosen:
        row, date = divmod(number, index.order.shape[1])
        try:
            for span, pixels in reader.pixels(row, date, spans):
                known = np.isfinite(pixels)
                totals[0, span.first : span.last] += known.sum((1, 2))
                values = np.where(known, pixels, 0).astype(np.float64)
                totals[1, span.first : span.last] += values.sum((1, 2))
            if index.container_layout[index.container[row], 1] >= 0:
                classes, counts = np.unique(reader.clouds(row, date), return_counts=True)
                report.clouds.update(dict(zip(classes.tolist(), counts.tolist(), strict=True)))
        except ValueError as error:
            report.problems.append(str(error))
            continue
        report.read += 1
    if not report.read:
        return
    pixels_read = report.read * report.size[0] * report.size[1] * totals.shape[1]
    report.missing_share = max(0.0, 1 - float(totals[0].sum()) / pixels_read)
    means = totals[1] / np.maximum(totals[0], 1)
    report.mean = dict(zip(index.band_names.tolist(), means.tolist(), strict=True))
    report.problems += _odd_values(report)


def _odd_values(report: ModalityReport) -> list[str]:
    problems = []
    if strange := sorted(set(report.clouds) - set(range(len(CLOUD_CLASSES)))):
        problems.append(f'cloud_mask has the unknown classes {strange[:5]}')
    # The cirrus band sees hardly any ground, so that its mean tells the offset.
    cirrus = report.mean.get('B10')
    if cirrus is not None and (cirrus > OFFSET_DN / 2) != (report.edition == 'zarr'):
        usual = 'an offset' if report.edition == 'zarr' else 'no offset'
        problems.append(
            f'the mean of B10 is {cirrus:.0f} DN, but this edition has {usual} of {OFFSET_DN:.0f} DN'
        )
    return problems


def _compare(reports: Sequence[ModalityReport]) -> None:
    """Compare files and places of the modalities of a split with those of the first."""
    if len({report.edition for report in reports}) > 1:
        reports[0].problems.append('the modalities are of different editions')
        return
    every = sorted({name for report in reports for name in report.files})
    for report in reports:
        if absent := sorted(set(every).difference(report.files)):
            report.problems.append(
                f'{len(absent)} files of other modalities are missing: {absent[:3]}'
            )
    indexed = [report for report in reports if report.index is not None]
    ids = [_ids_by_file(report.index) for report in indexed if report.index is not None]
    for report, found in zip(indexed[1:], ids[1:], strict=True):
        shared = [name for name in found if name in ids[0]]
        other = [name for name in shared if sorted(found[name]) != sorted(ids[0][name])]
        if other:
            report.problems.append(
                f'{len(other)} files hold other places than in {indexed[0].modality}: {other[:3]}'
            )
        if moved := [n for n in shared if n not in other and found[n] != ids[0][n]]:
            report.notes.append(
                f'{len(moved)} files have another order of places than in {indexed[0].modality} (the '
                f'reader matches them by id): {moved[:3]}'
            )


def _ids_by_file(index: PlaceIndex) -> dict[str, list[int]]:
    files = index.container_file[index.container]
    return {
        str(name): index.sample_id[files == number].tolist()
        for number, name in enumerate(index.files)
    }


def describe_v11(reports: Sequence[ModalityReport]) -> str:
    """Return the reports as text for people."""
    lines = ['SSL4EO-S12 v1.1']
    for report in reports:
        places = 0 if report.index is None else len(report.index)
        lines.append(
            f'{report.split:5}  {report.modality:5}  {report.edition} edition: {len(report.files)} of '
            f'{PUBLISHED_FILES[report.edition][report.split]} files, {places} of '
            f'{PUBLISHED_PLACES[report.split]} places; CRC of {report.members_checked} of '
            f'{report.members} members; {report.read} images read: {len(report.mean)} bands, '
            f'{report.size[0]} x {report.size[1]} px, {report.missing_share:.2%} of the values missing'
        )
        if report.mean:
            means = ' '.join(f'{band} {mean:.5g}' for band, mean in report.mean.items())
            lines.append(f'       as stored: mean {means}')
        if report.modality == 'S1GRD':
            lines.append(
                f'       order by name, not by time, in {report.reordered} places (the reader '
                'repairs it)'
            )
        if total := sum(report.clouds.values()):
            names = dict(enumerate(CLOUD_CLASSES))
            shares = [
                f'{names.get(k, k)} {n / total:.1%}' for k, n in sorted(report.clouds.items())
            ]
            lines.append(f'       cloud mask: {", ".join(shares)}')
        lines += [f'NOTE {report.split} {report.modality}: {text}' for text in report.notes]
    found = [f'{r.split} {r.modality}: {text}' for r in reports for text in r.problems]
    lines += [f'PROBLEM {text}' for text in found] or ['No problem found.']
    return '\n'.join(lines)
