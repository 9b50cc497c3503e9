"""Pixels that would be half a pixel, a zone or a turn of the Earth off."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from torchgeo_copernicus.collect.georeference import (
    PixelGrid,
    cell_grid,
    on_grid,
    patch_grid,
    utm_crs,
    utm_zone,
)
from torchgeo_copernicus.collect.geotiff import write_image
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.metadata import acquisition_metadata

longitudes = st.floats(-180, 179.99)
latitudes = st.floats(-79.9, 83.9)


@given(longitudes, latitudes)
@settings(max_examples=60, deadline=None)
def test_bands_of_all_resolutions_share_their_corner_and_the_place_is_in_the_middle(
    longitude: float, latitude: float
) -> None:
    grids = [patch_grid(longitude, latitude, 2640, gsd) for gsd in (10, 20, 60)]
    assert len({grid.bounds for grid in grids}) == 1
    assert [grid.width for grid in grids] == [264, 132, 44] == [grid.height for grid in grids]
    west, south, east, north = grids[0].bounds
    assert (east - west, north - south) == (2640, 2640)
    # Tiles of Sentinel-2 begin at multiples of 60 m from the central meridian's easting and the equator.
    equator = 0 if latitude >= 0 else 10_000_000
    assert west % 60 == 0 and (north - equator) % 60 == 0
    to_lonlat = Transformer.from_crs(grids[0].crs, 4326, always_xy=True)
    centre = to_lonlat.transform((west + east) / 2, (south + north) / 2)
    assert Geod(ellps='WGS84').inv(longitude, latitude, *centre)[2] < 30 * math.sqrt(2) * 1.01


@pytest.mark.parametrize(
    ('crs', 'ulx', 'uly'),
    # Upper left corners as tiles have them: whole 60 m from the equator, not from the false northing's zero.
    [
        ('EPSG:32633', 600_000, 4_600_020),
        ('EPSG:32755', 199_980, 6_100_000),
        ('EPSG:32723', 300_000, 8_000_020),
    ],
)
def test_the_lattice_is_that_of_real_tiles_on_both_sides_of_the_equator(
    crs: str, ulx: float, uly: float
) -> None:
    to_lonlat = Transformer.from_crs(crs, 4326, always_xy=True)
    longitude, latitude = to_lonlat.transform(ulx + 31_417, uly - 27_182)
    grid = patch_grid(longitude, latitude, 2640, 10)
    assert grid.crs == crs
    assert on_grid(grid, crs, Affine(60, 0, ulx, 0, -60, uly))


@given(longitudes, st.floats(-80, 84))
@settings(max_examples=100)
def test_zones_have_their_central_meridian_near(longitude: float, latitude: float) -> None:
    zone = utm_zone(longitude, latitude)
    off = abs((longitude - (zone * 6 - 183) + 180) % 360 - 180)
    assert 1 <= zone <= 60
    assert off <= (6 if latitude >= 72 or 56 <= latitude < 64 else 3)
    assert utm_crs(longitude, latitude) == f'EPSG:{326 if latitude >= 0 else 327}{zone:02d}'


@pytest.mark.parametrize(
    ('longitude', 'latitude', 'zone'),
    [
        (5.32, 60.39, 32),  # Bergen: 31 without the exception.
        (2.9, 60.0, 31),
        (5.32, 64.0, 31),
        (15.63, 78.22, 33),  # Longyearbyen.
        (8.9, 78.0, 31),
        (9.0, 78.0, 33),
        (20.9, 78.0, 33),
        (21.0, 78.0, 35),
        (33.0, 78.0, 37),
        (42.0, 78.0, 38),
        (-180.0, 10.0, 1),
        (180.0, 10.0, 1),
        (179.99, 10.0, 60),
    ],
)
def test_zones_of_norway_and_svalbard_are_those_of_the_tiles(
    longitude: float, latitude: float, zone: int
) -> None:
    assert utm_zone(longitude, latitude) == zone


@pytest.mark.parametrize('latitude', [84.1, -80.1, math.nan])
def test_there_is_no_zone_beyond_utm(latitude: float) -> None:
    with pytest.raises(ValueError, match='beyond UTM'):
        utm_zone(10, latitude)


@pytest.mark.parametrize(
    ('side', 'gsd'),
    [(2650, 10), (2640, 25), (2640, 120), (2640, 0), (0, 10), (-60, 10), (2640, -10)],
)
def test_sizes_that_would_shift_bands_are_refused(side: float, gsd: float) -> None:
    with pytest.raises(ValueError, match='does not fit the lattice'):
        patch_grid(10, 50, side, gsd)


@given(st.integers(0, 721 * 1440 - 1), st.sampled_from([0.01, 30 / 111_319.49, 300 / 111_319.49]))
@settings(max_examples=100)
def test_the_box_of_a_cell_covers_28_km_both_ways(grid_id: int, pixel_deg: float) -> None:
    cell = Cell(grid_id)
    if abs(cell.latitude) > 88:
        return
    grid = cell_grid(cell, 14_000, pixel_deg)
    west, south, east, north = grid.bounds
    half = 14_000 / 111_319.49
    wide = half / math.cos(math.radians(cell.latitude))
    for edge, wanted in ((north, cell.latitude + half), (east, cell.longitude + wide)):
        assert -1e-6 <= (edge - wanted) / pixel_deg <= 1 + 1e-6
    for edge, wanted in ((south, cell.latitude - half), (west, cell.longitude - wide)):
        assert -1e-6 <= (wanted - edge) / pixel_deg <= 1 + 1e-6
    # On a lattice, so that cells of one product fit together.
    assert math.isclose(west / pixel_deg, round(west / pixel_deg), abs_tol=1e-4)
    assert grid.lonlat_bounds == grid.bounds


@given(st.integers(0, 721 * 1440 - 1))
@settings(max_examples=60)
def test_the_parts_of_a_cell_are_the_cell(grid_id: int) -> None:
    cell = Cell(grid_id)
    if abs(cell.latitude) > 88:
        return
    grid = cell_grid(cell, 14_000, 0.01)
    parts = grid.parts()
    assert sum(part.width for part in parts) == grid.width
    column = 0
    for part in parts:
        for inner in (0, part.width - 1):
            there = grid.transform @ (column + inner + 0.5, 0.5)
            here = part.transform @ (inner + 0.5, 0.5)
            assert -180 <= here[0] <= 180
            assert math.isclose((there[0] - here[0]) % 360 % 360, 0, abs_tol=1e-6) or math.isclose(
                (there[0] - here[0]) % 360, 360, abs_tol=1e-6
            )
            assert there[1] == here[1]
        column += part.width
    crosses = grid.bounds[0] < -180 - 0.005 or grid.bounds[2] > 180 + 0.005
    assert len(parts) == 1 + crosses


def test_a_patch_is_asked_for_in_one_part() -> None:
    grid = patch_grid(179.9999, 10, 2640, 10)
    assert grid.parts() == (grid,)
    west, _, east, _ = grid.lonlat_bounds
    assert west > 179.9 and east < -179.9


@pytest.mark.parametrize('latitude', [90.0, -90.0, 89.75])
def test_a_box_over_a_pole_is_refused(latitude: float) -> None:
    with pytest.raises(ValueError, match='leave the cell out'):
        cell_grid(Cell.at(0, latitude), 30_000, 0.01)


def test_impossible_boxes_are_refused() -> None:
    for half, pixel in ((0, 0.01), (14_000, 0), (-1, 0.01)):
        with pytest.raises(ValueError, match='above 0'):
            cell_grid(Cell.at(0, 0), half, pixel)


def test_pixels_of_another_lattice_or_system_are_not_on_the_grid() -> None:
    grid = PixelGrid('EPSG:32633', Affine(10, 0, 300_000, 0, -10, 4_600_020), 264, 264)
    assert on_grid(grid, 'EPSG:32633', grid.transform)
    for moved in (
        Affine(20, 0, 300_000, 0, -20, 4_600_010),
        Affine(10, 0, 300_005, 0, -10, 4_600_020),
        Affine(15, 0, 300_000, 0, -15, 4_600_020),
        Affine(10, 1, 300_000, 0, -10, 4_600_020),
        Affine(0, 0, 300_000, 0, -10, 4_600_020),
    ):
        assert not on_grid(grid, 'EPSG:32633', moved)
    assert not on_grid(grid, 'EPSG:32634', grid.transform)


@pytest.mark.parametrize(('longitude', 'latitude'), [(15.64, 38.07), (174.55, -38.95)])
@pytest.mark.parametrize('gsd', [10, 20, 60])
def test_a_written_file_says_where_its_pixels_are(
    tmp_path: Path, longitude: float, latitude: float, gsd: float
) -> None:
    grid = patch_grid(longitude, latitude, 2640, gsd)
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 10_000, (2, grid.height, grid.width)).astype(np.uint16)
    path = tmp_path / 'image.tif'
    write_image(path, pixels, grid, ('B2', 'B3'), {'image': 'name'})
    with rasterio.open(path) as file:
        assert file.transform == grid.transform
        assert file.crs.to_string() == grid.crs
        assert (file.descriptions, file.nodata, file.tags()['image']) == (('B2', 'B3'), 0, 'name')
        np.testing.assert_array_equal(file.read(), pixels)
        x, y = Transformer.from_crs(4326, file.crs, always_xy=True).transform(longitude, latitude)
        row, column = file.index(x, y)
    assert abs(column - grid.width / 2) <= 30 / gsd + 1
    assert abs(row - grid.height / 2) <= 30 / gsd + 1
    metadata = acquisition_metadata(grid.crs, grid.transform, (grid.height, grid.width), None)
    np.testing.assert_allclose(metadata[:2], (longitude, latitude), atol=1e-3)
    assert metadata[3] == gsd


def test_small_files_are_not_taken_for_corrupt_ones(tmp_path: Path) -> None:
    grid = cell_grid(Cell.at(0, 0), 14_000, 0.01)
    pixels = np.zeros((1, grid.height, grid.width), np.float32)
    write_image(tmp_path / 'a.tif', pixels, grid, ('CO',), {})
    assert (tmp_path / 'a.tif').stat().st_size > 1000
    with rasterio.open(tmp_path / 'a.tif') as file:
        assert math.isnan(file.nodata)


def test_pixels_of_another_shape_are_not_written(tmp_path: Path) -> None:
    grid = cell_grid(Cell.at(0, 0), 14_000, 0.01)
    with pytest.raises(ValueError, match=r'wanted \(1, '):
        write_image(tmp_path / 'a.tif', np.zeros((1, 3, 3), np.float32), grid, ('CO',), {})
    assert list(tmp_path.iterdir()) == []
