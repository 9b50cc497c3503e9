"""Arranges real images as cells of Copernicus-Pretrain: GeoTIFFs, their list, and what is to be read."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.warp import transform

from tests.conftest import SHARED
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName
from torchgeo_copernicus.metadata import days_since_epoch
from torchgeo_copernicus.sensors import OLCI_SCALE, S2_TOA, S3_OLCI

S1_DAYS = (
    ('S1A_IW_GRDH_1SDV_20200607T010800_20200607T010825_032904_03CFBA_D457', '2020-06-07'),
    ('S1A_IW_GRDH_1SDV_20200903T131212_20200903T131237_034195_03F8F5_AC1C', '2020-09-03'),
)
S2_DAYS = (
    ('20200604T054639_20200604T054831_T43RCP', '2020-06-04'),
    ('20200823T054639_20200823T055618_T43RCP', '2020-08-23'),
)
OLCI = (
    'S3A_OL_1_EFR____20170313T110342_20170313T110642_20170314T162839_0179_015_208_2520_LN1_O_NT_002'
)


class Archive:
    """Files of cells and their list, and what they should be read as."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[str, dict[str, Any]] = {}
        self.images: dict[tuple[int, str, float], NDArray[Any]] = {}
        self.places: dict[tuple[int, str, float], tuple[float, float]] = {}

    def add(
        self, name: ModalityName, source: Path, file: str, day: str | None, patch: int = 7
    ) -> None:
        """Put a file where the list says, byte by byte."""
        with rasterio.open(source) as image:
            pixels = image.read()
            x, y = image.xy(image.height // 2, image.width // 2)
            (lon,), (lat,) = transform(image.crs, 'EPSG:4326', [x], [y])
        cell = Cell.at(lon, lat)
        entry = self.entries.setdefault(f'{cell.grid_id:07d}', {'grid_id_coord': cell.name})
        folder = f'{MODALITIES[name].folder}/{cell.name}'
        paths = entry.setdefault(name, {} if MODALITIES[name].local else [])
        if MODALITIES[name].local:
            local = f'{patch:07d}_{lon:.2f}_{lat:.2f}'
            folder, paths = f'{folder}/{local}', paths.setdefault(local, [])
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, self.root / folder / file)
        paths.append(f'{folder}/{file}')
        key = cell.grid_id, name, -1.0 if day is None else days_since_epoch(day)
        self.images[key], self.places[key] = pixels, (lon, lat)

    def add_bands(
        self, name: ModalityName, sources: list[Path], scratch: Path, file: str, day: str
    ) -> None:
        """Put bands together on the finest of their grids, each pixel repeated, and add that."""
        with rasterio.open(next(s for s in sources if s.stem in ('VV', 'B2'))) as image:
            profile = image.profile | {'count': len(sources)}
        side, layers = profile['width'], []
        for source in sources:
            with rasterio.open(source) as image:
                band = image.read(1)
            factor = side // band.shape[0]
            layers.append(band.repeat(factor, 0).repeat(factor, 1))
        with rasterio.open(scratch / file, 'w', **profile) as target:
            target.write(np.stack(layers))
        self.add(name, scratch / file, file, day)

    def add_columns(self, source: Path, scratch: Path) -> None:
        """Put the columns of the days of each month into an image; no real image of columns could be had."""
        with h5py.File(source) as file:
            values = np.asarray(file['NO2'][0], np.float32)
            days = file['t'][...]
            cell = Cell.at(float(file['lon'][0]), float(file['lat'][0]))
        start = np.datetime64('2024-01-01') + days.astype('timedelta64[D]')
        months = start.astype('datetime64[M]')
        side, pixel = 28, 0.2515 / 28
        corner = cell.longitude - 14 * pixel, cell.latitude + 14 * pixel
        for month in np.unique(months):
            image = np.resize(values[months == month], (1, side, side))
            file = f'{month}-01_{month + 1}-01.tif'
            with rasterio.open(
                scratch / file, 'w', driver='GTiff', count=1, width=side, height=side, dtype='float32',
                crs='EPSG:4326', transform=rasterio.Affine(pixel, 0, corner[0], 0, -pixel, corner[1]),
            ) as target:  # fmt: skip
                target.write(image)
            self.add('s5p_no2', scratch / file, file, f'{month}-01')


def arranged(folder: Path) -> Archive:
    """Arrange all real images that there are, below an empty folder."""
    real = (SHARED / 'realdata').resolve()
    if not real.exists():
        pytest.skip('realdata is not under COPERNICUS_SHARED')
    scratch, root = folder / 'scratch', folder / 'cells'
    scratch.mkdir()
    root.mkdir()
    made = Archive(root)
    tile = '20201002T221611_20201002T221610_T60HWB.tif'
    made.add('s2_toa', real / 'copernicus_fm' / tile, tile, '2020-10-02')
    place = real / 'ssl4eo_s12'
    for product, day in S1_DAYS:
        bands = [place / 's1/0000200' / product / f'{band}.tif' for band in ('VV', 'VH')]
        made.add_bands('s1_grd', bands, scratch, f'{product}.tif', day)
    for product, day in S2_DAYS:
        names = [band.replace('B0', 'B') for band in S2_TOA.band_names]
        bands = [place / 's2c/0000200' / product / f'{band}.tif' for band in names]
        made.add_bands('s2_toa', bands, scratch, f'{product}.tif', day)
    made.add(
        'dem',
        real / 'dem' / 'Copernicus_DSM_COG_10_N00_00_E006_00_DEM__crop960.tif',
        'dem.tif',
        None,
    )
    made.add('dem', real / 'dem' / 'Copernicus_DSM_COG_30_S90_00_W164_00_DEM.tif', 'dem.tif', None)
    for number, chip in enumerate(('282D_485L_3_3', '38D_378R_2_3', '637U_59R_1_3')):
        # These chips have no date; the day is made up.
        day = f'2021-0{number + 1}-15'
        stamp = day.replace('-', '')
        folder = real / 'terramind'
        made.add('s1_grd', folder / 'S1RTC' / f'{chip}.tif', f'S1A_IW_{stamp}T1.tif', day)
        made.add('s2_toa', folder / 'S2L1C' / f'{chip}.tif', f'{stamp}T1_T2.tif', day)
        made.add('dem', folder / 'DEM' / f'{chip}.tif', 'dem.tif', None)
    # Stored as radiance; the dataset holds counts.
    scale = np.array([OLCI_SCALE[band] for band in S3_OLCI.band_names], np.float32)[:, None, None]
    with rasterio.open(real / 'olci' / f'{OLCI}.tif') as image:
        counts = image.read() / scale
        with rasterio.open(scratch / 'olci.tif', 'w', **image.profile) as target:
            target.write(counts)
    file = 'S3A_20170313T110342_20170313T110642.tif'
    made.add('s3_olci', scratch / 'olci.tif', file, '2017-03-13')
    made.add_columns(real / 's5p' / 'NO2_2024_Muscat.nc', scratch)
    with gzip.open(made.root / 'fnames_real_union.json.gz', 'wt') as target:
        json.dump(made.entries, target)
    return made
