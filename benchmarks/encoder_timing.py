"""How `encoder.py` takes time and memory."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from encoder_cases import CANDIDATES, Candidate, Case, build, images
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Times = dict[str, list[float]]


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Return the seconds a call takes, to its end on the device.

    On a GPU by events, recorded while the device is idle: time the host takes to launch counts.
    """
    if device.type != 'cuda':
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    call()
    last.record()
    torch.cuda.synchronize()
    return float(first.elapsed_time(last)) / 1e3


def step(candidate: Candidate, mode: str, x: Tensor, precision: str) -> Callable[[], object]:
    """Return one call of a candidate.

    Args:
        candidate: Is put into the mode.
        mode: `eval` for a forward pass, `train` for a training step, `frozen` for one in which the patch
            and metadata embeddings do not learn.
        x: Images.
        precision: `fp32`, or `bf16` by autocast.
    """
    device = x.device

    def lowered() -> AbstractContextManager[object]:
        if precision == 'fp32':
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

    candidate.model.train(mode != 'eval')
    if mode == 'eval':

        def forward() -> object:
            with torch.inference_mode(), lowered():
                return candidate.run(x)

        return forward
    if mode == 'frozen':
        for parameter in candidate.embeddings:
            parameter.requires_grad_(False)
    # The hypernetwork that is not in use gets no gradient, and so no state.
    learning = [p for p in candidate.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, 1e-5)

    def train() -> object:
        with lowered():
            loss = candidate.run(x).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return None

    return train


def compiled(candidate: Candidate, mode: str, device: torch.device) -> Candidate:
    """Return a candidate compiled for one shape; on a GPU a forward pass is a CUDA graph."""
    graphs = 'reduce-overhead' if device.type == 'cuda' and mode == 'eval' else None
    run = torch.compile(candidate.run, fullgraph=True, dynamic=False, mode=graphs)
    return Candidate(candidate.model, run, candidate.embeddings)


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
    # The candidates of the last case have the same code: without this they would be compiled again
    # with dynamic shapes, and at last refused.
    torch.compiler.reset()
    x = images(case, batch, device)
    calls: dict[str, Callable[[], object]] = {}
    for name in names:
        if mode != 'eval' and name == 'specialised':
            continue
        calls[name] = step(build(name, case, batch, device), mode, x, precision)
        if compile and name != 'torchgeo':
            fast = compiled(build(name, case, batch, device), mode, device)
            calls[f'{name}, compiled'] = step(fast, mode, x, precision)
    times: Times = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(5 if device.type == 'cuda' else 2):
            call()
    order = list(calls)
    for _ in range(rounds):
        for name in order:
            times[name].append(timed(calls[name], device))
        order = order[1:] + order[:1]
    return times


def ratio(reference: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the median over rounds of how many times as fast as the reference."""
    return statistics.median(a / b for a, b in zip(reference, seconds, strict=True))


def flops(case: Case) -> float:
    """Return the operations of the plain ViT on one image, a product and a sum counted as two."""
    device = torch.device('meta')
    with device, FlopCounterMode(display=False) as counter:
        candidate = build('plain ViT', case, 1, device)
        candidate.run(torch.empty(1, case.channels, case.size, case.size))
    return float(counter.get_total_flops())


def matrix_peak(device: torch.device) -> float:
    """Return TFLOP/s of a product of two bfloat16 matrices of side 8192."""
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 / min(timed(lambda: a @ b, device) for _ in range(20)) / 1e12


def peak_memory(
    name: str, case: Case, batch: int, mode: str, device: torch.device, precision: str
) -> float:
    """Return the peak (MB) of a fresh process in three training steps.

    On a GPU what PyTorch allocated. On a CPU the growth of the resident set from just before the model
    is built to its largest: weights, gradients, optimizer state, activations and buffers of libraries.
    """
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        arguments = (name, case, batch, mode, device.type, precision, torch.get_num_threads())
        return pool.apply(_peak, arguments)


def _peak(
    name: str, case: Case, batch: int, mode: str, device: str, precision: str, threads: int
) -> float:
    torch.set_num_threads(threads)
    place = torch.device(device)
    before = _status_mb('VmRSS')
    call = step(build(name, case, batch, place), mode, images(case, batch, place), precision)
    for _ in range(3):
        call()
    if device == 'cuda':
        return torch.cuda.max_memory_allocated() / 1e6
    # Not `ru_maxrss`: a process inherits that from the one that started it.
    return _status_mb('VmHWM') - before


def _status_mb(field: str) -> float:
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{field}:'):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f'/proc/self/status has no {field}.')
