"""Lightning datamodules of Copernicus data."""

from torchgeo_copernicus.datamodules.bench import (
    CopernicusBenchCloudS2DataModule,
    CopernicusBenchEuroSATS2DataModule,
)

__all__ = ('CopernicusBenchCloudS2DataModule', 'CopernicusBenchEuroSATS2DataModule')
