"""What can be embedded: cells of Copernicus-Pretrain, SSL4EO-S12, Copernicus-Bench, and own GeoTIFFs."""

from torchgeo_copernicus.embedding.sources.bench import BenchSource
from torchgeo_copernicus.embedding.sources.geotiff_folder import GeoTIFFSource
from torchgeo_copernicus.embedding.sources.pretrain_geotiff import PretrainGeoTIFFSource
from torchgeo_copernicus.embedding.sources.pretrain_shards import PretrainShardsSource
from torchgeo_copernicus.embedding.sources.source import EmbeddingSource
from torchgeo_copernicus.embedding.sources.ssl4eo_v11 import SSL4EOSource

__all__ = (
    'BenchSource',
    'EmbeddingSource',
    'GeoTIFFSource',
    'PretrainGeoTIFFSource',
    'PretrainShardsSource',
    'SSL4EOSource',
)
