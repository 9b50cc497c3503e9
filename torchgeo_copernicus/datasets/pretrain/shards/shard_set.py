"""The cells of several shards, on disks or behind addresses, each once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from torchgeo_copernicus.datasets.pretrain.faults import Fault
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.shard_index import ShardIndex
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource
from torchgeo_copernicus.datasets.storage.folder import Folder, folder_at

_THREADS = 16
# Fewer are read faster than a bar is.
_BAR_FROM_SHARDS = 5
# Systems allow a process 1024 open files, and others want some, too.
_MOST_OPEN = 256


class ShardSet:
    """Shards whose cells are known; safe for threads, and for processes by fork and spawn."""

    def __init__(self, names: Sequence[str], index_folder: Path | str | None = None) -> None:
        """Find shards, and read or make their indices.

        Args:
            names: Paths and addresses.
            index_folder: Where indices are kept; None: `.index` beside shards on a disk that can be
                written to, else the user's cache folder.

        Raises:
            UnsafePickleError: If a tensor is a program that does something else.
            ValueError: If a shard is not there.
            OSError: If one cannot be read.
        """
        self.names = tuple(names)
        self._folders: dict[str, Folder] = {}
        self.stamps = self._stamps()
        self._open: dict[int, ByteSource] = {}
        indices = self._indices(index_folder)
        shard = np.repeat(np.arange(len(indices)), [len(index.cells) for index in indices])
        cells = np.concatenate([index.cells for index in indices])
        faults = [
            replace(fault, shard=name)
            for name, index in zip(self.names, indices, strict=True)
            for fault in index.faults
        ]
        _, first = np.unique(cells['grid_id'], return_index=True)
        again = np.setdiff1d(np.arange(len(cells)), first)
        for number in again.tolist():
            row = cells[number]
            reason = f'cell {row["grid_id"]} came before'
            key = f'{int(row["key"]):07d}'
            fault = Fault(
                'repeated', self.names[shard[number]], key, int(row['json_offset']), reason
            )
            faults.append(fault)
        first.sort()
        #: Cells in the order of the shards, `[N]` of type `CELL`, and the number of the shard of each.
        self.cells: NDArray[np.void] = cells[first]
        self.shard: NDArray[np.int64] = shard[first].astype(np.int64)
        self.faults: tuple[Fault, ...] = tuple(faults)

    def __getstate__(self) -> dict[str, object]:
        """Leave out open files, which no other process can use."""
        return {**self.__dict__, '_open': {}}

    def present(self, modality: ModalityName) -> NDArray[np.bool_]:
        """Return which cells have a modality of their own, `[N]`."""
        column = MODALITY_NAMES.index(modality)
        found: NDArray[np.bool_] = self.cells['member_offset'][:, column] >= 0
        return found

    def source(self, shard: int) -> ByteSource:
        """Open a shard, or return it when it is open.

        Raises:
            OSError: If it cannot be opened.
        """
        found = self._open.get(shard)
        if found is None:
            folder, _, name = self.names[shard].rpartition('/')
            found = self._folders[folder].open(name)
            if found.size != self.stamps[shard][0]:
                raise OSError(
                    f'{self.names[shard]} has {found.size} bytes now and had {self.stamps[shard][0]} at the '
                    'start. Start again.'
                )
            for oldest in list(self._open)[: len(self._open) + 1 - _MOST_OPEN]:
                # Whoever reads it keeps it open until done.
                self._open.pop(oldest, None)
            self._open[shard] = found
        return found

    def _stamps(self) -> list[tuple[int, int]]:
        """Return bytes, and a number that changes with the content, of each shard."""
        by_folder: dict[str, list[str]] = {}
        for path in self.names:
            folder, _, name = path.rpartition('/')
            by_folder.setdefault(folder, []).append(name)
        found: dict[str, tuple[int, int]] = {}
        for folder, names in by_folder.items():
            self._folders[folder] = folder_at(folder or '/')
            stamps = self._folders[folder].stamps('.tar', names)
            found |= {f'{folder}/{name}': s for name, s in stamps.items()}
        if missing := [name for name in self.names if name not in found]:
            raise ValueError(
                f'{len(missing)} of {len(self.names)} shards are not there, such as {missing[:3]}. Check '
                'paths and addresses, or name those that are there.'
            )
        return [found[name] for name in self.names]

    def _indices(self, index_folder: Path | str | None) -> list[ShardIndex]:
        def index(number: int) -> ShardIndex:
            path = _kept(self.names[number], index_folder)
            stamp = self.stamps[number]
            found = ShardIndex.load(path, stamp)
            if found is None:
                folder, _, name = self.names[number].rpartition('/')
                found = ShardIndex.build(self._folders[folder].open(name))
                found.save(path, stamp)
            return found

        off = len(self.names) < _BAR_FROM_SHARDS
        with ThreadPoolExecutor(_THREADS) as pool:
            results = pool.map(index, range(len(self.names)))
            return list(tqdm(results, 'Reading the cells of shards', len(self.names), disable=off))


def _kept(name: str, folder: Path | str | None) -> Path:
    """Return where the index of a shard is kept."""
    parent, _, file = name.rpartition('/')
    if folder is None and '://' not in name:
        beside = Path(parent or '/').absolute()
        if os.access(beside, os.W_OK):
            return beside / '.index' / f'{file}.npz'
    if folder is None:
        cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
        folder = Path(cache) / 'torchgeo_copernicus' / 'pretrain_shards'
    full = name if '://' in name else str(Path(name).absolute())
    key = hashlib.sha256(full.encode()).hexdigest()[:16]
    return Path(folder) / f'{key}-{file}.npz'
