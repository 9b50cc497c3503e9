"""Checking a copy: what is wrong is found and said, and nothing is changed."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from tests.datasets.test_bad_data import rewrite, tree
from tests.datasets.test_every_dataset import ARCHIVES, every_archive
from torchgeo_copernicus.cli import main
from torchgeo_copernicus.datasets.bench import DATASETS, TASKS
from torchgeo_copernicus.datasets.bench.verify import SplitReport, describe, verify

CLOUD = DATASETS['cloud_s2']
SPLITS = ['train', 'val', 'test']


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return every_archive(tmp_path_factory)


@pytest.fixture
def clouds(root: Path, tmp_path: Path) -> Path:
    """Cloud-S2 with 3/1/1 scenes of 64 px in a place where it may be damaged."""
    shutil.copytree(root / 'cloud_s2', tmp_path / 'data' / 'cloud_s2')
    return tmp_path / 'data'


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the small copy of Cloud-S2 the published one."""
    sizes: Any = {'train': 3, 'val': 1, 'test': 1}
    monkeypatch.setattr(CLOUD, 'task', replace(CLOUD.task, split_sizes=sizes, native_size=64))


def problems(reports: list[SplitReport]) -> dict[str, list[str]]:
    return {report.split: report.problems for report in reports if report.problems}


def image(root: Path, index: int, split: Any = 'train') -> Path:
    dataset = CLOUD(root, split)
    return dataset._image_path(dataset.names[index])


def mask(root: Path, index: int) -> Path:
    return root / 'cloud_s2' / 'cloud' / image(root, index).name


# What is reported


@pytest.mark.parametrize('task', DATASETS)
def test_the_sizes_of_a_small_copy_are_the_only_problem(root: Path, task: str) -> None:
    before = tree(root)
    reports = verify(DATASETS[task], root, limit=1)
    assert tree(root) == before
    assert [report.split for report in reports] == SPLITS
    side = TASKS[task].grid_size or TASKS[task].native_size
    for report in reports:
        assert (report.read, report.bands) == (1, TASKS[task].bands)
        assert report.samples < TASKS[task].split_sizes[report.split]  # type: ignore[index]
        number, *others = report.problems
        assert number.startswith(f'{report.samples} samples, ')
        assert str(TASKS[task].split_sizes[report.split]) in number  # type: ignore[index]
        fits = report.shape[-1] == side
        assert len(others) == (0 if fits else 1)
        assert fits == (task.startswith(('lc', 'biomass', 'aq')))
        if not fits:
            assert f'{side} px' in others[0]
        located = task not in ('lcz_s2', 'dfc2020_s1', 'dfc2020_s2')
        dated = located and not task.startswith('eurosat')
        assert (report.located, report.dated) == (located, dated)
    text = describe(TASKS[task], reports)
    assert text.startswith(TASKS[task].title)
    assert text.count('PROBLEM') == sum(len(report.problems) for report in reports)
    assert 'No problem found.' not in text


@pytest.mark.usefixtures('published')
def test_a_good_copy_has_no_problem(clouds: Path) -> None:
    reports = verify(CLOUD, clouds, limit=0)
    assert problems(reports) == {}
    assert (
        [report.samples for report in reports] == [report.read for report in reports] == [3, 1, 1]
    )
    assert reports[0].shape == (13, 64, 64)
    text = describe(CLOUD.task, reports)
    assert text.endswith('No problem found.')
    assert '3 samples, 3 read: 13 x 64 x 64 (13 bands)' in text


def test_labels_are_counted_by_pixel_with_the_ignored_ones(root: Path) -> None:
    reports = verify(DATASETS['dfc2020_s1'], root, limit=0)
    for report in reports:
        names = (root / 'dfc2020_s1s2' / f'dfc-{report.split}-new.csv').read_text().split()
        stored = np.stack([read(root / 'dfc2020_s1s2' / 'dfc' / name) for name in names])
        wanted = {
            i: int((stored == code).sum()) for i, code in enumerate((1, 2, 4, 5, 6, 7, 9, 10))
        }
        wanted[-100] = int(np.isin(stored, (0, 3, 8)).sum())
        assert {label: n for label, n in report.labels.items() if n} == {
            label: n for label, n in wanted.items() if n
        }
    text = describe(TASKS['dfc2020_s1'], reports)
    share = reports[0].labels[-100] / reports[0].labels.total()
    (line,) = [line for line in text.splitlines() if 'ignored' in line]
    assert f'{share:.2%}' in line.split()
    assert 'Urban/Built-up' in text


