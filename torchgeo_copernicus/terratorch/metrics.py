"""Metrics that the hosts lack: averages over batches as published, and numbers beside NaN."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class BatchMean(Metric):
    """The mean of a metric over batches, weighted by their size.

    This is how the official code of Copernicus-Bench gets its numbers: it depends on the batch size and
    the order, and is given beside the metric of the whole split to compare with published results.
    Not so for accuracy, for which both are the same.
    """

    full_state_update = False
    samples: Tensor

    def __init__(self, metric: Metric) -> None:
        """Wrap a metric.

        Args:
            metric: Computed anew for each batch.
        """
        super().__init__()
        self.metric = metric
        for part in metric.modules():
            if isinstance(part, Metric):
                # A batch is that of one process; the mean of all batches is over all processes.
                part.sync_on_compute = False
        # Named after the metric: a MetricCollection shares the state of metrics whose states look alike.
        self._total = f'total_{type(metric).__name__}'
        self.add_state(self._total, torch.tensor(0.0), dist_reduce_fx='sum')
        self.add_state('samples', torch.tensor(0.0), dist_reduce_fx='sum')

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        self.metric.reset()
        self.metric.update(preds, target)
        value = self.metric.compute()
        self.metric.reset()
        # A batch without a single known value has no metric, and does not count.
        if bool(value.isfinite()):
            setattr(self, self._total, getattr(self, self._total) + value * len(preds))
            self.samples = self.samples + len(preds)

    def compute(self) -> Tensor:
        """Return the mean; NaN when no batch counted."""
        total: Tensor = getattr(self, self._total)
        mean: Tensor = total / self.samples
        return mean


class KnownOnly(Metric):
    """A metric of the values whose target is known (finite)."""

    full_state_update = False
    known: Tensor

    def __init__(self, metric: Metric) -> None:
        """Wrap a metric.

        Args:
            metric: Of predictions and targets of one dimension.
        """
        super().__init__()
        self.metric = metric
        self.add_state('known', torch.tensor(0), dist_reduce_fx='sum')

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch of predictions and targets of one shape."""
        known = target.isfinite()
        self.known = self.known + known.sum()
        if bool(known.any()):
            self.metric.update(preds[known], target[known])

    def compute(self) -> Tensor:
        """Return the metric; NaN when less than two values were known, in all processes together."""
        if int(self.known) < 2:
            return torch.tensor(torch.nan)
        value: Tensor = self.metric.compute()
        return value

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.metric.reset()
