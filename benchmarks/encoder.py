"""Speed and memory of the encoder, beside TorchGeo's and a plain ViT with an ordinary patch convolution.

    python benchmarks/encoder.py                         # evaluation on the CPU
    python benchmarks/encoder.py --train --memory --compile
    python benchmarks/encoder.py --device cuda --precision bf16 --train --compile
    python benchmarks/encoder.py --scaling               # cost by bands, tokens and batch
    python benchmarks/encoder.py --table RESULT.json     # a result as Markdown; measures nothing

All candidates run in turn, several rounds, the order turned by one each round; the ratio of two is the
median over rounds of the ratio of their times in one round, so that what disturbs the machine meets both.
Times are of the whole call, with images and metadata on the device. A training step is forward, mean
square of the embedding, backward and AdamW.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from encoder_cases import CASES, Case, disagreement
from encoder_timing import Times, flops, matrix_peak, peak_memory, ratio, run_case
from provenance import provenance
from rich.console import Console
from rich.table import Table

from torchgeo_copernicus.sensors import S3_OLCI

# A candidate, and what its throughput is divided by.
_RATIOS = (
    ('ours', 'plain ViT'),
    ('ours', 'torchgeo'),
    ('specialised', 'plain ViT'),
    ('ours, compiled', 'plain ViT, compiled'),
    ('specialised, compiled', 'plain ViT, compiled'),
    ('torchgeo', 'plain ViT'),
)


def about(device: torch.device, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what a number depends on."""
    found: dict[str, Any] = {
        **provenance(),
        'threads': torch.get_num_threads(),
        'settings': settings,
    }
    if device.type == 'cuda':
        found['gpu'] = torch.cuda.get_device_name()
        found['TF32 of products, convolutions'] = [
            torch.backends.cuda.matmul.allow_tf32,
            torch.backends.cudnn.allow_tf32,
        ]
        found['matrix peak TFLOP/s'] = round(matrix_peak(device), 1)
    return found


def summary(times: Times, batch: int) -> dict[str, Any]:
    """Return seconds per image and ratios of throughput."""
    return {
        'median seconds per image': {
            name: statistics.median(seconds) / batch for name, seconds in times.items()
        },
        'throughput': {
            f'{name} / {other}': round(ratio(times[other], times[name]), 3)
            for name, other in _RATIOS
            if name in times and other in times
        },
        'seconds per image': {
            name: [second / batch for second in seconds] for name, seconds in times.items()
        },
    }


def efficiency(entry: dict[str, Any], case: Case, mode: str, peak: float) -> dict[str, Any]:
    """Return TFLOP/s by candidate and their share of the peak, counted by the plain ViT's operations.

    A training step counts as three forward passes.
    """
    work = flops(case) * (1 if mode == 'eval' else 3) / 1e12
    rates = {name: work / s for name, s in entry['median seconds per image'].items()}
    return {name: [round(rate, 1), round(rate / peak, 3)] for name, rate in rates.items()}


def memory(
    case: Case, batch: int, mode: str, device: torch.device, precision: str
) -> dict[str, Any]:
    """Return peaks of training steps (MB) and their ratios."""
    names = ('ours', 'torchgeo', 'plain ViT')
    peaks = {name: peak_memory(name, case, batch, mode, device, precision) for name in names}
    return {
        'MB': {name: round(peak, 1) for name, peak in peaks.items()},
        'memory': {
            f'{name} / {other}': round(peaks[name] / peaks[other], 3)
            for name, other in _RATIOS
            if name in peaks and other in peaks
        },
    }


