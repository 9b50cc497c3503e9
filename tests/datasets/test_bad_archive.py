"""Archives and downloads: verified before anything is put in place."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from torchgeo.datasets import DatasetNotFoundError

from tests.datasets.test_bad_data import refused
from torchgeo_copernicus.datasets import CopernicusBenchCloudS2, CopernicusBenchEuroSATS2
from torchgeo_copernicus.datasets.bench import locate as module
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.download import sha256_of

BOTH = pytest.mark.parametrize('dataset_type', [CopernicusBenchCloudS2, CopernicusBenchEuroSATS2])


@pytest.fixture
def archives(bench_root: Path, tmp_path: Path) -> Path:
    """Folder with the archives of both tasks and nothing else."""
    root = tmp_path / 'archives'
    for name in ('cloud_s2', 'eurosat_s2'):
        shutil.make_archive(str(root / name), 'zip', bench_root, name)
    return root


def declare(
    monkeypatch: pytest.MonkeyPatch, dataset_type: type[BenchDataset], archive: Path
) -> None:
    """Make an archive the released one, and its path the download address."""
    task = dataclasses.replace(
        dataset_type.task,
        archives=(dataclasses.replace(dataset_type.task.archives[0], sha256=sha256_of(archive)),),
    )
    monkeypatch.setattr(dataset_type, 'task', task)
    monkeypatch.setattr(dataset_type, 'url', archive.as_uri())


def archive_of(root: Path, dataset_type: type[BenchDataset]) -> Path:
    return root / dataset_type.task.archives[0].name


@BOTH
def test_an_archive_with_another_hash_is_neither_extracted_nor_deleted(
    archives: Path, dataset_type: type[BenchDataset]
) -> None:
    archive = archive_of(archives, dataset_type)
    with refused(
        archives,
        archive,
        sha256_of(archive),
        dataset_type.task.archives[0].sha256,
        'checksum=False',
    ):
        dataset_type(archives)


@BOTH
def test_an_archive_with_another_hash_is_not_replaced_by_a_download(
    archives: Path, dataset_type: type[BenchDataset]
) -> None:
    with refused(archives, archive_of(archives, dataset_type)):
        dataset_type(archives, download=True)


@BOTH
def test_the_released_archive_is_extracted_and_read(
    archives: Path,
    bench_root: Path,
    dataset_type: type[BenchDataset],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = archive_of(archives, dataset_type)
    declare(monkeypatch, dataset_type, archive)
    before = set(archives.iterdir())
    dataset = dataset_type(archives)
    assert set(archives.iterdir()) - before == {archives / dataset_type.task.name}
    assert dataset[0]['image'].equal(dataset_type(bench_root)[0]['image'])
    # Once extracted, the archive is not needed.
    archive.unlink()
    assert len(dataset_type(archives)) == len(dataset)


@BOTH
def test_checksum_off_trusts_another_archive(
    archives: Path, dataset_type: type[BenchDataset]
) -> None:
    assert dataset_type(archives, checksum=False)[0]['image'].ndim == 3


def test_a_cut_off_archive_extracts_nothing_even_with_checksum_off(archives: Path) -> None:
    archive = archives / 'cloud_s2.zip'
    archive.write_bytes(archive.read_bytes()[:-2000])
    with refused(archives, archive):
        CopernicusBenchCloudS2(archives, checksum=False)


def test_an_archive_of_another_task_extracts_nothing(archives: Path) -> None:
    shutil.copy(archives / 'eurosat_s2.zip', archives / 'cloud_s2.zip')
    with refused(archives, 'cloud_s2/'):
        CopernicusBenchCloudS2(archives, checksum=False)


@BOTH
def test_download_fetches_verifies_and_extracts(
    archives: Path,
    tmp_path: Path,
    dataset_type: type[BenchDataset],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declare(monkeypatch, dataset_type, archive_of(archives, dataset_type))
    root = tmp_path / 'new' / 'root'
    with pytest.raises(DatasetNotFoundError):
        dataset_type(root)
    dataset = dataset_type(root, download=True)
    assert dataset[-1]['image'].ndim == 3
    assert archive_of(root, dataset_type).is_file()
    # Nothing is fetched again.
    monkeypatch.setattr(dataset_type, 'url', 'file:///nowhere.zip')
    assert len(dataset_type(root, download=True)) == len(dataset)


def test_a_download_of_another_file_puts_nothing_in_place(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CopernicusBenchCloudS2, 'url', (archives / 'cloud_s2.zip').as_uri())
    root = tmp_path / 'root'
    with pytest.raises(ValueError, match=CopernicusBenchCloudS2.task.archives[0].sha256):
        CopernicusBenchCloudS2(root, download=True)
    assert {path.suffix for path in root.iterdir()} <= {'.lock'}


def test_a_download_that_fails_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CopernicusBenchCloudS2, 'url', (tmp_path / 'none.zip').as_uri())
    with pytest.raises(ConnectionError, match=str(tmp_path / 'root' / 'cloud_s2.zip')):
        CopernicusBenchCloudS2(tmp_path / 'root', download=True)


def test_a_process_that_comes_second_reads_what_the_first_one_extracted(
    archives: Path, bench_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process of a distributed run sets up the data, and hashing takes minutes."""
    declare(monkeypatch, CopernicusBenchCloudS2, archives / 'cloud_s2.zip')

    def hash_while_another_process_extracts(path: Path) -> str:
        shutil.copytree(bench_root / 'cloud_s2', archives / 'cloud_s2')
        return sha256_of(path)

    monkeypatch.setattr(module, 'sha256_of', hash_while_another_process_extracts)
    assert len(CopernicusBenchCloudS2(archives)) == 6
