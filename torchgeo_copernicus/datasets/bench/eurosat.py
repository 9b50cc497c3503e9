"""EuroSAT-S1 and EuroSAT-S2: land use and land cover of Sentinel chips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, Unpack

import torch

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset, Reading, one_of
from torchgeo_copernicus.datasets.bench.statistics import S1_STATISTICS, S2_STATISTICS
from torchgeo_copernicus.datasets.bench.task import Archive, BenchTask, Recipe, Split
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

ClassOrder = Literal['alphabetical', 'torchgeo']

EUROSAT_S2 = BenchTask(
    name='eurosat_s2',
    title='EuroSAT-S2',
    kind='classification',
    archives=(
        Archive(
            'l2_eurosat_s1s2/eurosat_s2.zip',
            'b78f2a2e4e059c0a5d6565335a447465de7468b7f8472835a0d406e6968a15a0',
        ),
    ),
    folder='eurosat_s2',
    license='MIT',
    split_file='eurosat-{}.txt',
    split_sizes={'train': 16200, 'val': 5400, 'test': 5400},
    date_pattern=None,
    sensor=S2_TOA,
    # B8A comes last in the files.
    stored_bands=(*(name for name in S2_TOA.band_names if name != 'B8A'), 'B8A'),
    bands=S2_TOA.band_names,
    native_size=64,
    model_size=224,
    kernel_size=16,
    statistics=(S2_STATISTICS,),
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
    metric='OA',
    recipe=Recipe('SGD', lr=0.1, weight_decay=1e-4, batch_size=64),
)
EUROSAT_S1 = replace(
    EUROSAT_S2,
    name='eurosat_s1',
    title='EuroSAT-S1',
    archives=(
        Archive(
            'l2_eurosat_s1s2/eurosat_s1.zip',
            'aa52080b365c45b21097b0d3d190fc5953ad6639d211023c9689be57aed636cf',
        ),
    ),
    folder='eurosat_s1',
    license='CC-BY-4.0',
    sensor=S1_GRD,
    stored_bands=S1_GRD.band_names,
    bands=S1_GRD.band_names,
    statistics=(S1_STATISTICS,),
)

#: Class order of TorchGeo's datasets.
_TORCHGEO_ORDER = (
    'AnnualCrop',
    'HerbaceousVegetation',
    'Industrial',
    'PermanentCrop',
    'River',
    'Forest',
    'Highway',
    'Pasture',
    'Residential',
    'SeaLake',
)


def with_order(task: BenchTask, class_order: ClassOrder) -> BenchTask:
    """Return a declaration with its classes in an order.

    Raises:
        ValueError: If the order is unknown.
    """
    one_of('class_order', class_order, ClassOrder)
    return task if class_order == 'alphabetical' else replace(task, classes=_TORCHGEO_ORDER)


class _EuroSAT(BenchDataset):
    """Reads chips from a folder for each class."""

    def __init__(
        self,
        root: Path | str = 'data',
        split: Split = 'train',
        class_order: ClassOrder = 'alphabetical',
        **reading: Unpack[Reading],
    ) -> None:
        """Find the data.

        Args:
            root: Folder that holds the task's folder or its archive.
            split: `train`, `val` or `test`.
            class_order: `alphabetical`, as published, or `torchgeo`: the labels of TorchGeo's class.
            **reading: `bands`, `transforms`, `download` and `checksum`, see `BenchDataset`.

        Raises:
            DatasetNotFoundError: If the data is not there and *download* is False.
            ValueError: If an argument is unknown, or files are missing or damaged.
        """
        self.task = with_order(self.task, class_order)
        super().__init__(root, split, **reading)

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

    def _target(self, name: str) -> Sample:
        return {'label': torch.tensor(self.task.classes.index(self._class(name)))}


class CopernicusBenchEuroSATS1(_EuroSAT):
    """EuroSAT-S1 of Copernicus-Bench, Sentinel-1 images of the places of EuroSAT.

    16200/5400/5400 chips of 2 x 64 x 64 px at 10 m, backscatter in dB. No dates.

    Labels are indices into `task.classes`, which is alphabetical; TorchGeo's own class numbers them
    differently (`class_order='torchgeo'`).

    Layout: `eurosat_s1/all_imgs/<Class>/<Class>_<n>.tif` and `eurosat_s1/eurosat-{train,val,test}.txt`
    with lines `<Class>_<n>.jpg`. Sources: arXiv:2503.11849; arXiv:2310.18653 (EuroSAT-SAR).
    """

    task = EUROSAT_S1


class CopernicusBenchEuroSATS2(_EuroSAT):
    """EuroSAT-S2 of Copernicus-Bench, the same images as EuroSAT-MS.

    16200/5400/5400 chips of 13 x 64 x 64 px at 10 m, top-of-atmosphere reflectance x 10000. No dates.

    The bands are read in the order of `task.bands`, B8A after B08, unless others are asked for: the
    files keep B8A last. Labels are indices into `task.classes`, which is alphabetical; TorchGeo's own
    class numbers them differently (`class_order='torchgeo'`).

    Layout: `eurosat_s2/all_imgs/<Class>/<Class>_<n>.tif` and `eurosat_s2/eurosat-{train,val,test}.txt`
    with lines `<Class>_<n>.jpg`. Sources: arXiv:2503.11849;
    https://ieeexplore.ieee.org/document/8736785.
    """

    task = EUROSAT_S2
