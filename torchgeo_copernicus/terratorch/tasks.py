"""TerraTorch's tasks with what the published protocol adds to them.

That is a one-cycle schedule stepped per batch, which no YAML can state because its length depends on the
data, and the initial weights of the linear probe.
"""

from __future__ import annotations

import math

from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from terratorch.tasks import ClassificationTask, EmbeddingGenerationTask, SemanticSegmentationTask
from terratorch.tasks.base_task import TerraTorchTask
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from torchgeo_copernicus.compat import Sample


def one_cycle(optimizer: Optimizer, total_steps: float) -> OptimizerLRSchedulerConfig:
    """Return the published schedule: a cosine from the peak to `peak / 2.5e5`, without warm-up.

    The momentum (or AdamW's first beta) rises from 0.85 to 0.95 meanwhile, PyTorch's default.

    Args:
        optimizer: With momentum or betas; the learning rate of each group is its peak.
        total_steps: Number of batches of the whole training.

    Raises:
        ValueError: If the training has no end.
    """
    if not math.isfinite(total_steps) or total_steps < 1:
        raise ValueError(
            f'The one-cycle schedule needs to know the number of steps, got {total_steps}: set '
            'trainer.max_epochs or trainer.max_steps, or choose another `scheduler`.'
        )
    peaks = [group['lr'] for group in optimizer.param_groups]
    # A cycle of one step starts at its end.
    scheduler = OneCycleLR(optimizer, peaks, total_steps=max(int(total_steps), 2), pct_start=0.0)
    return {'optimizer': optimizer, 'lr_scheduler': {'scheduler': scheduler, 'interval': 'step'}}


def _configure(
    task: TerraTorchTask, host: OptimizerLRSchedulerConfig
) -> OptimizerLRSchedulerConfig:
    if task.hparams['scheduler'] is not None:
        return host
    steps = task.trainer.estimated_stepping_batches
    return one_cycle(host['optimizer'], steps)


class BenchSegmentationTask(SemanticSegmentationTask):  # type: ignore[misc]
    """TerraTorch's segmentation, with the published schedule unless `scheduler` is given."""

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimizer and its schedule."""
        return _configure(self, super().configure_optimizers())


class BenchClassificationTask(ClassificationTask):  # type: ignore[misc]
    """TerraTorch's classification, with the published schedule unless `scheduler` is given.

    The weights of the linear head start as in the published protocol, normal with deviation 0.01.
    """

    def configure_models(self) -> None:
        """Build the model and initialise its head."""
        super().configure_models()
        for module in self.model.head.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.01)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimizer and its schedule."""
        return _configure(self, super().configure_optimizers())


class CopernicusEmbeddingTask(EmbeddingGenerationTask):  # type: ignore[misc]
    """TerraTorch's embedding generation, with the metadata of each image.

    TerraTorch's own takes `metadata` for a dictionary of file properties, fails on a vector, and hands
    nothing but the image to the backbone; it works on batches without metadata
    (`data.init_args.metadata: false`).
    """

    _metadata: Tensor | None = None

    def predict_step(self, batch: Sample) -> None:
        """Write the embeddings of a batch."""
        self._metadata = batch.get('metadata')
        super().predict_step({key: value for key, value in batch.items() if key != 'metadata'})

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the embeddings of images, with the metadata of the present batch."""
        out: list[Tensor] = self.model(x, metadata=self._metadata)
        return out
