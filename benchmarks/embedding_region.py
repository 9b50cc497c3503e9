"""Time to read a region of a map of embeddings, beside the raw bytes of its window and beside other readers.

    python benchmarks/embedding_region.py --scratch /a/disk          # 20 x 20 degrees of 768 channels

A map of the world with random numbers is made in a temporary folder (3.2 GB as `.npz`, and half of that as
`.tif`). Before each reading the system is asked to forget the files (`posix_fadvise`), so that all bytes come from
the disk; `--warm` leaves that out. Raw bytes are those of the window in the `.npz`, read row by row with `pread`.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr
from provenance import save
from rasterio.windows import Window
from rich.console import Console
from rich.table import Table

from torchgeo_copernicus.datasets.embed import MapWindow, open_map, write_map
from torchgeo_copernicus.datasets.embed.npz_array import open_npz
from torchgeo_copernicus.datasets.embed.stored_array import StoredArray
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS, ROWS

_ROWS_AT_ONCE = 16
_ROUNDS_APART = 3


def make_npz(path: Path, channels: int) -> None:
    """Write a map of random numbers as `numpy.savez` does, a few rows in memory."""
    rng = np.random.default_rng(0)
    header = {'descr': '<f4', 'fortran_order': False, 'shape': (ROWS, COLUMNS, channels)}
    with (
        zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive,
        archive.open('arr_0.npy', 'w', force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, header)
        for row in range(0, ROWS, _ROWS_AT_ONCE):
            shape = (min(_ROWS_AT_ONCE, ROWS - row), COLUMNS, channels)
            file.write(rng.standard_normal(shape, dtype=np.float32).data.cast('B'))


def forget(path: Path) -> None:
    """Let the system forget what it has of a file, or of the files in a folder."""
    for file in [path] if path.is_file() else [p for p in path.rglob('*') if p.is_file()]:
        with file.open('rb') as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def raw(path: Path, window: MapWindow) -> int:
    """Read the bytes of a window of a `.npz`, and return how many they are."""
    array = open_npz(str(path))
    if not isinstance(array, StoredArray):
        raise SystemExit('The map is compressed.')
    cell, total = 4 * array.channels, 0
    buffer = bytearray(window.columns * cell)
    opened = os.open(path, os.O_RDONLY)
    try:
        for row in range(window.row, window.row + window.rows):
            at = array.offset + (row * COLUMNS + window.column) * cell
            total += os.preadv(opened, [buffer], at)
    finally:
        os.close(opened)
    return total


def ours(path: Path, region: Sequence[float]) -> xr.DataArray:
    """Read with this package."""
    return open_map(path, region)['embedding'].load()


def others(path: Path, window: MapWindow) -> xr.DataArray:
    """Read with what people have: NumPy, rasterio or xarray, then an xarray array of the same axes."""
    rows = slice(window.row, window.row + window.rows)
    columns = slice(window.column, window.column + window.columns)
    if path.suffix == '.npz':
        with np.load(path) as archive:
            found = np.ascontiguousarray(archive['arr_0'][rows, columns])
    elif path.suffix == '.tif':
        with rasterio.open(path) as file:
            part = Window(window.column, window.row, window.columns, window.rows)
            found = np.ascontiguousarray(file.read(window=part).transpose(1, 2, 0))
    else:
        stored = xr.open_zarr(path, chunks=None)['embedding']
        found = stored.isel(lat=rows, lon=columns).to_numpy()
    return xr.DataArray(found, dims=('lat', 'lon', 'channel'))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--channels', type=int, default=768)
    parser.add_argument('--region', type=float, nargs=4, default=[0, 40, 20, 60])
    parser.add_argument('--suffixes', nargs='*', default=['.npz', '.tif', '.zarr'])
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--warm', action='store_true')
    parser.add_argument('--scratch', type=Path, help='folder for the temporary one')
    parser.add_argument('--output', type=Path, help='JSON file for the results')
    options = parser.parse_args()
    window = MapWindow.of_region(options.region)
    with tempfile.TemporaryDirectory(dir=options.scratch) as temporary:
        npz = Path(temporary) / 'map.npz'
        make_npz(npz, options.channels)
        paths = [npz]
        for suffix in options.suffixes:
            if suffix != '.npz':
                paths.append(write_map(open_map(npz), npz.with_suffix(suffix)))
        readers: dict[str, tuple[Path, Callable[[], object]]] = {
            'raw bytes': (npz, partial(raw, npz, window))
        }
        for path in paths:
            readers[f'{path.suffix}, ours'] = (path, partial(ours, path, options.region))
            readers[f'{path.suffix}, other'] = (path, partial(others, path, window))
            np.testing.assert_array_equal(ours(path, options.region), others(path, window))
        seconds: dict[str, list[float]] = {name: [] for name in readers}
        # Apart, because it reads the whole file, and whoever reads after it waits for the disk.
        apart = '.npz, other'
        order = [name for name in readers if name != apart]
        rng = random.Random(0)
        for turn in range(options.rounds + _ROUNDS_APART):
            names = rng.sample(order, len(order)) if turn < options.rounds else [apart]
            for name in names:
                path, read = readers[name]
                if not options.warm:
                    forget(path)
                start = time.perf_counter()
                read()
                seconds[name].append(time.perf_counter() - start)
        size = raw(npz, window)
    base = statistics.median(seconds['raw bytes'])
    results = {
        name: {'median_s': statistics.median(times), 'min_s': min(times), 'over_raw': statistics.median(times) / base}
        for name, times in seconds.items()
    }  # fmt: skip
    temperature = 'warm' if options.warm else 'cold'
    title = f'{window.rows} x {window.columns} cells, {size / 1e6:.1f} MB, {temperature}'
    table = Table(title=title, title_justify='left')
    for column in ('reader', 'median (s)', 'least (s)', 'over raw bytes'):
        table.add_column(column, justify='left' if column == 'reader' else 'right')
    for name, found in results.items():
        table.add_row(name, *(f'{number:.3f}' for number in found.values()))
    Console(width=110).print(table)
    if options.output is not None:
        left_out = ('output', 'scratch')
        settings = {name: value for name, value in vars(options).items() if name not in left_out}
        save(options.output, results, {**settings, 'window_bytes': size})


if __name__ == '__main__':
    main()
