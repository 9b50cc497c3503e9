"""What `ssl4eo.py` measures, one case a process: `python benchmarks/ssl4eo_cases.py CASE ROOT`.

Prints one line of JSON. `ROOT` holds `train/{S2L1C,S2L2A,S1GRD}` with files of the official chunking.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import xarray as xr
import zarr
from numcodecs import Blosc
from torch import Tensor
from torchvision.transforms import v2

from torchgeo_copernicus.datasets import SSL4EOS12v11, SSL4EOS12v11Stream
from torchgeo_copernicus.datasets.ssl4eo.scale import scale_of
from torchgeo_copernicus.datasets.ssl4eo.statistics import V11_STATISTICS, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import file_name
from torchgeo_copernicus.datasets.ssl4eo.v11.place_index import PlaceIndex
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.chunk_place import PixelLayout

MODALITIES: tuple[Modality, ...] = ('S2L1C', 'S2L2A', 'S1GRD')
CROP = 224
Result = dict[str, float]


def dataset(root: Path | str, **options: object) -> SSL4EOS12v11:
    """Return ours; its table of places is made before any clock runs."""
    return SSL4EOS12v11(root, **{'modalities': MODALITIES, **options})  # type: ignore[arg-type]


def stream(root: Path, dates: str, batch_size: int, threads: int) -> SSL4EOS12v11Stream:
    """Return batches of standardised crops."""
    data = dataset(root, dates=dates)
    scales = {n: scale_of(n, data.bands[n], data.statistics[n], 'standardise') for n in MODALITIES}
    return SSL4EOS12v11Stream(
        data, batch_size, crop_size=CROP, scales=scales, threads=threads, drop_last=False
    )


def warm_up(flow: SSL4EOS12v11Stream) -> None:
    """Go through an epoch, and keep none of its batches, whose memory would be missing later."""
    for _ in flow:
        pass


def sweep(root: Path, dates: str, batch_size: int, threads: int) -> Result:
    """Time an epoch, after one that warms up; count memory that is no file."""
    flow = stream(root, dates, batch_size, threads)
    warm_up(flow)
    start, images = time.perf_counter(), 0
    for batch in flow:
        images += batch['metadata']['S2L2A'].numel() // 4
    seconds = time.perf_counter() - start
    buffers = flow._buffers.owned_bytes
    return {'seconds': seconds, 'images': images, 'buffers_mb': buffers / 1e6}


def chunks(root: Path) -> list[tuple[bytes, int]]:
    """Return all compressed chunks, and their size after decompression."""
    found = []
    data = dataset(root)
    for name in MODALITIES:
        index: PlaceIndex = data._readers[name].index
        size = PixelLayout.from_key(str(index.layouts[index.container_layout[0, 0]])).array
        for container, table in enumerate(index.chunks):
            path = root / 'train' / name / str(index.files[index.container_file[container]])
            with path.open('rb') as file:
                for offset, length in table.tolist():
                    file.seek(offset)
                    found.append((file.read(length), size.chunk_bytes))
    return found


def limit(root: Path, threads: int) -> Result:
    """Decompress every chunk from memory into a buffer that is used again."""
    jobs, kept = chunks(root), threading.local()

    def decode(job: tuple[bytes, int]) -> None:
        if not hasattr(kept, 'buffer'):
            kept.buffer = np.zeros(max(size for _, size in jobs), np.uint8)
        Blosc().decode(job[0], kept.buffer[: job[1]])

    with ThreadPoolExecutor(threads) as pool:
        # Every thread has its buffer before the clock runs.
        list(pool.map(decode, jobs[: 4 * threads]))
        start = time.perf_counter()
        list(pool.map(decode, jobs))
        seconds = time.perf_counter() - start
    data = dataset(root)
    return {'seconds': seconds, 'images': 4 * len(data), 'gb': sum(s for _, s in jobs) / 1e9}


def opened(root: Path, name: str, number: int) -> xr.Dataset:
    """Open a file with xarray, as zarr 3 needs it."""
    path = root / 'train' / name / file_name('train', number)
    return xr.open_zarr(zarr.storage.ZipStore(path, mode='r'))


def official_items(root: Path, dates: list[int] | None, keep: int | None) -> Iterator[Tensor]:
    """Yield items in the official way: whole files, all modalities in one float32 array."""
    mean = [v for m in MODALITIES for v in V11_STATISTICS['zarr'][m].mean.values()]
    std = [v for m in MODALITIES for v in V11_STATISTICS['zarr'][m].std.values()]
    transform = v2.Compose([v2.RandomCrop(CROP), v2.Normalize(mean, std)])
    for number in range(1, len(list((root / 'train' / 'S2L2A').iterdir())) + 1):
        parts = []
        for name in MODALITIES:
            with opened(root, name, number) as ds:
                bands = (
                    ds.bands if dates is None else ds.bands.isel(time=dates[number % len(dates)])
                )
                parts.append(bands.values)
        joined = torch.Tensor(np.concatenate(parts, axis=-3))
        if keep is not None:
            joined = joined[torch.randperm(len(joined))[:keep]]
        yield transform(joined)


def official(root: Path, dates: list[int] | None = None, keep: int | None = None) -> Result:
    """Time the official access pattern."""
    start, images = time.perf_counter(), 0
    for item in official_items(root, dates, keep):
        images += item[..., 0, 0, 0].numel()
    return {'seconds': time.perf_counter() - start, 'images': images}


def official_each_date(root: Path) -> Result:
    """Time its reading of single dates, all four in turn."""
    results = [official(root, [date]) for date in range(4)]
    return {key: sum(result[key] for result in results) for key in results[0]}


def xarray_values(root: Path) -> Result:
    """Only read the arrays with xarray, without crop and scaling."""
    start, images = time.perf_counter(), 0
    for number in range(1, len(list((root / 'train' / 'S2L2A').iterdir())) + 1):
        for name in MODALITIES:
            with opened(root, name, number) as ds:
                images += ds.bands.values[..., 0, 0, 0].size
    return {'seconds': time.perf_counter() - start, 'images': images / len(MODALITIES)}


def tensorstore_values(root: Path) -> Result:
    """Only read the arrays with tensorstore."""
    import tensorstore

    start, images = time.perf_counter(), 0
    for name in MODALITIES:
        for path in sorted((root / 'train' / name).iterdir()):
            base = {'driver': 'file', 'path': str(path)}
            spec = {'driver': 'zarr', 'kvstore': {'driver': 'zip', 'base': base, 'path': 'bands/'}}
            images += tensorstore.open(spec, open=True).result().read().result()[..., 0, 0, 0].size
    return {'seconds': time.perf_counter() - start, 'images': images / len(MODALITIES)}


def small_batches(root: Path) -> Result:
    """Batches of 8 places anywhere, all dates: what the official way has whole files for."""
    flow = stream(root, 'all', 8, 2)
    warm_up(flow)
    start, images = time.perf_counter(), 0
    for _, batch in zip(range(12), flow, strict=False):
        images += batch['metadata']['S2L2A'].numel() // 4
    return {'seconds': time.perf_counter() - start, 'images': images}


def median_ms(call: Callable[[int], object], items: list[int]) -> float:
    """Return the median time of a call, after a few that warm up."""
    for item in items[:5]:
        call(item)
    times = []
    for item in items:
        start = time.perf_counter()
        call(item)
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1e3)


def random_access(root: Path) -> Result:
    """Read one place and date, all 12 bands, through the dataset and in the libraries' ways."""
    data = dataset(root, modalities='S2L2A', dates='each')
    some = dataset(root, modalities='S2L2A', dates='each', bands=['B04', 'B03', 'B02'])
    radar = dataset(root, modalities='S1GRD', dates='each')
    items = np.random.default_rng(0).permutation(len(data))[:100].tolist()
    kept = opened(root, 'S2L2A', 1)
    group = zarr.open_group(
        zarr.storage.ZipStore(root / 'train' / 'S2L2A' / file_name('train', 1), mode='r'), mode='r'
    )
    array = group['bands']
    few = items[:9]
    return {
        'dataset_ms': median_ms(data.__getitem__, items),
        'three_bands_ms': median_ms(some.__getitem__, items),
        'radar_ms': median_ms(radar.__getitem__, items),
        'xarray_ms': median_ms(lambda i: kept.bands[i % 64, i % 4].values, few),
        'zarr_ms': median_ms(lambda i: array[i % 64, i % 4], few),  # type: ignore[index, call-overload]
    }


