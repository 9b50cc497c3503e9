"""Tiles of own GeoTIFFs: nothing at borders is lost, nothing is made up where there is no data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray

from torchgeo_copernicus.embedding.image import EmbeddingImage
from torchgeo_copernicus.embedding.sources import GeoTIFFSource
from torchgeo_copernicus.metadata import days_since_epoch

LEFT, TOP = 500_000.0, 5_000_000.0


def write(
    path: Path,
    pixels: NDArray[Any],
    column: int = 0,
    row: int = 0,
    crs: str | None = 'EPSG:32632',
    nodata: float | None = None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = Affine(10, 0, LEFT + 10 * column, 0, -10, TOP - 10 * row)
    count, height, width = pixels.shape
    with rasterio.open(
        path, 'w', driver='GTiff', count=count, height=height, width=width, dtype=pixels.dtype,
        crs=crs, transform=transform, nodata=nodata,
    ) as file:  # fmt: skip
        file.write(pixels)


def scene(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(2, height, width)).astype(np.float32)


def images(source: GeoTIFFSource) -> list[EmbeddingImage]:
    return [image for index in range(len(source)) for image in source.items(index)]


def put_back(source: GeoTIFFSource, height: int, width: int) -> NDArray[np.float32]:
    """Return the mosaic of all tiles, from their places alone."""
    whole = np.full((2, height, width), np.nan, np.float32)
    for image in images(source):
        row, column = (int(part) for part in image.key.split('/')[-2:])
        pixels = image.image.numpy()[:, : height - row, : width - column]
        there = whole[:, row : row + pixels.shape[1], column : column + pixels.shape[2]]
        there[np.isfinite(pixels)] = pixels[np.isfinite(pixels)]
    return whole


@pytest.mark.parametrize('tiling', ['file', 'mosaic'])
@pytest.mark.parametrize(('size', 'stride'), [(8, None), (8, 5), (64, None)])
def test_no_border_is_lost(tmp_path: Path, tiling: Any, size: int, stride: int | None) -> None:
    pixels = scene(19, 21)
    write(tmp_path / 'a.tif', pixels)
    source = GeoTIFFSource(str(tmp_path), 's1_grd', size_px=size, stride_px=stride, tiling=tiling)
    assert {tuple(image.image.shape) for image in images(source)} == {(2, size, size)}
    np.testing.assert_array_equal(put_back(source, 19, 21), pixels)


def test_a_mosaic_is_cut_once_and_not_file_by_file(tmp_path: Path) -> None:
    pixels = scene(16, 24)
    # They share columns 10 to 13.
    write(tmp_path / 'a.tif', pixels[:, :, :14])
    write(tmp_path / 'b.tif', pixels[:, :, 10:], column=10)
    source = GeoTIFFSource(str(tmp_path), 's1_grd', size_px=8, tiling='mosaic')
    assert len(source) == 6
    np.testing.assert_array_equal(put_back(source, 16, 24), pixels)
    assert images(source)[1].source == 'a.tif b.tif'
    assert len(GeoTIFFSource(str(tmp_path), 's1_grd', size_px=8)) == 2 * 2 * 2


def test_days_are_mosaics_of_their_own(tmp_path: Path) -> None:
    first, second = scene(8, 8), scene(8, 8, seed=1)
    write(tmp_path / 'S1_20200105.tif', first)
    write(tmp_path / 'S1_20200207.tif', second)
    source = GeoTIFFSource(
        str(tmp_path), 's1_grd', size_px=8, tiling='mosaic', filename_regex=r'S1_(?P<date>\d{8})'
    )
    found = {int(image.metadata[2]): image.image.numpy() for image in images(source)}
    np.testing.assert_array_equal(found[int(days_since_epoch('2020-01-05'))], first)
    np.testing.assert_array_equal(found[int(days_since_epoch('2020-02-07'))], second)


def test_a_file_in_another_grid_is_warped_into_the_mosaic(tmp_path: Path) -> None:
    write(tmp_path / 'a.tif', np.full((2, 8, 8), 5, np.float32))
    path = tmp_path / 'b.tif'
    with rasterio.open(
        path, 'w', driver='GTiff', count=2, height=40, width=40, dtype='float32', crs='EPSG:4326',
        transform=Affine(2e-5, 0, 9.0006, 0, -2e-5, 45.153),
    ) as file:  # fmt: skip
        file.write(np.full((2, 40, 40), 7, np.float32))
    mosaic = GeoTIFFSource(str(tmp_path), 's1_grd', size_px=8, tiling='mosaic')
    values = np.concatenate([image.image.numpy().ravel() for image in images(mosaic)])
    assert set(values[np.isfinite(values)]) == {5.0, 7.0}
    # A tile of a file stays in its own grid.
    alone = images(GeoTIFFSource(str(tmp_path), 's1_grd', size_px=64))
    assert [bool(image.image.isfinite().any()) for image in alone] == [True, True]
    assert float(alone[1].metadata[3]) == pytest.approx(2.226 * np.sqrt(np.cos(np.radians(45.15))), rel=0.01)  # fmt: skip


@pytest.mark.parametrize(('tiling', 'nodata'), [('file', 0), ('file', None), ('mosaic', None)])
def test_no_data_is_nan_and_tiles_without_any_have_no_image(
    tmp_path: Path, tiling: Any, nodata: float | None
) -> None:
    pixels = np.full((2, 8, 24), 7, np.int16)
    pixels[:, :, :8] = -9999
    pixels[0, 0, 8] = -9999
    pixels[:, :, 16:] = 0
    write(tmp_path / 'a.tif', pixels, nodata=-9999)
    source = GeoTIFFSource(str(tmp_path), 's1_grd', size_px=8, nodata=nodata, tiling=tiling)
    found = [source.items(index) for index in range(3)]
    # What the file says counts beside what the user says.
    assert [len(one) for one in found] == [0, 1, 1 if nodata is None else 0]
    image = found[1][0].image
    assert image.isnan().nonzero().tolist() == [[0, 0, 0]]
    assert set(image[image.isfinite()].tolist()) == {7.0}


def test_no_data_of_a_user_does_not_hide_what_lies_below_in_a_mosaic(tmp_path: Path) -> None:
    above, below = np.full((2, 8, 8), 7, np.int16), np.full((2, 8, 8), 5, np.int16)
    above[:, :4] = 0
    write(tmp_path / 'a.tif', above)
    write(tmp_path / 'b.tif', below)
    given: dict[str, Any] = {'sensor': 's1_grd', 'size_px': 8, 'tiling': 'mosaic'}
    (image,) = images(GeoTIFFSource(str(tmp_path), nodata=0, **given))
    assert image.image[0, :, 0].tolist() == [5] * 4 + [7] * 4
    write(tmp_path / 'c.tif', below, nodata=-1)
    with pytest.raises(ValueError, match=r'nodata is 0, but c\.tif says -1'):
        GeoTIFFSource(str(tmp_path), nodata=0, **given)


def test_what_is_stored_comes_into_the_unit_of_the_statistics(tmp_path: Path) -> None:
    write(tmp_path / 'a.tif', np.full((2, 8, 8), 3, np.int16))
    source = GeoTIFFSource(str(tmp_path), 's1_grd', size_px=8, scale=0.5, offset=-20)
    assert images(source)[0].image.unique().tolist() == [-18.5]


def test_place_and_footprint_are_those_of_the_tile(tmp_path: Path) -> None:
    write(tmp_path / 'sub' / 'a.tif', scene(16, 16))
    source = GeoTIFFSource(str(tmp_path), 's1_grd', size_px=8, day='2021-03-04')
    one = images(source)[3]
    assert one.key == 'sub/a.tif/8/8'
    assert one.metadata[:2].tolist() == pytest.approx([9.0016, 45.1524], abs=2e-4)
    assert one.metadata[2:].tolist() == [days_since_epoch('2021-03-04'), 10]
    assert one.corners is not None
    assert one.corners.mean(axis=0) == pytest.approx(one.metadata[:2].tolist(), abs=1e-4)
    assert np.ptp(one.corners[:, 1]) * 111_319 == pytest.approx(80, rel=0.01)


def test_bands_are_those_that_the_user_names(tmp_path: Path) -> None:
    write(tmp_path / 'a.tif', scene(8, 8))
    source = GeoTIFFSource(str(tmp_path), 's2_toa', ['RED', 'B8A'], size_px=8)
    assert source.kinds['s2_toa'].band_names == ['B04', 'B8A']
    assert source.kinds['s2_toa'].size_px == 224


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'tiling': 'tile'}, "Unknown tiling 'tile'"),
        ({'sensor': 's2_toa'}, 'has 2 channels, but 13 bands'),
        ({'sensor': 'landsat'}, "Unknown sensor 'landsat'"),
        ({'bands': ['B02']}, 'Unknown band'),
        ({'size_px': 0}, 'size_px is 0'),
        ({'stride_px': 9}, 'pixels between tiles would be lost'),
        ({'day': '5.3.2021'}, 'wanted YYYY-MM-DD'),
        ({'day': '2021-03-05', 'filename_regex': '(?P<date>.*)'}, 'both say when'),
        ({'date_format': '%Y'}, 'of what filename_regex finds'),
        ({'filename_regex': r'a'}, r'wanted \(\?P<date>'),
        ({'filename_regex': r'(?P<date>\d{8})'}, 'do not match filename_regex, such as .*a.tif'),
        ({'filename_regex': r'(?P<date>a)'}, 'A day of these files is not understood'),
        ({'filename_regex': '('}, 'is not understood'),
        ({'scale': 0}, 'leaves nothing'),
        ({'offset': float('nan')}, 'offset is nan'),
        ({'paths': 'nowhere'}, 'There is no file or folder nowhere'),
    ],
)
def test_impossible_options_are_named(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    write(tmp_path / 'a.tif', scene(8, 8))
    given: dict[str, Any] = {'paths': str(tmp_path), 'sensor': 's1_grd', 'size_px': 8} | options
    with pytest.raises(ValueError, match=message):
        GeoTIFFSource(**given)


def test_files_that_cannot_be_used_are_named_and_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='has no files with the endings'):
        GeoTIFFSource(str(tmp_path), 's1_grd')
    write(tmp_path / 'a.tif', scene(8, 8))
    (tmp_path / 'broken.TIF').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'broken\.TIF is no readable raster'):
        GeoTIFFSource(str(tmp_path), 's1_grd')
    (tmp_path / 'broken.TIF').unlink()
    write(tmp_path / 'b.tif', scene(8, 8), crs=None)
    with pytest.raises(ValueError, match=r'b\.tif is not georeferenced'):
        GeoTIFFSource(str(tmp_path), 's1_grd')


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    write(tmp_path / 'a.tif', scene(64, 64))
    source = GeoTIFFSource([str(tmp_path / 'a.tif')], 's1_grd', size_px=64)
    content = (tmp_path / 'a.tif').read_bytes()
    (tmp_path / 'a.tif').write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r'a\.tif: cannot be read'):
        source.items(0)


def test_the_fingerprint_tells_files_and_options_but_not_folders(tmp_path: Path) -> None:
    for name in ('one', 'two'):
        write(tmp_path / name / 'a.tif', scene(8, 8))
    given: dict[str, Any] = {'sensor': 's1_grd', 'size_px': 8}
    first = GeoTIFFSource(str(tmp_path / 'one'), **given).fingerprint
    assert GeoTIFFSource(str(tmp_path / 'two'), **given).fingerprint == first
    for other in (
        {'nodata': 0},
        {'scale': 2},
        {'offset': 1},
        {'stride_px': 4},
        {'day': '2020-01-01'},
    ):
        assert GeoTIFFSource(str(tmp_path / 'one'), **given, **other).fingerprint != first
    write(tmp_path / 'two' / 'b.tif', scene(8, 8))
    assert GeoTIFFSource(str(tmp_path / 'two'), **given).fingerprint != first
