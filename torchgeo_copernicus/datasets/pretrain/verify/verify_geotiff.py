"""Checks the GeoTIFFs of a copy: what is listed, what is there, and whether images are what the list says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import (
    S3_LISTED,
    S3_ON_DISK,
    CellFiles,
    ImageFile,
)
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_reader import (
    SMALLEST_FILE_BYTES,
    ImageReader,
)
from torchgeo_copernicus.datasets.pretrain.modality import (
    MODALITIES,
    ModalityName,
    chosen_modalities,
)
from torchgeo_copernicus.datasets.raster import reading_several
from torchgeo_copernicus.datasets.whole_number import whole

_TOLD = 3


@dataclass
class ModalityFiles:
    """What was found of a modality.

    Attributes:
        cells: Cells of the list that have it.
        listed: Files listed.
        bytes: Of those that are there.
        missing: Listed, but not there.
        small: Too small for an image.
        unlisted: There, but not listed.
        read: Images that were read.
        void: Those of them without a finite value.
        faults: Why others could not be read.
    """

    cells: int = 0
    listed: int = 0
    bytes: int = 0
    missing: list[str] = field(default_factory=list)
    small: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    read: int = 0
    void: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass
class GeoTIFFReport:
    """What was found in a copy.

    Attributes:
        source: Path of the list.
        cells: Cells it lists.
        read: Cells that were read.
        modalities: What was found of each.
    """

    source: str
    cells: int
    read: int
    modalities: dict[ModalityName, ModalityFiles]

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words."""
        found = []
        for name, files in self.modalities.items():
            for names, what in (
                (files.missing, 'files are listed, but not there'),
                (files.small, f'files have fewer than {SMALLEST_FILE_BYTES} bytes'),
                (files.unlisted, 'files are there, but not listed'),
                (files.faults, 'images cannot be read, or are not what the list says'),
            ):
                if names:
                    found.append(f'{name}: {len(names)} {what}: {_some(names)}')
        return found

    @property
    def notes(self) -> list[str]:
        """What is unusual, and no harm."""
        return [
            f'{name}: {len(files.void)} images have no value: {_some(files.void)}'
            for name, files in self.modalities.items()
            if files.void
        ]


def verify_geotiff(
    root: Path, files: FileList, limit: int = 200, modalities: Sequence[ModalityName] | None = None
) -> GeoTIFFReport:
    """Check a copy; nothing is changed.

    Args:
        root: Folder that the paths of the list are below.
        files: The list.
        limit: Cells to read, spread over the list; 0 for all. Files of all cells are looked for.
        modalities: Which, where a copy has some only; all when None.

    Raises:
        ValueError: If *limit* is negative, or a modality is unknown.
    """
    whole('limit', limit)
    wanted = chosen_modalities(modalities)
    report = GeoTIFFReport(files.source, len(files), 0, {name: ModalityFiles() for name in wanted})
    chosen = set(range(len(files)))
    if limit and limit < len(files):
        chosen = set(np.linspace(0, len(files) - 1, limit, dtype=int).tolist())
    cells: set[str] = set()
    with reading_several():
        for row in range(len(files)):
            cell = files.cell(row)
            cells.add(cell.cell.name)
            for name in wanted:
                there = _there(root, cell, name, report.modalities[name])
                if row in chosen:
                    _read(root, cell, name, there, report.modalities[name])
    report.read = len(chosen)
    for name in wanted:
        for folder in _folders(name):
            for stray in sorted(_names(root / folder) - cells):
                report.modalities[name].unlisted += _below(root / folder / stray, root)
    return report


def describe_geotiff(report: GeoTIFFReport) -> str:
    """Return a report as text for people."""
    lines = [
        f'Copernicus-Pretrain, GeoTIFFs: {report.cells} cells in {report.source}, {report.read} read'
    ]
    lines += [
        f'{name:8}  {files.cells} cells, {files.listed} files listed, '
        f'{files.listed - len(files.missing)} there, {files.bytes} bytes; {files.read} images read'
        for name, files in report.modalities.items()
    ]
    lines += [f'NOTE {text}' for text in report.notes]
    lines += [f'PROBLEM {text}' for text in report.problems] or ['No problem found.']
    return '\n'.join(lines)


def _there(
    root: Path, cell: CellFiles, name: ModalityName, report: ModalityFiles
) -> list[tuple[str, ImageFile]]:
    """Compare the listed files of a cell with those on disk; return place and image of those there."""
    reader = ImageReader(root)
    known: set[Path] = set()
    there = []
    places = cell.images.get(name, {})
    report.cells += bool(places)
    for place, images in places.items():
        for image in images:
            report.listed += 1
            path = reader.path(image)
            known.add(path)
            try:
                size = path.stat().st_size
            except OSError:
                report.missing.append(image.path)
                continue
            report.bytes += size
            if size < SMALLEST_FILE_BYTES:
                report.small.append(image.path)
            else:
                there.append((place, image))
    for folder in _folders(name):
        found = _below(root / folder / cell.cell.name, root)
        report.unlisted += [path for path in found if root / path not in known]
    return there


def _read(
    root: Path,
    cell: CellFiles,
    name: ModalityName,
    there: Sequence[tuple[str, ImageFile]],
    report: ModalityFiles,
) -> None:
    reader = ImageReader(root)
    for place, image in there:
        try:
            pixels, _ = reader.read(name, image, cell.cell, place)
        except ValueError as error:
            report.faults.append(str(error))
            continue
        report.read += 1
        if not pixels.isfinite().any():
            report.void.append(image.path)


def _folders(name: ModalityName) -> list[str]:
    """Return the folders of a modality below the root."""
    folder = MODALITIES[name].folder
    return list(dict.fromkeys((folder, folder.replace(S3_ON_DISK, S3_LISTED, 1))))


def _names(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def _below(path: Path, root: Path) -> list[str]:
    """Return the paths of a file, or of all files in a folder, below the root."""
    return sorted(found.relative_to(root).as_posix() for found in _files(path))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names)


def _some(names: Sequence[str]) -> str:
    told = ', '.join(names[:_TOLD])
    return f'{told}, ...' if len(names) > _TOLD else told
