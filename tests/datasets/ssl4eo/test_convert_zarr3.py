"""SSL4EO-S12 v1.1 as Zarr 3 stores, beside what our dataset reads from the original files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import file_arrays, paint_place
from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.convert import zarr3 as convert_zarr3
from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip_writer import NewArray, write_zarr_zip

pytest.importorskip('dask', reason='conversions need the extra `convert`')
pytestmark = pytest.mark.skipif(not hasattr(zarr, 'create_group'), reason='needs zarr 3')

TWO: Any = ('S2L2A', 'S1GRD')


def convert(root: Path, output: Path, modalities: Any = TWO, **options: Any) -> Any:
    options = {'places_per_shard': 3, 'scheduler': 'synchronous', 'progress': False, **options}
    return convert_zarr3.convert_zarr3(root, output, modalities=modalities, **options)


@pytest.fixture(scope='module')
def stores(v11_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('zarr3')
    convert(v11_root, folder)
    return folder / 'train'


def opened(stores: Path, modality: str) -> xr.Dataset:
    with warnings.catch_warnings():
        # Nothing is missing, and nothing is against the specification.
        warnings.simplefilter('error')
        return xr.open_zarr(stores / f'{modality}.zarr', chunks=None)


@pytest.mark.parametrize('modality', TWO)
def test_every_place_and_date_is_the_same_image(
    v11_root: Path, stores: Path, modality: Any
) -> None:
    dataset = SSL4EOS12v11(
        v11_root, modalities=modality, keep_offset=True, cloud_mask=modality[1] == '2'
    )
    with opened(stores, modality) as ds:
        assert ds.bands.dtype == ('float16' if modality == 'S1GRD' else 'int16')
        assert ds.sizes['sample'] == len(dataset) == 8
        for place, sample in enumerate(dataset):
            row = ds.isel(sample=place)
            np.testing.assert_array_equal(row.bands.values, sample['image'].numpy())
            assert str(row['sample'].values) == sample['sample_id']
            assert row.file_id.values.tolist() == sample['file_id']
            days = row.time_.values.astype('datetime64[D]').astype(int)
            assert days.tolist() == sample['metadata'][:, 2].tolist()
            assert (row.center_lon, row.center_lat) == pytest.approx(
                sample['metadata'][0, :2].tolist(), abs=1e-5
            )
            assert int(row.crs) == int(sample['crs'])
            assert (np.diff(row.x_) == 10).all()
            if 'cloud_mask' in sample:
                np.testing.assert_array_equal(row.cloud_mask.values, sample['cloud_mask'].numpy())
        names = ['vv', 'vh'] if modality == 'S1GRD' else list(MODALITY_BANDS[modality])
        assert ds.band.values.tolist() == names
        assert ('cloud_mask' in ds) == (modality != 'S1GRD')


def test_places_are_found_by_id_bands_by_name(v11_root: Path, stores: Path) -> None:
    sample = SSL4EOS12v11(v11_root, modalities='S2L2A', bands=['B8A'], keep_offset=True)[5]
    with opened(stores, 'S2L2A') as ds:
        image = ds.bands.sel(sample=sample['sample_id'], band='B8A').values
    np.testing.assert_array_equal(image, sample['image'][:, 0].numpy())


def test_the_offset_is_told_not_applied_by_the_reader(
    stores: Path, v11_tars: Path, tmp_path: Path
) -> None:
    with opened(stores, 'S2L2A') as ds:
        assert ds.bands.attrs == {'offset_dn': 1000.0}
        assert ds.attrs['split'] == 'train'
        assert 'zarr edition' in ds.attrs['source']
        with_offset = ds.bands.values
    with opened(stores, 'S1GRD') as ds:
        assert ds.bands.attrs == {}
    convert(v11_tars, tmp_path)
    with opened(tmp_path / 'train', 'S2L2A') as ds:
        assert ds.bands.attrs == {}
        np.testing.assert_array_equal(ds.bands.values, with_offset - 1000)


def test_one_image_is_one_chunk_and_some_places_one_file(stores: Path) -> None:
    array = zarr.open_array(stores / 'S2L2A.zarr' / 'bands', mode='r')
    assert array.chunks == (1, 1, 12, 48, 48)
    assert array.shards == (3, 4, 12, 48, 48)
    files = [p for p in (stores / 'S2L2A.zarr' / 'bands' / 'c').rglob('*') if p.is_file()]
    assert len(files) == 3


def test_shards_of_all_places_or_of_one_hold_the_same(
    v11_root: Path, stores: Path, tmp_path: Path
) -> None:
    with opened(stores, 'S2L2A') as ds:
        expected = ds.load()
    for count in (1, 100):
        # Masks of a single cover are chunks of zeros alone, which zarr would leave out.
        convert(v11_root, tmp_path / str(count), ['S2L2A'], places_per_shard=count)
        with opened(tmp_path / str(count) / 'train', 'S2L2A') as ds:
            xr.testing.assert_identical(ds.load(), expected)


def test_masks_of_land_alone_are_written_too(tmp_path: Path) -> None:
    # zarr leaves out chunks that hold zeros only, and then the shard would be no file.
    arrays = file_arrays([paint_place(0, 1, 48)], 'S2L2A')
    mask = arrays['cloud_mask']
    arrays['cloud_mask'] = NewArray(np.zeros_like(mask.values), mask.dims, mask.chunks)
    folder = tmp_path / 'in' / 'train' / 'S2L2A'
    folder.mkdir(parents=True)
    write_zarr_zip(folder / 'ssl4eos12_train_seasonal_data_000001.zarr.zip', arrays)
    convert(tmp_path / 'in', tmp_path / 'out', ['S2L2A'])
    with opened(tmp_path / 'out' / 'train', 'S2L2A') as ds:
        assert not ds.cloud_mask.values.any()


def test_the_codec_is_that_asked_for(v11_root: Path, tmp_path: Path) -> None:
    for codec in ('lz4', 'zstd'):
        convert(v11_root, tmp_path / codec, ['S1GRD'], codec=codec)
        text = (tmp_path / codec / 'train' / 'S1GRD.zarr' / 'bands' / 'zarr.json').read_text()
        assert f'"cname": "{codec}"' in text


def test_half_a_store_cannot_be_opened(
    v11_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Missing shards would read as zeros, and nobody would notice.
    write = convert_zarr3._write_shard

    def fail(*arguments: Any) -> Mapping[str, int]:
        if 'c/2/0' in arguments[3]:
            raise ValueError('killed')
        return write(*arguments)

    monkeypatch.setattr(convert_zarr3, '_write_shard', fail)
    with pytest.raises(ValueError, match='killed'):
        convert(v11_root, tmp_path, ['S1GRD'])
    with pytest.raises((FileNotFoundError, zarr.errors.GroupNotFoundError)):
        xr.open_zarr(tmp_path / 'train' / 'S1GRD.zarr', consolidated=False)
    monkeypatch.setattr(convert_zarr3, '_write_shard', write)
    convert(v11_root, tmp_path, ['S1GRD'])
    assert not convert(v11_root, tmp_path, ['S1GRD']).written
    with opened(tmp_path / 'train', 'S1GRD') as ds:
        assert np.isfinite(ds.bands.values).all()


def test_shards_of_two_sizes_are_not_mixed(v11_root: Path, tmp_path: Path) -> None:
    convert(v11_root, tmp_path, ['S1GRD'], places_per_shard=4)
    with pytest.raises(ValueError, match=r'would not make|made with other'):
        convert(v11_root, tmp_path, ['S1GRD'], places_per_shard=8)


def test_a_file_alone_can_be_converted(v11_root: Path, tmp_path: Path) -> None:
    name = ['ssl4eos12_train_seasonal_data_000002.zarr.zip']
    convert(v11_root, tmp_path, ['S1GRD'], files=name)
    expected = SSL4EOS12v11(v11_root, modalities='S1GRD', files=name)
    with opened(tmp_path / 'train', 'S1GRD') as ds:
        assert ds['sample'].values.tolist() == [sample['sample_id'] for sample in expected]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'split': 'test'}, 'split'),
        ({'codec': 'zip'}, 'codec'),
        ({'modalities': []}, 'modalities'),
        ({'modalities': 'S2L2A'}, 'modalities'),
        ({'modalities': ['S2L2A', 'S2L2A']}, 'modalities'),
        ({'modalities': ['NDVI']}, 'modalities'),
        ({'places_per_shard': 0}, 'at least 1 place'),
        ({'places_per_shard': 2.0}, 'at least 1 place'),
        ({'edition': 'webdataset'}, 'holds the edition'),
    ],
)
def test_an_impossible_argument_is_refused(
    v11_root: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        partial(convert, v11_root, tmp_path / 'out')(**options)
    assert not (tmp_path / 'out').exists()
