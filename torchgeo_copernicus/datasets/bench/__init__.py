"""Copernicus-Bench: one declaration and one dataset per task."""

from collections.abc import Mapping

from torchgeo_copernicus.datasets.bench.air_quality import (
    CopernicusBenchAQNO2S5P,
    CopernicusBenchAQO3S5P,
)
from torchgeo_copernicus.datasets.bench.bigearthnet import (
    CopernicusBenchBigEarthNetS1,
    CopernicusBenchBigEarthNetS2,
)
from torchgeo_copernicus.datasets.bench.biomass_s3 import CopernicusBenchBiomassS3
from torchgeo_copernicus.datasets.bench.cloud_s2 import CopernicusBenchCloudS2
from torchgeo_copernicus.datasets.bench.cloud_s3 import CopernicusBenchCloudS3
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.dfc2020 import (
    CopernicusBenchDFC2020S1,
    CopernicusBenchDFC2020S2,
)
from torchgeo_copernicus.datasets.bench.eurosat import (
    CopernicusBenchEuroSATS1,
    CopernicusBenchEuroSATS2,
)
from torchgeo_copernicus.datasets.bench.flood_s1 import CopernicusBenchFloodS1
from torchgeo_copernicus.datasets.bench.lc100 import (
    CopernicusBenchLC100ClsS3,
    CopernicusBenchLC100SegS3,
)
from torchgeo_copernicus.datasets.bench.lcz_s2 import CopernicusBenchLCZS2
from torchgeo_copernicus.datasets.bench.task import BenchTask

#: All datasets by the name of their task, in the order of the paper.
DATASETS: Mapping[str, type[BenchDataset]] = {
    dataset.task.name: dataset
    for dataset in (
        CopernicusBenchCloudS2,
        CopernicusBenchCloudS3,
        CopernicusBenchEuroSATS1,
        CopernicusBenchEuroSATS2,
        CopernicusBenchBigEarthNetS1,
        CopernicusBenchBigEarthNetS2,
        CopernicusBenchLC100ClsS3,
        CopernicusBenchLC100SegS3,
        CopernicusBenchDFC2020S1,
        CopernicusBenchDFC2020S2,
        CopernicusBenchFloodS1,
        CopernicusBenchLCZS2,
        CopernicusBenchBiomassS3,
        CopernicusBenchAQNO2S5P,
        CopernicusBenchAQO3S5P,
    )
}
#: All declarations by name.
TASKS: Mapping[str, BenchTask] = {name: dataset.task for name, dataset in DATASETS.items()}

__all__ = (
    'DATASETS',
    'TASKS',
    'BenchDataset',
    'BenchTask',
    'CopernicusBenchAQNO2S5P',
    'CopernicusBenchAQO3S5P',
    'CopernicusBenchBigEarthNetS1',
    'CopernicusBenchBigEarthNetS2',
    'CopernicusBenchBiomassS3',
    'CopernicusBenchCloudS2',
    'CopernicusBenchCloudS3',
    'CopernicusBenchDFC2020S1',
    'CopernicusBenchDFC2020S2',
    'CopernicusBenchEuroSATS1',
    'CopernicusBenchEuroSATS2',
    'CopernicusBenchFloodS1',
    'CopernicusBenchLC100ClsS3',
    'CopernicusBenchLC100SegS3',
    'CopernicusBenchLCZS2',
)
