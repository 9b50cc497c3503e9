"""Layouts of SSL4EO-S12 v1.1 beside each other: Zarr-zip as published, Zarr 3 with shards, WebDataset.

    python benchmarks/ssl4eo_formats.py --root lz4=DIR --root zstd=DIR
    python benchmarks/ssl4eo_formats.py               # on look-alikes made in a temporary folder: minutes

Converts one modality of each root, with the codec of its name, and reads all of them in turn, several
rounds; the fastest round counts. A random read is one place and date with all bands. A sweep reads every
place and date in storage order, chunk by chunk or shard by shard where that is natural. A stream goes
through whole archives from the first byte to the last, as a loader behind a network does. `ours` is
`SSL4EOS12v11` in one thread, giving float32; zarr and xarray give stored numbers and use what threads they
like. Files are in the page cache: on a slow disk or a network what counts more is the bytes that a read
needs, which are counted too.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import xarray as xr
import zarr
from numcodecs import Blosc
from provenance import save
from rich.console import Console
from rich.table import Table

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import make_ssl4eo_v11
from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.convert.webdataset import convert_webdataset
from torchgeo_copernicus.datasets.ssl4eo.convert.zarr3 import convert_zarr3
from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import DATES
from torchgeo_copernicus.datasets.ssl4eo.v11.parts import Codec
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip import ZarrZip
from torchgeo_copernicus.datasets.storage.byte_source import LocalFile

Read = Callable[[int, int], object]


class Counted:
    """A piece of memory as a source of bytes."""

    def __init__(self, content: bytes, name: str) -> None:
        """Hold *content*."""
        self.name, self.size, self._content = name, len(content), content

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill *target*."""
        target[:] = self._content[offset : offset + len(target)]


class Layout:
    """One layout: files, readers of one place and date, and sweeps."""

    def __init__(self, folder: Path, convert_s: float | None = None) -> None:
        """Prepare; *folder* holds the files of the modality."""
        self.folder, self.convert_s = folder, convert_s
        self.random: dict[str, Read] = {}
        self.random_mb: dict[str, float] = {}
        self.sweep: dict[str, Callable[[], int]] = {}

    @property
    def disk_mb(self) -> float:
        """Size of all files."""
        files = [path for path in self.folder.rglob('*') if path.is_file()]
        return sum(path.stat().st_size for path in files) / 1e6


def bytes_of(call: Callable[[], object]) -> float:
    """Return how many MB our readers fetch in a call."""
    fetched = 0
    whole = LocalFile.read_into

    def counting(self: LocalFile, offset: int, target: memoryview) -> None:
        nonlocal fetched
        fetched += len(target)
        whole(self, offset, target)

    with mock.patch.object(LocalFile, 'read_into', counting):
        call()
    return fetched / 1e6


def add_ours(layout: Layout, root: Path, modality: Modality, index_folder: Path) -> None:
    """Add our dataset."""
    data = SSL4EOS12v11(root, modalities=modality, index_folder=index_folder)
    target = np.empty((len(data.bands[modality]), *data.size(modality)), np.float32)

    def sweep() -> int:
        for place in range(len(data)):
            for date in range(DATES):
                data.read_into(modality, place, date, target)
        return len(data) * DATES

    def read(place: int, date: int) -> None:
        data.read_into(modality, place, date, target)

    layout.random['ours'] = read
    read(0, 0)
    layout.random_mb['ours'] = bytes_of(lambda: read(len(data) - 1, 0))
    layout.sweep['ours'] = sweep


