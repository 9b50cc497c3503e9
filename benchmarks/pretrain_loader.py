"""Speed of Copernicus-Pretrain's shards, beside TorchGeo's loader and the limit.

    python benchmarks/pretrain_loader.py              # makes 20 cells of real size in a temporary folder
    python benchmarks/pretrain_loader.py --root DIR

The limit reads the same shards from end to end. TorchGeo's loader needs `pip install webdataset`; without it
its cases are left out. Every case runs in a process of its own, in turn, several rounds; the fastest counts.
Files are in the page cache. Painted cells have two or three local patches, real ones four or five on average.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pretrain_loader_cases import CASES
from provenance import save
from rich.console import Console
from rich.table import Table

from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards

Results = dict[str, dict[str, float]]


def run(case: str, root: Path) -> dict[str, float]:
    """Run a case in a process of its own."""
    script = Path(__file__).with_name('pretrain_loader_cases.py')
    # The web server is that of the tests.
    paths = [str(script.parents[1]), *os.environ.get('PYTHONPATH', '').split(os.pathsep)]
    done = subprocess.run(
        [sys.executable, str(script), case, str(root)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'no_proxy': '*'},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f'{case} failed:\n{done.stderr[-2000:]}')
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(root: Path, rounds: int, wanted: list[str]) -> Results:
    """Return the fastest round of each case."""
    best: Results = {}
    for turn in range(rounds):
        for case in wanted:
            found = run(case, root)
            print(f'round {turn + 1}  {case}: {found}', flush=True)
            before = best.get(case)
            if before is None or found.get('seconds', 0) < before.get('seconds', 0):
                best[case] = found
    return best


def show(results: Results) -> None:
    """Print grids per second, and as multiples of TorchGeo and the limit."""
    table = Table(title='Copernicus-Pretrain, shards', title_justify='left')
    for column in ('case', 'grids/s', '/ torchgeo', '/ sequential read'):
        table.add_column(column, justify='left' if column == 'case' else 'right')
    speed = {n: r['grids'] / r['seconds'] for n, r in results.items() if 'grids' in r}
    limit = speed.get('sequential read')
    for case, found in speed.items():
        peer = speed.get(f'torchgeo, {case.rpartition(", ")[2]}')
        table.add_row(
            case,
            f'{found:.1f}',
            '' if peer is None else f'{found / peer:.2f}',
            '' if limit is None else f'{found / limit:.2f}',
        )
    Console(width=110).print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--root', type=Path, help='shards that are there; made when left out')
    parser.add_argument('--cells', type=int, default=20)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--cases', nargs='*', default=list(CASES), help='only these')
    parser.add_argument('--output', type=Path, help='JSON file for the results')
    options = parser.parse_args()
    wanted = options.cases
    if importlib.util.find_spec('webdataset') is None:
        print('webdataset is not installed, so the cases of TorchGeo are left out.')
        wanted = [case for case in wanted if not case.startswith('torchgeo')]
    with tempfile.TemporaryDirectory() as folder:
        root = options.root
        if root is None:
            root = make_pretrain_shards(
                Path(folder), options.cells, 0, 1, cells_per_shard=5, aligned=True
            )
        results = measure(root, options.rounds, wanted)
    show(results)
    if options.output is not None:
        save(options.output, results, {'cells': options.cells})


if __name__ == '__main__':
    main()
