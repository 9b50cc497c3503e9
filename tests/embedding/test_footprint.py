"""Where images lie, at the date line and the poles too."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Geod

from torchgeo_copernicus.datamodules.pretrain_crop import PixelWindow
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.embedding.footprint import (
    box_corners,
    cropped_corners,
    polygons,
    raster_corners,
    square_corners,
)

GEOD = Geod(ellps='WGS84')


@pytest.mark.parametrize('latitude', [0.0, 50.0, -70.0])
def test_a_square_in_metres_has_its_sides_in_metres(latitude: float) -> None:
    corners = square_corners((10.0, latitude, math.nan, 10.0), 200, 300, 'metres')
    assert corners is not None
    upper_left, upper_right, lower_right, _ = corners
    assert GEOD.inv(*upper_left, *upper_right)[2] == pytest.approx(3000, rel=0.01)
    assert GEOD.inv(*upper_right, *lower_right)[2] == pytest.approx(2000, rel=0.01)
    assert corners.mean(axis=0) == pytest.approx([10, latitude])


def test_a_square_in_degrees_is_narrower_in_metres_towards_the_poles() -> None:
    # As the modality says it: the side of a square as large as a pixel.
    gsd_m = 300 * math.sqrt(math.cos(math.radians(60)))
    corners = square_corners((10.0, 60.0, 0.0, gsd_m), 96, 96, 'degrees')
    assert corners is not None
    height, width = np.ptp(corners[:, 1]), np.ptp(corners[:, 0])
    assert height == pytest.approx(width) == pytest.approx(96 * 300 / 111_319.49)


@pytest.mark.parametrize('field', [0, 1, 3])
def test_an_unknown_place_or_distance_is_no_footprint(field: int) -> None:
    metadata = [10.0, 50.0, math.nan, 10.0]
    assert square_corners(metadata, 8, 8, 'metres') is not None
    metadata[field] = math.nan
    assert square_corners(metadata, 8, 8, 'metres') is None


def test_a_footprint_ends_at_the_poles() -> None:
    corners = square_corners((10.0, 90.0, 0.0, 10.0), 500, 500, 'metres')
    assert corners is not None
    assert corners[:, 1].max() == 90 and np.ptp(corners[:, 0]) <= 360


def test_a_cell_across_the_date_line_is_two_polygons_and_no_band_around_the_globe() -> None:
    (across, inside) = polygons([box_corners(*Cell(0).bounds), box_corners(*Cell(700).bounds)])
    assert inside.geom_type == 'Polygon'
    assert across.geom_type == 'MultiPolygon'
    assert across.area == pytest.approx(0.25 * 0.125)
    assert across.bounds == pytest.approx((-180, -90, 180, -89.875))
    west, south, east, north = Cell(700).bounds
    assert inside.equals(shapely.box(west, south, east, north))


def test_an_image_beyond_the_date_line_comes_back_on_the_other_side() -> None:
    (polygon,) = polygons([box_corners(181.0, 0.0, 182.0, 1.0)])
    assert polygon.geom_type == 'Polygon'
    assert polygon.bounds == pytest.approx((-179, 0, -178, 1))


def test_unknown_footprints_stay_unknown_among_others() -> None:
    found = polygons([None, box_corners(0, 0, 1, 1), None])
    assert [one is None for one in found] == [True, False, True]
    assert list(polygons([None])) == [None]


def test_raster_corners_are_those_of_the_outer_pixels() -> None:
    transform = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    corners = raster_corners(CRS.from_epsg(32632), transform, 100, 200)
    # On the central meridian.
    assert corners[0, 0] == pytest.approx(9)
    assert GEOD.inv(*corners[0], *corners[1])[2] == pytest.approx(2000, rel=1e-3)
    assert GEOD.inv(*corners[0], *corners[3])[2] == pytest.approx(1000, rel=1e-3)


def test_a_raster_on_the_date_line_is_narrow() -> None:
    # The eastern end of UTM zone 60 is beyond it.
    transform = Affine(1000, 0, 800_000, 0, -1000, 1_000_000)
    corners = raster_corners(CRS.from_epsg(32660), transform, 100, 100)
    assert np.ptp(corners[:, 0]) < 2


def test_a_crop_has_its_share_of_the_corners() -> None:
    corners = box_corners(0, 0, 8, 4)
    part = cropped_corners(corners, PixelWindow(1, 2, 2, 4), 4, 8)
    np.testing.assert_allclose(part, box_corners(2, 1, 6, 3))
