from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import make_ssl4eo_v11
from torchgeo_copernicus.datasets.ssl4eo.v11 import layout as layout_v11
from torchgeo_copernicus.datasets.ssl4eo.v11 import verify as v11_verify
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import file_name, split_list, split_table
from torchgeo_copernicus.datasets.ssl4eo.v11.verify import ModalityReport, describe_v11, verify_v11
from torchgeo_copernicus.datasets.ssl4eo.verify import verify_ssl4eo
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip import ZarrZip
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip_writer import NewArray, write_zarr_zip
from torchgeo_copernicus.datasets.storage.byte_source import LocalFile

FIRST, SECOND = file_name('train', 1), file_name('train', 2)


@pytest.fixture(autouse=True)
def small_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the size of the look-alike the published one, so that it is right."""
    monkeypatch.setattr(v11_verify, 'IMAGE_SIZE', 48)
    monkeypatch.setattr(v11_verify, 'PLACES_PER_FILE', 4)


@pytest.fixture
def root(v11_copy: Path) -> Path:
    shutil.rmtree(v11_copy / 'val')
    for name in ('S2L2A', 'S2RGB'):
        shutil.rmtree(v11_copy / 'train' / name)
    return v11_copy


def by_name(root: Path, limit: int = 0) -> dict[str, ModalityReport]:
    return {report.modality: report for report in verify_v11(root, limit)}


def problems(root: Path, limit: int = 0) -> list[str]:
    return [text for report in verify_v11(root, limit) for text in report.problems]


def rewrite(path: Path, **changes: np.ndarray) -> None:
    """Write a file anew with other numbers in some arrays."""
    group = ZarrZip(LocalFile(path))
    arrays = {}
    for name, stored in group.arrays.items():
        attributes = {k: v for k, v in stored.attributes.items() if k != '_ARRAY_DIMENSIONS'}
        values = changes.get(name, group.read(name))
        chunks = values.shape if values.shape != stored.shape else stored.chunks
        arrays[name] = NewArray(values, stored.dims, chunks, attributes)
    path.unlink()
    write_zarr_zip(path, arrays)


def array(path: Path, name: str) -> np.ndarray:
    return ZarrZip(LocalFile(path)).read(name)


def test_a_right_copy_has_no_problem_and_its_report_tells_what_is_there(root: Path) -> None:
    reports = by_name(root)
    text = describe_v11(list(reports.values()))
    assert problems(root) == []
    assert text.endswith('No problem found.')
    radar, optical = reports['S1GRD'], reports['S2L1C']
    assert (radar.read, optical.read) == (32, 32)
    assert optical.members == optical.members_checked > 50
    assert optical.size == (48, 48)
    assert sum(optical.clouds.values()) == 32 * 48 * 48
    pixels = [array(root / 'train' / 'S2L1C' / name, 'bands') for name in (FIRST, SECOND)]
    mean = np.concatenate(pixels).mean((0, 1, 3, 4))
    np.testing.assert_allclose(list(optical.mean.values()), mean, rtol=1e-9)
    products = [array(root / 'train' / 'S1GRD' / name, 'file_id') for name in (FIRST, SECOND)]
    times = np.array([[product[17:32] for product in row] for p in products for row in p])
    assert radar.reordered == (np.sort(times, 1) != times).any(1).sum() > 0
    for words in ('2 of 3812 files, 8 of 243968 places', 'cloud mask: land', 'in %d places'):
        assert (words % radar.reordered if '%' in words else words) in text


def test_a_limit_reads_less_and_still_every_file(root: Path) -> None:
    reports = by_name(root, 3)
    assert reports['S2L1C'].read == 3
    assert reports['S2L1C'].members_checked == 4 < reports['S2L1C'].members


def test_a_part_of_the_release_is_no_problem(root: Path) -> None:
    for name in ('S1GRD', 'S2L1C'):
        (root / 'train' / name / SECOND).unlink()
    assert problems(root) == []
    assert by_name(root)['S1GRD'].notes == ['1 of 2 files of the list are not here']


def test_a_file_that_one_modality_lacks_is_named(root: Path) -> None:
    (root / 'train' / 'S1GRD' / SECOND).unlink()
    assert by_name(root)['S1GRD'].problems == [
        f"1 files of other modalities are missing: ['{SECOND}']"
    ]


def test_a_file_of_another_split_is_named(root: Path) -> None:
    (root / split_list('train')).write_text(f'{FIRST}\n')
    assert f"1 files are not in the list of the split: ['{SECOND}']" in problems(root)


@pytest.mark.parametrize('damage', ['cut', 'flip', 'chunk'])
def test_a_damaged_file_is_named_and_the_others_are_read(root: Path, damage: str) -> None:
    path = root / 'train' / 'S2L1C' / FIRST
    content = bytearray(path.read_bytes())
    if damage == 'cut':
        path.write_bytes(content[:-100])
    elif damage == 'flip':
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_suffix('.new'), 'w') as new:
            for info in old.infolist():
                if info.filename != 'x_/0.0':
                    new.writestr(info, old.read(info))
        path.with_suffix('.new').replace(path)
    report = by_name(root)['S2L1C']
    wanted = {'cut': 'not a whole zip', 'flip': 'CRC', 'chunk': "lacks the chunks ['x_/0.0']"}
    assert len(report.problems) == 1
    assert wanted[damage] in report.problems[0]
    assert FIRST in report.problems[0]
    assert report.read == 16


def test_other_places_than_in_another_modality_are_a_problem_another_order_is_not(
    root: Path,
) -> None:
    path = root / 'train' / 'S1GRD' / FIRST
    rewrite(path, sample=array(path, 'sample')[::-1].copy())
    notes = by_name(root)['S2L1C'].notes
    assert problems(root) == []
    assert ['another order of places than in S1GRD' in note for note in notes] == [True]
    ids = array(path, 'sample').copy()
    ids[0] = '0099999'
    rewrite(path, sample=ids)
    assert f"1 files hold other places than in S1GRD: ['{FIRST}']" in problems(root)


def test_a_file_in_two_copies_is_found(root: Path) -> None:
    for name in ('S1GRD', 'S2L1C'):
        shutil.copy(root / 'train' / name / FIRST, root / 'train' / name / SECOND)
    assert sum('are there twice' in text for text in problems(root)) == 2


def test_an_edition_without_its_offset_is_found(root: Path) -> None:
    path = root / 'train' / 'S2L1C'
    for name in (FIRST, SECOND):
        rewrite(path / name, bands=array(path / name, 'bands') - np.int16(1000))
    (found,) = problems(root)
    assert 'mean of B10' in found
    assert 'this edition has an offset of 1000 DN' in found


def test_values_that_are_missing_are_counted_and_strange_ones_named(root: Path) -> None:
    path = root / 'train' / 'S1GRD' / FIRST
    bands = array(path, 'bands').copy()
    bands[:, :, 1] = np.nan
    rewrite(path, bands=bands)
    path = root / 'train' / 'S2L1C' / FIRST
    rewrite(path, cloud_mask=np.full_like(array(path, 'cloud_mask'), 9))
    reports = by_name(root)
    assert reports['S1GRD'].missing_share == 0.25
    assert np.isfinite(reports['S1GRD'].mean['VH'])
    assert reports['S2L1C'].problems == ['cloud_mask has the unknown classes [9]']


def test_sizes_that_were_not_published_are_problems(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    found = problems(root)
    assert sum('264 px were published' in text for text in found) == 2
    assert sum('other than 64 places: 2 of 4' in text for text in found) == 2


def test_times_that_contradict_the_products_are_told(root: Path) -> None:
    path = root / 'train' / 'S1GRD' / FIRST
    times = array(path, 'time_').copy()
    times[0, 1] = times[0, 0]
    rewrite(path, time_=times)
    report = by_name(root)['S1GRD']
    assert report.notes == [
        'some places have two images of one time',
        'times in time_ are not those of the product names',
    ]


def test_the_other_edition_is_right_too_and_not_mixed(v11_tars: Path, root: Path) -> None:
    reports = by_name(v11_tars)
    assert [text for report in reports.values() for text in report.problems] == []
    assert {report.edition for report in reports.values()} == {'webdataset'}
    assert reports['S1GRD'].reordered == 0
    shutil.rmtree(root / 'train' / 'S1GRD')
    shutil.copytree(v11_tars / 'train' / 'S1GRD', root / 'train' / 'S1GRD')
    assert 'the modalities are of different editions' in problems(root)


def test_an_old_archive_out_of_order_is_told(
    v11_tars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = by_name(v11_tars)['S1GRD']
    assert report.index is not None
    report.index.order[0] = report.index.order[0][::-1]
    report.problems.clear()
    v11_verify._check_list(v11_tars, report)
    assert ['older than 2026-02-19' in text for text in report.problems] == [True]


def test_the_table_must_name_the_places_of_the_files(root: Path) -> None:
    pytest.importorskip('pyarrow')
    path = root / 'train' / 'S2L1C'
    rows = [
        {'sample_id': str(sample), 'time_id': date, 'file': name}
        for name in (FIRST, SECOND)
        for sample in array(path / name, 'sample')
        for date in range(layout_v11.DATES)
    ]
    table = pd.DataFrame(rows)
    table.to_parquet(root / split_table('train'))
    assert problems(root) == []
    table.iloc[4:].replace(SECOND, FIRST).to_parquet(root / split_table('train'))
    found = problems(root)
    assert ['lacks 5 places' in text for text in found] == [True, False, True, False]
    assert ['in addition 4 places' in text for text in found] == [False, True, False, True]
    table[['time_id']].to_parquet(root / split_table('train'))
    assert all("no columns ['tar', 'sample_id']" in text for text in problems(root))
    (root / split_table('train')).write_bytes(b'PAR1')
    assert all('cannot be read' in text for text in problems(root))


def test_the_real_table_is_understood(root: Path, real_v11_table: Path) -> None:
    pytest.importorskip('pyarrow')
    shutil.copy(real_v11_table, root / split_table('train'))
    found = problems(root)
    # The real table is of val: none of the files here is in it.
    assert ['lacks 8 places' in text for text in found] == [True, True]


@pytest.fixture
def real_v11_table() -> Path:
    from tests.conftest import SHARED

    path = SHARED / 'realdata' / 'ssl4eo_s12_v11' / 'val_metadata.parquet'
    if not path.is_file():
        pytest.skip('realdata/ssl4eo_s12_v11 is not under COPERNICUS_SHARED')
    return path


def test_both_versions_are_recognised_and_neither_is_an_error(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, bad = verify_ssl4eo(root, 2)
    assert (text.splitlines()[0], bad) == ('SSL4EO-S12 v1.1', False)
    (root / 'train' / 'S1GRD' / SECOND).unlink()
    assert verify_ssl4eo(root, 2)[1]
    old = tmp_path / 'old'
    (old / 's2c' / '0000200').mkdir(parents=True)
    text, bad = verify_ssl4eo(old)
    assert (text.splitlines()[0], bad) == ('SSL4EO-S12 v1.0', True)
    with pytest.raises(
        FileNotFoundError, match=r'neither .* v1\.1 \(folders train, val\) nor v1\.0'
    ):
        verify_ssl4eo(tmp_path / 'none')


def test_empty_folders_and_bad_limits_are_errors(tmp_path: Path) -> None:
    (tmp_path / 'train').mkdir()
    with pytest.raises(FileNotFoundError, match='Give the folder that train and val are in'):
        verify_v11(tmp_path)
    with pytest.raises(ValueError, match='not be negative'):
        verify_v11(tmp_path, -1)


def test_a_copy_on_which_nothing_was_lost_is_made_by_the_maker(tmp_path: Path) -> None:
    made = make_ssl4eo_v11(tmp_path, n=5, seed=1, size=48, modalities=['S2RGB'])
    assert by_name(made)['S2RGB'].read == 4


def test_files_that_do_not_fit_each_other_are_a_problem(root: Path, tmp_path: Path) -> None:
    other = make_ssl4eo_v11(tmp_path / 'v11', n=5, seed=0, size=32, modalities=['S2L1C'])
    shutil.copy(other / 'train' / 'S2L1C' / FIRST, root / 'train' / 'S2L1C' / SECOND)
    report = by_name(root)['S2L1C']
    assert [SECOND in text and 'height, width' in text for text in report.problems] == [True]
    assert report.read == 0


def test_blocks_that_decode_no_more_are_named_though_their_crc_was_not_drawn(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v11_verify, 'damaged_members', lambda group, at_most: [])
    for name in (FIRST, SECOND):
        path = root / 'train' / 'S2L1C' / name
        content = bytearray(path.read_bytes())
        for date in range(4):
            start = ZarrZip(LocalFile(path)).place(f'bands/0.{date}.0.0.0')
            content[start] = 7
        path.write_bytes(content)
    report = by_name(root, 8)['S2L1C']
    assert report.read == 0
    assert len(report.problems) == 8
    assert all('place' in text and 'date' in text for text in report.problems)
