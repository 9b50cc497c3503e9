"""Speed of SSL4EO-S12 v1.1, beside the official access pattern, xarray, tensorstore and the limit.

    python benchmarks/ssl4eo.py                       # makes a replica in a temporary folder: minutes
    python benchmarks/ssl4eo.py --root DIR --codec lz4

The replica has files of 64 places, a chunk for each date, as the release; its images compress like real
ones. The limit decompresses the same chunks from memory into buffers that are used again. Every case runs
in a process of its own, in turn, several rounds; the fastest counts. Fresh memory is slow on some machines,
and the others take much of it: with `(heap reused)` the C library was told to keep what it has.
Files are in the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from numcodecs import Blosc
from provenance import save
from rich.console import Console
from rich.table import Table
from ssl4eo_cases import CASES, MODALITIES

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import file_arrays, paint_place
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import file_name
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip_writer import write_zarr_zip

_REUSED = {'MALLOC_MMAP_MAX_': '0', 'MALLOC_TRIM_THRESHOLD_': '1000000000000'}
_HEAP = ('official', 'xarray', 'tensorstore')


def make_replica(root: Path, codec: str, files: int) -> None:
    """Write files of 64 places of 264 px."""
    for number in range(files):
        places = [paint_place(0, 64 * number + i, 264) for i in range(64)]
        for modality in MODALITIES:
            folder = root / 'train' / modality
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / file_name('train', number + 1)
            write_zarr_zip(path, file_arrays(places, modality), Blosc(codec, 5, Blosc.SHUFFLE))


def run(case: str, root: Path, reuse: bool) -> dict[str, float]:
    """Run a case in a process of its own."""
    script = Path(__file__).with_name('ssl4eo_cases.py')
    # The web server is that of the tests.
    environment = {**os.environ, 'PYTHONPATH': str(script.parents[1]), **(_REUSED if reuse else {})}
    done = subprocess.run(
        [sys.executable, str(script), case, str(root)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f'{case} failed:\n{done.stderr[-2000:]}')
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(root: Path, rounds: int, wanted: list[str]) -> dict[str, dict[str, float]]:
    """Return the fastest round of each case."""
    names = [(case, False) for case in wanted]
    names += [(case, True) for case in wanted if case.startswith(_HEAP)]
    best: dict[str, dict[str, float]] = {}
    for turn in range(rounds):
        for case, reuse in names:
            label = f'{case} (heap reused)' if reuse else case
            found = run(case, root, reuse)
            print(f'round {turn + 1}  {label}: {found}', flush=True)
            before = best.get(label)
            if before is None or found.get('seconds', 0) < before.get('seconds', 0):
                best[label] = found
    return best


def show(results: dict[str, dict[str, float]]) -> None:
    """Print the sweeps as multiples of the limit."""
    table = Table(title='SSL4EO-S12 v1.1', title_justify='left')
    for column in ('case', 'seconds', 'images/s', 'time / limit'):
        table.add_column(column, justify='left' if column == 'case' else 'right')
    limit = results.get('limit, 2 threads')
    for label, found in results.items():
        if 'images' not in found:
            continue
        each = found['seconds'] / found['images']
        ratio = '' if limit is None else f'{each / (limit["seconds"] / limit["images"]):.2f}'
        table.add_row(label, f'{found["seconds"]:.2f}', f'{1 / each:.0f}', ratio)
    Console(width=110).print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--root', type=Path, help='a replica that is there; made when left out')
    parser.add_argument('--codec', default='lz4', choices=('lz4', 'zstd'))
    parser.add_argument('--files', type=int, default=3)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--cases', nargs='*', default=list(CASES), help='only these')
    parser.add_argument('--output', type=Path, help='JSON file for the results')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.root
        if root is None:
            root = Path(folder)
            make_replica(root, options.codec, options.files)
        results = measure(root, options.rounds, options.cases)
    show(results)
    if options.output is not None:
        save(options.output, results, {'codec': options.codec})


if __name__ == '__main__':
    main()
