"""Speed of `embed`: whole runs beside the encoder alone, on the same batches.

    python benchmarks/embedding.py                     # cells of real size, made in a temporary folder
    python benchmarks/embedding.py --shards DIR --ckpt FILE --accelerator gpu --precision bf16-mixed

Reading, preparing, copying, encoding and writing are in the first figure; the encoder alone gets batches that
are on the device. Files are in the page cache from the making or the first round on. Untrained weights are as fast as
trained ones.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from provenance import save
from safetensors.torch import save_file

from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards
from torchgeo_copernicus.embedding.encoders import CopernicusFMEncoder
from torchgeo_copernicus.embedding.preprocessing import Preprocessing
from torchgeo_copernicus.embedding.run import describe, embed
from torchgeo_copernicus.embedding.sources import PretrainShardsSource
from torchgeo_copernicus.embedding.task import EmbeddingTask
from torchgeo_copernicus.embedding.units import UnitBatch, UnitStream, count_units
from torchgeo_copernicus.embedding.writer import EmbeddingWriter
from torchgeo_copernicus.models.builders import SIZES


class _Clock(pl.Callback):
    """Tells when batches begin and end, and finds the writer."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.writer: EmbeddingWriter | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.writer = next(c for c in trainer.callbacks if isinstance(c, EmbeddingWriter))
        self._start = time.perf_counter()

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = time.perf_counter() - self._start


def encoder_seconds(
    encoder: CopernicusFMEncoder,
    batches: Sequence[UnitBatch],
    task: EmbeddingTask,
    device: torch.device,
    precision: str,
) -> float:
    """Return how long the encoder takes for batches that are on the device."""
    kinds = task._kinds
    lowered = torch.autocast(device.type, torch.bfloat16, enabled=precision == 'bf16-mixed')
    if device.type == 'cuda':
        torch.cuda.synchronize()
    start = time.perf_counter()
    with torch.inference_mode(), lowered:
        for batch in batches:
            encoder.encode(batch.images, batch.metadata, kinds[batch.modality])
    if device.type == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--shards')
    parser.add_argument('--cells', type=int, default=16, help='of those that are made')
    parser.add_argument('--size-divisor', type=int, default=1, help='of those that are made')
    parser.add_argument('--modalities', nargs='*', default=['s1_grd', 's2_toa', 's3_olci'])
    parser.add_argument('--model', default='copernicus_fm_base')
    parser.add_argument('--ckpt')
    parser.add_argument('--items-per-unit', type=int, default=4)
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--accelerator', default='cpu')
    parser.add_argument('--precision', default='32-true')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--output', type=Path)
    given = parser.parse_args()
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        shards = given.shards or str(
            make_pretrain_shards(Path(folder), given.cells, 0, given.size_divisor)
        )
        ckpt = given.ckpt
        if ckpt is None:
            ckpt = f'{folder}/weights.safetensors'
            save_file(SIZES[given.model].build().state_dict(), ckpt)
        encoder = CopernicusFMEncoder(given.model, ckpt_path=ckpt)
        source = PretrainShardsSource(shards, given.modalities)
        result = measure(given, source, encoder, Path(folder))
    print(json.dumps(result, indent=1))
    if given.output:
        settings = {name: str(value) for name, value in vars(given).items() if name != 'output'}
        save(given.output, result, settings)


def measure(
    given: argparse.Namespace,
    source: PretrainShardsSource,
    encoder: CopernicusFMEncoder,
    folder: Path,
) -> dict[str, object]:
    """Return the figures of the round in the middle, by ratio, and the ratios of all."""
    prepared = Preprocessing().of(source.kinds)
    device = torch.device('cuda' if given.accelerator in ('gpu', 'cuda') else 'cpu')
    units = range(count_units(len(source), given.items_per_unit))
    stream = UnitStream(source, prepared, units, given.items_per_unit, given.batch_size)
    rounds: list[dict[str, object]] = []
    for turn in range(given.rounds):
        clock = _Clock()
        store = embed(
            source,
            encoder,
            folder / f'store-{turn}',
            items_per_unit=given.items_per_unit,
            batch_size=given.batch_size,
            workers=given.workers,
            accelerator=given.accelerator,
            devices=1,
            precision=given.precision,
            callbacks=[clock],
        )
        encoder.module.to(device)
        task = EmbeddingTask(encoder, prepared)
        batches = [batch.to(device) for batch in stream if len(batch.images)]
        images = sum(len(batch.images) for batch in batches)
        alone = encoder_seconds(encoder, batches, task, device, given.precision)
        if clock.writer is None:
            raise RuntimeError('The run had no writer.')
        found = {
            'what': describe(store).partition(' at ')[0],
            'end_to_end_images_per_s': images / clock.seconds,
            'encoder_only_images_per_s': images / alone,
            'ratio': alone / clock.seconds,
            'encoder_waited_for_writer_share': clock.writer.waited_s / clock.seconds,
            'writer_thread_share': clock.writer.written_s / clock.seconds,
        }
        print(f'round {turn + 1}: {found}', flush=True)
        rounds.append({**found})
    rounds.sort(key=lambda one: float(str(one['ratio'])))
    return {**rounds[len(rounds) // 2], 'ratios': [one['ratio'] for one in rounds]}


if __name__ == '__main__':
    main()
