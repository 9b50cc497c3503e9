"""Flood-S1: what a flood covered, from Sentinel-1 images before and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import torch
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset, Reading, one_of
from torchgeo_copernicus.datasets.bench.statistics import FLOOD_STATISTICS, FLOOD_STATISTICS_AFTER
from torchgeo_copernicus.datasets.bench.task import Archive, BenchTask, Recipe, Split
from torchgeo_copernicus.datasets.raster import Raster, read_raster
from torchgeo_copernicus.sensors import S1_GRD

Mode = Literal[1, 2]

FLOOD_S1 = BenchTask(
    name='flood_s1',
    title='Flood-S1',
    kind='change',
    archives=(
        Archive(
            'l3_flood_s1/flood_s1.zip',
            'aecaa4437dcc6575900531d7ade8752c1883d721782020d188b9d1df626762fd',
        ),
    ),
    folder='flood_s1',
    license='MIT',
    split_file='grid_dict_{}.json',
    split_sizes={'train': 3000, 'val': 1000, 'test': 1000},
    # The last field: the number of an event before it has three digits or seven.
    date_pattern=r'.*_(?P<date>\d{8})\.tif$',
    sensor=S1_GRD,
    stored_bands=S1_GRD.band_names,
    bands=S1_GRD.band_names,
    native_size=224,
    model_size=224,
    kernel_size=16,
    statistics=(FLOOD_STATISTICS, FLOOD_STATISTICS_AFTER),
    classes=('No Water', 'Permanent Water', 'Flood'),
    colors=('#d9d0b4', '#1f4e9c', '#e0218a'),
    # 3 is outside of the area of interest.
    ignored_codes=(3,),
    clip=(0.0, 0.15),
    metric='mIoU',
    recipe=Recipe('AdamW', lr=1e-3, weight_decay=0.01, batch_size=16),
)


class CopernicusBenchFloodS1(BenchDataset):
    """Flood-S1 of Copernicus-Bench, from Kuro Siwo.

    3000/1000/1000 places, each with an image before (`mode=1`) or two (`mode=2`) and one after the
    flood: `image` is `[T, 2, 224, 224]` by date with T = mode + 1, backscatter as linear power (not
    dB), NaN where there is none. `metadata` has a date for each.

    | label | class |
    |---|---|
    | 0 | No Water |
    | 1 | Permanent Water |
    | 2 | Flood |
    | -100 | outside of the area of interest (3 in the files), ignored |

    Layout: `flood_s1/data/<path>/{SL2,SL1,MS1}_{IVV,IVH}_<event>_<area>_<date>.tif` and
    `MK0_MLU_*.tif`, `flood_s1/grid_dict_{train,val,test}.json` with the path of each sample, whose
    order is kept. Sources: arXiv:2503.11849; arXiv:2311.12056.
    """

    task = FLOOD_S1

    def __init__(
        self,
        root: Path | str = 'data',
        split: Split = 'train',
        mode: Mode = 1,
        **reading: Unpack[Reading],
    ) -> None:
        """Find the data.

        Args:
            root: Folder that holds the task's folder or its archive.
            split: `train`, `val` or `test`.
            mode: Number of images before the flood, 1 as published or 2.
            **reading: `bands`, `transforms`, `download` and `checksum`, see `BenchDataset`.

        Raises:
            DatasetNotFoundError: If the data is not there and *download* is False.
            ValueError: If an argument is unknown, or files are missing or damaged.
        """
        one_of('mode', mode, Mode)
        self.mode = mode
        self.dates = mode + 1
        super().__init__(root, split, **reading)

    def _listed(self) -> list[str]:
        text = '\n'.join(self._lines(self.split_file))
        try:
            entries = json.loads(text)
            names = [str(entry['path']) for entry in entries.values()]
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f'{self.split_file} is not a dictionary of samples with a path each: {error!r}'
            ) from error
        # Once for all: the names hold dates, which nothing lists.
        prefixes = ['SL2', 'SL1', 'MS1'][2 - self.mode :]
        self._files = {name: self._found(name, prefixes) for name in names}
        return names

    def _found(self, name: str, prefixes: list[str]) -> dict[str, Path]:
        """Return the files of a sample by what they are, such as `MS1_IVV` and `MK0_MLU`."""
        folder = self.folder / 'data' / name.strip('/')
        if not folder.is_dir():
            raise ValueError(f'{folder} of {self.split_file} is missing. {self._advice()}')
        present: dict[str, Path] = {}
        for path in sorted(folder.glob('*.tif')):
            if path.name[:7] in present:
                raise ValueError(
                    f'{folder} holds both {present[path.name[:7]].name} and {path.name}; only one '
                    'of them can be meant.'
                )
            present[path.name[:7]] = path
        wanted = [f'{prefix}_I{band}' for prefix in prefixes for band in self.bands]
        if missing := [key for key in (*wanted, 'MK0_MLU') if key not in present]:
            raise ValueError(f'{folder} holds no {missing[0]}_*.tif. {self._advice()}')
        return {key: present[key] for key in (*wanted, 'MK0_MLU')}

    def _image_paths(self, name: str) -> list[Path]:
        # One of the bands stands for a date; _read_image finds the others.
        first = f'_I{self.bands[0]}'
        return [path for key, path in self._files[name].items() if key.endswith(first)]

    def _read_image(self, path: Path) -> Raster:
        first = f'_I{self.bands[0]}_'
        paths = [path.with_name(path.name.replace(first, f'_I{band}_', 1)) for band in self.bands]
        rasters = [read_raster(path, bands=1) for path in paths]
        if not all(_same_grid(rasters[0], raster) for raster in rasters):
            raise ValueError(f'{path} is not on the grid of the other band of its date.')
        pixels = np.concatenate([raster.pixels for raster in rasters])
        return Raster(pixels, rasters[0].crs, rasters[0].transform)

    def _frame(self, path: Path) -> tuple[Tensor, Tensor]:
        image, metadata = super()._frame(path)
        # Linear power of a place without a measurement is NaN or infinite.
        return image.masked_fill(~image.isfinite(), torch.nan), metadata

    def _check_presence(self) -> None:
        """Leave it: the folders were read to find the names."""

    def _target(self, name: str) -> Sample:
        return {'mask': self._read_mask(self._files[name]['MK0_MLU'])}


def _same_grid(one: Raster, other: Raster) -> bool:
    """Return whether two rasters cover the same ground, to half a pixel."""
    return (
        one.pixels.shape == other.pixels.shape
        and one.crs == other.crs
        and one.transform.almost_equals(other.transform, abs(one.transform.a) / 2)
    )
