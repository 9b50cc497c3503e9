"""After a test: the metrics in one file, and pictures of what the model predicts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from rich.console import Console
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torchmetrics.classification import MulticlassConfusionMatrix

from torchgeo_copernicus.compat import Sample, versions
from torchgeo_copernicus.datamodules.bench import BenchDataModule
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.task import IGNORE_INDEX, BenchTask
from torchgeo_copernicus.tasks.figures import (
    Example,
    classification_figure,
    confusion_figure,
    segmentation_figure,
)


class TestReport(Callback):
    """Writes `metrics.json`, `predictions.png` and `confusion.png` when a test ends.

    The predictions are those the test itself makes, so nothing is computed twice. With tiled inference
    only tiles are seen, and `metrics.json` alone is written, without a confusion matrix. Needs a
    datamodule of this package, whose task tells classes and colours.
    """

    __test__ = False  # No test of pytest's.

    def __init__(self, directory: str | None = None, examples: int = 8) -> None:
        """Set where and how much to write.

        Args:
            directory: Folder to write to; `trainer.default_root_dir` when None.
            examples: Images in the picture.

        Raises:
            ValueError: If *examples* is not positive.
        """
        if examples < 1:
            raise ValueError(f'examples must be at least 1, got {examples}.')
        self.directory = directory
        self.wanted = examples
        self._examples: list[Example] = []
        self._positions: set[int] = set()
        self._seen = 0
        self._logits: Tensor | None = None
        self._hook: RemovableHandle | None = None
        self._confusion: MulticlassConfusionMatrix | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to the model's outputs."""
        datamodule = _datamodule(trainer)
        self._examples = []
        tested = len(cast(BenchDataset, datamodule.test_dataset))
        # Spread over the split, which may be sorted by class.
        self._positions = set(np.linspace(0, tested - 1, self.wanted, dtype=int).tolist())
        self._seen = 0
        self._confusion = MulticlassConfusionMatrix(
            len(datamodule.task.classes), ignore_index=IGNORE_INDEX
        ).to(pl_module.device)
        self._hook = pl_module.get_submodule('model').register_forward_hook(self._keep)

    def _keep(self, model: nn.Module, inputs: object, output: object) -> None:
        self._logits = getattr(output, 'output', None)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the predictions of a batch and keep some."""
        if self._confusion is None:
            return
        task = _datamodule(trainer).task
        truth = batch['mask' if task.kind == 'segmentation' else 'label'].to(pl_module.device)
        prediction = None if self._logits is None else self._logits.argmax(dim=1)
        if prediction is None or prediction.shape != truth.shape:
            rank_zero_warn('TestReport sees tiles, not whole predictions: it draws no pictures.')
            self._confusion = None
            return
        self._confusion.update(prediction, truth)
        self._logits = None
        for index in range(len(truth)):
            if self._seen + index not in self._positions:
                continue
            image = _rgb(batch['image'][index].cpu(), _datamodule(trainer))
            example = (image, truth[index], prediction[index])
            self._examples.append(Example(*(tensor.cpu().numpy() for tensor in example)))
        self._seen += len(truth)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the files."""
        # Adds up over all processes, so each of them has to take part.
        confusion = None if self._confusion is None else self._confusion.compute().cpu().numpy()
        if not trainer.is_global_zero:
            return
        directory = Path(self.directory or trainer.default_root_dir)
        directory.mkdir(parents=True, exist_ok=True)
        task = _datamodule(trainer).task
        # JSON has no NaN: a metric without a value is null.
        metrics = {
            name: float(value) if math.isfinite(value) else None
            for name, value in trainer.callback_metrics.items()
        }
        report = {
            'task': task.name,
            'metrics': metrics,
            'classes': task.classes,
            'confusion (truth in rows)': None if confusion is None else confusion.tolist(),
            'versions': versions(),
        }
        (directory / 'metrics.json').write_text(json.dumps(report, indent=1, allow_nan=False))
        Console().print(f'Test report of {task.title}: {directory.resolve()}')
        if confusion is None:
            return
        confusion_figure(confusion, task.classes, task.title).savefig(directory / 'confusion.png')
        figure = (
            segmentation_figure(self._examples, task.classes, task.colors, task.title)
            if task.kind == 'segmentation'
            else classification_figure(self._examples, task.classes, task.title)
        )
        figure.savefig(directory / 'predictions.png', dpi=110)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop listening."""
        self._stop_listening()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Stop listening."""
        self._stop_listening()

    def _stop_listening(self) -> None:
        if self._hook is not None:
            self._hook.remove()
        self._hook = self._logits = None


def _datamodule(trainer: Trainer) -> BenchDataModule:
    datamodule: object = getattr(trainer, 'datamodule', None)
    if not isinstance(datamodule, BenchDataModule):
        raise ValueError(
            f'TestReport needs a datamodule of torchgeo_copernicus, got {type(datamodule).__name__}.'
        )
    return datamodule


def _rgb(image: Tensor, datamodule: BenchDataModule) -> Tensor:
    """Return a picture `[H, W, 3]` of a normalised image, in physical units.

    Without the bands of a natural-colour picture the first band is shown in grey.
    """
    task: BenchTask = datamodule.task
    names = [band.name for band in datamodule.bands]
    if set(task.sensor.rgb) <= set(names) and len(task.sensor.rgb) == 3:
        index = [names.index(name) for name in task.sensor.rgb]
    else:
        index = [0, 0, 0]
    mean, std = (values[index, None, None] for values in (datamodule.mean, datamodule.std))
    return torch.permute(image[index].float() * std + mean, (1, 2, 0))
