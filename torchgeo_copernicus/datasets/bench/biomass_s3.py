"""Biomass-S3: how much living wood stands on each pixel."""

from __future__ import annotations

from pathlib import Path

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.sentinel3_series import Sentinel3Series
from torchgeo_copernicus.datasets.bench.statistics import S3_STATISTICS
from torchgeo_copernicus.datasets.bench.task import Archive, BenchTask, Recipe, Target
from torchgeo_copernicus.sensors import S3_OLCI

BIOMASS_S3 = BenchTask(
    name='biomass_s3',
    title='Biomass-S3',
    kind='regression',
    archives=(
        Archive(
            'l3_biomass_s3/biomass_s3.zip',
            '1d005b200d50f2e8b5f4482959bdfa6e2d7d05a8cd828d7f438c99a4e1cfbaef',
        ),
    ),
    folder='biomass_s3',
    license='CC-BY-4.0',
    split_file='static_fnames-{}.csv',
    split_sizes={'train': 3000, 'val': 1000, 'test': 1000},
    date_pattern=r'S3[AB]_(?P<date>\d{8})T\d{6}',
    sensor=S3_OLCI,
    stored_bands=S3_OLCI.band_names,
    bands=S3_OLCI.band_names,
    native_size=96,
    grid_size=288,
    model_size=288,
    kernel_size=8,
    statistics=(S3_STATISTICS,),
    target=Target('Above-ground biomass', 'Mg/ha', 92.3196, 117.8162, 'YlGn', 'nearest'),
    metric='RMSE',
    recipe=Recipe('AdamW', lr=1e-4, weight_decay=0.01, batch_size=16),
    # The run told the encoder 23.04 km2 per token, the area of 16 pixels of 300 m, though its patches
    # have 8: as if the pixels had 600 m.
    published_gsd_m=600.0,
)


class CopernicusBenchBiomassS3(Sentinel3Series):
    """Biomass-S3 of Copernicus-Bench, from the ESA Biomass Climate Change Initiative.

    3000/1000/1000 patches of 21 x 96 x 96 px at 300 m, radiance in mW m-2 sr-1 nm-1, with above-ground
    biomass in Mg/ha on 288 x 288 px of 100 m. As published, image and target are brought to 288 px with
    cubic interpolation (no data becomes 0 before).

    `metadata` holds the true 300 m; the published run used twice that (`task.published_gsd_m`), which
    the datamodule gives to the encoder unless told otherwise.

    Layout: `biomass_s3/s3_olci/<place>/S3A_<date>T<time>.tif`, `biomass_s3/biomass/<place>.tif` and
    `biomass_s3/static_fnames-{train,val,test}.csv` with place and file. Sources: arXiv:2503.11849;
    https://catalogue.ceda.ac.uk/uuid/02e1b18071ad45a19b4d3e8adafa2817/.
    """

    task = BIOMASS_S3

    def _target_path(self, name: str) -> Path:
        return self.folder / 'biomass' / f'{name}.tif'

    def _other_paths(self, name: str) -> list[Path]:
        return [self._target_path(name)]

    def _target(self, name: str) -> Sample:
        return {'mask': self._read_values(self._target_path(name), smooth=True)}
