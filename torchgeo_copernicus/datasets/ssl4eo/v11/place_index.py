"""A table of all places of one modality: where their chunks lie, when and where they were seen.

Built once from the directories of the files, then kept beside the data: opening 3,846 files at the start
of every run would take longer than an epoch's first minute.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.chunk_place import PixelLayout
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip import ZarrZip
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, Part, SourceIO
from torchgeo_copernicus.datasets.storage.npy_headers import NPY_HEADERS

# Raised whenever the meaning of a field changes.
_VERSION = 1
_RADAR_TIME = re.compile(r'S1[A-D]_[^_]+_[^_]+_[^_]+_(\d{8}T\d{6})_')
_THREADS = 16


@dataclass(frozen=True)
class PlaceIndex:
    """Places of one modality of a split, N of them in C containers of F files.

    A container is a Zarr group: a file of the Zarr edition, a member of a tar archive of the other.

    Attributes:
        version: Version of this table.
        files: Names of the files, `[F]`.
        stamps: Bytes and time of modification (ns) of each file, `[F, 2]`.
        band_names: Bands in storage order.
        layouts: Descriptions of the arrays of pixels that occur.
        container_file: File of each container, `[C]`.
        container_span: First byte and bytes of each container, `[C, 2]`.
        container_layout: Descriptions of its `bands` and `cloud_mask`; -1 for none, `[C, 2]`.
        chunks: First byte and bytes of each chunk of `bands`, `[C, K, 2]`; -1 where it cannot be read
            in parts.
        mask_chunks: The same of `cloud_mask`.
        container: Container of each place, `[N]`.
        sample: Its number in the container, `[N]`.
        sample_id: Its id, `[N]`.
        lonlat: Longitude and latitude of its centre (deg), `[N, 2]`.
        crs: EPSG code of its grid, `[N]`.
        seconds: Acquisition times (s since 1970-01-01 UTC) in order, `[N, T]`; of Sentinel-1 from the
            names of the products.
        order: Index on the stored time axis of each date, `[N, T]`.
        stated_seconds: What `time_` says, in stored order, `[N, T]`: of Sentinel-1 in the Zarr edition
            not the times of the pixels.
    """

    version: int
    files: NDArray[np.str_]
    stamps: NDArray[np.int64]
    band_names: NDArray[np.str_]
    layouts: NDArray[np.str_]
    container_file: NDArray[np.int32]
    container_span: NDArray[np.int64]
    container_layout: NDArray[np.int16]
    chunks: NDArray[np.int64]
    mask_chunks: NDArray[np.int64]
    container: NDArray[np.int32]
    sample: NDArray[np.int16]
    sample_id: NDArray[np.int32]
    lonlat: NDArray[np.float64]
    crs: NDArray[np.int32]
    seconds: NDArray[np.int64]
    order: NDArray[np.int8]
    stated_seconds: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self.sample_id)

    def as_stored(self) -> PlaceIndex:
        """Return the table with dates in stored order, at the times that `time_` says."""
        dates = np.arange(self.order.shape[1], dtype=np.int8)
        order = np.broadcast_to(dates, self.order.shape)
        return replace(self, order=order, seconds=self.stated_seconds)

    def save(self, path: Path) -> None:
        """Write the table, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f'{path.name}.{os.getpid()}.part')
        with part.open('wb') as file:
            content = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
            np.savez(file, allow_pickle=False, **content)
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path, stamps: dict[str, tuple[int, int]]) -> PlaceIndex | None:
        """Read a table, or return None when there is none of these very files.

        Args:
            path: Where it was kept.
            stamps: Bytes and time of modification (ns) of each file by name, in order.
        """
        try:
            with NPY_HEADERS, np.load(path, allow_pickle=False) as stored:
                if int(stored['version']) != _VERSION:
                    return None
                found = {f.name: stored[f.name] for f in fields(cls)}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            # Absent, of another version, or cut off: it is built again.
            return None
        names = found['files'].tolist()
        if names != list(stamps) or found['stamps'].tolist() != [list(s) for s in stamps.values()]:
            return None
        return cls(**{**found, 'version': _VERSION})

    @classmethod
    def build(
        cls,
        stamps: dict[str, tuple[int, int]],
        open_file: Callable[[str], ByteSource],
        progress: Callable[[Iterable[object], int], Iterable[object]] | None = None,
    ) -> PlaceIndex:
        """Read the directories of the files.

        Args:
            stamps: Bytes and time of modification (ns) of each file by name, in order.
            open_file: Opens a file by name.
            progress: Wraps the iteration over files, given their number.

        Raises:
            ValueError: If a file is damaged or unlike the others; names it.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            results: Iterable[object] = pool.map(lambda name: _groups(open_file(name)), stamps)
            if progress is not None:
                results = progress(results, len(stamps))
            files = list(results)
        groups = [g for file in files if isinstance(file, list) for g in file]
        return _join(stamps, [len(f) for f in files if isinstance(f, list)], groups)


@dataclass(frozen=True)
class _Group:
    """What one container tells."""

    where: str
    span: tuple[int, int]
    band_names: tuple[str, ...]
    layout: PixelLayout
    chunks: NDArray[np.int64]
    mask_layout: PixelLayout | None
    mask_chunks: NDArray[np.int64]
    sample_id: NDArray[np.int32]
    lonlat: NDArray[np.float64]
    crs: NDArray[np.int32]
    seconds: NDArray[np.int64]
    order: NDArray[np.int8]
    stated_seconds: NDArray[np.int64]


def _groups(source: ByteSource) -> list[_Group]:
    """Read the groups of a file: one of a zip, several of a tar."""
    if not source.name.endswith('.tar'):
        return [_group(source, (0, source.size))]
    try:
        with tarfile.open(fileobj=SourceIO(source), mode='r:') as archive:
            members = [m for m in archive if m.isfile() and m.name.endswith('.zarr.zip')]
    except tarfile.TarError as error:
        raise ValueError(
            f'{source.name} is not a whole tar archive ({error}). Download it again.'
        ) from error
    return [
        _group(
            Part(source, m.offset_data, m.size, f'{source.name}/{m.name}'), (m.offset_data, m.size)
        )
        for m in members
    ]


def _group(source: ByteSource, span: tuple[int, int]) -> _Group:
    group = ZarrZip(source)
    where = source.name
    layout = PixelLayout.of(group['bands'], where)
    samples, dates = layout.full_shape[:2]
    mask = PixelLayout.of(group['cloud_mask'], where) if 'cloud_mask' in group.arrays else None
    names = tuple(str(name).upper() for name in np.ravel(group.read('band')))
    if len(names) != layout.full_shape[2]:
        raise ValueError(f'{where}: {len(names)} names {names} of {layout.full_shape[2]} bands.')
    ids = _whole_numbers(group, 'sample', samples)
    lonlat = np.stack([np.ravel(group.read(f'center_{axis}')) for axis in ('lon', 'lat')], axis=1)
    stated = seconds = (
        group.times('time_').astype('datetime64[s]').astype(np.int64).reshape(-1, dates)
    )
    order = np.tile(np.arange(dates, dtype=np.int8), (samples, 1))
    products = np.asarray(group.read('file_id')).reshape(-1, dates)
    if str(products.flat[0]).startswith('S1'):
        seconds = _radar_seconds(products, where)
        order = np.argsort(seconds, axis=1, kind='stable').astype(np.int8)
        seconds = np.take_along_axis(seconds, order.astype(np.intp), axis=1)
    if not (lonlat.shape[0] == seconds.shape[0] == samples):
        raise ValueError(f'{where}: variables of {samples} places have different lengths.')
    return _Group(
        where,
        span,
        names,
        layout,
        _places(group, layout),
        mask,
        _places(group, mask),
        ids,
        lonlat.astype(np.float64),
        np.broadcast_to(np.ravel(group.read('crs')), samples).astype(np.int32),
        seconds,
        order,
        stated,
    )


def _whole_numbers(group: ZarrZip, name: str, count: int) -> NDArray[np.int32]:
    values = np.ravel(group.read(name))
    try:
        numbers = np.array([int(str(value)) for value in values], np.int32)
    except ValueError as error:
        raise ValueError(f'{group.source.name}: {name} holds {values[:3]}, not ids.') from error
    if len(numbers) != count:
        raise ValueError(f'{group.source.name}: {len(numbers)} ids of {count} places.')
    return numbers


def _radar_seconds(products: NDArray[np.generic], where: str) -> NDArray[np.int64]:
    """Read the times of Sentinel-1 from its product names: `time_` may belong to other pixels."""
    seconds = np.empty(products.shape, np.int64)
    for index, product in np.ndenumerate(products):
        match = _RADAR_TIME.match(str(product))
        if not match:
            raise ValueError(f'{where}: {str(product)!r} is no name of a Sentinel-1 product.')
        t = match[1]
        stamp = f'{t[:4]}-{t[4:6]}-{t[6:11]}:{t[11:13]}:{t[13:]}'
        seconds[index] = np.datetime64(stamp, 's').astype(np.int64)
    return seconds


def _places(group: ZarrZip, layout: PixelLayout | None) -> NDArray[np.int64]:
    """Return first byte and bytes of each chunk, `[K, 2]`; -1 where it has to be read whole."""
    if layout is None:
        return np.full((0, 2), -1, np.int64)
    names = layout.array.chunk_names()
    found = np.full((len(names), 2), -1, np.int64)
    for number, name in enumerate(names):
        if name not in group.members:
            raise ValueError(f'{group.source.name}: chunk {name} is missing. Download it again.')
        if layout.by_bytes and group.members[name].stored:
            found[number] = group.place(name), group.members[name].size
    return found


def _join(
    stamps: dict[str, tuple[int, int]], per_file: Sequence[int], groups: Sequence[_Group]
) -> PlaceIndex:
    if not groups:
        raise ValueError(f'No places in {list(stamps)[:3]}.')
    first = groups[0]
    layouts: dict[str, int] = {}
    numbers = np.full((len(groups), 2), -1, np.int16)
    for row, group in enumerate(groups):
        wanted, found = first.layout.full_shape[1:], group.layout.full_shape[1:]
        if group.band_names != first.band_names or found != wanted:
            raise ValueError(
                f'{group.where} holds {found} of {group.band_names}, but {first.where} holds {wanted} '
                f'of {first.band_names} (dates, bands, height, width).'
            )
        for column, layout in enumerate((group.layout, group.mask_layout)):
            if layout is not None:
                numbers[row, column] = layouts.setdefault(layout.key(), len(layouts))
    counts = [len(group.sample_id) for group in groups]
    return PlaceIndex(
        version=_VERSION,
        files=np.array(list(stamps)),
        stamps=np.array(list(stamps.values()), np.int64),
        band_names=np.array(first.band_names),
        layouts=np.array(list(layouts)),
        container_file=np.repeat(np.arange(len(per_file), dtype=np.int32), per_file),
        container_span=np.array([group.span for group in groups], np.int64),
        container_layout=numbers,
        chunks=_padded([group.chunks for group in groups]),
        mask_chunks=_padded([group.mask_chunks for group in groups]),
        container=np.repeat(np.arange(len(groups), dtype=np.int32), counts),
        sample=np.concatenate([np.arange(count, dtype=np.int16) for count in counts]),
        sample_id=np.concatenate([group.sample_id for group in groups]),
        lonlat=np.concatenate([group.lonlat for group in groups]),
        crs=np.concatenate([group.crs for group in groups]),
        seconds=np.concatenate([group.seconds for group in groups]),
        order=np.concatenate([group.order for group in groups]),
        stated_seconds=np.concatenate([group.stated_seconds for group in groups]),
    )


def _padded(tables: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    padded = np.full((len(tables), max(len(table) for table in tables), 2), -1, np.int64)
    for row, table in enumerate(tables):
        padded[row, : len(table)] = table
    return padded
