"""Checks shards: which are there, whether they are whole, and every tensor against its CRC-32."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from torchgeo_copernicus.datasets.pretrain.faults import LOSSES, Fault
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.shard_index import ShardIndex
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import UnsafePickleError
from torchgeo_copernicus.datasets.pretrain.verify.published_counts import PublishedSet, set_of
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, Part, read
from torchgeo_copernicus.datasets.storage.folder import Folder, folder_at
from torchgeo_copernicus.datasets.storage.zip_crc import differing_members
from torchgeo_copernicus.datasets.storage.zip_members import members_of
from torchgeo_copernicus.datasets.whole_number import whole

_NUMBERED = re.compile(r'(.*?)(\d+)\.tar')
_TOLD = 3


@dataclass
class ShardsReport:
    """What was found in shards.

    Attributes:
        shards: Those there are.
        bytes: Their size.
        cells: Different cells.
        modalities: Of these, cells with each modality of their own.
        sides_px: Height and width of the images of each modality.
        tensors: Tensors there are.
        checked: Those whose members were compared with their CRC-32.
        unchecked: Those that were to be, but are of a form without.
        published: Published set they are compared with.
        problems: What is wrong, in words.
        notes: What is unusual, and no harm.
    """

    shards: int = 0
    bytes: int = 0
    cells: int = 0
    modalities: Counter[ModalityName] = field(default_factory=Counter)
    sides_px: dict[ModalityName, set[tuple[int, int]]] = field(default_factory=dict)
    tensors: int = 0
    checked: int = 0
    unchecked: int = 0
    published: PublishedSet | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify_shards(
    names: Sequence[str], limit: int = 200, published: PublishedSet | None = None
) -> ShardsReport:
    """Check shards; nothing is changed, and no index that was kept is believed.

    Args:
        names: Paths and addresses, from `shard_names`.
        limit: Cells whose tensors are compared with their CRC-32, spread over all; 0 for all. Headers and
            metadata of all cells are read.
        published: Set that all shards should be. When None they are compared with the set that has files
            of just these names; differences are then no more than noted, for others name theirs alike.

    Raises:
        ValueError: If *limit* is negative.
    """
    whole('limit', limit)
    report = ShardsReport()
    folders = {name.rpartition('/')[0] for name in names}
    opened = {folder: folder_at(folder or '/') for folder in sorted(folders)}
    present = _present(names, opened, report)
    _check_sequence(present, published, report)
    cells = _Cells(report)
    for name in present:
        cells.add(name, opened)
    cells.check_crc(limit, opened)
    found = {name.rpartition('/')[2] for name in present}
    report.published = set_of(frozenset(found)) if published is None else published
    _compare(report, report.notes if published is None else report.problems)
    return report


def describe_shards(report: ShardsReport) -> str:
    """Return a report as text for people."""
    there = f'{report.shards} shards, {report.bytes} bytes, {report.cells} cells'
    checked = f'CRC of {report.checked} of {report.tensors} tensors compared'
    lines = [f'Copernicus-Pretrain, shards: {there}; {checked}']
    published = {} if report.published is None else report.published.modalities
    for name in MODALITY_NAMES:
        count = f'{report.modalities[name]} cells'
        if name in published and report.published is not None:
            count += f' of {published[name]} in {report.published.name}'
        sides = ', '.join(f'{h} x {w} px' for h, w in sorted(report.sides_px.get(name, ())))
        lines.append(f'{name:8}  {count}' + (f'; {sides}' if sides else ''))
    lines += [f'NOTE {text}' for text in report.notes]
    lines += [f'PROBLEM {text}' for text in report.problems] or ['No problem found.']
    return '\n'.join(lines)


def _present(
    names: Sequence[str], folders: Mapping[str, Folder], report: ShardsReport
) -> list[str]:
    """Return the shards that are there."""
    sizes: dict[str, int] = {}
    for folder, opened in folders.items():
        files = [name.rpartition('/')[2] for name in names if name.rpartition('/')[0] == folder]
        stamps = opened.stamps('.tar', files)
        sizes |= {f'{folder}/{file}': size for file, (size, _) in stamps.items()}
    if missing := [name for name in names if name not in sizes]:
        report.problems.append(f'{len(missing)} shards are not there: {_some(missing)}')
    report.shards, report.bytes = len(sizes), sum(sizes.values())
    return [name for name in names if name in sizes]


def _check_sequence(
    present: Sequence[str], published: PublishedSet | None, report: ShardsReport
) -> None:
    """Look for numbers that are left out."""
    if published is not None:
        found = {name.rpartition('/')[2] for name in present}
        if missing := sorted(set(published.shards) - found):
            report.problems.append(
                f'{len(missing)} of {len(published.shards)} shards of {published.name} are missing: '
                f'{_some(missing)}'
            )
        if strange := sorted(found - set(published.shards)):
            report.problems.append(
                f'{len(strange)} shards are not of {published.name}: {_some(strange)}'
            )
        return
    series: dict[str, set[tuple[int, int]]] = {}
    for name in present:
        if numbered := _NUMBERED.fullmatch(name):
            series.setdefault(numbered[1], set()).add((int(numbered[2]), len(numbered[2])))
    for prefix, numbers in series.items():
        there = {number for number, _ in numbers}
        width = max(digits for _, digits in numbers)
        lacking = [n for n in range(min(there), max(there)) if n not in there]
        if lacking:
            names = [f'{prefix}{number:0{width}d}.tar' for number in lacking]
            report.problems.append(
                f'{len(lacking)} shards are missing in the sequence: {_some(names)}'
            )
        # Those of the union begin where the aligned ones end.
        if min(there):
            report.notes.append(f'{prefix}* begins with number {min(there)}')


class _Cells:
    """Cells of all shards, as they are found."""

    def __init__(self, report: ShardsReport) -> None:
        self._report = report
        self._first: dict[int, str] = {}
        self._places: list[tuple[str, int, ModalityName, int, int, int]] = []

    def add(self, name: str, folders: Mapping[str, Folder]) -> None:
        """Take in the cells of a shard."""
        try:
            index = ShardIndex.build(_open(name, folders))
        except (UnsafePickleError, OSError) as error:
            self._report.problems.append(f'{name}: {error}')
            return
        self._tell(name, index.faults)
        again, empty = [], []
        for number, cell in enumerate(index.cells):
            grid_id = int(cell['grid_id'])
            if grid_id in self._first:
                again.append(f'{grid_id} (first in {self._first[grid_id]})')
                continue
            self._first[grid_id] = name
            self._report.cells += 1
            if not (cell['member_offset'] >= 0).any():
                empty.append(str(grid_id))
            for column, modality in enumerate(MODALITY_NAMES):
                offset, size = (int(cell[f][column]) for f in ('member_offset', 'member_bytes'))
                if offset >= 0:
                    self._places.append((name, number, modality, int(cell['key']), offset, size))
                    self._report.modalities[modality] += 1
                    sides = [int(n) for n in cell['shape'][column] if n][-2:]
                    found = self._report.sides_px.setdefault(modality, set())
                    found.add((sides[0], sides[1]))
        if again:
            self._report.notes.append(
                f'{name}: {len(again)} cells come again and are left out: {_some(again)}'
            )
        if empty:
            self._report.notes.append(
                f'{name}: {len(empty)} cells have no image of their own: {_some(empty)}'
            )

    def check_crc(self, limit: int, folders: Mapping[str, Folder]) -> None:
        """Compare the tensors of cells with their CRC-32."""
        cells = list(dict.fromkeys(place[:2] for place in self._places))
        if limit and limit < len(cells):
            chosen = np.linspace(0, len(cells) - 1, limit, dtype=int).tolist()
            cells = [cells[number] for number in chosen]
        wanted = set(cells)
        self._report.tensors = len(self._places)
        source: tuple[str, ByteSource] | None = None
        for name, number, modality, key, offset, size in self._places:
            if (name, number) not in wanted:
                continue
            try:
                if source is None or source[0] != name:
                    source = name, _open(name, folders)
                problem = self._crc(Part(source[1], offset, size, f'{key:07d}.{modality}.pth'))
            except (ValueError, OSError) as error:
                problem = str(error)
            if problem:
                self._report.problems.append(f'{name}, byte {offset}: {problem}')

    def _crc(self, tensor: ByteSource) -> str:
        if bytes(read(tensor, 0, 2)) != b'PK':
            self._report.unchecked += 1
            return ''
        self._report.checked += 1
        damaged = differing_members(tensor, members_of(tensor))
        return f'{tensor.name} is damaged: the CRC of {_some(damaged)} differs' if damaged else ''

    def _tell(self, name: str, faults: Iterable[Fault]) -> None:
        """Tell of each kind of fault of a shard; oddities that readers put right are noted."""
        by_kind: dict[str, list[Fault]] = {}
        for fault in faults:
            by_kind.setdefault(fault.kind, []).append(fault)
        for kind, found in by_kind.items():
            told = self._report.problems if kind in LOSSES else self._report.notes
            told.append(f'{name}: {len(found)} x {kind}: {_some([*_briefly(found)])}')


def _briefly(faults: Iterable[Fault]) -> Iterator[str]:
    for fault in faults:
        key = f'key {fault.key}, ' if fault.key else ''
        byte = '' if fault.offset is None else f'byte {fault.offset}: '
        yield f'{key}{byte}{fault.reason}'


def _compare(report: ShardsReport, told: list[str]) -> None:
    """Compare the numbers of cells with the published ones."""
    published = report.published
    if report.unchecked:
        report.notes.append(f'{report.unchecked} tensors are of a form without CRC')
    for name, sides in report.sides_px.items():
        size = MODALITIES[name].size_px
        if sides != {(size, size)}:
            report.notes.append(f'{name}: {size} x {size} px were published')
    if published is None:
        return
    if report.cells != published.cells:
        told.append(f'{report.cells} cells, {published.cells} were published of {published.name}')
    for name, count in published.modalities.items():
        # The paper counts cells of the raw data; what its converter left out is not known.
        if report.modalities[name] != count:
            report.notes.append(
                f'{name}: {report.modalities[name]} cells, {count} were published of {published.name}'
            )


def _open(name: str, folders: Mapping[str, Folder]) -> ByteSource:
    folder, _, file = name.rpartition('/')
    return folders[folder].open(file)


def _some(names: Sequence[str]) -> str:
    told = ', '.join(names[:_TOLD])
    return f'{told}, ...' if len(names) > _TOLD else told