def over_http(root: Path) -> Result:
    """Read single places and dates from a server, nothing kept: bytes sent / their share of the files."""
    from tests.datasets.storage.range_server import serving

    os.environ['COPERNICUS_RANGE_CACHE_BYTES'] = '0'
    sent = needed = 0
    found: Result = {}
    with serving(root) as server:
        data = dataset(server.url, dates='each')
        items = np.random.default_rng(0).permutation(len(data))[:40].tolist()
        for name in MODALITIES:
            target = np.empty((len(data.bands[name]), 264, 264), np.float32)
            server.start_counting()
            start = time.perf_counter()
            for item in items:
                place, (date,) = data.place_and_dates(item)
                data.read_into(name, place, date, target)
            found[f'{name}_ms'] = (time.perf_counter() - start) / len(items) * 1e3
            files = sum(path.stat().st_size for path in (root / 'train' / name).iterdir())
            share = files / len(data) * len(items)
            found[f'{name}_moved_over_needed'] = server.sent_bytes / share
            sent, needed = sent + server.sent_bytes, needed + share
    return {**found, 'moved_over_needed': sent / needed}


def start_of_epoch(root: Path, files: int = 3846) -> Result:
    """Open a whole release from its kept tables: files of no content stand in for its own."""
    data = dataset(root)
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        for name in MODALITIES:
            (top / 'train' / name).mkdir(parents=True)
            index = data._readers[name].index
            stamps = {}
            for number in range(1, files + 1):
                path = top / 'train' / name / file_name('train', number)
                with path.open('wb') as file:
                    # Of some size, without blocks on the disk.
                    file.truncate(200_000_000)
                stamps[path.name] = (200_000_000, path.stat().st_mtime_ns)
            _repeated(index, stamps).save(top / '.index' / f'train-{name}.npz')
        start = time.perf_counter()
        flow = stream(top, 'random', 64, 2)
        flow._order(0)
        seconds = time.perf_counter() - start
        size = sum(path.stat().st_size for path in (top / '.index').iterdir())
        places = len(flow.dataset)
        shutil.rmtree(top / 'train')
    return {'seconds': seconds, 'places': places, 'tables_mb': size / 1e6}


