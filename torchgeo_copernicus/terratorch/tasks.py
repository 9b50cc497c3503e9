"""TerraTorch's tasks with what the published protocol adds to them."""

from __future__ import annotations

from terratorch.tasks import (
    ClassificationTask,
    EmbeddingGenerationTask,
    MultiLabelClassificationTask,
    SemanticSegmentationTask,
)
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassJaccardIndex,
    MultilabelAveragePrecision,
    MultilabelF1Score,
)

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.terratorch.metrics import BatchMean
from torchgeo_copernicus.terratorch.published import PublishedProtocol
from torchgeo_copernicus.terratorch.regression import BenchRegressionTask
from torchgeo_copernicus.terratorch.schedule import one_cycle

__all__ = (
    'BenchClassificationTask',
    'BenchMultiLabelTask',
    'BenchRegressionTask',
    'BenchSegmentationTask',
    'CopernicusEmbeddingTask',
    'one_cycle',
)


class BenchSegmentationTask(PublishedProtocol, SemanticSegmentationTask):  # type: ignore[misc]
    """TerraTorch's segmentation, with the published schedule unless `scheduler` is given.

    `val/mIoU` and `test/mIoU` are of the whole split; `mIoU_Batch_Mean` is the mean over batches, the
    number that was published. For images of several dates, such as before and after a flood, set
    `backbone_series`.
    """

    def configure_metrics(self) -> None:
        """Set the metrics."""
        super().configure_metrics()
        metric = MulticlassJaccardIndex(
            self.hparams['model_args']['num_classes'], ignore_index=self.hparams['ignore_index']
        )
        self.add_evaluation_metrics(MetricCollection({'mIoU_Batch_Mean': BatchMean(metric)}))


def _start_linear_heads(model: nn.Module) -> None:
    """Initialise linear heads as in the published protocol, normal with deviation 0.01."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.01)


class BenchClassificationTask(PublishedProtocol, ClassificationTask):  # type: ignore[misc]
    """TerraTorch's classification, with the published schedule unless `scheduler` is given.

    The published overall accuracy is `test/Accuracy_Micro`.
    """

    def configure_models(self) -> None:
        """Build the model and initialise its head."""
        super().configure_models()
        _start_linear_heads(self.model.head)


class BenchMultiLabelTask(PublishedProtocol, MultiLabelClassificationTask):  # type: ignore[misc]
    """TerraTorch's multi-label classification with average precision.

    `AP_Micro` and `AP_Macro` are of the whole split. The published "mAP" is `AP_Micro_Batch_Mean`:
    micro average precision of each batch, averaged over batches. `F1_Micro` has a threshold of 0.5.
    """

    def configure_models(self) -> None:
        """Build the model and initialise its head."""
        super().configure_models()
        _start_linear_heads(self.model.head)

    def configure_metrics(self) -> None:
        """Set the metrics."""
        super().configure_metrics()
        labels = self.hparams['model_args']['num_classes']
        micro = MultilabelAveragePrecision(labels, average='micro')
        metrics: dict[str, Metric | MetricCollection] = {
            'AP_Micro': micro,
            'AP_Macro': MultilabelAveragePrecision(labels, average='macro'),
            'AP_Micro_Batch_Mean': BatchMean(micro.clone()),
            'F1_Micro': MultilabelF1Score(labels, average='micro'),
        }
        self.add_evaluation_metrics(MetricCollection(metrics, compute_groups=False))


class CopernicusEmbeddingTask(EmbeddingGenerationTask):  # type: ignore[misc]
    """TerraTorch's embedding generation, with the metadata of each image.

    TerraTorch's own takes `metadata` for a dictionary of file properties, fails on a vector, and hands
    nothing but the image to the backbone; it works on batches without metadata
    (`data.init_args.metadata: false`).
    """

    _metadata: Tensor | None = None
    _valid: Tensor | None = None

    def predict_step(self, batch: Sample) -> None:
        """Write the embeddings of a batch."""
        self._metadata, self._valid = batch.get('metadata'), batch.get('valid')
        rest = {key: value for key, value in batch.items() if key not in ('metadata', 'valid')}
        super().predict_step(rest)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the embeddings of images, with the metadata of the present batch."""
        series = {} if self._valid is None else {'valid': self._valid}
        out: list[Tensor] = self.model(x, metadata=self._metadata, **series)
        return out
