"""GeoTIFFs as shards: the release's layout, each cell its own images, and the same bytes of the same files."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import tarfile
from collections.abc import Iterator
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from torchgeo.datasets import CopernicusPretrain

from torchgeo_copernicus.datasets.conversion.conversion import ConversionReport
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.pretrain.convert import cell_stack
from torchgeo_copernicus.datasets.pretrain.convert import convert_shards as module
from torchgeo_copernicus.datasets.pretrain.convert.convert_shards import convert_shards
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import tensor_layout
from torchgeo_copernicus.datasets.storage.byte_source import LocalFile, Part

from .shard_writer import place_of

pytest.importorskip('dask', reason='conversions need the extra `convert`')

CELLS = 8
# TorchGeo 0.10 left it out of samples.
KEEPS_JSON = not hasattr(CopernicusPretrain, '_drop_metadata')


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight cells; 1 and 5 lack S1, S2 and SO2, 3 and 7, which are polar, S3, NO2 and elevation."""
    return make_pretrain_geotiff(tmp_path_factory.mktemp('geotiff'), CELLS, 0, 16)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / 'copy')


def run(root: Path, output: Path, **options: Any) -> ConversionReport:
    given = {'resize': False, 'cells_per_shard': 3, 'scheduler': 'synchronous', 'progress': False}
    return convert_shards(root, output, **(given | options))


