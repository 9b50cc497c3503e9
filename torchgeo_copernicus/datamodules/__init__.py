"""Lightning datamodules of Copernicus data."""

from torchgeo_copernicus.datamodules.bench_tasks import (
    CopernicusBenchAQNO2S5PDataModule,
    CopernicusBenchAQO3S5PDataModule,
    CopernicusBenchBigEarthNetS1DataModule,
    CopernicusBenchBigEarthNetS2DataModule,
    CopernicusBenchBiomassS3DataModule,
    CopernicusBenchCloudS2DataModule,
    CopernicusBenchCloudS3DataModule,
    CopernicusBenchDFC2020S1DataModule,
    CopernicusBenchDFC2020S2DataModule,
    CopernicusBenchEuroSATS1DataModule,
    CopernicusBenchEuroSATS2DataModule,
    CopernicusBenchFloodS1DataModule,
    CopernicusBenchLC100ClsS3DataModule,
    CopernicusBenchLC100SegS3DataModule,
    CopernicusBenchLCZS2DataModule,
)
from torchgeo_copernicus.datamodules.pretrain import CopernicusPretrainDataModule
from torchgeo_copernicus.datamodules.ssl4eo_v10 import SSL4EOS12v10DataModule
from torchgeo_copernicus.datamodules.ssl4eo_v11 import SSL4EOS12v11DataModule

__all__ = (
    'CopernicusBenchAQNO2S5PDataModule',
    'CopernicusBenchAQO3S5PDataModule',
    'CopernicusBenchBigEarthNetS1DataModule',
    'CopernicusBenchBigEarthNetS2DataModule',
    'CopernicusBenchBiomassS3DataModule',
    'CopernicusBenchCloudS2DataModule',
    'CopernicusBenchCloudS3DataModule',
    'CopernicusBenchDFC2020S1DataModule',
    'CopernicusBenchDFC2020S2DataModule',
    'CopernicusBenchEuroSATS1DataModule',
    'CopernicusBenchEuroSATS2DataModule',
    'CopernicusBenchFloodS1DataModule',
    'CopernicusBenchLC100ClsS3DataModule',
    'CopernicusBenchLC100SegS3DataModule',
    'CopernicusBenchLCZS2DataModule',
    'CopernicusPretrainDataModule',
    'SSL4EOS12v10DataModule',
    'SSL4EOS12v11DataModule',
)
