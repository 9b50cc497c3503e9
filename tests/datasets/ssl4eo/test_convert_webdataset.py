"""SSL4EO-S12 v1.1 as tar archives of one member a place, read back by our dataset and by xarray."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import xarray as xr
import zarr

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import file_arrays, paint_place
from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.convert.webdataset import convert_webdataset
from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip_writer import NewArray, write_zarr_zip

pytest.importorskip('dask', reason='conversions need the extra `convert`')

ALL: Any = get_args(Modality)


def convert(root: Path, output: Path, modalities: Any = ALL, **options: Any) -> Any:
    options = {'places_per_tar': 3, 'scheduler': 'synchronous', 'progress': False, **options}
    return convert_webdataset(root, output, modalities=modalities, **options)


@pytest.fixture(scope='module')
def tars(v11_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('converted')
    convert(v11_root, folder)
    return folder


def same(a: SSL4EOS12v11, b: SSL4EOS12v11) -> None:
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert (x['sample_id'], int(x['crs'])) == (y['sample_id'], int(y['crs']))
        assert x['file_id'] == y['file_id']
        if 'cloud_mask' in x:
            assert (x['cloud_mask'] == y['cloud_mask']).all()
        for modality in a.modalities:
            assert (x['image'][modality] == y['image'][modality]).all()
            assert (x['metadata'][modality] == y['metadata'][modality]).all()


def test_our_dataset_reads_the_same_from_both(v11_root: Path, tars: Path) -> None:
    new = SSL4EOS12v11(tars, modalities=ALL, cloud_mask=True)
    assert new.edition == 'webdataset'
    same(SSL4EOS12v11(v11_root, modalities=ALL, cloud_mask=True), new)


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        found = {}
        for info in archive:
            assert (info.uname, info.uid, info.mtime) == ('', 0, 0)
            file = archive.extractfile(info)
            assert file is not None
            found[info.name] = file.read()
    return found


def opened(content: bytes, scratch: Path) -> xr.Dataset:
    path = scratch / f'{hashlib.sha256(content).hexdigest()}.zarr.zip'
    path.write_bytes(content)
    return xr.open_zarr(zarr.storage.ZipStore(path, mode='r'))


def test_archives_are_laid_out_as_published(v11_root: Path, tars: Path, tmp_path: Path) -> None:
    expected = SSL4EOS12v11(v11_root, modalities=ALL)
    for modality in ALL:
        archives = sorted((tars / 'train' / modality).iterdir())
        assert [path.name for path in archives] == [
            f'ssl4eos12_shard_{number:06d}.tar' for number in (1, 2, 3)
        ]
        number = 0
        for path in archives:
            for name, content in members(path).items():
                sample = expected[number]
                number += 1
                assert name == f'ssl4eos12_train_seasonal_data_{number:07d}.zarr.zip'
                with opened(content, tmp_path) as ds:
                    assert ds.bands.dims == ('time', 'band', 'y', 'x')
                    assert str(ds['sample'].values) == sample['sample_id']
                    # No offset, and Sentinel-1 as it was acquired.
                    image = sample['image'][modality].numpy()
                    np.testing.assert_array_equal(ds.bands.values, image)
                    assert ds.file_id.values.tolist() == sample['file_id'][modality]
                    assert (np.diff(ds.time_.values) > np.timedelta64(0)).all()
                    assert ds.x_.dims == ('x',)
                    assert ('cloud_mask' in ds) == (modality != 'S1GRD')
        assert number == 8


def test_archives_can_be_cut_anew(v11_root: Path, tars: Path, tmp_path: Path) -> None:
    convert(tars, tmp_path, ['S2L2A', 'S1GRD'], places_per_tar=8, codec='lz4')
    assert len(list((tmp_path / 'train' / 'S2L2A').iterdir())) == 1
    pair: Any = ('S2L2A', 'S1GRD')
    same(SSL4EOS12v11(v11_root, modalities=pair), SSL4EOS12v11(tmp_path, modalities=pair))


def test_the_codec_is_that_asked_for(v11_root: Path, tmp_path: Path) -> None:
    sizes = {}
    for codec in ('lz4', 'zstd'):
        convert(v11_root, tmp_path / codec, ['S2L2A'], codec=codec)
        path = tmp_path / codec / 'train' / 'S2L2A' / 'ssl4eos12_shard_000001.tar'
        assert f'"cname": "{codec}"'.encode() in path.read_bytes()
        sizes[codec] = path.stat().st_size
    assert sizes['zstd'] < sizes['lz4']


def test_a_second_run_makes_nothing_again(v11_root: Path, tars: Path) -> None:
    report = convert(v11_root, tars)
    assert (len(report.written), len(report.kept)) == (0, 12)


def test_the_source_is_never_overwritten(v11_tars: Path, tmp_path: Path) -> None:
    root = shutil.copytree(v11_tars, tmp_path / 'tars')
    before = (root / 'train' / 'S1GRD' / 'ssl4eos12_shard_000001.tar').read_bytes()
    with pytest.raises(ValueError, match='does not list it'):
        convert(root, root, ['S1GRD'])
    assert (root / 'train' / 'S1GRD' / 'ssl4eos12_shard_000001.tar').read_bytes() == before


def write_file(root: Path, number: int, modality: Any, change: Any) -> None:
    """Write one place as a file of the Zarr edition, changed in one way."""
    arrays = file_arrays([paint_place(0, number, 48)], modality)
    change(arrays)
    folder = root / 'train' / modality
    folder.mkdir(parents=True, exist_ok=True)
    write_zarr_zip(folder / f'ssl4eos12_train_seasonal_data_{number:06d}.zarr.zip', arrays)


def darkest(arrays: dict[str, NewArray]) -> None:
    bands = arrays['bands']
    values = bands.values.copy()
    values[0, 1, 2, 3, 4] = -32_000  # type: ignore[index]
    arrays['bands'] = NewArray(values, bands.dims, bands.chunks)


def test_a_value_that_would_wrap_is_refused(tmp_path: Path) -> None:
    write_file(tmp_path / 'in', 1, 'S2L2A', darkest)
    with pytest.raises(ValueError, match='has a value of -32000'):
        convert(tmp_path / 'in', tmp_path / 'out', ['S2L2A'])


def test_masks_are_not_lost_because_one_file_has_none(tmp_path: Path) -> None:
    write_file(tmp_path / 'in', 1, 'S2L2A', lambda arrays: None)
    write_file(tmp_path / 'in', 2, 'S2L2A', lambda arrays: arrays.pop('cloud_mask'))
    with pytest.raises(ValueError, match=r'000002\.zarr\.zip has no cloud_mask'):
        convert(tmp_path / 'in', tmp_path / 'out', ['S2L2A'])
    name = ['ssl4eos12_train_seasonal_data_000002.zarr.zip']
    convert(tmp_path / 'in', tmp_path / 'out', ['S2L2A'], files=name)
    (archive,) = (tmp_path / 'out' / 'train' / 'S2L2A').iterdir()
    (content,) = members(archive).values()
    with zarr.storage.ZipStore(_on_disk(content, tmp_path), mode='r') as store:
        assert 'cloud_mask' not in zarr.open_group(store, mode='r')


def _on_disk(content: bytes, folder: Path) -> Path:
    path = folder / 'member.zarr.zip'
    path.write_bytes(io.BytesIO(content).getvalue())
    return path


def test_a_damaged_source_is_named_and_leaves_no_archive(v11_copy: Path, tmp_path: Path) -> None:
    path = v11_copy / 'train' / 'S1GRD' / 'ssl4eos12_train_seasonal_data_000001.zarr.zip'
    content = bytearray(path.read_bytes())
    start = content.index(b'bands/0.2.0.0.0') + 60
    content[start : start + 2000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'000001\.zarr\.zip is damaged: the CRC of'):
        convert(v11_copy, tmp_path / 'out', ['S1GRD'])
    names = {path.name for path in (tmp_path / 'out').rglob('*') if path.is_file()}
    assert not {name for name in names if 'ssl4eos12_shard_000001' in name}
