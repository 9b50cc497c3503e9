"""The published lists of GeoTIFFs, `fnames_*.json.gz`: read piece by piece, checked, and kept small.

A list names up to 18.7 million files. It is never in memory as objects: entries stay compressed and are read
when they are wanted, so that processes of a DataLoader share them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import CellFiles, read_entry
from torchgeo_copernicus.datasets.pretrain.geotiffs.json_entries import json_entries
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES, ModalityName

#: Number of a cell, its entry, and the JSON of this.
Entry = tuple[str, object, str]


class FileList:
    """Cells of which at least one image is listed."""

    def __init__(self, source: str, entries: Iterable[Entry]) -> None:
        """Check and pack entries.

        Args:
            source: What they are from, for messages.
            entries: One for each cell. Cells without any image are left out.

        Raises:
            ValueError: If one is not as `read_entry` wants it, or comes twice.
        """
        #: Path of the list.
        self.source = source
        packed, ends, ids, counts = bytearray(), [0], [], []
        for key, entry, text in entries:
            try:
                files = read_entry(key, entry)
            except ValueError as error:
                raise ValueError(f'{source}: {error}') from error
            if not files.images:
                continue
            packed += zlib.compress(text.encode(), 1)
            ends.append(len(packed))
            ids.append(files.cell.grid_id)
            counts.append(
                [sum(map(len, files.images.get(name, {}).values())) for name in MODALITY_NAMES]
            )
        #: Numbers of the cells in the order of the list, `[N]`.
        self.grid_ids: NDArray[np.int64] = np.array(ids, np.int64)
        #: Listed images of each cell and modality, `[N, 8]`.
        self.counts: NDArray[np.int32] = np.array(counts, np.int32).reshape(-1, len(MODALITY_NAMES))
        self._packed, self._ends = bytes(packed), np.array(ends, np.int64)
        self._order = np.argsort(self.grid_ids, kind='stable')
        numbers, times = np.unique(self.grid_ids, return_counts=True)
        if (times > 1).any():
            raise ValueError(f'{source} lists cells {numbers[times > 1][:5].tolist()} twice.')

    @classmethod
    def read(cls, path: Path | str, grids: Sequence[int] | None = None) -> FileList:
        """Read a published list.

        Args:
            path: A `fnames_*.json.gz`.
            grids: Numbers of the cells to keep; the others are not looked at. All when None.

        Raises:
            ValueError: If it is missing, cut off, no gzipped JSON, or not of this structure.
        """
        kept = None if grids is None else set(grids)
        return cls(str(path), _wanted(json_entries(Path(path)), kept, str(path)))

    @classmethod
    def of(cls, source: str, entries: Mapping[int, Mapping[str, object]]) -> FileList:
        """Make a list of entries, which are as in the published ones, by number of the cell.

        Raises:
            ValueError: As when one is read.
        """
        return cls(source, ((f'{k:07d}', entry, json.dumps(entry)) for k, entry in entries.items()))

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.grid_ids)

    def cell(self, row: int) -> CellFiles:
        """Return the files of a cell.

        Args:
            row: Its position in the list.
        """
        start, stop = self._ends[row : row + 2]
        entry = json.loads(zlib.decompress(self._packed[start:stop]))
        return read_entry(f'{self.grid_ids[row]}', entry)

    def rows(self, grids: Sequence[int]) -> NDArray[np.int64]:
        """Return the positions of cells in the list.

        Raises:
            ValueError: If one is not listed.
        """
        wanted = np.asarray(grids, np.int64).reshape(-1)
        ordered = self.grid_ids[self._order]
        at = np.searchsorted(ordered, wanted)
        inside = at < len(ordered)
        listed = np.zeros(len(wanted), bool)
        listed[inside] = ordered[at[inside]] == wanted[inside]
        if not listed.all():
            raise ValueError(
                f'{self.source} lists no images of cells {wanted[~listed][:5].tolist()}, of '
                f'{int((~listed).sum())} in all.'
            )
        return np.asarray(self._order[at])

    def has(self, modality: ModalityName) -> NDArray[np.bool_]:
        """Return which cells have images of a modality, `[N]`."""
        return np.asarray(self.counts[:, MODALITY_NAMES.index(modality)] > 0)


def _wanted(entries: Iterator[Entry], kept: set[int] | None, source: str) -> Iterator[Entry]:
    for key, entry, text in entries:
        if not (key.isascii() and key.isdigit() and len(key) <= 7):
            raise ValueError(f'{source}: {key[:40]!r} is no number of a cell.')
        if kept is None or int(key) in kept:
            yield key, entry, text