def _repeated(index: PlaceIndex, stamps: dict[str, tuple[int, int]]) -> PlaceIndex:
    """Return a table of many files, each like the first one of a small table."""
    first = index.container_file[index.container] == 0
    count, places = len(stamps), int(first.sum())
    by_place = {
        name: np.tile(getattr(index, name)[first], (count, *(1,) * (getattr(index, name).ndim - 1)))
        for name in ('sample', 'lonlat', 'crs', 'seconds', 'order', 'stated_seconds')
    }
    by_file = {
        name: np.repeat(getattr(index, name)[:1], count, axis=0)
        for name in ('container_span', 'container_layout', 'chunks', 'mask_chunks')
    }
    return PlaceIndex(
        version=index.version,
        files=np.array(list(stamps)),
        stamps=np.array(list(stamps.values()), np.int64),
        band_names=index.band_names,
        layouts=index.layouts,
        container_file=np.arange(count, dtype=np.int32),
        container=np.repeat(np.arange(count, dtype=np.int32), places),
        sample_id=np.arange(count * places, dtype=np.int32),
        **by_file,
        **by_place,
    )


def table_of_places(root: Path) -> Result:
    """Build the tables of places."""
    data = dataset(root)
    start = time.perf_counter()
    files = 0
    for name in MODALITIES:
        index = data._readers[name].index
        stamps = dict(zip(index.files.tolist(), map(tuple, index.stamps.tolist()), strict=True))
        PlaceIndex.build(stamps, data._readers[name]._open_file)
        files += len(stamps)
    return {'ms_per_file': (time.perf_counter() - start) / files * 1e3}


def memory(root: Path) -> Result:
    """Return what an epoch takes beyond the start, in memory that is no file."""

    def anonymous() -> float:
        lines = Path('/proc/self/status').read_text().splitlines()
        return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith('RssAnon'))

    flow = stream(root, 'all', 16, 2)
    before = peak = anonymous()
    for _ in flow:
        peak = max(peak, anonymous())
    buffers = flow._buffers.owned_bytes / 1e6
    return {'peak_mb': peak - before, 'buffers_mb': buffers}


def official_memory(root: Path) -> Result:
    """Return the peak of the official way, at one file."""
    for _ in official_items(root, None, None):
        lines = Path('/proc/self/status').read_text().splitlines()
        peak = next(float(line.split()[1]) / 1e3 for line in lines if line.startswith('VmHWM'))
        return {'peak_mb': peak}
    raise ValueError(f'{root} has no files.')


CASES: dict[str, Callable[[Path], Result]] = {
    'limit, 1 thread': lambda root: limit(root, 1),
    'limit, 2 threads': lambda root: limit(root, 2),
    'ours, series, 1 thread': lambda root: sweep(root, 'all', 16, 1),
    'ours, series': lambda root: sweep(root, 'all', 16, 2),
    'ours, each date': lambda root: sweep(root, 'each', 64, 2),
    'ours, one random date': lambda root: sweep(root, 'random', 64, 2),
    'ours, batches of 8 places': small_batches,
    'official, series': official,
    'official, each date': official_each_date,
    'official, one date': lambda root: official(root, [0, 1, 2, 3]),
    'official, batches of 8 places': lambda root: official(root, None, 8),
    'xarray, values only': xarray_values,
    'tensorstore, values only': tensorstore_values,
    'random access': random_access,
    'over HTTP': over_http,
    'start of an epoch': start_of_epoch,
    'table of places': table_of_places,
    'memory, ours': memory,
    'memory, official': official_memory,
}

if __name__ == '__main__':
    torch.set_num_threads(os.cpu_count() or 1)
    print(json.dumps(CASES[sys.argv[1]](Path(sys.argv[2]))))
