"""DFC2020-S1 and DFC2020-S2: land cover of each pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.statistics import S1_STATISTICS, S2_STATISTICS
from torchgeo_copernicus.datasets.bench.task import Archive, BenchTask, Recipe
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

DFC2020_S2 = BenchTask(
    name='dfc2020_s2',
    title='DFC2020-S2',
    kind='segmentation',
    archives=(
        Archive(
            'l2_dfc2020_s1s2/dfc2020.zip',
            '5fef94b3481489941f3d409db25615212cc17f906cee48fdbe29b7bccedbc9fd',
        ),
    ),
    folder='dfc2020_s1s2',
    license='CC-BY-4.0',
    split_file='dfc-{}-new.csv',
    split_sizes={'train': 3156, 'val': 986, 'test': 986},
    date_pattern=None,
    sensor=S2_TOA,
    stored_bands=S2_TOA.band_names,
    bands=S2_TOA.band_names,
    native_size=256,
    model_size=256,
    kernel_size=16,
    statistics=(S2_STATISTICS,),
    classes=(
        'Forest',
        'Shrubland',
        'Grassland',
        'Wetlands',
        'Croplands',
        'Urban/Built-up',
        'Barren',
        'Water',
    ),
    colors=('#009900', '#c6b044', '#b6ff05', '#27ff87', '#c24f44', '#a5a5a5', '#f9ffa4', '#1c0dff'),
    codes=(1, 2, 4, 5, 6, 7, 9, 10),
    # Background, Savanna and Snow/Ice, which the contest did not count.
    ignored_codes=(0, 3, 8),
    metric='mIoU',
    recipe=Recipe('AdamW', lr=1e-3, weight_decay=0.01, batch_size=16),
)
DFC2020_S1 = replace(
    DFC2020_S2,
    name='dfc2020_s1',
    title='DFC2020-S1',
    sensor=S1_GRD,
    stored_bands=S1_GRD.band_names,
    bands=S1_GRD.band_names,
    statistics=(S1_STATISTICS,),
)


class _DFC2020(BenchDataset):
    """Reads tiles whose names say `dfc` in the list and the sensor on disk."""

    #: Folder of the images, and what stands for `dfc` in their names.
    images: ClassVar[str]

    def _image_path(self, name: str) -> Path:
        return self.folder / self.images / name.replace('dfc', self.images)

    def _mask_path(self, name: str) -> Path:
        return self.folder / 'dfc' / name

    def _other_paths(self, name: str) -> list[Path]:
        return [self._mask_path(name)]

    def _target(self, name: str) -> Sample:
        return {'mask': self._read_mask(self._mask_path(name))}


class CopernicusBenchDFC2020S1(_DFC2020):
    """DFC2020-S1 of Copernicus-Bench, from the IEEE GRSS Data Fusion Contest 2020.

    3156/986/986 tiles of 2 x 256 x 256 px at 10 m, backscatter in dB, without place or date. The labels
    0 to 7 are the eight classes of the contest (`task.classes`); the others are ignored (-100).

    Layout: `dfc2020_s1s2/{s1,dfc}/<name>.tif` (`dfc` in the name reads `s1` for an image) and
    `dfc2020_s1s2/dfc-{train,val,test}-new.csv`, one name a line. Sources: arXiv:2503.11849;
    https://ieee-dataport.org/competitions/2020-ieee-grss-data-fusion-contest.
    """

    task = DFC2020_S1
    images = 's1'


class CopernicusBenchDFC2020S2(_DFC2020):
    """DFC2020-S2 of Copernicus-Bench, from the IEEE GRSS Data Fusion Contest 2020.

    3156/986/986 tiles of 13 x 256 x 256 px at 10 m, top-of-atmosphere reflectance x 10000, without
    place or date. The labels 0 to 7 are the eight classes of the contest (`task.classes`); the others
    are ignored (-100).

    Layout: `dfc2020_s1s2/{s2,dfc}/<name>.tif` (`dfc` in the name reads `s2` for an image) and
    `dfc2020_s1s2/dfc-{train,val,test}-new.csv`, one name a line. Sources: arXiv:2503.11849;
    https://ieee-dataport.org/competitions/2020-ieee-grss-data-fusion-contest.
    """

    task = DFC2020_S2
    images = 's2'
