"""Damaged data: found, named, and left as it lies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_copernicus.datasets import CopernicusBenchCloudS2, CopernicusBenchEuroSATS2
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset

BOTH = pytest.mark.parametrize('dataset_type', [CopernicusBenchCloudS2, CopernicusBenchEuroSATS2])
CUT_OFF = 'cut off'


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything under a folder."""
    entries = {path: path.lstat() for path in sorted(root.rglob('*'))}
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in entries.items()}


@contextmanager
def refused(root: Path, *words: object, error: type[Exception] = ValueError) -> Iterator[None]:
    """Expect an error that says the words and leaves the folder as it was."""
    before = tree(root)
    with pytest.raises(error) as caught:
        yield
    missing = [str(word) for word in words if str(word) not in str(caught.value)]
    assert not missing, f'{missing} not in {caught.value}'
    assert tree(root) == before


def paths(dataset: BenchDataset) -> list[Path]:
    return [dataset._image_path(name) for name in dataset.names]


def with_holes(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.where(pixels > np.median(pixels), np.nan, pixels).astype('float32')


def rewrite(path: Path, change: Callable[[NDArray[Any]], NDArray[Any]], **profile: object) -> None:
    """Change the pixels of a file, `[C, H, W]`."""
    with rasterio.open(path) as file:
        old, pixels = file.profile, change(file.read())
    old.update(
        count=len(pixels), height=pixels.shape[1], width=pixels.shape[2], dtype=pixels.dtype.name
    )
    if pixels.dtype.kind == 'f':
        old.update(predictor=3)
    path.unlink()
    with rasterio.open(path, 'w', **(old | profile)) as file:
        file.write(pixels)


@BOTH
def test_data_that_is_not_there_raises_the_error_of_torchgeo(
    tmp_path: Path, dataset_type: type[BenchDataset]
) -> None:
    with refused(tmp_path, str(tmp_path), 'download=True', error=DatasetNotFoundError):
        dataset_type(tmp_path)


@BOTH
def test_a_missing_split_file_is_named(bench_copy: Path, dataset_type: type[BenchDataset]) -> None:
    path = dataset_type(bench_copy).split_file
    path.unlink()
    with refused(bench_copy, path, 'half extracted'):
        dataset_type(bench_copy)


@BOTH
@pytest.mark.parametrize('text', ['', '\n \n'])
def test_an_empty_split_file_is_named(
    bench_copy: Path, dataset_type: type[BenchDataset], text: str
) -> None:
    path = dataset_type(bench_copy).split_file
    path.write_text(text)
    with refused(bench_copy, path):
        dataset_type(bench_copy)


@BOTH
def test_windows_line_ends_in_a_split_file_are_no_part_of_the_names(
    bench_copy: Path, dataset_type: type[BenchDataset]
) -> None:
    dataset = dataset_type(bench_copy)
    dataset.split_file.write_bytes(dataset.split_file.read_bytes().replace(b'\n', b'\r\n'))
    assert dataset_type(bench_copy).names == dataset.names


@BOTH
def test_missing_images_are_found_at_construction_and_counted(
    bench_copy: Path, dataset_type: type[BenchDataset]
) -> None:
    lost = paths(dataset_type(bench_copy))[1:3]
    for path in lost:
        path.unlink()
    with refused(bench_copy, '2 files', lost[0], 'half extracted'):
        dataset_type(bench_copy)


@BOTH
def test_a_truncated_image_is_named(bench_copy: Path, dataset_type: type[BenchDataset]) -> None:
    dataset = dataset_type(bench_copy)
    path = paths(dataset)[1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with refused(bench_copy, path, CUT_OFF):
        dataset[1]


def test_a_truncated_uncompressed_image_is_not_read_as_zeros(bench_copy: Path) -> None:
    dataset = CopernicusBenchCloudS2(bench_copy)
    path = paths(dataset)[1]
    rewrite(path, lambda pixels: pixels, compress=None, predictor=1)
    assert dataset[1]['image'].shape == (13, 64, 64)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with refused(bench_copy, path, CUT_OFF):
        dataset[1]


@BOTH
@pytest.mark.parametrize('content', [b'', b'404: not found\n'])
def test_a_text_file_called_tif_is_named(
    bench_copy: Path, dataset_type: type[BenchDataset], content: bytes
) -> None:
    path = paths(dataset_type(bench_copy))[0]
    path.write_bytes(content)
    with refused(bench_copy, path, 'not a GeoTIFF'):
        dataset_type(bench_copy)


@BOTH
def test_a_wrong_number_of_bands_in_the_first_image_is_found_at_construction(
    bench_copy: Path, dataset_type: type[BenchDataset]
) -> None:
    path = paths(dataset_type(bench_copy))[0]
    rewrite(path, lambda pixels: pixels[:12])
    with refused(bench_copy, path, '12 bands', '13'):
        dataset_type(bench_copy)


@BOTH
def test_a_wrong_number_of_bands_in_another_image_is_found_at_reading(
    bench_copy: Path, dataset_type: type[BenchDataset]
) -> None:
    dataset = dataset_type(bench_copy, bands=['B02'])
    rewrite(paths(dataset)[3], lambda pixels: pixels[:12])
    with refused(bench_copy, paths(dataset)[3], '12 bands', '13'):
        dataset[3]


@BOTH
def test_an_image_of_another_size_is_named(
    bench_copy: Path, dataset_type: type[BenchDataset]
) -> None:
    dataset = dataset_type(bench_copy)
    rewrite(paths(dataset)[1], lambda pixels: pixels[:, :16])
    with refused(bench_copy, paths(dataset)[1], '[16, '):
        dataset[1]


@BOTH
def test_an_image_of_nothing_but_nan_is_named_and_one_with_a_few_is_not(
    bench_copy: Path, dataset_type: type[BenchDataset]
) -> None:
    dataset = dataset_type(bench_copy)
    rewrite(paths(dataset)[1], lambda pixels: np.full(pixels.shape, np.nan, np.float32))
    rewrite(paths(dataset)[2], with_holes)
    with refused(bench_copy, paths(dataset)[1], 'NaN'):
        dataset[1]
    assert 0 < dataset[2]['image'].isnan().sum() < dataset[2]['image'].numel()


@BOTH
def test_an_image_that_lies_nowhere_on_earth_is_named(
    bench_copy: Path, dataset_type: type[BenchDataset]
) -> None:
    dataset = dataset_type(bench_copy)
    nowhere = Affine(10, 0, 4e7, 0, -10, 9e7)
    rewrite(paths(dataset)[1], lambda pixels: pixels, transform=nowhere)
    with refused(bench_copy, paths(dataset)[1]):
        dataset[1]


def test_an_image_without_georeference_has_an_unknown_place(bench_copy: Path) -> None:
    dataset = CopernicusBenchCloudS2(bench_copy)
    with pytest.warns(NotGeoreferencedWarning):
        rewrite(paths(dataset)[1], lambda pixels: pixels, transform=Affine.identity(), crs=None)
    assert dataset[1]['metadata'].isnan().tolist() == [True, True, False, False]


@pytest.mark.parametrize('day', ['20201399', 'nodate'])
def test_a_name_without_a_possible_date_is_named(bench_copy: Path, day: str) -> None:
    dataset = CopernicusBenchCloudS2(bench_copy)
    old = dataset.names[0]
    new = f'ROI_00000__{day}{old[19:]}'
    for folder in ('s2_toa', 'cloud'):
        parent = bench_copy / 'cloud_s2' / folder
        (parent / f'{old}.tif').rename(parent / f'{new}.tif')
    dataset.split_file.write_text(dataset.split_file.read_text().replace(old, new))
    with refused(bench_copy, new):
        CopernicusBenchCloudS2(bench_copy)[0]


@pytest.mark.parametrize('line', ['Castle_1.jpg', 'forest_1.jpg', 'nonsense'])
def test_an_unknown_class_in_the_split_file_is_named(bench_copy: Path, line: str) -> None:
    path = CopernicusBenchEuroSATS2(bench_copy).split_file
    path.write_text(f'{path.read_text()}{line}\n')
    with refused(bench_copy, path, line, 'AnnualCrop'):
        CopernicusBenchEuroSATS2(bench_copy)
