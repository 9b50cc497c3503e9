"""A folder of embeddings: what made them, and a file of rows for each unit of work.

A file is there whole or not at all, and all files of a store are made alike: another model, preprocessing,
pooling, dtype or data is refused.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from torchgeo_copernicus.embedding.fingerprint import Facts, canonical, differences, fingerprint

_log = logging.getLogger(__name__)
_VERSION = 1
_NAME = 'store.json'
_OWN = b'torchgeo_copernicus'


@dataclass(frozen=True)
class UnitReport:
    """What a file of rows says of itself.

    Attributes:
        images: Its rows.
        items: Items of the source that it is of.
        empty_items: How many of them had no image.
    """

    images: int
    items: int
    empty_items: int


class EmbeddingStore:
    """Reads and writes the files of a store."""

    def __init__(self, folder: Path | str) -> None:
        """Open a store.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If `store.json` is damaged, changed, or of another version.
        """
        self.folder = Path(folder)
        path = self.folder / _NAME
        if not path.is_file():
            raise FileNotFoundError(f'{self.folder} is no store of embeddings: it has no {_NAME}.')
        try:
            document = json.loads(path.read_text(encoding='utf-8'))
        except ValueError as error:
            raise ValueError(f'{path} is damaged ({error}).') from error
        if not isinstance(document, dict) or document.get('version') != _VERSION:
            version = document.get('version') if isinstance(document, dict) else None
            raise ValueError(f'{path} has version {version!r}, this code knows {_VERSION}.')
        document.pop('version')
        #: SHA-256 of `facts`.
        self.fingerprint = str(document.pop('fingerprint', None))
        #: What the store is made with.
        self.facts: Facts = document
        if fingerprint(self.facts) != self.fingerprint:
            raise ValueError(
                f'{path} was changed by hand: its fingerprint is not that of its facts.'
            )

    @classmethod
    def open_or_create(cls, folder: Path | str, facts: Facts) -> EmbeddingStore:
        """Open a store that was made with the same facts, or make one.

        Args:
            folder: Of the store; a new one must be empty or not be there.
            facts: What decides on every value in it.

        Raises:
            ValueError: If it was made with other facts, and says which; or the folder holds something else.
        """
        folder = Path(folder)
        if (folder / _NAME).exists():
            store = cls(folder)
            wanted = json.loads(canonical(facts))
            if lines := list(differences(store.facts, wanted)):
                raise ValueError(
                    f'{folder} was made with something else, and nothing is added to it. Choose another '
                    'folder, or the same: ' + '; '.join(lines)
                )
            return store
        if folder.exists() and any(path.name != 'rows' for path in _visible(folder)):
            raise ValueError(
                f'{folder} holds other things, and no {_NAME}; choose an empty folder.'
            )
        (folder / 'rows').mkdir(parents=True, exist_ok=True)
        document = {'version': _VERSION, 'fingerprint': fingerprint(facts), **facts}
        # All ranks write the same bytes.
        _write_whole(folder / _NAME, json.dumps(document, indent=1).encode() + b'\n')
        return cls(folder)

    def unit_path(self, unit: int) -> Path:
        """Return where the rows of a unit are."""
        return self.folder / 'rows' / f'unit-{unit:08d}.parquet'

    def unit_paths(self) -> list[Path]:
        """Return the files of rows that are there, by unit."""
        return sorted((self.folder / 'rows').glob('unit-*.parquet'))

    def write(self, unit: int, table: pa.Table, items: int, empty_items: int) -> None:
        """Write the rows of a unit, so that they are there whole or not at all.

        Args:
            unit: Number of the unit.
            table: Of `rows_table`.
            items: Items of the source that it is of.
            empty_items: How many of them had no image.

        Raises:
            OSError: If it cannot be written.
        """
        own = {'fingerprint': self.fingerprint, 'unit': unit}
        own |= {'items': items, 'empty_items': empty_items}
        table = table.replace_schema_metadata({**table.schema.metadata, _OWN: json.dumps(own)})
        path = self.unit_path(unit)
        part = _part(path)
        with part.open('wb') as file:
            # Pages carry checksums, by which damage is found.
            pq.write_table(
                table, file, compression='zstd', write_page_checksum=True, use_dictionary=_REPEATING
            )
            file.flush()
            os.fsync(file.fileno())
        _rename(part, path)

    def report(self, unit: int, verify: bool = False) -> UnitReport | None:
        """Return what the file of a unit says of itself.

        Args:
            unit: Number of the unit.
            verify: Read all of it, and compare checksums.

        Returns:
            None when it is not there, or is damaged, which is logged.

        Raises:
            ValueError: If it is of another store.
        """
        path = self.unit_path(unit)
        if not path.is_file():
            return None
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                own = json.loads((file.schema_arrow.metadata or {}).get(_OWN, b'null'))
                images = int(file.metadata.num_rows)
                if verify:
                    file.read()
        except (pa.ArrowException, OSError, ValueError) as error:
            _log.warning('%s is damaged (%s) and is made anew.', path, error)
            return None
        if not isinstance(own, Mapping) or own.get('fingerprint') != self.fingerprint:
            raise ValueError(f'{path} is of another store; move it away.')
        if own.get('unit') != unit:
            raise ValueError(f'{path} holds unit {own.get("unit")}; its name was changed.')
        return UnitReport(images, int(own['items']), int(own['empty_items']))

    def pending(self, units: int, rank: int, world_size: int, verify: bool = True) -> list[int]:
        """Return the units of a rank whose rows are not there, or are damaged.

        Args:
            units: How many there are of all ranks.
            rank: Number of the rank.
            world_size: Number of ranks.
            verify: Read what is there, and compare checksums.

        Raises:
            ValueError: If a file is of another store.
        """
        found = [u for u in range(rank, units, world_size) if self.report(u, verify) is None]
        for unit in found:
            # Left by a run that was killed.
            for part in (self.folder / 'rows').glob(f'.{self.unit_path(unit).name}.*.part'):
                part.unlink(missing_ok=True)
        return found


# Columns whose values repeat; embeddings and keys do not.
_REPEATING = ['grid_id', 'grid_id_coord', 'modality', 'local_id_coord', 'source', 'date']


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith('.')]


def _part(path: Path) -> Path:
    return path.with_name(f'.{path.name}.{socket.gethostname()}-{os.getpid()}.part')


def _write_whole(path: Path, content: bytes) -> None:
    part = _part(path)
    with part.open('wb') as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _rename(part, path)


def _rename(part: Path, path: Path) -> None:
    os.replace(part, path)
    # The name is on disk too once its folder is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
