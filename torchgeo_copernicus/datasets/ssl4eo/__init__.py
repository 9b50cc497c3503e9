"""SSL4EO-S12, v1.1 and v1.0."""

from torchgeo_copernicus.datasets.ssl4eo.batch_stream import SSL4EOS12v11Stream
from torchgeo_copernicus.datasets.ssl4eo.v11 import SSL4EOS12v11

__all__ = ('SSL4EOS12v11', 'SSL4EOS12v11Stream')
