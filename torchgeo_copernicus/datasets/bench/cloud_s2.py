"""Cloud-S2: clouds and their shadows in Sentinel-2 images."""

from __future__ import annotations

from pathlib import Path

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.statistics import S2_STATISTICS
from torchgeo_copernicus.datasets.bench.task import Archive, BenchTask, Recipe
from torchgeo_copernicus.sensors import S2_TOA

CLOUD_S2 = BenchTask(
    name='cloud_s2',
    title='Cloud-S2',
    kind='segmentation',
    archives=(
        Archive(
            'l1_cloud_s2/cloud_s2.zip',
            '38a371b10ad66a6eb702179b2023b1874caf81a1f8dc72ccbfdfd1701acabaef',
        ),
    ),
    folder='cloud_s2',
    license='CC0-1.0',
    split_file='{}.csv',
    split_sizes={'train': 1699, 'val': 567, 'test': 551},
    date_pattern=r'.+?__(?P<date>\d{8})T\d{6}',
    sensor=S2_TOA,
    stored_bands=S2_TOA.band_names,
    bands=S2_TOA.band_names,
    native_size=512,
    model_size=512,
    kernel_size=16,
    statistics=(S2_STATISTICS,),
    classes=('Clear', 'Thick Cloud', 'Thin Cloud', 'Cloud Shadow'),
    colors=('#4c9a4c', '#f4f4f4', '#9ecae1', '#3b3b58'),
    metric='mIoU',
    recipe=Recipe('AdamW', lr=1e-3, weight_decay=0.01, batch_size=16),
)


class CopernicusBenchCloudS2(BenchDataset):
    """Cloud-S2 of Copernicus-Bench, from CloudSEN12+.

    1699/567/551 images of 13 x 512 x 512 px at 10 m, top-of-atmosphere reflectance x 10000.

    | label | class | |
    |---|---|---|
    | 0 | Clear | neither cloud nor shadow |
    | 1 | Thick Cloud | opaque |
    | 2 | Thin Cloud | the surface shows through |
    | 3 | Cloud Shadow | light is blocked by a cloud |

    Layout: `cloud_s2/{s2_toa,cloud}/<name>.tif` and `cloud_s2/{train,val,test}.csv`, one name a line.
    Sources: arXiv:2503.11849; https://doi.org/10.1016/j.dib.2024.110852.
    """

    task = CLOUD_S2

    def _image_path(self, name: str) -> Path:
        return self.folder / 's2_toa' / f'{name}.tif'

    def _mask_path(self, name: str) -> Path:
        return self.folder / 'cloud' / f'{name}.tif'

    def _other_paths(self, name: str) -> list[Path]:
        return [self._mask_path(name)]

    def _target(self, name: str) -> Sample:
        return {'mask': self._read_mask(self._mask_path(name))}
