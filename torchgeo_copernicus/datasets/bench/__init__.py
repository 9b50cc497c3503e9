"""Copernicus-Bench: one declaration and one dataset per task."""

from collections.abc import Mapping

from torchgeo_copernicus.datasets.bench.cloud_s2 import CopernicusBenchCloudS2
from torchgeo_copernicus.datasets.bench.eurosat_s2 import CopernicusBenchEuroSATS2
from torchgeo_copernicus.datasets.bench.task import BenchTask

#: All declarations by name.
TASKS: Mapping[str, BenchTask] = {
    dataset.task.name: dataset.task
    for dataset in (CopernicusBenchCloudS2, CopernicusBenchEuroSATS2)
}

__all__ = ('TASKS', 'BenchTask', 'CopernicusBenchCloudS2', 'CopernicusBenchEuroSATS2')
