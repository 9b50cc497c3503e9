"""The real place 0000200 of SSL4EO-S12 v1.0, turned into v1.1 and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr

from tests.conftest import SHARED
from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.convert.v10 import convert_v10
from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import FOLDERS, SSL4EOS12v10
from torchgeo_copernicus.datasets.ssl4eo.v10.scene import file_name

pytest.importorskip('dask', reason='conversions need the extra `convert`')

THREE: Any = ('S1GRD', 'S2L1C', 'S2L2A')
SCENES = {
    'S1GRD': [
        'S1A_IW_GRDH_1SDV_20200607T010800_20200607T010825_032904_03CFBA_D457',
        'S1A_IW_GRDH_1SDV_20200903T131212_20200903T131237_034195_03F8F5_AC1C',
    ],
    'S2L1C': ['20200604T054639_20200604T054831_T43RCP', '20200823T054639_20200823T055618_T43RCP'],
    'S2L2A': ['20200604T054639_20200604T054831_T43RCP'],
}
TIMES = {
    'S1GRD': ['2020-06-07T01:08:00', '2020-09-03T13:12:12'],
    'S2L1C': ['2020-06-04T05:46:39', '2020-08-23T05:46:39'],
    'S2L2A': ['2020-06-04T05:46:39'],
}


@pytest.fixture(scope='module')
def real() -> Path:
    path = SHARED.joinpath('realdata', 'ssl4eo_s12').resolve()
    if not path.exists():
        pytest.skip('realdata/ssl4eo_s12 is not under COPERNICUS_SHARED')
    return path


@pytest.fixture(scope='module')
def converted(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('real')
    report = convert_v10(real, root, incomplete='keep', scheduler='synchronous', progress=False)
    assert report.counts == {'missing_px': 0, 'saturated_px': 0}
    return root


def opened(root: Path, modality: str) -> xr.Dataset:
    name = 'ssl4eos12_train_seasonal_data_000001.zarr.zip'
    return xr.open_zarr(zarr.storage.ZipStore(root / 'train' / modality / name, mode='r'))


@pytest.mark.parametrize('modality', THREE)
def test_the_pixels_are_those_of_the_geotiffs(real: Path, converted: Path, modality: Any) -> None:
    with opened(converted, modality) as ds:
        values = ds.bands.values[0]
    for date, scene in enumerate(SCENES[modality]):
        for band, label in enumerate(MODALITY_BANDS[modality]):
            path = real / FOLDERS[modality] / '0000200' / scene / file_name(label)
            with rasterio.open(path) as file:
                plane = file.read(1)
            step = 264 // len(plane)
            plane = np.kron(plane, np.ones((step, step), plane.dtype))
            if modality == 'S1GRD':
                # Half a step of float16 at these values.
                assert np.abs(values[date, band].astype(np.float64) - plane).max() <= 2**-6
                np.testing.assert_array_equal(values[date, band], plane.astype(np.float16))
            else:
                np.testing.assert_array_equal(values[date, band].astype(int) - 1000, plane)


@pytest.mark.parametrize('modality', THREE)
def test_xarray_and_the_dataset_read_the_same(real: Path, converted: Path, modality: Any) -> None:
    dataset = SSL4EOS12v11(converted, modalities=modality, dates='each')
    assert len(dataset) == len(SCENES[modality])
    (old,) = SSL4EOS12v10(real, [modality], resampling='nearest', incomplete='keep')
    with opened(converted, modality) as ds:
        names = ['vv', 'vh'] if modality == 'S1GRD' else list(MODALITY_BANDS[modality])
        assert ds.band.values.tolist() == names
        assert ds.file_id.values.tolist() == [SCENES[modality]]
        assert ds['sample'].values.tolist() == ['0000200']
        np.testing.assert_array_equal(
            ds.time_.values[0], np.array(TIMES[modality], 'datetime64[ns]')
        )
        offset = 0 if modality == 'S1GRD' else 1000
        for date, sample in enumerate(dataset):
            stored = ds.bands.values[0, date].astype(np.float32) - offset
            np.testing.assert_array_equal(sample['image'].numpy(), stored)
            image = old['image'][date]
            assert (sample['image'] == (image.half().float() if not offset else image)).all()
            assert sample['file_id'] == SCENES[modality][date]
            np.testing.assert_allclose(sample['metadata'], old['metadata'][date], atol=3e-4)


def test_the_place_is_in_the_zone_of_its_tile(converted: Path) -> None:
    for modality in THREE:
        with opened(converted, modality) as ds:
            assert ds.crs.values.tolist() == [32643]
            assert float(ds.center_lon[0]) == pytest.approx(73.3059, abs=2e-4)
            assert float(ds.center_lat[0]) == pytest.approx(30.4640, abs=2e-4)
            assert ds.x_.values[0, [0, -1]].tolist() == [336045, 338675]
            assert ds.y_.values[0, [0, -1]].tolist() == [3372735, 3370105]


def test_an_incomplete_place_is_not_converted_unasked(real: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='1 of 1 places have other than 4 dates'):
        convert_v10(real, tmp_path / 'out', progress=False)
