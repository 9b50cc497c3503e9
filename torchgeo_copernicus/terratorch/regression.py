"""Regression of maps with holes, in physical units."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from terratorch.models.model import ModelOutput
from terratorch.tasks import PixelwiseRegressionTask
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, R2Score

from torchgeo_copernicus.terratorch.metrics import BatchMean, KnownOnly
from torchgeo_copernicus.terratorch.published import PublishedProtocol

_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    'mae': F.l1_loss,
    'mse': F.mse_loss,
    'huber': F.huber_loss,
}


class KnownLoss(nn.Module):
    """The mean of a loss over the pixels whose target is known, in deviations of the target.

    0 for a batch without any, so that it changes nothing.
    """

    def __init__(self, loss: str, std: float) -> None:
        """Choose the loss.

        Args:
            loss: `mae` (as published), `mse` or `huber`.
            std: Deviation of the target, the unit of the loss.

        Raises:
            ValueError: If the loss is unknown.
        """
        super().__init__()
        if loss not in _LOSSES:
            raise ValueError(f'Unknown loss {loss!r}. Allowed: {list(_LOSSES)}.')
        self.loss = _LOSSES[loss]
        self.std = std

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of two tensors of one shape, the target with NaN where unknown.

        Raises:
            ValueError: If the shapes differ.
        """
        if prediction.shape != target.shape:
            raise ValueError(
                f'The prediction is {list(prediction.shape)}, the target {list(target.shape)}.'
            )
        known = target.isfinite()
        if not bool(known.any()):
            return prediction.sum() * 0.0
        return self.loss(prediction[known] / self.std, target[known] / self.std)


class BenchRegressionTask(PublishedProtocol, PixelwiseRegressionTask):  # type: ignore[misc]
    """TerraTorch's pixelwise regression for targets with NaN and of any size.

    The network predicts deviations from the mean of the target; everything outside of it (loss, metrics,
    predictions, pictures) has the unit of the target. TerraTorch's task gives NaN losses for NaN
    targets, and its `rmse` is the root of the root.

    Metrics: `RMSE`, `MSE`, `MAE` and `R2_Score` over all known pixels of a split, and `RMSE_Batch_Mean`
    as published. The published schedule is used unless `scheduler` is given.
    """

    def __init__(
        self, target_mean: float = 0.0, target_std: float = 1.0, loss: str = 'mae', **kwargs: object
    ) -> None:
        """Build model, loss and metrics.

        Args:
            target_mean: Mean of the training targets.
            target_std: Their standard deviation.
            loss: `mae` (as published), `mse` or `huber`.
            **kwargs: Arguments of TerraTorch's task, but for those of losses.

        Raises:
            ValueError: If the deviation is not positive, the loss is unknown, or an argument would have
                no effect.
        """
        if not target_std > 0:
            raise ValueError(f'target_std must be positive, got {target_std}.')
        for name in ('ignore_index', 'var_weights', 'custom_loss', 'custom_loss_kwargs'):
            value = kwargs.get(name)
            if value is not None and value is not False:
                raise ValueError(f'{name} has no effect here: NaN marks what is unknown.')
        self.target_mean = target_mean
        self.target_std = target_std
        super().__init__(loss=loss, **kwargs)

    def configure_losses(self) -> None:
        """Set the loss."""
        self.criterion = KnownLoss(self.hparams['loss'], self.target_std)

    def configure_metrics(self) -> None:
        """Set the metrics."""
        metrics = MetricCollection(
            {
                'RMSE': KnownOnly(MeanSquaredError(squared=False)),
                'MSE': KnownOnly(MeanSquaredError()),
                'MAE': KnownOnly(MeanAbsoluteError()),
                'R2_Score': KnownOnly(R2Score()),
                'RMSE_Batch_Mean': BatchMean(KnownOnly(MeanSquaredError(squared=False))),
            },
            compute_groups=False,
        )
        self.set_metrics(metrics)

    def forward(self, x: Tensor, **batch: object) -> ModelOutput:
        """Return predictions in the unit of the target, float32 `[B, H, W]`."""
        out: ModelOutput = super().forward(x, **batch)
        heads = out.auxiliary_heads or {}
        return ModelOutput(
            output=self._physical(out.output),
            auxiliary_heads={name: self._physical(value) for name, value in heads.items()},
        )

    def _physical(self, values: Tensor) -> Tensor:
        # In float32: half precision would round a mean of thousands.
        return values.to(torch.float32) * self.target_std + self.target_mean
