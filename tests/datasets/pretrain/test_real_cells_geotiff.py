"""Real Sentinel images, arranged as cells of Copernicus-Pretrain: the same pixels, at their places and days."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import rasterio
from torch import Tensor

from tests.conftest import SHARED
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.table import filtered, image_table
from torchgeo_copernicus.metadata import days_since_epoch
from torchgeo_copernicus.sensors import OLCI_SCALE, S3_OLCI

from .real_cells import OLCI, Archive, arranged


@pytest.fixture(scope='module')
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return arranged(tmp_path_factory.mktemp('real'))


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
    assert len(seen) == 17 + 12


def test_real_values_are_in_their_units(archive: Archive) -> None:
    for _, name, image, _ in images(CopernicusPretrainGeoTIFF(archive.root)):
        middle = float(image.nanmedian())
        low, high = {
            's1_grd': (-35, 5), 's2_toa': (200, 8000), 's3_olci': (5, 400), 'dem': (-10, 4000),
            's5p_no2': (1e-6, 1e-3),
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
