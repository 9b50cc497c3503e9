"""LCZ-S2: local climate zones of cities."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import torch
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.statistics import LCZ_STATISTICS
from torchgeo_copernicus.datasets.bench.task import Archive, BenchTask, Recipe
from torchgeo_copernicus.download import fetch
from torchgeo_copernicus.metadata import acquisition_metadata
from torchgeo_copernicus.sensors import S2_TOA

_BANDS = tuple(LCZ_STATISTICS.mean)

LCZ_S2 = BenchTask(
    name='lcz_s2',
    title='LCZ-S2',
    kind='classification',
    archives=(
        Archive(
            'l3_lcz_s2/lcz_train.h5',
            'b3e7297df254a959a00be63a312b81d6938bd201b4e8dbf77b5f9d0c9a48c54d',
        ),
        Archive(
            'l3_lcz_s2/lcz_val.h5',
            '3d1a0d8aa4bd80a791b0ad8cfeeec2bbe21278218d294487f3d7eca8d63f4b4b',
        ),
        Archive(
            'l3_lcz_s2/lcz_test.h5',
            'd2c923ed694ea4c531a9996ae924f8360c439cd7f9b5797fcc244f719e8a058f',
        ),
    ),
    folder='lcz_s2',
    license='CC-BY-4.0',
    split_file='lcz_{}.h5',
    split_sizes={'train': 15000, 'val': 5000, 'test': 5000},
    date_pattern=None,
    sensor=S2_TOA,
    stored_bands=_BANDS,
    bands=_BANDS,
    native_size=32,
    model_size=112,
    kernel_size=16,
    statistics=(LCZ_STATISTICS,),
    classes=(
        'Compact high rise',
        'Compact mid rise',
        'Compact low rise',
        'Open high rise',
        'Open mid rise',
        'Open low rise',
        'Lightweight low rise',
        'Large low rise',
        'Sparsely built',
        'Heavy industry',
        'Dense trees',
        'Scattered trees',
        'Bush, scrub',
        'Low plants',
        'Bare rock or paved',
        'Bare soil or sand',
        'Water',
    ),
    metric='OA',
    recipe=Recipe('SGD', lr=0.1, weight_decay=1e-4, batch_size=64),
)


class CopernicusBenchLCZS2(BenchDataset):
    """LCZ-S2 of Copernicus-Bench, from So2Sat LCZ42.

    15000/5000/5000 patches of 10 x 32 x 32 px at 10 m (the bands of 10 and 20 m), reflectance from 0 to
    1 (not x 10000), without place or date. Labels 0 to 16 are the 17 zones (`task.classes`).

    A file is opened once in each process, not once for each sample.

    Layout: `lcz_{train,val,test}.h5` with `sen2` (N, 32, 32, 10) and `label` (N, 17), in the root (as
    TorchGeo has it), in `lcz_s2/` or in `lcz_s1s2/`. Sources: arXiv:2503.11849;
    https://doi.org/10.1109/MGRS.2020.2964708.
    """

    task = LCZ_S2

    _file: h5py.File | None = None
    # Looked up once: by name it takes a tenth of the time of a sample.
    _images: h5py.Dataset
    _owner = 0

    @classmethod
    def is_extracted(cls, root: Path) -> bool:
        """Return whether the files of all splits are below *root*."""
        return all(_folders_with(archive.name, root) for archive in cls.task.archives)

    def _find(self) -> None:
        name = self.task.split_file.format(self.split)
        root = Path(self.root)
        found = _folders_with(name, root)
        self.folder = found[0] if found else root / self.task.folder
        self.split_file = self.folder / name
        if not found and not self.download:
            raise DatasetNotFoundError(self)
        if not found:
            fetch(self.url, self.split_file, sha256=self._archive.sha256)

    @property
    def _archive(self) -> Archive:
        name = self.task.split_file.format(self.split)
        return next(archive for archive in self.task.archives if archive.name == name)

    @property
    def url(self) -> str:
        """Download address of the split's file."""
        return self._archive.url

    def _listed(self) -> list[str]:
        data = self._open()
        wanted = {'sen2': (32, 32, len(_BANDS)), 'label': (len(self.task.classes),)}
        for key, shape in wanted.items():
            found = data[key].shape if key in data else None
            if found is None or found[1:] != shape:
                wanted_shape = ', '.join(str(side) for side in shape)
                raise ValueError(
                    f'{self.split_file}: {key} has shape {found}, wanted (N, {wanted_shape}).'
                )
        labels = torch.from_numpy(data['label'][:]).long()
        if len(labels) != len(data['sen2']):
            raise ValueError(
                f'{self.split_file} has {len(data["sen2"])} images and {len(labels)} labels.'
            )
        if not bool(((labels == 0) | (labels == 1)).all() and (labels.sum(dim=1) == 1).all()):
            raise ValueError(f'{self.split_file}: a label does not name exactly one class.')
        self._labels = labels.argmax(dim=1)
        return [str(index) for index in range(len(labels))]

    def _check_presence(self) -> None:
        """Leave it: all samples are in one file."""

    def _open(self) -> h5py.File:
        """Return the file, opened by this process."""
        # HDF5 files must not cross a fork.
        if self._file is None or self._owner != os.getpid():
            try:
                self._file = h5py.File(self.split_file, 'r')
            except OSError as error:
                raise ValueError(
                    f'{self.split_file} cannot be read ({error}); it is cut off or no HDF5 file.'
                ) from error
            self._images = self._file.get('sen2')
            self._owner = os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, object]:
        """Leave the open file behind: another process opens its own."""
        left = ('_file', '_images')
        return {key: value for key, value in self.__dict__.items() if key not in left}

    def _load(self, name: str) -> Sample:
        try:
            self._open()
            stored = torch.from_numpy(self._images[int(name)])
        except OSError as error:
            raise ValueError(
                f'{self.split_file}: image {name} cannot be read ({error}).'
            ) from error
        image = stored.permute(2, 0, 1)[self.band_indices].float().contiguous()
        size = (image.shape[1], image.shape[2])
        metadata = acquisition_metadata(None, None, size, None, gsd_m=self.task.sensor.gsd_m)
        return {'image': image, 'metadata': metadata, 'filename': f'{self.split_file}#{name}'}

    def _image_paths(self, name: str) -> list[Path]:
        return [self.split_file]

    def _target(self, name: str) -> Sample:
        return {'label': self._labels[int(name)].clone()}


def _folders_with(name: str, root: Path) -> list[Path]:
    """Return the folders below *root* that hold a file: ours, the official one, TorchGeo's."""
    folders = (root / LCZ_S2.folder, root / 'lcz_s1s2', root)
    return [folder for folder in folders if (folder / name).is_file()]