def zarr_zip(root: Path, modality: Modality, index_folder: Path) -> Layout:
    """The published layout."""
    layout = Layout(root / 'train' / modality)
    add_ours(layout, root, modality, index_folder)
    paths = sorted(layout.folder.glob('*.zarr.zip'))
    stores = [zarr.storage.ZipStore(path, mode='r') for path in paths]
    arrays = [zarr.open_group(store, mode='r')['bands'] for store in stores]
    labelled = [xr.open_zarr(zarr.storage.ZipStore(p, mode='r'), chunks=None).bands for p in paths]
    length = arrays[0].shape[0]
    # zarr fetches whole chunks: here all places of a file at one date, there one image.
    layout.random_mb['zarr'] = layout.disk_mb / len(paths) / DATES
    layout.random['zarr'] = lambda place, date: arrays[place // length][place % length, date]
    layout.random['xarray'] = lambda place, date: (
        labelled[place // length][place % length, date].values
    )

    def sweep() -> int:
        return sum(len(array[:, date]) for array in arrays for date in range(DATES))

    layout.sweep['zarr'] = sweep
    return layout


def zarr3(root: Path, out: Path, modality: Modality, codec: Codec) -> Layout:
    """One store with a chunk for each image."""
    start = time.perf_counter()
    convert_zarr3(root, out, modalities=[modality], codec=codec, progress=False)
    layout = Layout(out / 'train' / f'{modality}.zarr', time.perf_counter() - start)
    array = zarr.open_group(layout.folder, mode='r')['bands']
    labelled = xr.open_zarr(layout.folder, chunks=None).bands
    layout.random['zarr'] = lambda place, date: array[place, date]
    layout.random['xarray'] = lambda place, date: labelled[place, date].values
    places, step = array.shape[0], array.shards[0]
    layout.random_mb['zarr'] = layout.disk_mb / places / DATES

    def sweep() -> int:
        return sum(len(array[i : i + step]) * DATES for i in range(0, places, step))

    layout.sweep['zarr'] = sweep
    return layout


def webdataset(
    root: Path, out: Path, modality: Modality, codec: Codec, index_folder: Path
) -> Layout:
    """Archives of members."""
    start = time.perf_counter()
    options = {'places_per_tar': 64, 'codec': codec, 'progress': False}
    convert_webdataset(root, out, modalities=[modality], **options)  # type: ignore[arg-type]
    layout = Layout(out / 'train' / modality, time.perf_counter() - start)
    add_ours(layout, out, modality, index_folder)
    paths = sorted(layout.folder.glob('*.tar'))

    def stream() -> int:
        count = 0
        for path in paths:
            with path.open('rb') as file, tarfile.open(fileobj=file, mode='r|') as archive:
                for info in archive:
                    content = archive.extractfile(info)
                    if content is not None:
                        count += len(ZarrZip(Counted(content.read(), info.name)).read('bands'))
        return count

    layout.sweep['stream'] = stream
    return layout


def measure(
    layouts: dict[str, Layout], places: int, reads: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Return size, conversion, and the fastest round of each reader."""
    rng = np.random.default_rng(0)
    # Never the chunk of the read before, which zarr does not keep but the processor might.
    chosen = [(int(rng.integers(places)), i % DATES) for i in range(reads)]
    results: dict[str, dict[str, float]] = {}
    for name, layout in layouts.items():
        results[name] = {'disk MB': layout.disk_mb}
        if layout.convert_s is not None:
            results[name]['conversion s'] = layout.convert_s
        results[name] |= {f'random MB, {who}': size for who, size in layout.random_mb.items()}
    for _ in range(rounds):
        for name, layout in layouts.items():
            row = results[name]
            for reader, read in layout.random.items():
                read(0, 0)
                start = time.perf_counter()
                for place, date in chosen:
                    read(place, date)
                spent = 1e3 * (time.perf_counter() - start) / reads
                key = f'random ms, {reader}'
                row[key] = min(row.get(key, spent), spent)
            for reader, sweep in layout.sweep.items():
                start = time.perf_counter()
                count = sweep()
                spent = time.perf_counter() - start
                if count not in (places, places * DATES):
                    raise ValueError(f'{name}, {reader}: read {count} images of {places} places')
                key = f'sweep s, {reader}'
                row[key] = min(row.get(key, spent), spent)
    return results


def show(results: dict[str, dict[str, float]]) -> None:
    """Print the numbers."""
    columns = list(dict.fromkeys(key for row in results.values() for key in row))
    table = Table(title='Layouts of one modality')
    for column in ('layout', *columns):
        table.add_column(column, justify='left' if column == 'layout' else 'right')
    for name, row in results.items():
        table.add_row(name, *[f'{row[key]:.2f}' if key in row else '' for key in columns])
    Console(width=170).print(table)


def main() -> None:
    """Convert, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--root', action='append', help='lz4=DIR or zstd=DIR; DIR holds train')
    parser.add_argument('--modality', choices=['S1GRD', 'S2L1C', 'S2L2A'], default='S2L2A')
    parser.add_argument('--reads', type=int, default=40)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--scratch', type=Path, help='where to convert to')
    parser.add_argument('--out', type=Path, help='JSON file to write')
    arguments = parser.parse_args()
    modality: Modality = arguments.modality
    codecs: tuple[Codec, ...] = ('lz4', 'zstd')
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        roots: dict[str, Path] = {}
        for entry in arguments.root or []:
            name, _, folder = entry.partition('=')
            if name not in codecs:
                parser.error(f'{entry} does not start with lz4= or zstd=')
            # Through a link, for the table of places lies beside the data.
            (Path(scratch) / name).mkdir()
            (Path(scratch) / name / 'train').symlink_to(Path(folder).resolve() / 'train')
            roots[name] = Path(scratch) / name
        for name in codecs if arguments.root is None else ():
            (Path(scratch) / name).mkdir()
            codec = Blosc(name, 5, Blosc.SHUFFLE)
            options = {'per_file': 64, 'modalities': [modality], 'codec': codec}
            roots[name] = make_ssl4eo_v11(Path(scratch) / name, 160, 0, 264, **options)  # type: ignore[arg-type]
        layouts: dict[str, Layout] = {}
        for codec in codecs:
            if codec not in roots:
                continue
            out = Path(scratch) / f'{codec}_out'
            layouts[f'Zarr-zip {codec}'] = zarr_zip(roots[codec], modality, out / 'index')
            layouts[f'Zarr 3 {codec}'] = zarr3(roots[codec], out / 'z3', modality, codec)
            layouts[f'WebDataset {codec}'] = webdataset(
                roots[codec], out / 'wds', modality, codec, out / 'index_wds'
            )
        places = len(SSL4EOS12v11(next(iter(roots.values())), modalities=modality))
        results = measure(layouts, places, arguments.reads, arguments.rounds)
    show(results)
    if arguments.out is not None:
        settings = {
            'data': 'look-alikes' if arguments.root is None else 'full-size replicas',
            'modality': modality,
            'places': places,
            'images': places * DATES,
            'zarr': zarr.__version__,
            'xarray': xr.__version__,
        }
        save(arguments.out, results, settings)


if __name__ == '__main__':
    main()
