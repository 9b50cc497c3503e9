"""Samples per second of the Copernicus-Bench datasets, beside TorchGeo's and a raw read of the files.

    python benchmarks/datasets.py                # on look-alikes made in a temporary folder
    python benchmarks/datasets.py --root DIR     # on data that you have, for the tasks that are there

All candidates read the same samples in turn, several rounds; the fastest round of each counts. The raw
read opens every file that a sample needs with rasterio and reads all of its bands: GDAL cannot do less.
LCZ-S2 is read from one HDF5 file that stays open. One process, one thread, files in the page cache. The
loaders have batches of 16 and as many workers as `--workers` says, started before the clock is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import rasterio
import torch
from lightning import seed_everything
from provenance import save
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset
from torchgeo.datasets.copernicus import DATASET_REGISTRY

from torchgeo_copernicus import datamodules
from torchgeo_copernicus.datasets import DATASETS, BenchDataset, write_sample

_BATCH = 16


def raw_reader(dataset: BenchDataset) -> Callable[[int], object]:
    """Return what reads the files of a sample and nothing else."""
    if dataset.task.name == 'lcz_s2':
        file = h5py.File(dataset.split_file, 'r')
        images, labels = file['sen2'], file['label']
        return lambda index: (images[index], labels[index])
    files = []
    for name in dataset.names:
        if dataset.task.name == 'flood_s1':
            files.append(list(dataset._files[name].values()))
        else:
            files.append([*dataset._image_paths(name), *dataset._other_paths(name)])

    def read(index: int) -> None:
        for path in files[index]:
            with rasterio.open(path) as raster:
                raster.read()

    return read


def per_second(
    candidates: dict[str, Callable[[int], object]], samples: int, rounds: int
) -> dict[str, float]:
    """Return how many samples each candidate reads in a second, in its fastest round."""
    best = dict.fromkeys(candidates, float('inf'))
    for _ in range(rounds):
        for name, read in candidates.items():
            start = time.perf_counter()
            for index in range(samples):
                read(index)
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: samples / seconds for name, seconds in best.items()}


def loader_per_second(loader: Iterable[object], batches: int) -> float:
    """Return batches per second, workers running."""
    iterator = iter(loader)
    next(iterator)
    start = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return batches / (time.perf_counter() - start)


class Repeated(Dataset[object]):
    """A dataset over and over, long enough to time a loader."""

    def __init__(self, dataset: Dataset[object], length: int) -> None:
        """Wrap *dataset*."""
        self.dataset, self.length, self.size = dataset, length, len(dataset)  # type: ignore[arg-type]

    def __len__(self) -> int:
        """Return the length."""
        return self.length

    def __getitem__(self, index: int) -> object:
        """Return a sample."""
        return self.dataset[index % self.size]


def measure(name: str, root: Path, rounds: int, samples: int, workers: int) -> dict[str, object]:
    """Measure one task."""
    # As training reads it: LC100Seg and Biomass are brought to the labels' grid in batches, on the GPU.
    module = getattr(datamodules, f'{DATASETS[name].__name__}DataModule')(
        str(root), num_workers=workers, batch_size=1
    )
    module.setup('fit')
    dataset = module.train_dataset
    theirs = DATASET_REGISTRY[name](dataset.folder if name == 'lcz_s2' else root, 'train')
    n = min(len(dataset), samples)
    reads = {'ours': dataset.__getitem__, 'torchgeo': theirs.__getitem__}
    result: dict[str, object] = dict(per_second(reads | {'raw': raw_reader(dataset)}, n, rounds))
    batches = 12
    for key, source, collate in (
        ('our loader', dataset, module.collate_fn),
        ('torchgeo loader', theirs, None),
    ):
        repeated = Repeated(source, _BATCH * (batches + 1))
        loader = DataLoader(repeated, _BATCH, num_workers=workers, collate_fn=collate)
        try:
            result[key] = loader_per_second(loader, batches)
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            # TorchGeo's samples of some tasks do not make a batch.
            result[key] = f'fails: {str(error).splitlines()[0][:80]}'
    return result


def show(results: dict[str, dict[str, object]]) -> None:
    """Print the ratios."""
    table = Table(title='Samples per second, one process')
    for column in ('task', 'ours', 'TorchGeo', 'raw read', 'ours/TorchGeo', 'ours/raw', 'loaders'):
        table.add_column(column, justify='left' if column == 'task' else 'right')
    for name, row in results.items():
        ours, theirs, raw = (float(str(row[key])) for key in ('ours', 'torchgeo', 'raw'))
        ratio = 'TorchGeo fails'
        if isinstance(row['torchgeo loader'], float) and isinstance(row['our loader'], float):
            ratio = f'{row["our loader"] / row["torchgeo loader"]:.2f}'
        elif not isinstance(row['our loader'], float):
            ratio = str(row['our loader'])
        table.add_row(
            name,
            f'{ours:.0f}',
            f'{theirs:.0f}',
            f'{raw:.0f}',
            f'{ours / theirs:.2f}',
            f'{ours / raw:.2f}',
            ratio,
        )
    Console(width=110).print(table)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--root', type=Path, help='folder with data; look-alikes when not given')
    parser.add_argument('--tasks', nargs='+', choices=list(DATASETS), default=list(DATASETS))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--samples', type=int, default=60)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--out', type=Path, help='JSON file to write')
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seed_everything(0, verbose=False)
    results: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.root or Path(scratch)
        for name in arguments.tasks:
            dataset = DATASETS[name]
            if arguments.root is None and not dataset.is_extracted(root):
                write_sample(name, root)
            if dataset.is_extracted(root):
                results[name] = measure(
                    name, root, arguments.rounds, arguments.samples, arguments.workers
                )
    show(results)
    if arguments.out is not None:
        data = 'look-alikes' if arguments.root is None else 'files of the user'
        save(arguments.out, {'per second': results}, {'data': data})


if __name__ == '__main__':
    main()