def read(path: Path) -> Any:
    with rasterio.open(path) as file:
        return file.read()


def test_labels_of_several_classes_are_shares_of_samples_not_of_labels(root: Path) -> None:
    reports = verify(DATASETS['bigearthnet_s1'], root, limit=0)
    table = (root / 'bigearthnet_s1s2' / 'multilabel-train.csv').read_text().splitlines()[1:]
    columns = np.array([line.split(',')[-19:] for line in table]).astype(int)
    assert [reports[0].labels[label] for label in range(19)] == columns.sum(0).tolist()
    text = describe(TASKS['bigearthnet_s1'], reports)
    (line,) = [line for line in text.splitlines() if 'Pastures' in line]
    assert line.split()[2] == f'{columns[:, 4].mean():.2%}'


def test_a_target_is_summed_up_without_its_gaps(root: Path) -> None:
    train = verify(DATASETS['aq_no2_s5p'], root, limit=0)[0]
    dataset = DATASETS['aq_no2_s5p'](root)
    values = np.stack([dataset[i]['mask'].numpy() for i in range(len(dataset))]).astype(float)
    assert train.target is not None
    wanted = (np.nanmin(values), np.nanmean(values), np.nanmax(values), np.isnan(values).mean())
    assert train.target == pytest.approx(wanted, rel=1e-5)
    assert 0 < train.target[3] < 1
    assert not train.labels
    assert 'ug m-3' in describe(TASKS['aq_no2_s5p'], [train])


def test_missing_values_are_a_share_of_all_values(root: Path) -> None:
    reports = verify(DATASETS['cloud_s3'], root, limit=0)
    (name,) = (root / 'cloud_s3' / 'val.csv').read_text().split()
    share = np.isnan(read(root / 'cloud_s3' / 's3_olci' / name)).mean()
    assert reports[1].missing_share == pytest.approx(share)
    assert share > 0.01


# What is found


@pytest.mark.usefixtures('published')
def test_a_missing_file_is_a_problem_of_its_split_only(clouds: Path) -> None:
    path = image(clouds, 0, 'val')
    path.unlink()
    reports = verify(CLOUD, clouds, limit=0)
    assert list(problems(reports)) == ['val']
    (problem,) = reports[1].problems
    assert str(path) in problem
    assert [report.read for report in reports] == [3, 0, 1]
    assert f'PROBLEM val: {problem}' in describe(CLOUD.task, reports)


@pytest.mark.usefixtures('published')
def test_a_missing_list_is_a_problem(clouds: Path) -> None:
    (clouds / 'cloud_s2' / 'test.csv').unlink()
    reports = verify(CLOUD, clouds, limit=0)
    assert list(problems(reports)) == ['test']
    assert 'test.csv' in reports[2].problems[0]


@pytest.mark.usefixtures('published')
def test_a_wrong_code_is_found_and_the_other_samples_are_counted(clouds: Path) -> None:
    def spoil(pixels: Any) -> Any:
        pixels[0, 5, 7] = 9
        return pixels

    rewrite(mask(clouds, 1), spoil)
    reports = verify(CLOUD, clouds, limit=0)
    (problem,) = problems(reports)['train']
    assert str(mask(clouds, 1)) in problem
    assert 'label 9' in problem
    assert (reports[0].samples, reports[0].read) == (3, 2)
    assert reports[0].labels.total() == 2 * 64 * 64


