"""The learning-rate schedule of the published protocol.

It is stepped per batch, which no YAML can state because its length depends on the data.
"""

from __future__ import annotations

import math

from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR


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
