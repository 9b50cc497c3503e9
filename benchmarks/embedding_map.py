"""Time and memory from embeddings of images to a map of the Earth.

    python benchmarks/embedding_map.py                   # 310k cells x 768, one image each, 1 GB of float32
    python benchmarks/embedding_map.py --images 4 --order shuffled --suffixes .npz .tif .zarr

Chunks with the columns of the release are made in a temporary folder, which is deleted afterwards. Each step runs
in a process of its own: its wall time, and the most memory that it had (resident; and without pages of files,
which the system takes back when it needs them). Files are in the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from provenance import save
from rich.console import Console
from rich.table import Table

from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS, ROWS, Cell

_KINDS = ('s1_grd', 's2_toa', 's3_olci', 'dem')


def make_chunks(
    folder: Path, cells: int, channels: int, images: int, per_chunk: int, shuffled: bool
) -> int:
    """Write chunks as those of the release, and return their bytes."""
    rng = np.random.default_rng(0)
    ids = np.sort(rng.choice(ROWS * COLUMNS, cells, replace=False))
    if shuffled:
        ids = rng.permutation(ids)
    folder.mkdir()
    for number, first in enumerate(range(0, cells, per_chunk)):
        names = [Cell(int(one)).name for one in ids[first : first + per_chunk]]
        rows = len(names) * images
        values = rng.standard_normal(rows * channels, dtype=np.float32)
        offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(channels)
        table = {
            'grid_id_coord': np.repeat(names, images),
            'modality': [_KINDS[n % len(_KINDS)] for n in range(images)] * len(names),
            'local_id_coord': pa.nulls(rows, pa.string()),
            'date': [f'2021{1 + n // len(_KINDS):02d}01' for n in range(images)] * len(names),
            'embedding': pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)),
        }
        pq.write_table(pa.table(table), folder / f'embeddings_chunk_{number}.parquet')
    return sum(path.stat().st_size for path in folder.iterdir())


class _Memory(threading.Thread):
    """Looks at the memory of this process every few milliseconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.resident, self.own, self._done = 0, 0, threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.02):
            text = Path('/proc/self/status').read_text()
            found = dict(line.split(':', 1) for line in text.splitlines())
            self.resident = max(self.resident, int(found['VmRSS'].split()[0]))
            self.own = max(self.own, int(found['RssAnon'].split()[0]))

    def stop(self) -> dict[str, float]:
        self._done.set()
        self.join()
        return {'resident_gib': self.resident / 2**20, 'own_gib': self.own / 2**20}


def step(name: str, folder: Path, workers: int, range_mib: int, weights: str) -> dict[str, object]:
    """Run a step, and return what it took."""
    from dask import config

    from torchgeo_copernicus.datasets.embed import write_map
    from torchgeo_copernicus.embedding.averaging.aggregate import aggregate
    from torchgeo_copernicus.embedding.averaging.averaged_table import to_map

    memory = _Memory()
    memory.start()
    start = time.perf_counter()
    told: dict[str, object] = {}
    if name == 'average':
        report = aggregate(
            folder / 'chunks', folder / 'averaged', weights=weights, workers=workers,  # type: ignore[arg-type]
            range_mib=range_mib, progress=False,
        )  # fmt: skip
        told = {'cells': report.cells, 'images': report.images, 'files': len(report.written)}
    else:
        with config.set(num_workers=workers):
            write_map(to_map(folder / 'averaged'), folder / f'map{name}')
        (path,) = folder.glob(f'map{name}')
        files = [path] if path.is_file() else [p for p in path.rglob('*') if p.is_file()]
        told = {'bytes': sum(file.stat().st_size for file in files), 'files': len(files)}
    return {'seconds': time.perf_counter() - start, **memory.stop(), **told}


def in_process(name: str, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Run a step in a process of its own."""
    command = [sys.executable, __file__, '--step', name, '--folder', str(folder)]
    command += ['--workers', str(options.workers), '--range-mib', str(options.range_mib)]
    done = subprocess.run(
        [*command, '--weights', options.weights],
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f'{name} failed:\n{done.stderr[-2000:]}')
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--cells', type=int, default=310_000)
    parser.add_argument('--channels', type=int, default=768)
    parser.add_argument('--images', type=int, default=1, help='of each cell')
    parser.add_argument('--per-chunk', type=int, default=2000, help='cells of a file')
    parser.add_argument('--order', choices=('cells', 'shuffled'), default='cells')
    parser.add_argument('--weights', choices=('images', 'modalities'), default='images')
    parser.add_argument('--suffixes', nargs='*', default=['.npz'], help='maps to write')
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--range-mib', type=int, default=128)
    parser.add_argument('--scratch', type=Path, help='folder for the temporary one')
    parser.add_argument('--output', type=Path, help='JSON file for the results')
    parser.add_argument('--step', help=argparse.SUPPRESS)
    parser.add_argument('--folder', type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        found = step(
            options.step, options.folder, options.workers, options.range_mib, options.weights
        )
        print(json.dumps(found))
        return
    results: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(dir=options.scratch) as temporary:
        folder = Path(temporary)
        size = make_chunks(
            folder / 'chunks', options.cells, options.channels, options.images,
            options.per_chunk, options.order == 'shuffled',
        )  # fmt: skip
        print(f'{size / 1e9:.2f} GB of chunks', flush=True)
        for name in ('average', *options.suffixes):
            results[name] = in_process(name, folder, options)
            print(f'{name}: {results[name]}', flush=True)
    table = Table(title='From embeddings of images to a map', title_justify='left')
    for column in ('step', 'seconds', 'most memory (GiB)', 'without pages of files (GiB)'):
        table.add_column(column, justify='left' if column == 'step' else 'right')
    for name, found in results.items():
        numbers = (found[key] for key in ('seconds', 'resident_gib', 'own_gib'))
        table.add_row(name, *(f'{number:.2f}' for number in numbers))
    Console(width=110).print(table)
    if options.output is not None:
        left_out = ('output', 'scratch', 'step', 'folder')
        settings = {name: value for name, value in vars(options).items() if name not in left_out}
        save(options.output, results, {**settings, 'chunk_bytes': size})


if __name__ == '__main__':
    main()
