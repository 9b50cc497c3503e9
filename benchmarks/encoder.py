"""Speed and memory of the encoder, beside TorchGeo's and a plain ViT with an ordinary patch convolution.

    python benchmarks/encoder.py                         # evaluation and training on the CPU
    python benchmarks/encoder.py --device cuda --precision bf16 --compile true
    python benchmarks/encoder.py --scaling true          # cost by bands, tokens and batch
    python benchmarks/encoder.py --table benchmarks/results/encoder_cpu.json

All candidates run in turn, several rounds, the order turned by one each round; the ratio of two is the median
over rounds of the ratio of their times in one round, so that what disturbs the machine meets both. Times
are of the whole call, metadata on the device. A training step is forward, mean square of the embedding,
backward and AdamW. Peak memory: on a GPU what PyTorch allocated; on a CPU the growth of the resident set of
a fresh process over its size before the model was built.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import torch
from encoder_cases import CANDIDATES, CASES, Candidate, Case
from jsonargparse import auto_cli
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode

from torchgeo_copernicus.compat import versions
from torchgeo_copernicus.sensors import S3_OLCI

Times = dict[str, list[float]]
_CONSOLE = Console(width=140)


def main(
    device: Literal['cpu', 'cuda'] = 'cpu',
    precision: Literal['fp32', 'bf16'] = 'fp32',
    threads: int | None = None,
    rounds: int = 15,
    cases: list[str] | None = None,
    batches: list[int] | None = None,
    modes: list[Literal['eval', 'train', 'frozen', 'memory']] | None = None,
    compile: bool = False,
    scaling: bool = False,
    out: Path | None = None,
    table: Path | None = None,
) -> None:
    """Measure, print ratios, and write all numbers.

    Args:
        device: Where to run.
        precision: float32, or bfloat16 by autocast.
        threads: Of PyTorch on the CPU; its own choice when left out.
        rounds: Rounds at batch 1; fewer for larger batches on the CPU.
        cases: Of S2, S3, S5P and DEM; all when left out.
        batches: Batch sizes; 1 and 16 when left out.
        modes: Evaluation, training with the hypernetwork, training with it frozen, peak memory; all but
            memory when left out.
        compile: Compile ours and the plain ViT as well.
        scaling: Measure the cost by bands, tokens and batch instead.
        out: JSON file to write.
        table: Print the results of this file as Markdown, and measure nothing.
    """
    if table is not None:
        print(markdown(json.loads(table.read_text())))
        return
    if threads is not None:
        torch.set_num_threads(threads)
    place = torch.device(device)
    chosen = {name: CASES[name] for name in cases or CASES}
    result: dict[str, object] = {'about': about(place, precision)}
    if scaling:
        result['scaling'] = measure_scaling(place, precision, rounds)
    else:
        measured: dict[str, dict[str, object]] = {}
        for mode in modes or ('eval', 'train', 'frozen'):
            for name, case in chosen.items():
                for batch in batches or (1, 16):
                    if mode != 'eval' and batch == 1:
                        continue
                    key = f'{mode} {name} batch {batch}'
                    if mode == 'memory':
                        measured[key] = memory(case, batch, place, precision)
                    else:
                        times = run_case(case, batch, mode, place, precision, rounds, compile)
                        measured[key] = summary(times, case, batch)
                    _CONSOLE.print(key, measured[key])
        result['measured'] = measured
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + '\n')
    print(markdown(result))


def about(device: torch.device, precision: str) -> dict[str, object]:
    """Return what a number depends on."""
    commit = subprocess.run(
        ['git', 'describe', '--always', '--dirty', '--abbrev=9'],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    lines = Path('/proc/cpuinfo').read_text().splitlines() if platform.system() == 'Linux' else []
    models = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    found: dict[str, object] = {
        'commit': commit,
        'date': datetime.now(UTC).date().isoformat(),
        'versions': versions(),
        'cpu': models[0] if models else platform.processor(),
        'threads': torch.get_num_threads(),
        'precision': precision,
        'device': device.type,
    }
    if device.type == 'cuda':
        found['gpu'] = torch.cuda.get_device_name()
        found['matrix peak TFLOP/s'] = matrix_peak(device)
    return found


def matrix_peak(device: torch.device) -> float:
    """Return TFLOP/s of a product of two bfloat16 matrices of side 8192."""
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = min(timed(lambda: a @ b, device) for _ in range(20))
    return 2 * 8192**3 / seconds / 1e12


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Return the seconds a call takes, to its end on the device."""
    if device.type == 'cuda':
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device.type == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return what lowers the precision."""
    if precision == 'fp32':
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def images(case: Case, batch: int, device: torch.device) -> torch.Tensor:
    """Return images, always the same."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, case.channels, case.size, case.size, generator=generator)
    return x.to(device)


def step(candidate: Candidate, mode: str, x: torch.Tensor, precision: str) -> Callable[[], object]:
    """Return one call of a candidate: a forward pass, or a training step."""
    device = x.device
    if mode == 'eval':
        candidate.model.eval()

        def forward() -> object:
            with torch.inference_mode(), autocast(device, precision):
                return candidate.run(x)

        return forward
    candidate.model.train()
    if mode == 'frozen':
        for parameter in candidate.frozen:
            parameter.requires_grad_(False)
    # The hypernetwork that is not in use gets no gradient, and so no state.
    optimizer = torch.optim.AdamW(
        [p for p in candidate.model.parameters() if p.requires_grad], 1e-5
    )

    def train() -> object:
        with autocast(device, precision):
            loss = candidate.run(x).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return None

    return train


