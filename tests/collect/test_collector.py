"""Runs that are stopped, repeated, mixed up, refused or damaged."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import numpy as np
import pytest
import rasterio
from filelock import FileLock

from tests.collect.fake_earth_engine import EEException, FakeEarthEngine, login_to
from tests.collect.world import PLACE, world
from torchgeo_copernicus.collect import collect_task
from torchgeo_copernicus.collect.collect_task import Run
from torchgeo_copernicus.collect.collector import CollectionReport, collect
from torchgeo_copernicus.collect.file_names import write_file_names
from torchgeo_copernicus.collect.manifest import WORK, note_path, read_notes
from torchgeo_copernicus.collect.place import Place
from torchgeo_copernicus.collect.recipe import Recipe
from torchgeo_copernicus.collect.request import Retry
from torchgeo_copernicus.collect.task import Task, tasks_of
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName

CELLS = tuple(Cell.at(174.5 + 0.25 * k, -39.0) for k in range(3))
QUICK = Retry(2, wait_s=1e-6)


def tasks(*modalities: ModalityName, cells: tuple[Cell, ...] = CELLS) -> list[Task]:
    return tasks_of(modalities, cells, [PLACE])


def run(
    client: FakeEarthEngine, root: Path, wanted: list[Task], **options: object
) -> CollectionReport:
    arguments: dict[str, object] = {'retry': QUICK, 'progress': False, **options}
    return collect(wanted, root, login_to(client), **arguments)  # type: ignore[arg-type]


def files(root: Path) -> list[str]:
    found = (path for path in root.rglob('*') if path.is_file())
    return sorted(str(path.relative_to(root)) for path in found if WORK not in path.parts)


def test_all_modalities_are_in_the_folders_of_the_release(tmp_path: Path) -> None:
    report = run(world(), tmp_path, tasks(*MODALITY_NAMES, cells=(PLACE.cell,)))
    assert len(report.made) == 8
    assert (report.kept, report.empty, report.failed, report.resampled) == ((), {}, {}, 0)
    cell, patch = PLACE.cell.name, PLACE.name
    found = files(tmp_path)
    assert len(found) == 4 + 4 + 8 + 4 * 12 + 1
    for path in (
        f's2_toa_mix/images/{cell}/{patch}/20221224T221611_20221224T221611_T60HTB.tif',
        f's1_grd_utm/images/{cell}/{patch}/S1A_IW_GRDH_1SDV_20221224T170000_20221224T170000_030639_0382F1_ABCD.tif',
        f's5p_l3_wgs/images/tropospheric_NO2_column_number_density/{cell}/2021-01-01_2021-02-01.tif',
        f'dem_grid_wgs/images/{cell}/dem.tif',
    ):
        assert path in found
    for path in found:
        modality = next(m for m in MODALITIES.values() if path.startswith(m.folder))
        with rasterio.open(tmp_path / path) as file:
            assert file.count == len(modality.sensor.bands)
            assert file.dtypes[0] == ('uint16' if modality.name == 's2_toa' else 'float32')


def test_a_second_run_asks_for_nothing(tmp_path: Path) -> None:
    client = world()
    wanted = tasks('s5p_co', 'dem')
    first = run(client, tmp_path, wanted)
    before = {path: (tmp_path / path).stat().st_mtime_ns for path in files(tmp_path)}
    sent = len(client.requests)
    assert run(client, tmp_path, wanted) == CollectionReport((), first.made, {}, {})
    assert len(client.requests) == sent
    assert before == {path: (tmp_path / path).stat().st_mtime_ns for path in files(tmp_path)}


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize('damage', [flip, cut, Path.unlink])
def test_what_is_damaged_or_gone_is_collected_again(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    client = world()
    wanted = tasks('s5p_co')
    run(client, tmp_path, wanted)
    path = tmp_path / files(tmp_path)[0]
    content = path.read_bytes()
    damage(path)
    assert len(run(client, tmp_path, wanted).made) == 1
    assert path.read_bytes() == content


def test_sizes_alone_are_compared_when_asked_for(tmp_path: Path) -> None:
    wanted = tasks('dem')
    run(world(), tmp_path, wanted)
    one, two = (tmp_path / path for path in files(tmp_path)[:2])
    flip(one)
    cut(two)
    assert len(run(world(), tmp_path, wanted, check_hashes=False).made) == 1


def test_a_task_that_dies_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = world()
    wanted = tasks('s5p_co')
    write, written = collect_task.write_image, 0

    def dying(*arguments: object) -> None:
        nonlocal written
        written += 1
        if written == 15:
            # As a full disk.
            raise OSError(28, 'No space left on device')
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(collect_task, 'write_image', dying)
    with pytest.raises(OSError, match='No space left'):
        run(client, tmp_path, wanted)
    assert len(files(tmp_path)) == 12
    assert not list((tmp_path / WORK / 'parts').iterdir())
    report = run(client, tmp_path, wanted)
    assert (len(report.kept), len(report.made)) == (1, 2)
    assert len(files(tmp_path)) == 36


def test_a_run_that_is_killed_between_note_and_files_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    wanted = tasks('dem', cells=CELLS[:1])
    with monkeypatch.context() as patch:
        patch.setattr(collect_task.os, 'replace', kill)
        patch.setattr(collect_task, 'write_note', lambda *a: None)
        with pytest.raises(Killed):
            run(world(), tmp_path, wanted)
    assert files(tmp_path) == []
    with monkeypatch.context() as patch:
        real = os.replace
        patch.setattr(
            collect_task.os, 'replace', lambda a, b: kill() if Path(a).is_dir() else real(a, b)
        )
        with pytest.raises(Killed):
            run(world(), tmp_path, wanted)
    assert len(list(read_notes(tmp_path))) == 1
    # Rubbish of a killed run, which must not come into the folder.
    parts = tmp_path / WORK / 'parts' / wanted[0].key.replace('/', '_')
    parts.mkdir(parents=True)
    (parts / 'old.tif').write_text('half')
    assert len(run(world(), tmp_path, wanted).made) == 1
    assert [Path(path).name for path in files(tmp_path)] == ['dem.tif']


def test_what_failed_is_listed_and_tried_again_by_the_next_run(tmp_path: Path) -> None:
    client = world()
    wanted = tasks('dem')
    timeout = EEException('Computation timed out.')
    # Requests of the first cell: its number of tiles (twice), then those of the others.
    client.faults = [timeout, timeout, None, timeout, None]
    report = run(client, tmp_path, wanted)
    assert list(report.failed) == [wanted[0].key]
    assert 'failed 2 times, at last with: Computation timed out.' in report.failed[wanted[0].key]
    assert report.made == (wanted[1].key, wanted[2].key)
    again = run(client, tmp_path, wanted)
    assert (again.made, again.failed) == ((wanted[0].key,), {})
    assert again.kept == report.made


def test_a_run_in_which_everything_fails_stops(tmp_path: Path) -> None:
    client = world()
    client.faults = [EEException('Caller does not have permission.')] * 99
    with pytest.raises(ValueError, match=r'2 tasks in a row failed, .*not have permission'):
        run(client, tmp_path, tasks('s5p_co'), give_up_after=2)
    assert len(client.requests) == 2
    # Failures that are not in a row do not stop it.
    client = world()
    fault = EEException('Invalid.')
    client.faults = [fault, None, None, fault]
    report = run(client, tmp_path, tasks('dem'), give_up_after=2)
    assert (len(report.failed), len(report.made)) == (2, 1)


def test_places_without_images_are_not_asked_for_again(tmp_path: Path) -> None:
    client = world()
    client.scenes['COPERNICUS/S2_HARMONIZED'].pop()
    wanted = tasks('s2_toa')
    report = run(client, tmp_path, wanted)
    assert list(report.empty) == [wanted[0].key]
    assert 'no scene around' in report.empty[wanted[0].key]
    sent = len(client.requests)
    assert run(client, tmp_path, wanted) == report
    assert len(client.requests) == sent
    assert files(tmp_path) == []


def test_files_of_the_user_are_never_overwritten(tmp_path: Path) -> None:
    wanted = tasks('dem')
    mine = tmp_path / wanted[2].folder / 'mine.tif'
    mine.parent.mkdir(parents=True)
    mine.write_text('mine')
    with pytest.raises(ValueError, match='exists, but was not collected here'):
        run(world(), tmp_path, wanted)
    assert files(tmp_path) == [str(mine.relative_to(tmp_path))]


def test_images_of_another_recipe_are_not_mixed(tmp_path: Path) -> None:
    wanted = tasks('s3_olci', 'dem', cells=CELLS[:1])
    run(world(), tmp_path, wanted)
    with pytest.raises(ValueError, match=r's3_olci/.* was collected with other seed and year'):
        run(world(), tmp_path, wanted, recipe=Recipe(seed=1, year=2020))
    # Elevation is the same whatever the year.
    kept = run(world(), tmp_path, wanted[1:], recipe=Recipe(seed=1, year=2020)).kept
    assert kept == (wanted[1].key,)


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    (tmp_path / WORK).mkdir()
    with FileLock(tmp_path / WORK / 'lock'), pytest.raises(ValueError, match='Another run'):
        run(world(), tmp_path, tasks('dem'))


@pytest.mark.parametrize(
    ('wanted', 'options', 'match'),
    [
        ([], {}, 'at least one task'),
        (tasks('dem') * 2, {}, 'twice'),
        (tasks('dem'), {'workers': 2}, 'workers is 2'),
        (tasks('dem'), {'workers': 0, 'scheduler': 'threads'}, 'workers is 0'),
        (tasks('dem'), {'give_up_after': 0}, 'give_up_after'),
    ],
)
def test_impossible_runs_are_refused(
    tmp_path: Path, wanted: list[Task], options: dict[str, object], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        run(world(), tmp_path, wanted, **options)


def test_runs_on_dask_make_the_same_files(tmp_path: Path) -> None:
    pytest.importorskip('dask', reason='needs the extra `collect`')
    wanted = tasks('s5p_co', 's5p_o3')
    serial = run(world(), tmp_path / 'a', wanted)
    threads = run(world(), tmp_path / 'b', wanted, scheduler='threads', workers=2)
    assert serial == threads
    assert files(tmp_path / 'a') == files(tmp_path / 'b')
    for path in files(tmp_path / 'a'):
        assert (tmp_path / 'a' / path).read_bytes() == (tmp_path / 'b' / path).read_bytes()
    with pytest.raises(ValueError, match="scheduler is 'thread'"):
        run(world(), tmp_path / 'c', wanted, scheduler='thread')


def test_what_travels_to_other_processes_can_be_pickled_and_logs_in_once(tmp_path: Path) -> None:
    login = login_to(world())
    sent = Run(tmp_path, login, Recipe(), QUICK, True)
    there = pickle.loads(pickle.dumps(sent))
    assert collect_task.connected(there.login) is collect_task.connected(login)
    task = tasks('s2_toa')[0]
    assert pickle.loads(pickle.dumps(task)) == task


@dataclass(frozen=True)
class SlowLogin:
    """Takes so long that other threads would log in too."""

    logins: tuple[Barrier, ...]

    def __call__(self) -> FakeEarthEngine:
        with suppress(BrokenBarrierError):
            self.logins[0].wait(timeout=0.2)
            pytest.fail('two threads logged in')
        return world()


def test_threads_log_in_once(tmp_path: Path) -> None:
    pytest.importorskip('dask', reason='needs the extra `collect`')
    login = SlowLogin((Barrier(2),))
    report = collect(tasks('dem'), tmp_path, login, scheduler='threads', workers=2, progress=False)  # type: ignore[arg-type]
    assert len(report.made) == 3


def test_a_missing_dask_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'dask', None)
    with pytest.raises(ValueError, match=r'torchgeo-copernicus\[collect\]'):
        run(world(), tmp_path, tasks('dem'), scheduler='threads')


def test_damaged_notes_are_named(tmp_path: Path) -> None:
    wanted = tasks('dem', cells=CELLS[:1])
    run(world(), tmp_path, wanted)
    path = note_path(tmp_path, wanted[0])
    good = json.loads(path.read_text())
    damaged = (
        '{',
        '[]',
        *(
            json.dumps({**good, **change})
            for change in (
                {'version': 2},
                {'files': {'dem.tif': [1]}},
                {'files': []},
                {'options': None},
                {'more': 1},
            )
        ),
    )
    for text in damaged:
        path.write_text(text)
        with pytest.raises(ValueError, match='delete it to collect anew'):
            run(world(), tmp_path, wanted)


def test_resampled_images_are_counted_again_when_they_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('torchgeo_copernicus.collect.images.on_grid', lambda *_: False)
    wanted = tasks('s2_toa')
    assert run(world(), tmp_path, wanted).resampled == 4
    assert run(world(), tmp_path, wanted).resampled == 4


def test_a_task_of_no_place_or_another_cell_is_refused() -> None:
    with pytest.raises(ValueError, match='are of a place'):
        Task('s2_toa', PLACE.cell)
    with pytest.raises(ValueError, match='not of a place'):
        Task('dem', PLACE.cell, PLACE)
    with pytest.raises(ValueError, match='is not in cell'):
        Task('s1_grd', Cell.at(0, 0), PLACE)


def test_the_list_of_files_is_read_back_with_what_is_missing(tmp_path: Path) -> None:
    wanted = tasks('s2_toa', 's5p_co', 'dem', cells=CELLS[:2])
    other = Place(7, PLACE.longitude + 0.05, PLACE.latitude)
    wanted.append(Task('s1_grd', other.cell, other))
    client = world()
    client.scenes['COPERNICUS/S1_GRD'] = []
    run(client, tmp_path, wanted)
    path = write_file_names(tmp_path)
    again = path.read_bytes()
    assert write_file_names(tmp_path).read_bytes() == again
    # No time in the header.
    assert again[4:8] == bytes(4)
    document = json.loads(gzip.decompress(again))
    assert set(document) == {f'{cell.grid_id:07d}' for cell in CELLS[:2]}
    entry = document[f'{PLACE.cell.grid_id:07d}']
    assert entry['grid_id_coord'] == PLACE.cell.name
    assert set(entry) == {'grid_id_coord', *MODALITY_NAMES}
    assert (entry['s1_grd'], entry['s3_olci']) == ({}, [])
    assert list(entry['s2_toa']) == [PLACE.name] and len(entry['s2_toa'][PLACE.name]) == 4
    listed = [p for e in document.values() for p in (*e['s5p_co'], *e['dem'])]
    listed += [p for e in document.values() for paths in e['s2_toa'].values() for p in paths]
    assert sorted(listed) == [p for p in files(tmp_path) if not p.endswith('.gz')]
    (tmp_path / listed[0]).unlink()
    with pytest.raises(ValueError, match='gone or cut'):
        write_file_names(tmp_path)


def test_lists_of_other_names_or_of_nothing_are_refused(tmp_path: Path) -> None:
    for name in ('files.json.gz', 'fnames_a.json', 'fnames_/../a.json.gz'):
        with pytest.raises(ValueError, match=r'wanted fnames_\*'):
            write_file_names(tmp_path, name)
    with pytest.raises(ValueError, match='Nothing was collected'):
        write_file_names(tmp_path)


def test_the_dataset_reads_what_was_collected(tmp_path: Path) -> None:
    geotiff = pytest.importorskip('torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff')
    run(world(), tmp_path, tasks(*MODALITY_NAMES, cells=(PLACE.cell,)))
    dataset = geotiff.CopernicusPretrainGeoTIFF(tmp_path, file_list=write_file_names(tmp_path))
    (sample,) = [dataset[index] for index in range(len(dataset))]
    assert sample['grid_id'] == PLACE.cell.grid_id
    assert set(sample['image']) == set(MODALITY_NAMES)
    assert [len(sample['image'][name]) for name in MODALITY_NAMES] == [4, 4, 8, 12, 12, 12, 12, 1]
    place = sample['metadata']['s2_toa'][0]
    np.testing.assert_allclose(place[:2], (PLACE.longitude, PLACE.latitude), atol=1e-3)
    assert place[3] == 10
    first = min(day.item() for day in sample['metadata']['s5p_co'][:, 2])
    assert first == (np.datetime64('2021-01-01') - np.datetime64('1970-01-01')).astype(int)
