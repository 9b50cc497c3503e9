"""Real Sentinel images as shards: the same pixels, at their places and days, and as GeoTIFFs again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from torch import Tensor

from tests.conftest import SHARED
from torchgeo_copernicus.datasets.pretrain.convert.convert_geotiff import convert_geotiff
from torchgeo_copernicus.datasets.pretrain.convert.convert_shards import convert_shards
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream
from torchgeo_copernicus.metadata import days_since_epoch
from torchgeo_copernicus.sensors import OLCI_SCALE, S3_OLCI

from .real_cells import OLCI, Archive, arranged

pytest.importorskip('dask', reason='conversions need the extra `convert`')

QUIET: dict[str, Any] = {'scheduler': 'synchronous', 'progress': False}
SCALE = np.array([OLCI_SCALE[band] for band in S3_OLCI.band_names], np.float32)[:, None, None]


@pytest.fixture(scope='module')
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return arranged(tmp_path_factory.mktemp('real'))


@pytest.fixture(scope='module')
def shards(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cells in a shard, in the sizes that the images have, repeated to the dates of the release."""
    folder = tmp_path_factory.mktemp('shards')
    convert_shards(archive.root, folder, resize=False, cells_per_shard=2, **QUIET)
    return folder


def images(samples: Any) -> Iterator[tuple[tuple[int, str, float], Tensor, list[float]]]:
    """Yield each image with its key in the archive and its metadata."""
    for sample in samples:
        for name, found in sample['image'].items():
            each = [found] if isinstance(found, Tensor) and found.ndim == 3 else found
            rows = sample['metadata'][name].reshape(-1, 4).tolist()
            for image, row in zip(each, rows, strict=True):
                day = -1.0 if np.isnan(row[2]) else row[2]
                yield (sample['grid_id'], name, day), image, row


def test_real_pixels_come_back_exactly_at_their_places_and_days(
    archive: Archive, shards: Path
) -> None:
    stream = CopernicusPretrainStream(shards)
    seen = []
    for key, image, (lon, lat, _, gsd_m) in images(stream):
        wanted = archive.images[key].astype(np.float32)
        if key[1] == 's3_olci':
            wanted *= SCALE
        assert image.numpy().tobytes() == wanted.tobytes()
        # The name of a patch has two decimals, and an image of a cell is somewhere in it.
        off = 0.006 if MODALITIES[key[1]].local else 0.126  # type: ignore[index]
        assert (lon, lat) == pytest.approx(archive.places[key], abs=off)
        assert gsd_m > 0
        seen.append(key)
    assert sorted(seen) == sorted(archive.images)
    assert stream.faults.counts == {}


def test_a_real_place_is_drawn_at_the_date_that_is_nearest(shards: Path) -> None:
    selection = Selection(patches=1, dates='2020-08-30')
    stream = CopernicusPretrainStream(shards, ['s1_grd', 's2_toa'], selection)
    (sample,) = (s for s in stream if s['grid_id'] == Cell.at(73.31, 30.46).grid_id)
    assert float(sample['metadata']['s1_grd'][2]) == days_since_epoch('2020-09-03')
    assert float(sample['metadata']['s2_toa'][2]) == days_since_epoch('2020-08-23')


def test_real_shards_become_files_with_the_same_pixels(
    archive: Archive, shards: Path, tmp_path: Path
) -> None:
    convert_geotiff(shards, tmp_path, **QUIET)
    found = {key: (image, row) for key, image, row in images(CopernicusPretrainGeoTIFF(tmp_path))}
    assert set(found) == set(archive.images)
    for key, (image, (lon, lat, _, _)) in found.items():
        wanted = archive.images[key].astype(np.float32)
        if key[1] == 's3_olci':
            wanted *= SCALE
        assert image.numpy().tobytes() == wanted.tobytes()
        off = 0.007 if MODALITIES[key[1]].local else 0.14  # type: ignore[index]
        assert (lon, lat) == pytest.approx(archive.places[key], abs=off)


def test_real_images_of_the_size_of_the_release_are_not_resampled(
    archive: Archive, tmp_path: Path
) -> None:
    convert_shards(archive.root, tmp_path, modalities=['s2_toa', 'dem'], resize=True, **QUIET)
    same = 0
    for (grid_id, name, day), image, _ in images(CopernicusPretrainStream(tmp_path)):
        assert image.shape[-2:] == (MODALITIES[name].size_px,) * 2  # type: ignore[index]
        wanted = archive.images[grid_id, name, day]
        if wanted.shape == image.shape:
            np.testing.assert_array_equal(image.numpy(), wanted.astype(np.float32))
            same += 1
        else:
            # Bilinear: nothing beyond what was there, and about the same in the middle.
            assert wanted.min() - 0.01 <= image.min() <= image.max() <= wanted.max() + 0.01
            assert float(image.median()) == pytest.approx(np.median(wanted), rel=0.1, abs=20)
    # Three of Sentinel-2, and a crop of elevation.
    assert same == 4


def test_radiance_survives_the_way_through_counts(shards: Path) -> None:
    with rasterio.open(SHARED / 'realdata' / 'olci' / f'{OLCI}.tif') as file:
        radiance = file.read()
    (sample,) = CopernicusPretrainStream(shards, ['s3_olci'])
    assert np.isnan(radiance).any()
    np.testing.assert_allclose(sample['image']['s3_olci'][0].numpy(), radiance, rtol=3e-7)