def run_case(
    case: Case,
    batch: int,
    mode: str,
    device: torch.device,
    precision: str,
    rounds: int,
    compile: bool = False,
    names: Sequence[str] = tuple(CANDIDATES),
) -> Times:
    """Return the seconds of each round by candidate."""
    x = images(case, batch, device)
    if device.type == 'cpu':
        rounds = max(5 if mode == 'eval' else 3, rounds // batch)
    calls: dict[str, Callable[[], object]] = {}
    for name in names:
        if mode != 'eval' and name == 'specialised':
            continue
        torch.manual_seed(0)
        candidate = CANDIDATES[name](case, device)
        calls[name] = step(candidate, mode, x, precision)
        if compile and name in ('ours', 'plain ViT', 'specialised'):
            graphs = 'reduce-overhead' if device.type == 'cuda' and mode == 'eval' else None
            fast = replace(candidate, run=torch.compile(candidate.run, fullgraph=True, mode=graphs))
            calls[f'{name}, compiled'] = step(fast, mode, x, precision)
    times: Times = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(3 if device.type == 'cuda' else 1):
            call()
    order = list(calls)
    for _ in range(rounds):
        for name in order:
            times[name].append(timed(calls[name], device))
        order = order[1:] + order[:1]
    return times


def summary(times: Times, case: Case, batch: int) -> dict[str, object]:
    """Return images per second, and throughput relative to the plain ViT and to TorchGeo's."""
    found: dict[str, object] = {
        'images/s': {
            name: round(batch / statistics.median(seconds), 2) for name, seconds in times.items()
        }
    }
    for other in ('plain ViT', 'torchgeo'):
        found[f'/ {other}'] = {
            name: round(ratio(times[other], seconds), 3)
            for name, seconds in times.items()
            if name != other
        }
    found['plain ViT GFLOP/image'] = round(flops(case) / 1e9, 2)
    return found


def ratio(reference: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the median over rounds of how many times as fast as the reference."""
    return statistics.median(a / b for a, b in zip(reference, seconds, strict=True))


def flops(case: Case) -> float:
    """Return the operations of the plain ViT on one image, a product and a sum counted as two."""
    with torch.device('meta'), FlopCounterMode(display=False) as counter:
        candidate = CANDIDATES['plain ViT'](case, torch.device('meta'))
        candidate.run(torch.empty(1, case.channels, case.size, case.size))
    return float(counter.get_total_flops())


def memory(case: Case, batch: int, device: torch.device, precision: str) -> dict[str, object]:
    """Return the peak of a training step (MB) by candidate, and relative to the plain ViT."""
    found: dict[str, float] = {}
    spawn = multiprocessing.get_context('spawn')
    for mode in ('train', 'frozen'):
        for name in ('ours', 'torchgeo', 'plain ViT'):
            with spawn.Pool(1) as pool:
                arguments = (name, case, batch, mode, device.type, precision)
                found[f'{name}, {mode}'] = round(pool.apply(_peak, arguments), 1)
    relative = {
        key: round(value / found[f'plain ViT, {key.split(", ")[1]}'], 3)
        for key, value in found.items()
        if not key.startswith('plain')
    }
    return {'MB': found, '/ plain ViT': relative}


def _peak(name: str, case: Case, batch: int, mode: str, device: str, precision: str) -> float:
    place = torch.device(device)
    before = _resident_mb()
    candidate = CANDIDATES[name](case, place)
    call = step(candidate, mode, images(case, batch, place), precision)
    for _ in range(3):
        call()
    if device == 'cuda':
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 - before


def _resident_mb() -> float:
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measure_scaling(
    device: torch.device, precision: str, rounds: int
) -> dict[str, dict[str, object]]:
    """Return milliseconds per image of ours and the plain ViT by bands, tokens and batch."""
    found: dict[str, dict[str, object]] = {}
    base = CASES['S2']
    names = ('ours', 'plain ViT')
    bands = S3_OLCI.bands
    runs = [
        *((f'{n} bands', replace(base, channels=n, bands=bands[:n]), 1) for n in (1, 4, 13, 21)),
        *(
            (f'{(size // 16) ** 2} tokens', replace(base, size=size), 1)
            for size in (64, 112, 224, 320, 448)
        ),
        *((f'batch {batch}', base, batch) for batch in (1, 2, 4, 8, 16)),
    ]
    for name, case, batch in runs:
        times = run_case(case, batch, 'eval', device, precision, rounds, names=names)
        found[name] = {
            n: round(1e3 * statistics.median(seconds) / batch, 2) for n, seconds in times.items()
        } | {'ours / plain ViT': round(ratio(times['plain ViT'], times['ours']), 3)}
        _CONSOLE.print(name, found[name])
    return found


def markdown(result: dict[str, object]) -> str:
    """Return a result as a Markdown table."""
    if isinstance(scaling := result.get('scaling'), dict):
        rows = [
            [name, *(str(entry[key]) for key in ('ours', 'plain ViT', 'ours / plain ViT'))]
            for name, entry in scaling.items()
        ]
        return _table(['', 'ours ms/image', 'plain ViT ms/image', 'throughput ratio'], rows)
    measured = result.get('measured')
    if not isinstance(measured, dict):
        raise ValueError('This file holds no measurements of `encoder.py`.')
    rows = []
    for key, entry in measured.items():
        to_vit, to_torchgeo = entry['/ plain ViT'], entry.get('/ torchgeo', {})
        for name, value in to_vit.items():
            if name != 'torchgeo' and not name.startswith('torchgeo,'):
                rows.append([key, name, str(value), str(to_torchgeo.get(name, ''))])
            else:
                rows.append([key, name, str(value), ''])
    return _table(['', 'candidate', '/ plain ViT', '/ torchgeo'], rows)


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


if __name__ == '__main__':
    auto_cli(main, as_positional=False)
