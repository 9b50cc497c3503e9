"""Shards as GeoTIFFs: every image once, its very numbers, at its place and day, and back again."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import signal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from torchgeo_copernicus.datasets.conversion.conversion import ConversionReport
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards
from torchgeo_copernicus.datasets.pretrain.convert import convert_geotiff as module
from torchgeo_copernicus.datasets.pretrain.convert.convert_geotiff import LIST_NAME, convert_geotiff
from torchgeo_copernicus.datasets.pretrain.convert.convert_shards import convert_shards
from torchgeo_copernicus.datasets.pretrain.faults import FaultError
from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import ImageFile
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_reader import ImageReader
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_writer import (
    DESCRIPTION,
    file_name,
    write_image,
)
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream
from torchgeo_copernicus.metadata import days_since_epoch

from .shard_writer import json_bytes, members, painted, saved, write_shard

pytest.importorskip('dask', reason='conversions need the extra `convert`')

CELLS = 8


@pytest.fixture(scope='module')
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight cells in two shards; 1 and 5 lack S1, S2 and SO2, 3 and 7, which are polar, S3, NO2, elevation."""
    return make_pretrain_shards(tmp_path_factory.mktemp('shards'), CELLS, 0, 16)


def run(shards: Any, output: Path, *modalities: Any, **options: Any) -> ConversionReport:
    given = {'scheduler': 'synchronous', 'progress': False}
    return convert_geotiff(shards, output, list(modalities) or None, **(given | options))


@pytest.fixture(scope='module')
def converted(
    shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ConversionReport]:
    folder = tmp_path_factory.mktemp('converted')
    return folder, run(shards, folder)


def back(root: Path, output: Path, **options: Any) -> ConversionReport:
    given = {'resize': False, 'cells_per_shard': 4, 'scheduler': 'synchronous', 'progress': False}
    return convert_shards(root, output, **(given | options))


def list_of(root: Path) -> dict[str, dict[str, Any]]:
    return json.loads(gzip.decompress((root / LIST_NAME).read_bytes()))  # type: ignore[no-any-return]


def pixels(path: Path) -> Any:
    with rasterio.open(path) as file:
        return file.read()


def stored(number: int) -> dict[tuple[str, str, str], Any]:
    """Return the images of a painted cell by modality, patch and day, repetitions once."""
    cell, found = painted(number), {}
    for name, images in cell.images.items():
        if name == 'dem':
            found[name, '', ''] = images[None]
            continue
        local = MODALITIES[name].local
        rows = zip(cell.patches[name], images, strict=True) if local else [('', images)]
        for (patch, row), days in zip(rows, cell.dates[name], strict=True):
            for day, image in zip(days, row, strict=True):
                found.setdefault((name, patch, day), image)
    return found


def written(root: Path, key: str) -> dict[tuple[str, str, str], Path]:
    """Return the listed files of a cell by modality, patch and day."""
    found: dict[tuple[str, str, str], Path] = {}
    for name in MODALITIES:
        listed = list_of(root)[key][name]
        for patch, paths in listed.items() if isinstance(listed, dict) else [('', listed)]:
            for path in paths:
                file = path.rsplit('/', 1)[1]
                day = '' if name == 'dem' else file[:10].replace('-', '')[:8]
                assert (name, patch, day) not in found
                found[name, patch, day] = root / path
    return found


def test_every_image_is_written_once_with_its_very_numbers(
    converted: tuple[Path, ConversionReport],
) -> None:
    root, report = converted
    total = 0
    for number in range(CELLS):
        wanted = stored(number)
        found = written(root, f'{painted(number).cell.grid_id:07d}')
        assert set(found) == set(wanted)
        for place, path in found.items():
            image = pixels(path)
            assert image.dtype == wanted[place].dtype
            assert image.tobytes() == wanted[place].tobytes()
        total += len(wanted)
    on_disk = {path for path in root.rglob('*.tif')}
    assert report.counts['images'] == total == len(on_disk) == len(report.written) - 1
    assert report.counts['cells'] == CELLS
    assert report.counts['repetitions'] > 10


def test_folders_and_list_are_those_of_the_release(
    converted: tuple[Path, ConversionReport],
) -> None:
    root, _ = converted
    lacking = 0
    for number, (key, entry) in enumerate(list_of(root).items()):
        cell = painted(number)
        assert key == f'{cell.cell.grid_id:07d}'
        assert list(entry) == ['grid_id_coord', *MODALITIES]
        for name, modality in MODALITIES.items():
            if name not in cell.images:
                assert entry[name] == ({} if modality.local else [])
                lacking += 1
                continue
            if modality.local:
                assert list(entry[name]) == cell.patches[name]
            rows = entry[name].values() if modality.local else [entry[name]]
            for path in (path for row in rows for path in row):
                assert path.startswith(f'{modality.folder}/{cell.cell.name}/')
                assert (root / path).is_file()
    assert lacking == 12