@pytest.mark.usefixtures('published')
def test_a_truncated_image_is_found(clouds: Path) -> None:
    path = image(clouds, 2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (problem,) = problems(verify(CLOUD, clouds, limit=0))['train']
    assert str(path) in problem


@pytest.mark.usefixtures('published')
def test_splits_of_different_sizes_are_a_problem(clouds: Path) -> None:
    for path in (image(clouds, 0, 'val'), clouds / 'cloud_s2/cloud' / image(clouds, 0, 'val').name):
        rewrite(path, lambda pixels: pixels[:, :32, :32])
    found = problems(verify(CLOUD, clouds, limit=0))
    assert any('different sizes' in text for text in found['train'])
    assert any('64 px were published' in text for text in found['val'])


@pytest.mark.usefixtures('published')
@pytest.mark.parametrize(('limit', 'found'), [(0, True), (1, False), (2, False), (3, True)])
def test_a_limit_reads_samples_spread_over_the_split(clouds: Path, limit: int, found: bool) -> None:
    rewrite(mask(clouds, 1), lambda pixels: pixels + 100)  # neither the first nor the last
    reports = verify(CLOUD, clouds, limit=limit)
    assert bool(problems(reports)) == found
    assert reports[0].read == (min(limit or 3, 3) - found)
    assert reports[1].read == 1


def test_a_negative_limit_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match='-1'):
        verify(CLOUD, root, limit=-1)


# What is left alone


@pytest.mark.parametrize('task', ['cloud_s2', 'lcz_s2', 'aq_o3_s5p'])
def test_an_archive_is_neither_extracted_nor_downloaded(
    root: Path, tmp_path: Path, task: str
) -> None:
    folder = TASKS[task].folder
    if task == 'lcz_s2':
        shutil.copy(root / folder / 'lcz_train.h5', tmp_path)
    else:
        shutil.make_archive(str(tmp_path / folder), 'zip', root, folder)
    before = tree(tmp_path)
    assert len(before) == 1
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        verify(DATASETS[task], tmp_path, limit=1)
    assert tree(tmp_path) == before


# The command line


def test_the_command_fails_with_the_report_when_something_is_wrong(
    clouds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(clouds)
    with pytest.raises(SystemExit) as caught:
        main(['verify', 'cloud_s2', str(clouds)])
    # Text is printed to standard error, and the exit code is 1.
    assert isinstance(caught.value.code, str)
    assert 'Thick Cloud' in caught.value.code
    assert 'PROBLEM train: 3 samples, 1699 were published' in caught.value.code
    assert capsys.readouterr().out == ''
    assert tree(clouds) == before


@pytest.mark.usefixtures('published')
def test_the_command_prints_the_report_of_a_good_copy(
    clouds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(['verify', 'cloud_s2', str(clouds), '--limit', '0'])
    assert capsys.readouterr().out.endswith('No problem found.\n')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['verify', 'cloud_s9', 'DIR'], "'cloud_s9'.*cloud_s2, cloud_s3"),
        (['verify', 'cloud_s2', 'DIR'], 'no extracted Cloud-S2'),
        (['verify', 'lcz_s2', 'DIR'], 'no extracted LCZ-S2'),
        (['verify', 'cloud_s2', 'DIR', '--limit', '-1'], '-1'),
        (['sample', 'eurosat', 'DIR'], "'eurosat'.*eurosat_s1, eurosat_s2"),
        (['sample', 'lcz_s2', 'DIR', '--size', '64'], '32 pixels'),
        (['sample', 'eurosat_s1', 'DIR', '--n', '29'], 'n >= 30'),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    given = [str(tmp_path) if argument == 'DIR' else argument for argument in arguments]
    with pytest.raises(SystemExit, match=message) as caught:
        main(given)
    assert '\n' not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_list_has_every_task_with_its_licence_and_sizes_uncut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(['datasets'])
    lines = capsys.readouterr().out.splitlines()
    for name, task in TASKS.items():
        (line,) = [line for line in lines if name in line.split()]
        assert task.license in line
        assert '/'.join(str(size) for size in task.split_sizes.values()) in line
        assert task.sensor.title in line
        assert '…' not in line


@pytest.mark.parametrize('task', ['dfc2020_s1', 'lc100seg_s3', 'aq_o3_s5p'])
def test_a_sample_is_of_the_archive_that_two_tasks_share(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(['sample', task, str(tmp_path), '--n', '3', '--size', '32'])
    folder = TASKS[task].folder
    assert capsys.readouterr().out == f'Wrote {tmp_path / folder}\n'
    sharing = [name for name, other in TASKS.items() if other.folder == folder]
    assert len(sharing) == 2
    for name in sharing:
        assert len(DATASETS[name](tmp_path, 'test')) == 1
        before = tree(tmp_path)
        with pytest.raises(SystemExit, match='exists'):
            main(['sample', name, str(tmp_path), '--n', '3', '--size', '32'])
        assert tree(tmp_path) == before
    assert folder in ARCHIVES
