"""What `pretrain_loader.py` measures, one case a process: `python benchmarks/pretrain_loader_cases.py CASE ROOT`.

Prints one line of JSON. `ROOT` holds shards `example-*.tar` of cells with all modalities.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.resumable_loader import ResumableLoader
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream
from torchgeo_copernicus.datasets.storage import folder
from torchgeo_copernicus.datasets.storage.byte_source import LocalFile

ONE, ALL = Selection(patches=1, dates='random'), Selection()
_READ_BYTES = 1 << 20
Result = dict[str, float]


def stream(root: Path | str, selection: Selection, **options: object) -> CopernicusPretrainStream:
    """Return ours; the index of the shards is made before any clock runs."""
    return CopernicusPretrainStream(root, selection=selection, **options)  # type: ignore[arg-type]


def timed(samples: Iterable[object]) -> Result:
    """Time two epochs after one that warms up, and take the faster."""
    best = float('inf')
    for turn in range(3):
        start, count = time.perf_counter(), 0
        for _ in samples:
            count += 1
        if turn:
            best = min(best, time.perf_counter() - start)
    return {'seconds': best, 'grids': count}


def ours(root: Path | str, selection: Selection, workers: int) -> Result:
    """Go through epochs of samples."""
    return timed(ResumableLoader(stream(root, selection), 1, num_workers=workers))


def torchgeo(root: Path, workers: int) -> Result:
    """Go through epochs of TorchGeo's dataset: one patch and date of each modality."""
    import webdataset
    from torchgeo.datasets import CopernicusPretrain

    shards = [str(path) for path in sorted(root.glob('*.tar'))]
    data = CopernicusPretrain(shards, shardshuffle=False)
    return timed(webdataset.WebLoader(data.dataset, batch_size=None, num_workers=workers))


def sequential(root: Path) -> Result:
    """Read the shards from end to end into memory that is used again."""
    buffer = bytearray(_READ_BYTES)
    paths = sorted(root.glob('*.tar'))
    best = float('inf')
    for _ in range(3):
        start = time.perf_counter()
        for path in paths:
            with path.open('rb', buffering=0) as file:
                while file.readinto(buffer):
                    pass
        best = min(best, time.perf_counter() - start)
    total = sum(path.stat().st_size for path in paths)
    return {'seconds': best, 'grids': len(stream(root, ONE)), 'mb': total / 1e6}


class _Counting(LocalFile):
    """Notes how much is read."""

    read_bytes = 0

    def read_into(self, offset: int, target: memoryview) -> None:
        _Counting.read_bytes += len(target)
        super().read_into(offset, target)


def needed_bytes(samples: Iterable[Sample]) -> int:
    """Return the bytes that the images of samples have as stored."""
    return sum(
        image.numel() * np.dtype(MODALITIES[name].stored_dtype).itemsize
        for sample in samples
        for name, image in sample['image'].items()
    )


def bytes_read(root: Path) -> Result:
    """Compare what is read with what is needed for one patch and date."""
    flow = stream(root, ONE)
    folder.LocalFile = _Counting  # type: ignore[misc]
    needed = needed_bytes(flow)
    return {'read / needed': _Counting.read_bytes / needed}


def over_http(root: Path) -> Result:
    """Stream from a server on this machine, nothing kept: speed, and bytes sent / needed."""
    from tests.datasets.storage.range_server import serving

    os.environ['COPERNICUS_RANGE_CACHE_BYTES'] = '0'
    last = len(list(root.glob('*.tar'))) - 1
    with serving(root) as server:
        flow = stream(f'{server.url}/example-{{000000..{last:06d}}}.tar', ONE)
        server.start_counting()
        needed = needed_bytes(flow)
        share = server.sent_bytes / needed
        return {**timed(flow), 'sent / needed': share}


def peak_bytes() -> int:
    """Return the most memory this process had; `ru_maxrss` would count that of the one that started it."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM'))


def memory(root: Path, selection: Selection) -> Result:
    """Return the growth of this process over an epoch, in samples of the largest size; the user holds one."""
    flow = stream(root, selection)
    # What libraries load with the first sample is not of the samples.
    next(iter(stream(root, ONE)))
    before = peak_bytes()
    largest = 0
    for sample in flow:
        largest = max(largest, sum(image.nbytes for image in sample['image'].values()))
    grown = peak_bytes() - before
    return {'samples': grown / largest, 'mb': grown / 1e6}


def resume(root: Path) -> Result:
    """Time from nothing to the first sample: of an epoch, and at its middle."""
    flow = stream(root, ONE)
    samples = iter(flow)
    for _ in range(len(flow) // 2):
        next(samples)
    state = flow.state_dict()
    times: dict[str, list[float]] = {'start_ms': [], 'resume_ms': []}
    for _ in range(10):
        for name, found in times.items():
            start = time.perf_counter()
            again = stream(root, ONE)
            if name == 'resume_ms':
                again.load_state_dict(state)
            next(iter(again))
            found.append(time.perf_counter() - start)
    return {name: float(np.median(found) * 1e3) for name, found in times.items()}


CASES: dict[str, Callable[[Path], Result]] = {
    'sequential read': sequential,
    'ours, one patch and date, 0 workers': lambda root: ours(root, ONE, 0),
    'ours, one patch and date, 2 workers': lambda root: ours(root, ONE, 2),
    'ours, whole samples, 0 workers': lambda root: ours(root, ALL, 0),
    'ours, whole samples, 2 workers': lambda root: ours(root, ALL, 2),
    'torchgeo, 0 workers': lambda root: torchgeo(root, 0),
    'torchgeo, 2 workers': lambda root: torchgeo(root, 2),
    'over HTTP, one patch and date': over_http,
    'bytes read': bytes_read,
    'memory, one patch and date': lambda root: memory(root, ONE),
    'memory, whole samples': lambda root: memory(root, ALL),
    'resume': resume,
}

if __name__ == '__main__':
    torch.set_num_threads(1)
    print(json.dumps(CASES[sys.argv[1]](Path(sys.argv[2]))))
