"""Copernicus-Embed: maps of embeddings, a vector for each cell of 0.25 degrees, and tables of them.

Neither PyTorch nor TorchGeo is imported, but for `CopernicusEmbedMap`.
"""

from typing import TYPE_CHECKING

from torchgeo_copernicus.datasets.embed.embed_chunks import EmbedRows, embed_rows
from torchgeo_copernicus.datasets.embed.embed_files import download_embed
from torchgeo_copernicus.datasets.embed.embed_map import open_map
from torchgeo_copernicus.datasets.embed.era5 import join_era5, to_era5
from torchgeo_copernicus.datasets.embed.map_dataset import map_dataset, window_of
from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.embed.place_lookup import nearest, sample
from torchgeo_copernicus.datasets.embed.projection import Projection, project
from torchgeo_copernicus.datasets.embed.write_map import write_map
from torchgeo_copernicus.late_import import late_import

if TYPE_CHECKING:
    from torchgeo_copernicus.datasets.embed.embed_raster import CopernicusEmbedMap

__all__ = (
    'CopernicusEmbedMap',
    'EmbedRows',
    'MapWindow',
    'Projection',
    'download_embed',
    'embed_rows',
    'join_era5',
    'map_dataset',
    'nearest',
    'open_map',
    'project',
    'sample',
    'to_era5',
    'window_of',
    'write_map',
)


def __getattr__(name: str) -> object:
    return late_import(__name__, {'CopernicusEmbedMap': 'embed_raster'}, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
