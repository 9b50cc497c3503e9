"""What `terratorch predict` writes: on the right ground, in the right type, none over another."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin
from torch import Tensor

pytestmark = [
    pytest.mark.terratorch,
    # DFC2020 has no place on Earth, which is no mistake.
    pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning'),
]
UTM = CRS.from_epsg(32632)


def image(
    path: Path, height: int = 40, width: int = 60, crs: CRS | None = UTM, bands: int = 3
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = Affine.identity() if crs is None else from_origin(500_000, 5_300_000, 10, 10)
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=bands,
        height=height,
        width=width,
        dtype='uint16',
        crs=crs,
        transform=transform,
        nodata=7,
    ) as file:
        file.write(np.ones((bands, height, width), np.uint16))
    return path


def write_map(values: Tensor, source: Path, path: Path) -> None:
    from torchgeo_copernicus.terratorch import predictions

    predictions.write_map(values, source, path)


def writer(names: list[str] | None = None) -> Any:
    from torchgeo_copernicus.terratorch.predictions import BenchPredictionWriter

    return BenchPredictionWriter(names)


def write(
    out: Any, directory: Path | None, values: Any, names: Any, datamodule: Any = None, rank: int = 0
) -> None:
    trainer = SimpleNamespace(predict_output_dir=directory, global_rank=rank, datamodule=datamodule)
    if directory is not None:
        trainer.predict_output_dir = str(directory)
    out.write_on_batch_end(trainer, None, (values, names), None, {}, 0, 0)


def air_quality(root: Path) -> Any:
    from torchgeo_copernicus.datamodules import CopernicusBenchAQNO2S5PDataModule

    return CopernicusBenchAQNO2S5PDataModule(str(root))


def rows(path: Path) -> list[list[str]]:
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.reader(file))


@pytest.mark.parametrize('shape', [(40, 60), (120, 180), (20, 30), (37, 53), (1, 1)])
def test_a_map_of_another_size_covers_the_same_ground(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    source = image(tmp_path / 'image.tif')
    write_map(torch.zeros(shape, dtype=torch.int64), source, tmp_path / 'deep' / 'er' / 'map.tif')
    with (
        rasterio.open(source) as file,
        rasterio.open(tmp_path / 'deep' / 'er' / 'map.tif') as found,
    ):
        assert found.shape == shape
        assert found.crs == file.crs
        assert found.bounds == pytest.approx(file.bounds)
        # North is up still.
        assert found.transform.a > 0 > found.transform.e
        assert found.transform.a == pytest.approx(10 * 60 / shape[1])
        assert found.transform.e == pytest.approx(-10 * 40 / shape[0])


def test_the_corners_of_a_map_lie_in_the_corners_of_the_image(tmp_path: Path) -> None:
    values = torch.zeros(80, 120, dtype=torch.int64)
    values[0, 0], values[-1, -1], values[0, -1] = 1, 2, 3
    source = image(tmp_path / 'image.tif')
    write_map(values, source, tmp_path / 'map.tif')
    with rasterio.open(source) as file, rasterio.open(tmp_path / 'map.tif') as found:
        left, bottom, right, top = file.bounds
        corners = [(left + 1, top - 1), (right - 1, bottom + 1), (right - 1, top - 1)]
        assert [int(value[0]) for value in found.sample(corners)] == [1, 2, 3]


def test_a_turned_image_gives_a_turned_map(tmp_path: Path) -> None:
    source = image(tmp_path / 'image.tif')
    turned = from_origin(500_000, 5_300_000, 10, 10) @ Affine.rotation(30)
    with rasterio.open(source, 'r+') as file:
        file.transform = turned
    write_map(torch.zeros(20, 20), source, tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'map.tif') as found:
        for corner in ((0, 0), (1, 0), (0, 1), (1, 1)):
            x, y = corner
            wanted = turned @ (60 * x, 40 * y)
            assert found.transform @ (20 * x, 20 * y) == pytest.approx(wanted)


def test_an_image_without_a_place_gives_a_map_without_one(tmp_path: Path) -> None:
    source = image(tmp_path / 'image.tif', crs=None)
    write_map(torch.ones(40, 60, dtype=torch.int64), source, tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'map.tif') as found:
        assert found.crs is None
        assert (found.read(1) == 1).all()


@pytest.mark.parametrize('dtype', [torch.int64, torch.int32, torch.uint8])
def test_classes_are_bytes_and_255_is_no_class(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.arange(40 * 60).reshape(40, 60).remainder(23).to(dtype)
    write_map(values, image(tmp_path / 'image.tif'), tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'map.tif') as found:
        assert (found.count, found.dtypes[0], found.nodata) == (1, 'uint8', 255)
        assert np.array_equal(found.read(1), values.numpy())
        assert (found.dataset_mask() == 255).all()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float64])
def test_values_are_float32_and_nan_is_none(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.linspace(-3, 5000, 40 * 60).reshape(40, 60).to(dtype)
    values[3, 4] = torch.nan
    write_map(values.requires_grad_(False), image(tmp_path / 'image.tif'), tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'map.tif') as found:
        assert (found.count, found.dtypes[0]) == (1, 'float32')
        assert np.isnan(found.nodata)
        assert np.array_equal(found.read(1), values.float().numpy(), equal_nan=True)
        assert (found.dataset_mask() == 0).sum() == 1


def test_probabilities_have_a_band_for_each_class(tmp_path: Path) -> None:
    values = torch.rand(4, 20, 30)
    write_map(values, image(tmp_path / 'image.tif'), tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'map.tif') as found:
        assert found.count == 4
        assert np.array_equal(found.read(), values.numpy())


def test_an_image_that_is_no_raster_is_named(tmp_path: Path) -> None:
    (tmp_path / 'notes.txt').write_text('no raster')
    for source in (tmp_path / 'notes.txt', tmp_path / 'missing.tif'):
        with pytest.raises(ValueError, match=source.name):
            write_map(torch.zeros(4, 4), source, tmp_path / 'map.tif')
        assert not (tmp_path / 'map.tif').exists()


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    """Two images of one name, as all of air quality are."""
    folder = tmp_path / 'data' / 'airquality_s5p' / 'no2' / 's5p_annual'
    return [
        image(folder / place / '2021-01-01_2021-12-31.tif', 8, 8, bands=1) for place in ('a', 'b')
    ]


def test_images_of_one_name_in_two_folders_do_not_overwrite_each_other(
    tmp_path: Path, places: list[Path]
) -> None:
    values = torch.stack([torch.full((8, 8), 1.0), torch.full((8, 8), 2.0)])
    module = air_quality(tmp_path / 'data')
    write(writer(), tmp_path / 'out', values, [str(path) for path in places], module)
    found = sorted((tmp_path / 'out').rglob('*'))
    files = [path for path in found if path.is_file()]
    assert [path.relative_to(tmp_path / 'out').as_posix() for path in files] == [
        f'airquality_s5p/no2/s5p_annual/{place}/2021-01-01_2021-12-31_pred.tif' for place in 'ab'
    ]
    for value, path in enumerate(files, 1):
        with rasterio.open(path) as file:
            assert (file.read(1) == value).all()
            assert file.crs == UTM


def test_a_relative_root_is_found_in_relative_names(
    tmp_path: Path, places: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = str(places[0].relative_to(tmp_path))
    write(writer(), Path('out'), torch.zeros(1, 8, 8), [name], air_quality(Path('data')))
    expected = Path('out', *Path(name).parts[1:-1], '2021-01-01_2021-12-31_pred.tif')
    assert expected.is_file()
    # The image itself is left as it is.
    with rasterio.open(name) as file:
        assert file.dtypes == ('uint16',)


@pytest.mark.parametrize('datamodule', [None, SimpleNamespace(kwargs={'root': '/data'})])
def test_other_datamodules_use_the_bare_name(tmp_path: Path, datamodule: object) -> None:
    source = image(tmp_path / 'data' / 'sub' / 'scene.v1.tif')
    write(writer(), tmp_path / 'out', torch.zeros(1, 4, 6), [str(source)], datamodule)
    files = [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]
    assert files == [tmp_path / 'out' / 'scene.v1_pred.tif']


def test_several_outputs_of_an_image_go_to_several_files(tmp_path: Path) -> None:
    sources = [str(image(tmp_path / f'{index}.tif')) for index in range(2)]
    classes = torch.stack([torch.full((4, 6), 0), torch.full((4, 6), 1)])
    shares = torch.rand(2, 3, 4, 6)
    outputs = [(classes, 'pred'), (shares, 'probabilities')]
    write(writer(), tmp_path / 'out', outputs, sources)
    for index in range(2):
        with rasterio.open(tmp_path / 'out' / f'{index}_pred.tif') as file:
            assert (file.read() == index).all()
        with rasterio.open(tmp_path / 'out' / f'{index}_probabilities.tif') as file:
            assert np.array_equal(file.read(), shares[index].numpy())
    assert len(list((tmp_path / 'out').iterdir())) == 4


def test_classes_become_a_table_of_names_in_order(tmp_path: Path) -> None:
    out = writer(['Forest', 'Bush, scrub', 'River'])
    write(out, tmp_path / 'out', torch.tensor([2, 1]), ['x#0', 'x#1'])
    write(out, tmp_path / 'out', torch.tensor([0]), ['x#2'])
    assert rows(tmp_path / 'out' / 'predictions_0.csv') == [
        ['filename', 'class'],
        ['x#0', 'River'],
        ['x#1', 'Bush, scrub'],
        ['x#2', 'Forest'],
    ]
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['predictions_0.csv']


def test_probabilities_become_a_table_with_a_column_for_each_label(tmp_path: Path) -> None:
    values = torch.tensor([[0.25, 1.0], [0.5, 1e-9], [0.125, 0.75]])
    out = writer(['Urban fabric', 'Moors, heathland'])
    write(out, tmp_path, values[:2], ['a', 'b'])
    write(out, tmp_path, values[2:].bfloat16(), ['c'])
    header, *found = rows(tmp_path / 'predictions_0.csv')
    assert header == ['filename', 'Urban fabric', 'Moors, heathland']
    assert [row[0] for row in found] == ['a', 'b', 'c']
    numbers = [[float(number) for number in row[1:]] for row in found]
    np.testing.assert_allclose(numbers, values, atol=1e-6)


def test_without_names_labels_have_numbers(tmp_path: Path) -> None:
    write(writer(), tmp_path / 'one', torch.tensor([1]), ['a'])
    assert rows(tmp_path / 'one' / 'predictions_0.csv')[1] == ['a', '1']
    write(writer(), tmp_path / 'two', torch.tensor([[0.5, 0.25]]), ['a'])
    assert rows(tmp_path / 'two' / 'predictions_0.csv')[0] == ['filename', '0', '1']


def test_a_second_run_starts_a_new_table_and_each_process_has_its_own(tmp_path: Path) -> None:
    write(writer(), tmp_path, torch.tensor([0, 1]), ['a', 'b'])
    write(writer(), tmp_path, torch.tensor([1]), ['c'])
    write(writer(), tmp_path, torch.tensor([1]), ['d'], rank=1)
    assert rows(tmp_path / 'predictions_0.csv') == [['filename', 'class'], ['c', '1']]
    assert rows(tmp_path / 'predictions_1.csv')[1:] == [['d', '1']]


def test_nothing_is_written_without_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = writer(['a', 'b'])
    write(out, None, torch.tensor([0]), ['x'])
    write(out, None, torch.zeros(1, 4, 4), [str(tmp_path / 'missing.tif')])
    out.write_on_batch_end(SimpleNamespace(), None, (torch.tensor([0]), ['x']), None, {}, 0, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('prediction', [torch.zeros(1), (torch.zeros(1), None), None])
def test_predictions_without_file_names_are_refused(tmp_path: Path, prediction: object) -> None:
    trainer = SimpleNamespace(predict_output_dir=str(tmp_path), global_rank=0)
    with pytest.raises(ValueError, match='filename'):
        writer().write_on_batch_end(trainer, None, prediction, None, {}, 0, 0)


def test_a_task_has_our_writer_with_its_class_names() -> None:
    from tests.terratorch.test_protocol import build
    from torchgeo_copernicus.terratorch.predictions import BenchPredictionWriter

    task: Any = build('eurosat_s2', backbone='copernicus_fm_small')
    (callback,) = task.configure_callbacks()
    assert isinstance(callback, BenchPredictionWriter)
    assert callback.class_names[8:] == ['River', 'SeaLake']
    # A new one for each run, so that a table starts anew.
    assert task.configure_callbacks()[0] is not callback