def members(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield key and members of each cell."""
    cells: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob('example-*.tar')):
        with tarfile.open(path) as archive:
            for info in archive:
                assert (info.uname, info.gname, info.uid, info.mtime) == ('', '', 0, 0)
                key, _, ending = info.name.partition('.')
                content = archive.extractfile(info).read()  # type: ignore[union-attr]
                found = cells.setdefault(key, {})
                assert ending not in found
                found[ending] = (
                    json.loads(content)
                    if ending == 'json'
                    else torch.load(BytesIO(content), weights_only=True)
                )
    yield from cells.items()


def hashes(folder: Path) -> dict[str, str]:
    paths = sorted(folder.glob('*.tar'))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def list_of(root: Path) -> dict[str, dict[str, Any]]:
    (path,) = root.glob('fnames_*.json.gz')
    return json.loads(gzip.decompress(path.read_bytes()))  # type: ignore[no-any-return]


def relist(root: Path, entries: object) -> None:
    (path,) = root.glob('fnames_*.json.gz')
    path.write_bytes(gzip.compress(json.dumps(entries).encode()))


def rewrite(source: Path, target: Path, change: Any) -> None:
    """Write a GeoTIFF with other pixels."""
    with rasterio.open(source) as file:
        profile, pixels = file.profile, file.read()
    with rasterio.open(target, 'w', **profile) as file:
        file.write(change(pixels))
    with target.open('ab') as raw:
        raw.write(bytes(1000))


@pytest.fixture(scope='module')
def released(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ConversionReport]:
    """One cell with all modalities, in the sizes and numbers of the release."""
    folder = tmp_path_factory.mktemp('released')
    first = int(next(iter(list_of(root))))
    return folder, run(root, folder, grids=[first], resize=True, pad=True)


def test_sizes_types_and_names_are_those_of_the_release(
    released: tuple[Path, ConversionReport],
) -> None:
    ((key, found),) = members(released[0])
    names = found.pop('json')
    assert set(found) == {f'{name}.pth' for name in MODALITIES}
    assert list(names) == list(MODALITIES)
    for name, modality in MODALITIES.items():
        tensor, series = found[f'{name}.pth'], names[name]
        assert str(tensor.dtype) == f'torch.{modality.stored_dtype}'
        assert tuple(tensor.shape[1:] if modality.local else tensor.shape) == modality.stored_shape
        if name == 'dem':
            assert series == [[series[0][0]]]
            assert series[0][0].startswith(f'{key}_')
            continue
        for row in series if modality.local else [series]:
            assert len(row) == modality.dates
            for (leaf,) in row:
                parts = leaf.split('/')
                assert len(parts) == (3 if modality.local else 2)
                assert parts[0].startswith(f'{key}_')
                assert len(parts[-1]) == 8
        if modality.local:
            assert len(tensor) == len(series)
    assert released[1].counts['repetitions'] > 0


def test_torchgeo_takes_a_patch_and_a_date_of_it(released: tuple[Path, ConversionReport]) -> None:
    # The functions that its pipeline consists of; webdataset itself is tried below.
    theirs: Any = CopernicusPretrain
    ((_, sample),) = members(released[0])
    assert theirs._has_all_modalities(None, sample)
    sample = theirs._sample_one_time_stamp(None, theirs._sample_one_local_patch(None, sample))
    for name, modality in MODALITIES.items():
        image = (1, 264, 264) if name == 'dem' else modality.stored_shape[1:]
        assert sample[f'{name}.pth'].shape == (modality.stored_shape if name == 'dem' else image)
        if KEEPS_JSON:
            assert len(sample['json'][name]) == 1
            assert isinstance(sample['json'][name][0], str)


def test_torchgeo_reads_it_through_webdataset(released: tuple[Path, ConversionReport]) -> None:
    pytest.importorskip('webdataset', reason='TorchGeo needs webdataset to read shards')
    (sample,) = CopernicusPretrain(str(released[0] / 'example-000000.tar'), shardshuffle=False)
    assert sample['s2_toa.pth'].shape == (13, 264, 264)
    assert sample['dem.pth'].shape == (960, 960)
    if KEEPS_JSON:
        assert sample['json']['s1_grd'][0].startswith(sample['__key__'])


def test_digital_numbers_are_rounded_and_not_cut_off(root: Path, tmp_path: Path) -> None:
    grid = int(next(iter(list_of(root))))
    run(root, tmp_path / 'a', grids=[grid], modalities=['s2_toa'], resize=True)
    run(root, tmp_path / 'b', grids=[grid], modalities=['s2_toa'], resize=False)
    ((_, large),), ((_, small),) = members(tmp_path / 'a'), members(tmp_path / 'b')
    stored = small['s2_toa.pth'][0, 0].float()
    exact = torch.nn.functional.interpolate(stored[None], 264, mode='bilinear', align_corners=True)
    found = large['s2_toa.pth'][0, 0].double()
    assert float((found - exact[0].double()).abs().max()) <= 0.5 + 1e-3
    assert abs(float((found - exact[0].double()).mean())) < 0.02


def test_a_number_that_does_not_fit_is_refused_and_not_wrapped_around(
    copy: Path, tmp_path: Path
) -> None:
    path = min(copy.glob('s2_toa_mix/images/*/*/*.tif'))
    rewrite(path, path, lambda pixels: pixels * 0 + 40_000)
    with pytest.raises(
        ValueError, match=r'\.tif has a digital number of 40000, and shards hold 32767'
    ):
        run(copy, tmp_path / 'large', resize=True, modalities=['s2_toa'])
    report = run(copy, tmp_path / 'out', on_error='skip', modalities=['s2_toa'])
    assert report.counts['unreadable_files'] == 1
    largest = max(int(cell['s2_toa.pth'].max()) for _, cell in members(tmp_path / 'out'))
    assert 0 < largest < 32_767


def test_a_cell_never_has_images_of_the_cell_before(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path)
    listed = list_of(root)
    found = dict(members(tmp_path))
    assert list(found) == list(listed)
    lacking = 0
    for key, cell in found.items():
        wanted = {name for name in MODALITIES if listed[key][name]}
        assert set(cell) == {f'{name}.pth' for name in wanted} | {'json'}
        assert set(cell['json']) == wanted
        assert json.dumps(cell['json']).count(f'"{key}_') == sum(
            tensor.shape[0] * tensor.shape[1] if tensor.ndim == 5 else len(tensor) if tensor.ndim == 4 else 1
            for name, tensor in cell.items() if name != 'json'
        )  # fmt: skip
        lacking += len(MODALITIES) - len(wanted)
    assert lacking == 12
    stream = CopernicusPretrainStream(tmp_path)
    list(stream)
    assert stream.faults.counts == {}


def test_dates_are_in_the_order_of_time_and_repetitions_behind(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path)
    repeated = 0
    for key, cell in members(tmp_path):
        for name, series in cell['json'].items():
            if name == 'dem':
                continue
            listed = list_of(root)[key][name]
            local = MODALITIES[name].local
            rows = zip(series, listed.values(), strict=True) if local else [(series, listed)]
            tensor = cell[f'{name}.pth'] if local else cell[f'{name}.pth'][None]
            for (row, paths), images in zip(rows, tensor, strict=True):
                days = [leaf[0] for leaf in row]
                own = len(paths)
                assert days[:own] == sorted(set(days))
                assert len(days) == MODALITIES[name].dates
                for day, image in zip(days[own:], images[own:], strict=True):
                    np.testing.assert_array_equal(image, images[days.index(day)])
                    repeated += 1
    assert repeated > 10


def repetitions(folder: Path) -> dict[str, Any]:
    return {key: cell['json'] for key, cell in members(folder)}


def test_repetitions_are_a_function_of_seed_and_cell(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path / 'a', seed=1)
    run(root, tmp_path / 'b', seed=2)
    listed = [int(key) for key in list_of(root)]
    # Other neighbours, and other modalities beside.
    run(root, tmp_path / 'c', seed=1, grids=listed[:4:-1], cells_per_shard=1)
    names = ['s1_grd', 's5p_co']
    run(root, tmp_path / 'd', seed=1, modalities=names)
    a, b, c, d = (repetitions(tmp_path / name) for name in 'abcd')
    assert a != b
    assert list(c) == [f'{number:07d}' for number in listed[:4:-1]]
    assert all(a[key] == cell for key, cell in c.items())
    for key, cell in d.items():
        assert cell == {name: a[key][name] for name in names if name in a[key]}


def test_without_padding_there_are_as_many_dates_as_the_patch_has_that_has_the_most(
    root: Path, tmp_path: Path
) -> None:
    report = run(root, tmp_path, pad=False)
    uneven = 0
    for key, cell in members(tmp_path):
        for name in ('s1_grd', 's2_toa', 's3_olci', 's5p_co'):
            if name in cell['json']:
                listed = list_of(root)[key][name]
                counts = (
                    [len(p) for p in listed.values()] if isinstance(listed, dict) else [len(listed)]
                )
                assert cell[f'{name}.pth'].shape[-4] == max(counts)
                uneven += max(counts) * len(counts) - sum(counts)
    assert report.counts['repetitions'] == uneven > 0


def test_more_dates_than_in_the_release_are_all_kept(copy: Path, tmp_path: Path) -> None:
    entries = list_of(copy)
    paths = next(iter(entries.values()))['s3_olci']
    first = copy / paths[0].replace('utm', 'wgs')
    for month in range(1, 6):
        name = f'S3A_2019{month:02d}03T1.tif'
        shutil.copyfile(first, first.with_name(name))
        paths.append(paths[0].rsplit('/', 1)[0] + f'/{name}')
    relist(copy, entries)
    run(copy, tmp_path / 'out', modalities=['s3_olci'])
    (_, cell), *_ = members(tmp_path / 'out')
    assert len(cell['s3_olci.pth']) == len(cell['json']['s3_olci']) == len(paths) > 8


def test_two_images_of_one_day_are_both_kept(copy: Path, tmp_path: Path) -> None:
    entries = list_of(copy)
    entry = next(iter(entries.values()))
    path = copy / entry['s3_olci'][0].replace('utm', 'wgs')
    second = path.with_name('T' + path.name)
    rewrite(path, second, lambda pixels: pixels + 1)
    entry['s3_olci'].append(f'{entry["s3_olci"][0].rsplit("/", 1)[0]}/{second.name}')
    relist(copy, entries)
    run(copy, tmp_path / 'out', modalities=['s3_olci'])
    one = CopernicusPretrainGeoTIFF(copy, modalities=['s3_olci'])[0]['image']['s3_olci']
    sample = next(iter(CopernicusPretrainStream(tmp_path / 'out', ['s3_olci'], shuffle=False)))
    assert len(one) == len(entry['s3_olci'])
    np.testing.assert_array_equal(sample['image']['s3_olci'], torch.stack(list(one)))


def test_sentinel_3_stays_in_counts(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path, modalities=['s3_olci'])
    (key, cell), *_ = members(tmp_path)
    path = min(list_of(root)[key]['s3_olci'], key=lambda p: p.split('_')[-2])
    with rasterio.open(root / path.replace('utm', 'wgs')) as file:
        np.testing.assert_array_equal(cell['s3_olci.pth'][0], file.read())


def test_the_same_files_make_the_same_bytes(copy: Path, root: Path, tmp_path: Path) -> None:
    run(root, tmp_path / 'a')
    for path in copy.rglob('*.tif'):
        os.utime(path, (1, 1))
    run(copy, tmp_path / 'b', scheduler='threads', workers=2)
    assert hashes(tmp_path / 'a') == hashes(tmp_path / 'b')
    assert len(hashes(tmp_path / 'a')) == 3
    noted = json.loads((tmp_path / 'a' / 'conversion.json').read_text())['outputs']
    assert {name: row['sha256'] for name, row in noted.items()} == hashes(tmp_path / 'a')


class CountingFile(LocalFile):
    """Counts the bytes that are read."""

    read_bytes = 0

    def read_into(self, offset: int, target: memoryview) -> None:
        CountingFile.read_bytes += len(target)
        super().read_into(offset, target)


def test_each_image_can_be_read_alone(root: Path, tmp_path: Path, monkeypatch: Any) -> None:
    run(root, tmp_path, modalities=['s1_grd', 's2_toa'], pad=False)
    path = tmp_path / 'example-000000.tar'
    (key, cell), *_ = members(tmp_path)
    for name in ('s1_grd', 's2_toa'):
        place = place_of(path, f'{key}.{name}.pth')
        layout = tensor_layout(Part(LocalFile(path), *place, name))
        assert layout.offset is not None
        tensor = cell[f'{name}.pth'].numpy()
        start, size = place[0] + layout.offset, tensor[0, 0].nbytes
        for number, image in enumerate(tensor.reshape(-1, *tensor.shape[2:])):
            content = path.read_bytes()[start + number * size :][:size]
            np.testing.assert_array_equal(np.frombuffer(content, image.dtype), image.reshape(-1))
    one = Selection(patches=1, dates='random')
    flow = CopernicusPretrainStream(tmp_path, ['s2_toa'], one)
    monkeypatch.setattr('torchgeo_copernicus.datasets.storage.folder.LocalFile', CountingFile)
    images = [sample['image']['s2_toa'] for sample in flow]
    needed = sum(2 * image.numel() for image in images)
    # And the JSON of each cell.
    assert needed < CountingFile.read_bytes < needed + 4000 * len(images)


def damage(copy: Path, pattern: str) -> Path:
    path = min(copy.glob(pattern))
    path.write_bytes(bytes(1200))
    return path


def test_a_file_that_cannot_be_read_is_named_or_counted(copy: Path, tmp_path: Path) -> None:
    bad = damage(copy, 's5p_l3_wgs/images/CO*/*/2021-0*.tif')
    with pytest.raises(ValueError, match=bad.name):
        run(copy, tmp_path / 'out')
    whole = run(copy, tmp_path / 'other', modalities=['dem'])
    assert 'unreadable_files' not in whole.counts
    report = run(copy, tmp_path / 'out', on_error='skip')
    assert report.counts['unreadable_files'] == 1
    key = bad.parent.name[:7]
    days = [leaf[0][-8:] for leaf in dict(members(tmp_path / 'out'))[key]['json']['s5p_co']]
    assert bad.name[:7].replace('-', '') not in [day[:6] for day in days]
    assert len(days) == 12
    # What was left out once is not passed for whole later.
    with pytest.raises(ValueError, match='an earlier run that left 1 unreadable files out'):
        run(copy, tmp_path / 'out')


def test_a_cell_of_which_nothing_can_be_read_is_absent(copy: Path, tmp_path: Path) -> None:
    key = next(key for key, entry in list_of(copy).items() if entry['dem'])
    damage(copy, f'dem_grid_wgs/images/{key}_*/dem.tif')
    report = run(copy, tmp_path / 'out', modalities=['dem'], on_error='skip')
    assert (report.counts['unreadable_cells'], report.counts['cells']) == (1, 5)
    assert key not in dict(members(tmp_path / 'out'))


def test_a_missing_file_is_named(copy: Path, tmp_path: Path) -> None:
    path = min(copy.glob('dem_grid_wgs/images/*/dem.tif'))
    path.unlink()
    with pytest.raises(ValueError, match='is listed but cannot be found'):
        run(copy, tmp_path / 'out')


def test_sizes_that_make_no_tensor_are_refused_and_resized(copy: Path, tmp_path: Path) -> None:
    path = min(copy.glob('s3_olci_wgs/images/*/*.tif'))
    with rasterio.open(path) as file:
        profile, pixels = file.profile, file.read()
    profile |= {'height': pixels.shape[1] - 1}
    with rasterio.open(path, 'w', **profile) as file:
        file.write(pixels[:, 1:])
    with pytest.raises(ValueError, match=r'images of s3_olci of 5 x 6 and 6 x 6 px.* resize=True'):
        run(copy, tmp_path / 'out', modalities=['s3_olci'])
    run(copy, tmp_path / 'square', modalities=['s3_olci'], resize=True)


@pytest.mark.parametrize(('number', 'wanted'), [(3, 1), (7, 2)])
def test_a_killed_run_goes_on_where_it_was(
    root: Path, tmp_path: Path, number: int, wanted: int
) -> None:
    def until_killed() -> None:
        stacked = []

        def stack(self: object, files: Any) -> Any:
            stacked.append(files)
            if len(stacked) > number:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(self, files)  # type: ignore[arg-type]

        original = cell_stack.Stacker.stack
        cell_stack.Stacker.stack = stack  # type: ignore[method-assign, assignment]
        run(root, tmp_path / 'out')

    process = get_context('fork').Process(target=until_killed)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list((tmp_path / 'out').glob('*.converting'))) == 1
    report = run(root, tmp_path / 'out')
    assert (len(report.kept), len(report.written)) == (wanted, 3 - wanted)
    run(root, tmp_path / 'whole')
    assert hashes(tmp_path / 'out') == hashes(tmp_path / 'whole')
    assert not list((tmp_path / 'out').glob('*.converting'))
    assert len(run(root, tmp_path / 'out').kept) == 3


def test_a_changed_file_or_list_makes_only_its_shard_anew(copy: Path, tmp_path: Path) -> None:
    run(copy, tmp_path / 'out')
    key = list(list_of(copy))[4]
    path = min(copy.glob(f's5p_l3_wgs/images/CO*/{key}_*/*.tif'))
    rewrite(path, path, lambda pixels: pixels * 2)
    assert run(copy, tmp_path / 'out').written == ('example-000001.tar',)
    entries = list_of(copy)
    entries[key]['s5p_o3'].pop()
    relist(copy, entries)
    assert run(copy, tmp_path / 'out').written == ('example-000001.tar',)
    # The same files, in another order.
    entries[key]['s2_toa'] = dict(reversed(entries[key]['s2_toa'].items()))
    relist(copy, entries)
    assert run(copy, tmp_path / 'out').written == ('example-000001.tar',)


@pytest.mark.parametrize(
    ('options', 'name'),
    [
        ({'seed': 1}, 'seed'),
        ({'pad': False}, 'pad'),
        ({'resize': True}, 'resize'),
        ({'cells_per_shard': 2}, 'would not make|cells'),
        ({'modalities': ['s1_grd', 's3_olci']}, 'modalities'),
    ],
)
def test_shards_of_other_options_are_not_mixed(
    root: Path, tmp_path: Path, options: dict[str, Any], name: str
) -> None:
    given = {'modalities': ['s3_olci'], **options}
    run(root, tmp_path, modalities=['s3_olci'])
    with pytest.raises(ValueError, match=name):
        run(root, tmp_path, **given)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'pad': 'yes'}, "pad must be True or False, got 'yes'"),
        ({'resize': 264}, 'resize must be True or False, got 264'),
        ({'on_error': 'ignore'}, "Unknown on_error 'ignore'"),
        ({'cells_per_shard': 0}, 'cells_per_shard must be at least 1'),
        ({'seed': -1}, 'seed must be a whole number'),
        ({'modalities': ['s4']}, r"Unknown modalities \['s4'\]"),
        ({'grids': [5]}, r'lists no images of cells \[5\]'),
    ],
)
def test_an_impossible_argument_is_refused(
    root: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(root, tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_list_can_be_given_as_it_is_or_by_path(root: Path, tmp_path: Path) -> None:
    (path,) = root.glob('fnames_*.json.gz')
    run(root, tmp_path / 'a', file_list=path, modalities=['dem'])
    run(root, tmp_path / 'b', file_list=FileList.read(path), modalities=['dem'])
    assert hashes(tmp_path / 'a') == hashes(tmp_path / 'b')
    assert module.CELLS_PER_SHARD == 100
