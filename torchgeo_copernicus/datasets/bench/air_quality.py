"""AQ-NO2-S5P and AQ-O3-S5P: air quality at the ground from columns seen from space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, Unpack

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset, Reading, one_of
from torchgeo_copernicus.datasets.bench.statistics import NO2_STATISTICS, O3_STATISTICS
from torchgeo_copernicus.datasets.bench.task import Archive, BenchTask, Recipe, Split, Target
from torchgeo_copernicus.sensors import S5P_NO2, S5P_O3

Mode = Literal['annual', 'seasonal']

_ANNUAL = '2021-01-01_2021-12-31.tif'
_SEASONAL = (
    '2021-01-01_2021-04-01.tif',
    '2021-04-01_2021-07-01.tif',
    '2021-07-01_2021-10-01.tif',
    '2021-10-01_2021-12-31.tif',
)

AQ_NO2_S5P = BenchTask(
    name='aq_no2_s5p',
    title='AQ-NO2-S5P',
    kind='regression',
    archives=(
        Archive(
            'l3_airquality_s5p/airquality_s5p.zip',
            '8d97ccd45ccb883ad2f8d94c6193be0dbf66fff2bf185a87f822d46aee454454',
        ),
    ),
    folder='airquality_s5p',
    license='CC-BY-4.0',
    split_file='no2/{}.csv',
    split_sizes={'train': 1480, 'val': 493, 'test': 494},
    # The first day of the mean, as published.
    date_pattern=r'(?P<date>\d{4}-\d{2}-\d{2})_\d{4}-\d{2}-\d{2}',
    sensor=S5P_NO2,
    stored_bands=S5P_NO2.band_names,
    bands=S5P_NO2.band_names,
    native_size=56,
    grid_size=56,
    model_size=56,
    kernel_size=4,
    statistics=(NO2_STATISTICS,),
    target=Target('NO2, annual mean', 'ug m-3', 5.3167, 3.9948, 'inferno', 'bilinear'),
    metric='RMSE',
    recipe=Recipe('AdamW', lr=1e-4, weight_decay=0.01, batch_size=16),
)
AQ_O3_S5P = replace(
    AQ_NO2_S5P,
    name='aq_o3_s5p',
    title='AQ-O3-S5P',
    split_file='o3/{}.csv',
    sensor=S5P_O3,
    stored_bands=S5P_O3.band_names,
    bands=S5P_O3.band_names,
    statistics=(O3_STATISTICS,),
    # The unit is not stated with the archive; SOMO35 is given in ug m-3 days, and the size fits.
    target=Target('O3, SOMO35', 'ug m-3 day', 4654.2632, 2589.4207, 'viridis', 'bilinear'),
)


class _AirQuality(BenchDataset):
    """Reads annual or seasonal means of a column and the annual map of a pollutant."""

    padded = True

    def __init__(
        self,
        root: Path | str = 'data',
        split: Split = 'train',
        mode: Mode = 'annual',
        **reading: Unpack[Reading],
    ) -> None:
        """Find the data.

        Args:
            root: Folder that holds the task's folder or its archive.
            split: `train`, `val` or `test`.
            mode: `annual` for the one image the benchmark uses, or `seasonal` for the means of four
                seasons; where one is missing the last is repeated, and `valid` tells.
            **reading: `bands`, `transforms`, `download` and `checksum`, see `BenchDataset`.

        Raises:
            DatasetNotFoundError: If the data is not there and *download* is False.
            ValueError: If an argument is unknown, or files are missing or damaged.
        """
        one_of('mode', mode, Mode)
        self.mode = mode
        self.dates = len(_SEASONAL) if mode == 'seasonal' else None
        super().__init__(root, split, **reading)

    @classmethod
    def is_extracted(cls, root: Path) -> bool:
        """Return whether the part of this gas is below *root*."""
        return (root / cls.task.folder / cls.task.split_file).parent.is_dir()

    def _listed(self) -> list[str]:
        places = super()._listed()
        self._files = {place: self._found(place) for place in places}
        return places

    def _found(self, place: str) -> list[Path]:
        folder = self.split_file.parent / f's5p_{self.mode}' / place
        if self.mode == 'annual':
            return [folder / _ANNUAL]
        found = [folder / name for name in _SEASONAL if (folder / name).is_file()]
        if not found:
            raise ValueError(f'{folder} holds none of {list(_SEASONAL)}. {self._advice()}')
        return found

    def _image_paths(self, name: str) -> list[Path]:
        return self._files[name]

    def _target_path(self, name: str) -> Path:
        return self.split_file.parent / 'label_annual' / f'{name}.tif'

    def _other_paths(self, name: str) -> list[Path]:
        return [self._target_path(name)]

    def _target(self, name: str) -> Sample:
        return {'mask': self._read_values(self._target_path(name), smooth=False)}


class CopernicusBenchAQNO2S5P(_AirQuality):
    """AQ-NO2-S5P of Copernicus-Bench: nitrogen dioxide at the ground in Europe in 2021.

    1480/493/494 patches of 1 x 56 x 56 px at 1 km, tropospheric column in mol m-2, with the annual mean
    of the European Environment Agency (NaN where it has none: the files hold numbers beyond 1e10).
    Image and target are brought to 56 px as published where they are not.

    Layout: `airquality_s5p/no2/{s5p_annual,s5p_seasonal}/<place>/<start>_<stop>.tif`,
    `airquality_s5p/no2/label_annual/<place>.tif` and `airquality_s5p/no2/{train,val,test}.csv`, one
    place a line. Source: arXiv:2503.11849.
    """

    task = AQ_NO2_S5P


class CopernicusBenchAQO3S5P(_AirQuality):
    """AQ-O3-S5P of Copernicus-Bench: ozone at the ground in Europe in 2021.

    1480/493/494 patches of 1 x 56 x 56 px at 1 km, total column in mol m-2, with the annual ozone
    indicator of the European Environment Agency (NaN where it has none: the files hold numbers beyond
    1e10). Image and target are brought to 56 px as published where they are not.

    Layout: `airquality_s5p/o3/{s5p_annual,s5p_seasonal}/<place>/<start>_<stop>.tif`,
    `airquality_s5p/o3/label_annual/<place>.tif` and `airquality_s5p/o3/{train,val,test}.csv`, one place
    a line. Source: arXiv:2503.11849.
    """

    task = AQ_O3_S5P
