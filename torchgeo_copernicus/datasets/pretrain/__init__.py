"""Copernicus-Pretrain: cells of 0.25 degrees seen by eight Sentinel modalities."""

from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.resumable_loader import ResumableLoader
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream

__all__ = ('CopernicusPretrainGeoTIFF', 'CopernicusPretrainStream', 'ResumableLoader', 'Selection')
