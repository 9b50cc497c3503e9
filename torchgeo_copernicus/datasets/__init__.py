"""TorchGeo datasets of Copernicus data."""

from importlib import import_module
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from torchgeo_copernicus.datasets.embed import CopernicusEmbedMap, open_map

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
    'CopernicusEmbedMap',
    'CopernicusPretrainGeoTIFF',
    'CopernicusPretrainStream',
    'SSL4EOS12v10',
    'SSL4EOS12v11',
    'SSL4EOS12v11Stream',
    'open_map',
    'write_sample',
)

# Imported when asked for: only these need xarray.
_EMBED = ('CopernicusEmbedMap', 'open_map')


def __getattr__(name: str) -> object:
    """Return what is imported late."""
    if name not in _EMBED:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.embed'), name)