def test_shards_come_back_from_the_files_to_the_bit(
    shards: Path, converted: tuple[Path, ConversionReport], tmp_path: Path
) -> None:
    root, _ = converted
    back(root, tmp_path / 'shards')
    one, two = (
        {s['grid_id']: s for s in CopernicusPretrainStream(folder, shuffle=False)}
        for folder in (shards, tmp_path / 'shards')
    )
    assert list(one) == list(two)
    for grid_id, sample in one.items():
        other = two[grid_id]
        assert list(sample['image']) == list(other['image'])
        for name, images in sample['image'].items():
            assert images.numpy().tobytes() == other['image'][name].numpy().tobytes()
            np.testing.assert_array_equal(sample['metadata'][name], other['metadata'][name])
        for name, numbers in sample['local_id'].items():
            np.testing.assert_array_equal(numbers, other['local_id'][name])
    # And from then on the shards themselves are the same.
    run(tmp_path / 'shards', tmp_path / 'again')
    back(tmp_path / 'again', tmp_path / 'more')
    for name in ('example-000000.tar', 'example-000001.tar'):
        first, second = (tmp_path / folder / name for folder in ('shards', 'more'))
        assert first.read_bytes() == second.read_bytes()
    assert list_of(tmp_path / 'again') == list_of(root)


def test_images_of_files_come_back_through_shards_to_the_bit(tmp_path: Path) -> None:
    # Polar images of files are not square, and files are in the types of the release.
    root = make_pretrain_geotiff(tmp_path, 4, 1, 16)
    back(root, tmp_path / 'shards', pad=False)
    run(tmp_path / 'shards', tmp_path / 'files')
    one, two = CopernicusPretrainGeoTIFF(root), CopernicusPretrainGeoTIFF(tmp_path / 'files')
    assert one.grid_ids.tolist() == two.grid_ids.tolist()
    for sample, other in zip(one, two, strict=True):
        assert list(sample['image']) == list(other['image'])
        for name, images in sample['image'].items():
            assert len(images) == len(other['image'][name])
            for image, same in zip(images, other['image'][name], strict=True):
                assert image.numpy().tobytes() == same.numpy().tobytes()
            metadata, again = sample['metadata'][name], other['metadata'][name]
            np.testing.assert_array_equal(metadata[..., 2], again[..., 2])


def test_images_of_the_cell_before_are_left_out_and_counted(tmp_path: Path) -> None:
    shards = make_pretrain_shards(tmp_path, CELLS, 0, 16, stale=True)
    report = run(shards, tmp_path / 'out')
    assert report.counts['stale'] > 5
    for number in range(CELLS):
        key = f'{painted(number).cell.grid_id:07d}'
        if key not in list_of(tmp_path / 'out'):
            continue
        wanted = stored(number)
        found = written(tmp_path / 'out', key)
        assert set(found) == set(wanted)
        assert all(pixels(path).tobytes() == wanted[p].tobytes() for p, path in found.items())


def test_places_days_and_sampling_distances_are_those_of_the_shard(
    shards: Path, converted: tuple[Path, ConversionReport]
) -> None:
    dataset = CopernicusPretrainGeoTIFF(converted[0])
    stream = CopernicusPretrainStream(shards, shuffle=False)
    compared = 0
    for sample, wanted in zip(dataset, stream, strict=True):
        for name, rows in wanted['metadata'].items():
            size = sample['image'][name][0].shape[-1]
            for row, other in zip(
                sample['metadata'][name].reshape(-1, 4), rows.reshape(-1, 4), strict=True
            ):
                lon, lat, days, gsd_m = row.tolist()
                # Where a dataset looks is half a pixel off the middle.
                off = 2e-4 if MODALITIES[name].local else 0.2515 / size
                assert (lon, lat) == pytest.approx(other[:2].tolist(), abs=off)
                np.testing.assert_array_equal(days, other[2])
                # These images are smaller, and the same box of them.
                scale = 1.0 if MODALITIES[name].local else size / MODALITIES[name].size_px
                assert gsd_m * scale == pytest.approx(float(other[3]), rel=0.03)
                compared += 1
    assert compared > 300


