"""Metrics that the hosts lack: averages over batches as published, and numbers beside NaN."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import MeanMetric, Metric, SumMetric
from torchmetrics.wrappers.abstract import WrapperMetric


class BatchMean(WrapperMetric):
    """The mean of a metric over batches, weighted by their size.

    This is how the official code of Copernicus-Bench gets its numbers: it depends on the batch size and
    the order, and is given beside the metric of the whole split to compare with published results.
    Not so for accuracy, for which both are the same.
    """

    def __init__(self, metric: Metric) -> None:
        """Wrap a metric.

        Args:
            metric: Computed anew for each batch.
        """
        super().__init__()
        self.metric = metric
        self.mean = MeanMetric()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        self.forward(preds, target)

    def forward(self, preds: Tensor, target: Tensor) -> Tensor:
        """Add a batch and return its metric."""
        # Called, not computed: that would ask the other processes for their batch.
        value: Tensor = self.metric(preds, target)
        self.metric.reset()
        # A batch without a single known value has no metric, and does not count.
        if bool(value.isfinite()):
            self.mean.update(value, len(preds))
        return value

    def compute(self) -> Tensor:
        """Return the mean; NaN when no batch counted."""
        mean: Tensor = self.mean.compute()
        return mean

    def reset(self) -> None:
        """Forget all batches."""
        self.metric.reset()
        self.mean.reset()


class KnownOnly(WrapperMetric):
    """A metric of the values whose target is known (finite)."""

    def __init__(self, metric: Metric) -> None:
        """Wrap a metric.

        Args:
            metric: Of predictions and targets of one dimension.
        """
        super().__init__()
        self.metric = metric
        self.count = SumMetric()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch of predictions and targets of one shape."""
        known = target.isfinite()
        self.count.update(known.sum())
        if bool(known.any()):
            self.metric.update(preds[known], target[known])

    def forward(self, preds: Tensor, target: Tensor) -> Tensor:
        """Add a batch and return its metric; NaN when less than two values of it are known."""
        known = target.isfinite()
        if int(known.sum()) < 2:
            self.update(preds, target)
            return torch.tensor(torch.nan)
        self.count.update(known.sum())
        value: Tensor = self.metric(preds[known], target[known])
        return value

    def compute(self) -> Tensor:
        """Return the metric; NaN when less than two values were known, in all processes together."""
        if int(self.count.compute()) < 2:
            return torch.tensor(torch.nan)
        value: Tensor = self.metric.compute()
        return value

    def reset(self) -> None:
        """Forget all batches."""
        self.metric.reset()
        self.count.reset()
