"""The least model that the report works with, and the confusion matrix counted pixel by pixel."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor, nn

from torchgeo_copernicus.datamodules.bench import BenchDataModule
from torchgeo_copernicus.tasks.report import TestReport


@dataclass
class Output:
    """What TerraTorch's models return."""

    output: Tensor


class Pixelwise(nn.Module):
    """Random logits of every pixel, or of their mean."""

    def __init__(self, bands: int, classes: int, pooled: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(bands, classes, 1)
        self.pooled = pooled

    def forward(self, image: Tensor) -> Output:
        logits = self.conv(image)
        return Output(logits.mean((2, 3)) if self.pooled else logits)


class Task(LightningModule):
    """The least that the report works with."""

    def __init__(self, module: BenchDataModule, metric: float = 0.5, crash: bool = False) -> None:
        super().__init__()
        pooled = module.task.kind == 'classification'
        self.model = Pixelwise(len(module.bands), len(module.task.classes), pooled)
        self.metric, self.crash = metric, crash

    def forward(self, image: Tensor) -> Output:
        out: Output = self.model(image)
        return out

    def logits(self, batch: dict[str, Any]) -> Tensor:
        return torch.as_tensor(self(batch['image']).output)

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        self.log('train/loss', 9.0)
        return self.logits(batch).square().mean()

    def test_step(self, batch: dict[str, Any], index: int) -> None:
        self.logits(batch)
        self.log('test/metric', self.metric, batch_size=1)
        if self.crash:
            raise RuntimeError('out of memory')

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def make(module_type: type[BenchDataModule], root: Path, **options: Any) -> BenchDataModule:
    return module_type(str(root), **{'batch_size': 4, 'num_workers': 0, 'image_size': 48} | options)


def trainer(root: Path, *callbacks: TestReport, **options: Any) -> Trainer:
    return Trainer(
        accelerator='cpu',
        devices=1,
        default_root_dir=root,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def by_hand(task: Task, module: BenchDataModule) -> NDArray[np.int64]:
    """Confusion matrix of the test split, truth in rows, pixel by pixel."""
    module.setup('test')
    k = len(module.task.classes)
    counts = np.zeros((k, k), np.int64)
    for batch in (module.aug(batch) for batch in module.test_dataloader()):
        truth = batch['mask'] if 'mask' in batch else batch['label']
        with torch.no_grad():
            found = task.logits(batch).argmax(1)
        for row, column in zip(truth.flatten().tolist(), found.flatten().tolist(), strict=True):
            if row != -100:
                counts[row, column] += 1
    return counts