@pytest.mark.parametrize('name', list(MODALITIES))
@pytest.mark.parametrize(
    ('longitude', 'latitude'), [(-180, 0), (179.75, -60.25), (12, 83.75), (5.75, 0.25), (-3, -85), (0, 90)]
)  # fmt: skip
def test_files_lie_around_their_places(
    tmp_path: Path, name: Any, longitude: float, latitude: float
) -> None:
    cell = Cell.at(longitude, latitude)
    place = f'0000007_{longitude:.2f}_{latitude:.2f}' if MODALITIES[name].local else ''
    path = tmp_path / 'image.tif'
    shape = (len(MODALITIES[name].sensor.bands), 33, 33)
    write_image(path, np.ones(shape, MODALITIES[name].stored_dtype), name, place or cell.name)
    _, metadata = ImageReader(tmp_path).read(name, ImageFile(0.0, path.name), cell, place)
    lon, lat, _, _ = metadata.tolist()
    assert abs(lat - latitude) < 1e-4
    if latitude < 90:
        east = (lon - longitude + 180) % 360 - 180
        assert abs(east) < 1e-4
        with rasterio.open(path) as file:
            if MODALITIES[name].local:
                zone = int((longitude + 180) // 6) % 60 + 1
                assert file.crs.to_epsg() == (32600 if latitude >= 0 else 32700) + zone
                assert file.res == (10, 10)
            else:
                assert file.crs.to_epsg() == 4326
                height = file.bounds.top - file.bounds.bottom
                assert (height, file.bounds.right - file.bounds.left) == pytest.approx(
                    (0.2515, 0.2515)
                )
    with rasterio.open(path) as file:
        assert file.tags()['TIFFTAG_IMAGEDESCRIPTION'] == DESCRIPTION
        bands = (None, None) if name == 's1_grd' else MODALITIES[name].sensor.band_names
        assert file.descriptions == tuple(bands)
    assert path.stat().st_size >= 1000


@pytest.mark.parametrize(
    ('name', 'day', 'number', 'wanted'),
    [
        ('s1_grd', '2020-12-21', 0, '20201221T_00.tif'),
        ('s3_olci', '2021-03-01', 2, '20210301T_02.tif'),
        ('s5p_o3', '2021-01-01', 0, '2021-01-01_2021-02-01.tif'),
        ('s5p_o3', '2021-12-01', 0, '2021-12-01_2021-12-31.tif'),
        ('s5p_co', '2021-11-01', 1, '2021-11-01_2021-12-01_01.tif'),
        ('dem', '2021-11-01', 0, 'dem.tif'),
    ],
)
def test_names_of_files_tell_the_day(name: Any, day: str, number: int, wanted: str) -> None:
    assert file_name(name, days_since_epoch(day), number) == wanted
    assert file_name('dem', math.nan, 0) == 'dem.tif'


@pytest.mark.parametrize('legacy', [False, True])
def test_two_images_of_one_day_are_two_files(tmp_path: Path, legacy: bool) -> None:
    cell = painted(0)
    images = np.array(cell.images['s3_olci'])
    days = [[f'{cell.cell.name}/{day}'] for day in cell.dates['s3_olci'][0]]
    images[1], images[2] = images[0] + 1, images[0]
    days[1] = days[2] = days[0]
    content = saved(torch.from_numpy(images), _use_new_zipfile_serialization=not legacy)
    cells = [members(cell, s3_olci=content, json=json_bytes(cell, s3_olci=days))]
    shard = write_shard(tmp_path / 'a.tar', cells)
    run(shard, tmp_path / 'out', 's3_olci')
    paths = sorted((tmp_path / 'out').rglob('*.tif'))
    kept = sorted({day[0] for day in days})
    assert len(paths) == len(kept) + 1
    stamp = days[0][0][-8:]
    assert (
        pixels(next(p for p in paths if p.name == f'{stamp}T_00.tif')).tobytes()
        == images[0].tobytes()
    )
    assert (
        pixels(next(p for p in paths if p.name == f'{stamp}T_01.tif')).tobytes()
        == images[1].tobytes()
    )
    (one,) = CopernicusPretrainGeoTIFF(tmp_path / 'out')
    (two,) = CopernicusPretrainStream(shard, ['s3_olci'], shuffle=False)
    np.testing.assert_array_equal(
        torch.stack(list(one['image']['s3_olci'])), two['image']['s3_olci']
    )


def test_what_is_lost_is_named_or_counted(shards: Path, tmp_path: Path) -> None:
    cells = [members(painted(number)) for number in range(3)]
    key = f'{painted(2).cell.grid_id:07d}'
    cells[2][f'{key}.s5p_co.pth'] = cells[2][f'{key}.s5p_co.pth'][:900]
    shard = write_shard(tmp_path / 'a.tar', cells)
    with pytest.raises(FaultError, match=rf'1 faults lose something:\ndamaged.*{key}'):
        run(shard, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    report = run(shard, tmp_path / 'out', on_error='skip')
    assert report.counts['damaged'] == 1
    assert report.counts['cells'] == 3
    assert list_of(tmp_path / 'out')[key]['s5p_co'] == []
    assert len(list_of(tmp_path / 'out')[key]['s5p_o3']) > 5


def test_a_type_that_files_do_not_have_is_refused(tmp_path: Path) -> None:
    cell = painted(0)
    images = torch.from_numpy(np.array(cell.images['s2_toa'])).float()
    shard = write_shard(tmp_path / 'a.tar', [members(cell, s2_toa=saved(images))])
    with pytest.raises(ValueError, match=r's2_toa of cell .* is float32; GeoTIFFs of it are int16'):
        run(shard, tmp_path / 'out')
    assert run(shard, tmp_path / 'out', 's1_grd', 'dem').counts['cells'] == 1


def test_only_the_chosen_modalities_and_cells_are_converted(shards: Path, tmp_path: Path) -> None:
    grids = [painted(number).cell.grid_id for number in (4, 0)]
    report = run(shards, tmp_path, 's5p_co', 'dem', grids=grids)
    listed = list_of(tmp_path)
    assert [int(key) for key in listed] == grids
    folders = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob('*.tif')}
    assert folders == {'s5p_l3_wgs', 'dem_grid_wgs'}
    for entry in listed.values():
        assert entry['dem']
        assert entry['s5p_co']
        assert entry['s1_grd'] == {}
        assert entry['s5p_o3'] == []
    assert report.counts['cells'] == 2


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'grids': [5]}, r'1 of 1 cells are not in the shards .*\[5\]'),
        ({'grids': '5'}, "grids is '5'"),
        ({'grids': []}, r'grids is \[\]'),
        ({'grids': [-1]}, 'grids must be a whole number'),
        ({'on_error': 'ignore'}, "Unknown on_error 'ignore'"),
    ],
)
def test_an_impossible_argument_is_refused(
    shards: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(shards, tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()


def test_cells_named_twice_and_modalities_that_nobody_has_are_refused(
    shards: Path, tmp_path: Path
) -> None:
    grid = painted(0).cell.grid_id
    with pytest.raises(ValueError, match='names cells twice'):
        run(shards, tmp_path / 'out', grids=[grid, grid])
    shard = write_shard(tmp_path / 'a.tar', [members(painted(1))])
    with pytest.raises(ValueError, match=r"No cell of the shards has any of \['s1_grd'\]"):
        run(shard, tmp_path / 'out', 's1_grd')


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob('*') if path.suffix in ('.tif', '.gz')]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_a_second_run_makes_nothing_again_and_all_runs_the_same(
    shards: Path, converted: tuple[Path, ConversionReport], tmp_path: Path
) -> None:
    root, first = converted
    second = run(shards, root)
    assert second.written == ()
    assert second.counts == first.counts
    run(shards, tmp_path, scheduler='threads', workers=2)
    assert contents(tmp_path) == contents(root)
    noted = json.loads((root / 'conversion.json').read_text())['outputs']
    assert {name: row['sha256'] for name, row in noted.items()} == contents(root)


def test_a_damaged_file_is_made_again(shards: Path, tmp_path: Path) -> None:
    run(shards, tmp_path, 'dem', 's5p_co')
    before = contents(tmp_path)
    path = min(tmp_path.rglob('dem.tif'))
    path.write_bytes(path.read_bytes()[:-1])
    report = run(shards, tmp_path, 'dem', 's5p_co')
    assert report.written == (str(path.relative_to(tmp_path)),)
    assert contents(tmp_path) == before


def test_a_killed_run_goes_on_and_has_no_list_before_its_end(shards: Path, tmp_path: Path) -> None:
    def until_killed() -> None:
        made = []

        def write(*arguments: Any) -> None:
            made.append(arguments)
            original(*arguments)
            if len(made) == 20:
                os.kill(os.getpid(), signal.SIGKILL)

        original = module.write_image
        module.write_image = write
        run(shards, tmp_path)

    process = get_context('fork').Process(target=until_killed)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / LIST_NAME).exists()
    report = run(shards, tmp_path)
    assert len(report.kept) == 19
    assert not list(tmp_path.rglob('*.converting'))
    whole = tmp_path / 'whole'
    run(shards, whole)
    found = contents(tmp_path)
    assert {name: found[name] for name in contents(whole)} == contents(whole)


def test_files_of_another_choice_are_not_mixed(shards: Path, tmp_path: Path) -> None:
    run(shards, tmp_path, 'dem')
    before = contents(tmp_path)
    with pytest.raises(ValueError, match='made with other files'):
        run(shards, tmp_path, 'dem', 's5p_co')
    grid = painted(0).cell.grid_id
    with pytest.raises(ValueError, match='this conversion would not make'):
        run(shards, tmp_path, 'dem', grids=[grid])
    assert contents(tmp_path) == before
