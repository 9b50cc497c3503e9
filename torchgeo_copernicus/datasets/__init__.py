"""TorchGeo datasets of Copernicus data."""

from typing import TYPE_CHECKING

from torchgeo_copernicus.late_import import late_import

if TYPE_CHECKING:
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
    from torchgeo_copernicus.datasets.embed import CopernicusEmbedMap, open_map
    from torchgeo_copernicus.datasets.lookalike import write_sample
    from torchgeo_copernicus.datasets.pretrain import (
        CopernicusPretrainGeoTIFF,
        CopernicusPretrainStream,
    )
    from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v10, SSL4EOS12v11, SSL4EOS12v11Stream

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

# The tasks, and what else there is.
_MODULES = dict.fromkeys(__all__, 'bench') | {
    **dict.fromkeys(('CopernicusEmbedMap', 'open_map'), 'embed'),
    **dict.fromkeys(('CopernicusPretrainGeoTIFF', 'CopernicusPretrainStream'), 'pretrain'),
    **dict.fromkeys(('SSL4EOS12v10', 'SSL4EOS12v11', 'SSL4EOS12v11Stream'), 'ssl4eo'),
    'write_sample': 'lookalike',
}


def __getattr__(name: str) -> object:
    return late_import(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
