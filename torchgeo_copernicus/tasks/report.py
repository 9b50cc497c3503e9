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
from torchgeo_copernicus.datasets.bench.composite import composite
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.task import IGNORE_INDEX, BenchTask
from torchgeo_copernicus.tasks.agreement import Agreement
from torchgeo_copernicus.tasks.figures import (
    Example,
    agreement_figure,
    confusion_figure,
    predictions_figure,
)

#: Metric of the paper -> the name it is logged under; the official code averages over batches.
PUBLISHED_AS = {
    'mIoU': 'test/mIoU_Batch_Mean',
    'OA': 'test/Accuracy_Micro',
    'mAP': 'test/AP_Micro_Batch_Mean',
    'RMSE': 'test/RMSE_Batch_Mean',
}


class TestReport(Callback):
    """Writes metrics and pictures when a test ends.

    `metrics.json` and `predictions.png` always; `confusion.png` for one class per image or pixel;
    `agreement.png` for a regression. The predictions are those the test itself makes, so nothing is
    computed twice. With tiled inference only tiles are seen, and `metrics.json` alone is written,
    without a confusion matrix. Needs a datamodule of this package, whose task tells classes and colours.
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
        self._whole = True
        self._output: Tensor | None = None
        self._hook: RemovableHandle | None = None
        self._confusion: MulticlassConfusionMatrix | None = None
        self._agreement: Agreement | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to the model's outputs."""
        datamodule = _datamodule(trainer)
        task = datamodule.task
        self._examples = []
        tested = len(cast(BenchDataset, datamodule.test_dataset))
        # Spread over the split, which may be sorted by class.
        self._positions = set(np.linspace(0, tested - 1, self.wanted, dtype=int).tolist())
        self._seen, self._whole = 0, True
        self._confusion = self._agreement = None
        if task.kind == 'regression':
            self._agreement = Agreement()
        elif task.kind != 'multilabel':
            self._confusion = MulticlassConfusionMatrix(
                len(task.classes), ignore_index=IGNORE_INDEX
            ).to(pl_module.device)
        # Of the task, not of its network: a task may turn outputs into physical units.
        self._hook = pl_module.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: object, output: object) -> None:
        self._output = getattr(output, 'output', None)

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
        if not self._whole:
            return
        datamodule = _datamodule(trainer)
        truth = batch['mask' if datamodule.task.has_label_maps else 'label'].to(pl_module.device)
        prediction = _prediction(self._output, datamodule.task)
        self._output = None
        if prediction is None or prediction.shape != truth.shape:
            rank_zero_warn('TestReport sees tiles, not whole predictions: it draws no pictures.')
            self._whole = False
            return
        if self._confusion is not None:
            self._confusion.update(prediction, truth)
        if self._agreement is not None:
            self._agreement.update(prediction, truth)
        for index in range(len(truth)):
            if self._seen + index not in self._positions:
                continue
            image = _picture(batch['image'][index].cpu(), datamodule)
            example = (image, truth[index], prediction[index])
            self._examples.append(Example(*(tensor.cpu().numpy() for tensor in example)))
        self._seen += len(truth)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the files."""
        # Adds up over all processes, so each of them has to take part.
        confusion = None
        if self._whole and self._confusion is not None:
            confusion = self._confusion.compute().cpu().numpy()
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
            'unit': None if task.target is None else task.target.unit,
            'published': {'compare with': PUBLISHED_AS[task.metric], 'results': task.published},
            'classes': task.classes,
            'confusion (truth in rows)': None if confusion is None else confusion.tolist(),
            'versions': versions(),
        }
        (directory / 'metrics.json').write_text(json.dumps(report, indent=1, allow_nan=False))
        Console().print(f'Test report of {task.title}: {directory.resolve()}')
        if not self._whole:
            return
        if confusion is not None:
            figure = confusion_figure(confusion, task.classes, task.title)
            figure.savefig(directory / 'confusion.png')
        if self._agreement is not None and task.target is not None:
            figure = agreement_figure(*self._agreement.pairs(), task.target, task.title)
            figure.savefig(directory / 'agreement.png')
        predictions_figure(self._examples, task).savefig(directory / 'predictions.png', dpi=110)

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
        self._hook = self._output = None


def _datamodule(trainer: Trainer) -> BenchDataModule:
    datamodule: object = getattr(trainer, 'datamodule', None)
    if not isinstance(datamodule, BenchDataModule):
        raise ValueError(
            f'TestReport needs a datamodule of torchgeo_copernicus, got {type(datamodule).__name__}.'
        )
    return datamodule


def _prediction(output: Tensor | None, task: BenchTask) -> Tensor | None:
    """Return what an output predicts, of the shape of the truth."""
    if output is None or task.kind == 'regression':
        return output
    if task.kind == 'multilabel':
        return (output > 0).long()  # A probability above one half.
    return output.argmax(dim=1)


def _picture(image: Tensor, datamodule: BenchDataModule) -> Tensor:
    """Return a picture `[H, W, 3]` of a normalised image; of a series that of the last date."""
    mean, std = datamodule.mean, datamodule.std
    if image.ndim == 4:
        image = image[-1]
        mean, std = (values[-1] if values.ndim == 2 else values for values in (mean, std))
    physical = image.float() * std[:, None, None] + mean[:, None, None]
    names = [band.name for band in datamodule.bands]
    return torch.as_tensor(composite(datamodule.task, names, physical))
