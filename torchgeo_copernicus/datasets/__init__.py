"""TorchGeo datasets of Copernicus data."""

from torchgeo_copernicus.datasets.bench import (
    TASKS,
    BenchTask,
    CopernicusBenchCloudS2,
    CopernicusBenchEuroSATS2,
)
from torchgeo_copernicus.datasets.lookalike import write_sample

__all__ = (
    'TASKS',
    'BenchTask',
    'CopernicusBenchCloudS2',
    'CopernicusBenchEuroSATS2',
    'write_sample',
)
