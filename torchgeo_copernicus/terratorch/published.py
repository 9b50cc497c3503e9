"""What the tasks of Copernicus-Bench share."""

from __future__ import annotations

from lightning.pytorch import Callback
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from terratorch.tasks.base_task import TerraTorchTask
from terratorch.tasks.optimizer_factory import optimizer_factory
from torch import nn
from torchmetrics import MetricCollection

from torchgeo_copernicus.datamodules.bench import BenchDataModule
from torchgeo_copernicus.models.layer_decay import layer_decay_groups
from torchgeo_copernicus.terratorch.agreement import check_agreement
from torchgeo_copernicus.terratorch.predictions import BenchPredictionWriter
from torchgeo_copernicus.terratorch.schedule import one_cycle


class PublishedProtocol(TerraTorchTask):  # type: ignore[misc]
    """Comes before a task of TerraTorch in a class: schedule, writer of predictions, sets of metrics."""

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimizer, with the published schedule unless `scheduler` is given.

        `layer_decay` among the `optimizer_hparams` gives each layer its own rate, see
        `layer_decay_groups`.

        Raises:
            ValueError: If `layer_decay` comes with `lr_overrides`, or without `weight_decay`.
        """
        settings = dict(self.hparams['optimizer_hparams'] or {})
        if 'layer_decay' in settings:
            host = self._layer_wise(settings)
        else:
            host = super().configure_optimizers()
        if self.hparams['scheduler'] is not None:
            return host
        return one_cycle(host['optimizer'], self.trainer.estimated_stepping_batches)

    def _layer_wise(self, settings: dict[str, float]) -> OptimizerLRSchedulerConfig:
        if self.hparams.get('lr_overrides') or 'weight_decay' not in settings:
            raise ValueError(
                'layer_decay in optimizer_hparams needs weight_decay beside it, and no lr_overrides; got '
                f'{settings} and lr_overrides={self.hparams.get("lr_overrides")}.'
            )
        decay, weight_decay = settings.pop('layer_decay'), settings.pop('weight_decay')
        host: OptimizerLRSchedulerConfig = optimizer_factory(
            self.hparams['optimizer'] or 'Adam',
            self.hparams['lr'],
            layer_decay_groups(self, self.hparams['lr'], decay, weight_decay),
            settings,
            self.hparams['scheduler'],
            self.monitor,
            self.hparams['scheduler_hparams'],
        )
        return host

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
