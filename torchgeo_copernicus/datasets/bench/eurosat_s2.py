"""EuroSAT-S2: land use and land cover of Sentinel-2 chips."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.statistics import S2_STATISTICS
from torchgeo_copernicus.datasets.bench.task import BenchTask, Recipe
from torchgeo_copernicus.sensors import S2_TOA

EUROSAT_S2 = BenchTask(
    name='eurosat_s2',
    title='EuroSAT-S2',
    kind='classification',
    archive='l2_eurosat_s1s2/eurosat_s2.zip',
    sha256='b78f2a2e4e059c0a5d6565335a447465de7468b7f8472835a0d406e6968a15a0',
    license='MIT',
    split_file='eurosat-{}.txt',
    date_pattern=None,
    split_sizes={'train': 16200, 'val': 5400, 'test': 5400},
    sensor=S2_TOA,
    # B8A comes last in the files.
    stored_bands=(*(name for name in S2_TOA.band_names if name != 'B8A'), 'B8A'),
    bands=S2_TOA.band_names,
    native_size=64,
    model_size=224,
    kernel_size=16,
    statistics=S2_STATISTICS,
    # Alphabetical, as published; TorchGeo's tuple has another order, and so other labels.
    classes=(
        'AnnualCrop',
        'Forest',
        'HerbaceousVegetation',
        'Highway',
        'Industrial',
        'Pasture',
        'PermanentCrop',
        'Residential',
        'River',
        'SeaLake',
    ),
    colors=(),
    metric='OA',
    recipe=Recipe('SGD', lr=0.1, weight_decay=1e-4, batch_size=64),
    published=(97.9, 0.1),
)


class CopernicusBenchEuroSATS2(BenchDataset):
    """EuroSAT-S2 of Copernicus-Bench, the same images as EuroSAT-MS.

    16200/5400/5400 chips of 13 x 64 x 64 px at 10 m, top-of-atmosphere reflectance x 10000. No dates.

    The bands are read in the order of `task.bands`, B8A after B08, unless others are asked for: the
    files keep B8A last. Labels are indices into `task.classes`, which is alphabetical; TorchGeo's own
    class numbers them differently.

    Layout: `eurosat_s2/all_imgs/<Class>/<Class>_<n>.tif` and `eurosat_s2/eurosat-{train,val,test}.txt`
    with lines `<Class>_<n>.jpg`. Sources: arXiv:2503.11849;
    https://ieeexplore.ieee.org/document/8736785.
    """

    task: ClassVar[BenchTask] = EUROSAT_S2

    def _listed(self) -> list[str]:
        files = super()._listed()
        for name in files:
            if self._class(name) not in self.task.classes:
                raise ValueError(
                    f'{self.split_file} lists {name!r}, whose class is unknown. Allowed: '
                    f'{list(self.task.classes)}.'
                )
        return files

    def _class(self, name: str) -> str:
        return name.split('_')[0]

    def _image_path(self, name: str) -> Path:
        folder = self.folder / 'all_imgs' / self._class(name)
        return folder / f'{Path(name).stem}.tif'

    def _target(self, name: str, image: Tensor) -> Sample:
        return {'label': torch.tensor(self.task.classes.index(self._class(name)))}
