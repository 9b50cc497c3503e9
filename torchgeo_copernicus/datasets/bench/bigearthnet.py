"""BigEarthNet-S1 and BigEarthNet-S2: several land covers of one patch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.statistics import S1_STATISTICS, S2_STATISTICS
from torchgeo_copernicus.datasets.bench.table import LabelTable, read_label_table
from torchgeo_copernicus.datasets.bench.task import Archive, BenchTask, Recipe
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

# Level-2A, so without B10.
_S2_BANDS = tuple(name for name in S2_TOA.band_names if name != 'B10')

BIGEARTHNET_S2 = BenchTask(
    name='bigearthnet_s2',
    title='BigEarthNet-S2',
    kind='multilabel',
    archives=(
        Archive(
            'l2_bigearthnet_s1s2/bigearthnetv2.zip',
            'f0d0444ce88b6d208d6cc29d3790c500eb1ceb9c188560bf7ab54f11ed99b31b',
        ),
    ),
    folder='bigearthnet_s1s2',
    license='CDLA-Permissive-1.0',
    split_file='multilabel-{}.csv',
    split_sizes={'train': 11894, 'val': 6117, 'test': 5991},
    date_pattern=r'S2[AB]_[^_]+_(?P<date>\d{8})T\d{6}',
    sensor=S2_TOA,
    stored_bands=_S2_BANDS,
    bands=_S2_BANDS,
    native_size=120,
    model_size=224,
    kernel_size=16,
    statistics=(S2_STATISTICS,),
    classes=(
        'Urban fabric',
        'Industrial or commercial units',
        'Arable land',
        'Permanent crops',
        'Pastures',
        'Complex cultivation patterns',
        'Land principally occupied by agriculture, with significant areas of natural vegetation',
        'Agro-forestry areas',
        'Broad-leaved forest',
        'Coniferous forest',
        'Mixed forest',
        'Natural grassland and sparsely vegetated areas',
        'Moors, heathland and sclerophyllous vegetation',
        'Transitional woodland, shrub',
        'Beaches, dunes, sands',
        'Inland wetlands',
        'Coastal wetlands',
        'Inland waters',
        'Marine waters',
    ),
    metric='mAP',
    recipe=Recipe('SGD', lr=1.0, weight_decay=1e-4, batch_size=64),
)
BIGEARTHNET_S1 = replace(
    BIGEARTHNET_S2,
    name='bigearthnet_s1',
    title='BigEarthNet-S1',
    date_pattern=r'S1[AB]_[^_]+_[^_]+_[^_]+_(?P<date>\d{8})T\d{6}',
    sensor=S1_GRD,
    stored_bands=S1_GRD.band_names,
    bands=S1_GRD.band_names,
    statistics=(S1_STATISTICS,),
)


class _BigEarthNet(BenchDataset):
    """Reads patches that a table lists with their labels."""

    #: Column of the image's path, and the folder it starts from.
    column: ClassVar[str]
    images: ClassVar[str]
    _table: LabelTable

    def _listed(self) -> list[str]:
        self._lines(self.split_file)  # Says so if it is not there.
        self._table = read_label_table(
            self.split_file, self.task.classes, others=('s1_path', 's2_path')
        )
        names: list[str] = self._table.others[self.column]
        if len(set(names)) < len(names):
            raise ValueError(f'{self.split_file} lists a patch twice.')
        self._rows = {name: row for row, name in enumerate(names)}
        return names

    def _image_path(self, name: str) -> Path:
        return self.folder / self.images / name

    def _target(self, name: str) -> Sample:
        return {'label': self._table.labels[self._rows[name]].clone()}


class CopernicusBenchBigEarthNetS1(_BigEarthNet):
    """BigEarthNet-S1 of Copernicus-Bench, 5 % of BigEarthNet v2.

    11894/6117/5991 patches of 2 x 120 x 120 px at 10 m, backscatter in dB, with 19 labels each of which
    is 0 or 1 (see `task.classes`).

    Layout: `bigearthnet_s1s2/BigEarthNet-S1-5%/<path>` and
    `bigearthnet_s1s2/multilabel-{train,val,test}.csv` with the columns `s1_path`, `s2_path` and one for
    each class. Sources: arXiv:2503.11849; arXiv:2407.03653.
    """

    task = BIGEARTHNET_S1
    column = 's1_path'
    images = 'BigEarthNet-S1-5%'


class CopernicusBenchBigEarthNetS2(_BigEarthNet):
    """BigEarthNet-S2 of Copernicus-Bench, 5 % of BigEarthNet v2.

    11894/6117/5991 patches of 12 x 120 x 120 px at 10 m, surface reflectance x 10000, with 19 labels
    each of which is 0 or 1 (see `task.classes`).

    Layout: `bigearthnet_s1s2/BigEarthNet-S2-5%/<path>` and
    `bigearthnet_s1s2/multilabel-{train,val,test}.csv` with the columns `s1_path`, `s2_path` and one for
    each class. Sources: arXiv:2503.11849; arXiv:2407.03653.
    """

    task = BIGEARTHNET_S2
    column = 's2_path'
    images = 'BigEarthNet-S2-5%'
