"""What makes embeddings: Copernicus-FM, or any backbone of TerraTorch."""

from torchgeo_copernicus.embedding.encoders.backbone import BackboneEncoder
from torchgeo_copernicus.embedding.encoders.copernicus_fm import CopernicusFMEncoder
from torchgeo_copernicus.embedding.encoders.encoder import EmbeddingEncoder, Pool

__all__ = ('BackboneEncoder', 'CopernicusFMEncoder', 'EmbeddingEncoder', 'Pool')
