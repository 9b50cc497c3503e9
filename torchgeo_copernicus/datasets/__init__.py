"""TorchGeo datasets of Copernicus data."""

from torchgeo_copernicus.datasets.bench import (
    DATASETS,
    TASKS,
    BenchDataset,
    BenchTask,
    CopernicusBenchAQNO2S5P,
    CopernicusBenchAQO3S5P,
    CopernicusBenchBigEarthNetS1,
    CopernicusBenchBigEarthNetS2,
    CopernicusBenchBiomassS3,
    CopernicusBenchCloudS2,
    CopernicusBenchCloudS3,
    CopernicusBenchDFC2020S1,
    CopernicusBenchDFC2020S2,
    CopernicusBenchEuroSATS1,
    CopernicusBenchEuroSATS2,
    CopernicusBenchFloodS1,
    CopernicusBenchLC100ClsS3,
    CopernicusBenchLC100SegS3,
    CopernicusBenchLCZS2,
)
from torchgeo_copernicus.datasets.lookalike import write_sample
from torchgeo_copernicus.datasets.pretrain import (
    CopernicusPretrainGeoTIFF,
    CopernicusPretrainStream,
)
from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v10, SSL4EOS12v11, SSL4EOS12v11Stream

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
    'CopernicusPretrainGeoTIFF',
    'CopernicusPretrainStream',
    'SSL4EOS12v10',
    'SSL4EOS12v11',
    'SSL4EOS12v11Stream',
    'write_sample',
)
