"""SSL4EO-S12, v1.1 and v1.0."""

from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import SSL4EOS12v10
from torchgeo_copernicus.datasets.ssl4eo.v10.void_ids import VOID_IDS, released_ids
from torchgeo_copernicus.datasets.ssl4eo.v11.batch_stream import SSL4EOS12v11Stream
from torchgeo_copernicus.datasets.ssl4eo.v11.dataset import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.v11.download import download_v11

__all__ = (
    'VOID_IDS',
    'SSL4EOS12v10',
    'SSL4EOS12v11',
    'SSL4EOS12v11Stream',
    'download_v11',
    'released_ids',
)
