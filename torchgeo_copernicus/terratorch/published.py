"""What the tasks of Copernicus-Bench share."""

from __future__ import annotations

from lightning.pytorch import Callback
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from terratorch.tasks.base_task import TerraTorchTask
from torch import nn
from torchmetrics import MetricCollection

from torchgeo_copernicus.datamodules.bench import BenchDataModule
from torchgeo_copernicus.terratorch.agreement import check_agreement
from torchgeo_copernicus.terratorch.predictions import BenchPredictionWriter
from torchgeo_copernicus.terratorch.schedule import one_cycle


class PublishedProtocol(TerraTorchTask):  # type: ignore[misc]
    """Comes before a task of TerraTorch in a class: schedule, writer of predictions, sets of metrics."""

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimizer, with the published schedule unless `scheduler` is given."""
        host: OptimizerLRSchedulerConfig = super().configure_optimizers()
        if self.hparams['scheduler'] is not None:
            return host
        return one_cycle(host['optimizer'], self.trainer.estimated_stepping_batches)

    def configure_callbacks(self) -> list[Callback]:
        """Return the writer of predictions, which takes the place of TerraTorch's."""
        return [BenchPredictionWriter(self.hparams.get('class_names'))]

    def setup(self, stage: str) -> None:
        """Compare data and model before the first batch.

        Raises:
            ValueError: If the datamodule gives other bands or classes than the model was told.
        """
        super().setup(stage)
        datamodule: object = getattr(self.trainer, 'datamodule', None)
        if isinstance(datamodule, BenchDataModule):
            check_agreement(datamodule, self.hparams, self.model)

    def set_metrics(self, metrics: MetricCollection) -> None:
        """Use metrics in every stage, and for every test loader."""
        self.train_metrics = metrics.clone(prefix='train/')
        self.val_metrics = metrics.clone(prefix='val/')
        names = self.hparams['test_dataloaders_names']
        prefixes = ['test/'] if names is None else [f'test/{name}/' for name in names]
        self.test_metrics = nn.ModuleList([metrics.clone(prefix=prefix) for prefix in prefixes])

    def add_evaluation_metrics(self, metrics: MetricCollection) -> None:
        """Use further metrics in validation and tests."""
        for collection in (self.val_metrics, *self.test_metrics):
            collection.add_metrics(metrics.clone())
