"""Copernicus-Pretrain: cells of 0.25 degrees seen by eight Sentinel modalities."""

from typing import TYPE_CHECKING

from torchgeo_copernicus.late_import import late_import

if TYPE_CHECKING:
    from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
    from torchgeo_copernicus.datasets.pretrain.selection import Selection
    from torchgeo_copernicus.datasets.pretrain.shards.resumable_loader import ResumableLoader
    from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream

__all__ = ('CopernicusPretrainGeoTIFF', 'CopernicusPretrainStream', 'ResumableLoader', 'Selection')

_MODULES = {
    'CopernicusPretrainGeoTIFF': 'geotiffs.geotiff',
    'CopernicusPretrainStream': 'shards.stream',
    'ResumableLoader': 'shards.resumable_loader',
    'Selection': 'selection',
}


def __getattr__(name: str) -> object:
    return late_import(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