def scale(
    device: torch.device, precision: str, rounds: int, compile: bool
) -> dict[str, dict[str, Any]]:
    """Return cost per image by bands, tokens and batch."""
    base, bands, names = CASES['S2'], S3_OLCI.bands, ('ours', 'plain ViT')
    runs = [
        *((f'{n} bands', replace(base, channels=n, bands=bands[:n]), 1) for n in (1, 4, 13, 21)),
        *(
            (f'{(size // 16) ** 2} tokens', replace(base, size=size), 1)
            for size in (56, 112, 224, 320, 448)
        ),
        *((f'batch {batch}', base, batch) for batch in (1, 2, 4, 8, 16, 32)),
    ]
    found = {}
    for name, case, batch in runs:
        fewer = rounds if device.type == 'cuda' else max(3, rounds // batch)
        times = run_case(case, batch, 'eval', device, precision, fewer, compile, names)
        found[name] = summary(times, batch)
        print(name, found[name]['throughput'], flush=True)
    return found


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return a whole result."""
    device, precision = torch.device(arguments.device), arguments.precision
    settings = {
        name: value for name, value in vars(arguments).items() if name not in ('out', 'table')
    }
    result: dict[str, Any] = {'about': about(device, settings)}
    rounds, compile = arguments.rounds, arguments.compile
    if arguments.scaling:
        return result | {'measured': scale(device, precision, rounds, compile)}
    chosen = {name: CASES[name] for name in arguments.cases}
    result['largest difference of ours from torchgeo'] = {
        name: disagreement(case) for name, case in chosen.items()
    }
    modes = ['eval', *(('train', 'frozen') if arguments.train else ())]
    measured: dict[str, Any] = {}
    for mode in modes:
        for name, case in chosen.items():
            for batch in arguments.batches:
                fewer = rounds if device.type == 'cuda' else max(3, rounds // batch)
                times = run_case(case, batch, mode, device, precision, fewer, compile)
                entry = summary(times, batch)
                if device.type == 'cuda':
                    peak = result['about']['matrix peak TFLOP/s']
                    entry['TFLOP/s, share of peak'] = efficiency(entry, case, mode, peak)
                measured[key := f'{mode} {name} batch {batch}'] = entry
                print(key, entry['throughput'], flush=True)
    for mode in ('train', 'frozen') if arguments.memory else ():
        for name, case in chosen.items():
            for batch in arguments.batches:
                entry = memory(case, batch, mode, device, precision)
                measured[key := f'memory {mode} {name} batch {batch}'] = entry
                print(key, entry, flush=True)
    return result | {'measured': measured}


def rows(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a table of ratios."""
    entries = {
        key: entry.get('throughput', entry.get('memory'))
        for key, entry in result['measured'].items()
    }
    columns = [
        column
        for column in (f'{name} / {other}' for name, other in _RATIOS)
        if any(column in entry for entry in entries.values())
    ]
    body = [
        [key, *(f'{entry[column]:.2f}' if column in entry else '' for column in columns)]
        for key, entry in entries.items()
    ]
    return ['', *columns], body


def markdown(result: dict[str, Any]) -> str:
    """Return a result as a Markdown table of ratios: throughput, or peak memory where it says so."""
    header, body = rows(result)
    ruler = ['---', *['---:'] * (len(header) - 1)]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in (header, ruler, *body))


def show(result: dict[str, Any]) -> None:
    """Print the ratios."""
    header, body = rows(result)
    table = Table(title='Ratios of throughput (higher is faster) and of peak memory')
    for column in header:
        table.add_column(column, justify='right' if column else 'left')
    for line in body:
        table.add_row(*line)
    Console(width=140).print(table)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--precision', choices=['fp32', 'bf16'], default='fp32')
    parser.add_argument(
        '--threads', type=int, help='of PyTorch on the CPU; its own choice otherwise'
    )
    parser.add_argument(
        '--rounds', type=int, default=16, help='at batch 1; on the CPU fewer for larger batches'
    )
    parser.add_argument(
        '--cases', nargs='+', type=str.upper, choices=list(CASES), default=list(CASES)
    )
    parser.add_argument('--batches', nargs='+', type=int, default=[1, 8, 16])
    parser.add_argument('--train', action='store_true', help='training steps as well')
    parser.add_argument('--memory', action='store_true', help='peak memory of training as well')
    parser.add_argument('--compile', action='store_true', help='compiled candidates as well')
    parser.add_argument('--scaling', action='store_true', help='cost by bands, tokens and batch')
    parser.add_argument('--out', type=Path, help='JSON file to write')
    parser.add_argument('--table', type=Path, help='print this result as Markdown and end')
    arguments = parser.parse_args()
    if arguments.table is not None:
        print(markdown(json.loads(arguments.table.read_text())))
        return
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    result = measure(arguments)
    show(result)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
