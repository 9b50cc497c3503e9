"""Real Sentinel images, arranged as cells of Copernicus-Pretrain: the same pixels, at their places and days."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.warp import transform
from torch import Tensor

from tests.conftest import SHARED
from torchgeo_copernicus.datasets.pretrain.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.table import filtered, image_table
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


@pytest.fixture(scope='module')
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    real = (SHARED / 'realdata').resolve()
    if not real.exists():
        pytest.skip('realdata is not under COPERNICUS_SHARED')
    scratch = tmp_path_factory.mktemp('scratch')
    made = Archive(tmp_path_factory.mktemp('cells'))
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
    with gzip.open(made.root / 'fnames_real_union.json.gz', 'wt') as target:
        json.dump(made.entries, target)
    return made


def images(dataset: CopernicusPretrainGeoTIFF) -> Iterator[tuple[int, str, Tensor, list[float]]]:
    for sample in dataset:
        for name, found in sample['image'].items():
            each = [found] if isinstance(found, Tensor) else found
            rows = sample['metadata'][name].reshape(-1, 4).tolist()
            for image, row in zip(each, rows, strict=True):
                yield sample['grid_id'], name, image, row


def test_real_pixels_come_back_exactly_at_their_places_and_days(archive: Archive) -> None:
    scale = np.array([OLCI_SCALE[band] for band in S3_OLCI.band_names], np.float32)[:, None, None]
    seen = set()
    for grid_id, name, image, (lon, lat, day, gsd_m) in images(
        CopernicusPretrainGeoTIFF(archive.root)
    ):
        key = grid_id, name, -1.0 if np.isnan(day) else day
        wanted = archive.images[key].astype(np.float32)
        np.testing.assert_array_equal(
            image.numpy(), wanted * scale if name == 's3_olci' else wanted
        )
        assert (lon, lat) == pytest.approx(archive.places[key], abs=1e-4)
        assert gsd_m > 0
        if name in ('s1_grd', 's2_toa'):
            assert gsd_m == pytest.approx(10, rel=0.1)
        seen.add(key)
    assert seen == set(archive.images)
    assert len(seen) == 17


def test_real_values_are_in_their_units(archive: Archive) -> None:
    for _, name, image, _ in images(CopernicusPretrainGeoTIFF(archive.root)):
        middle = float(image.nanmedian())
        low, high = {
            's1_grd': (-35, 5), 's2_toa': (200, 8000), 's3_olci': (5, 400), 'dem': (-10, 4000)
        }[name]  # fmt: skip
        assert low < middle < high, name


def test_radiance_survives_the_way_through_counts(archive: Archive) -> None:
    with rasterio.open(SHARED / 'realdata' / 'olci' / f'{OLCI}.tif') as file:
        radiance = file.read()
    dataset = CopernicusPretrainGeoTIFF(archive.root, modalities=['s3_olci'])
    (found,) = dataset[0]['image']['s3_olci']
    assert np.isnan(radiance).any()
    np.testing.assert_allclose(found.numpy(), radiance, rtol=3e-7)


def test_a_real_place_is_drawn_at_the_date_that_is_nearest(archive: Archive) -> None:
    selection = Selection(patches=1, dates='2020-08-30')
    grid = Cell.at(73.31, 30.46).grid_id
    sample = CopernicusPretrainGeoTIFF(archive.root, selection=selection, grids=[grid])[0]
    assert float(sample['metadata']['s1_grd'][2]) == days_since_epoch('2020-09-03')
    assert float(sample['metadata']['s2_toa'][2]) == days_since_epoch('2020-08-23')


def test_the_table_finds_real_places_by_region(archive: Archive) -> None:
    table = image_table(CopernicusPretrainGeoTIFF(archive.root).files)
    new_zealand = filtered(table, (166, -48, 179, -34))
    assert new_zealand['path'].str.endswith('T60HWB.tif').tolist() == [True]
    assert set(filtered(table, (-180, -90, 180, -85))['modality']) == {'dem'}
