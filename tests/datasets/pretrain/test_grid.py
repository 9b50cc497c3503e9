"""Cells by number, place, row, column and name; the date line and the poles."""

from __future__ import annotations

import math

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_copernicus.datasets.pretrain.grid import (
    CELL_DEG,
    COLUMNS,
    GEOTRANSFORM,
    ROWS,
    Cell,
    split_name,
)

GRID_IDS = st.integers(0, ROWS * COLUMNS - 1)
EDGES = st.sampled_from([0, COLUMNS - 1, (ROWS - 1) * COLUMNS, ROWS * COLUMNS - 1, 360 * COLUMNS])


@pytest.mark.parametrize(
    ('grid_id', 'longitude', 'latitude', 'name'),
    [
        (906994, 128.50, 67.25, '0906994_128.50_67.25'),
        (772176, -96.00, 44.00, '0772176_-96.00_44.00'),
        (200599, -70.25, -55.25, '0200599_-70.25_-55.25'),
    ],
)
def test_published_cells_are_where_their_names_say(
    grid_id: int, longitude: float, latitude: float, name: str
) -> None:
    cell = Cell(grid_id)
    assert (cell.longitude, cell.latitude, cell.name) == (longitude, latitude, name)
    assert Cell.at(longitude, latitude) == Cell.named(name) == cell


@given(GRID_IDS | EDGES)
def test_every_way_to_name_a_cell_leads_back_to_it(grid_id: int) -> None:
    cell = Cell(grid_id)
    assert Cell.at(cell.longitude, cell.latitude) == cell
    assert Cell.named(cell.name) == cell
    assert Cell.in_map(*cell.map_pixel) == cell
    assert cell.row_from_south * COLUMNS + cell.column == grid_id
    assert split_name(cell.name) == (grid_id, cell.longitude, cell.latitude)


@given(GRID_IDS | EDGES, st.floats(-0.49, 0.49), st.floats(-0.49, 0.49), st.integers(-2, 2))
def test_a_place_is_in_one_cell_however_often_it_goes_around(
    grid_id: int, east: float, north: float, turns: int
) -> None:
    cell = Cell(grid_id)
    latitude = min(max(cell.latitude + north * CELL_DEG, -90), 90)
    assert Cell.at(cell.longitude + east * CELL_DEG + 360 * turns, latitude) == cell


@given(GRID_IDS | EDGES)
def test_a_map_with_the_geotransform_has_the_cell_at_its_pixel(grid_id: int) -> None:
    transform = Affine(*GEOTRANSFORM)
    row, column = Cell(grid_id).map_pixel
    x, y = transform @ (column + 0.5, row + 0.5)
    assert (x, y) == pytest.approx((Cell(grid_id).longitude, Cell(grid_id).latitude))


def test_the_first_row_of_a_map_is_the_north() -> None:
    assert Cell.in_map(0, 0).latitude == 90
    assert Cell.in_map(ROWS - 1, 0) == Cell(0)
    assert Cell(0).latitude == -90


def test_the_date_line_is_in_the_first_column() -> None:
    for longitude in (180, -180, 179.9, -179.9, 540):
        assert Cell.at(longitude, 0).column == 0
    assert Cell.at(179.8, 0).column == COLUMNS - 1
    west, _, east, _ = Cell.at(180, 0).bounds
    assert (west, east) == (-180.125, -179.875)


def test_cells_at_the_poles_are_halved_and_not_turned_over() -> None:
    assert Cell.at(10, 90).bounds[1:] == (89.875, 10.125, 90.0)
    assert Cell.at(10, -90).bounds[1] == -90
    assert Cell.at(10, 89.95).row_from_south == ROWS - 1


def test_edges_belong_to_the_cell_in_the_east_or_north() -> None:
    assert Cell.at(0.125, 0.125) == Cell.at(0.25, 0.25)
    assert Cell.at(0.1249999, 0) == Cell.at(0, 0)


@given(GRID_IDS | EDGES)
def test_neighbours_are_mutual_and_do_not_end_at_the_date_line(grid_id: int) -> None:
    cell = Cell(grid_id)
    around = cell.neighbours()
    at_pole = cell.row_from_south in (0, ROWS - 1)
    assert len(around) == (5 if at_pole else 8)
    assert all(cell in other.neighbours() for other in around)
    assert all(abs(other.row_from_south - cell.row_from_south) <= 1 for other in around)
    assert {(other.column - cell.column + 1) % COLUMNS for other in around} == {0, 1, 2}


@pytest.mark.parametrize('grid_id', [-1, ROWS * COLUMNS])
def test_a_number_outside_of_the_grid_is_refused(grid_id: int) -> None:
    with pytest.raises(ValueError, match='There is no cell'):
        Cell(grid_id)


@pytest.mark.parametrize(('row', 'column'), [(-1, 0), (ROWS, 0), (0, -1), (0, COLUMNS)])
def test_a_pixel_outside_of_the_map_does_not_wrap(row: int, column: int) -> None:
    with pytest.raises(ValueError, match='outside of a map'):
        Cell.in_map(row, column)


@pytest.mark.parametrize('place', [(math.nan, 0), (math.inf, 0), (0, math.nan), (0, 90.01)])
def test_what_is_no_place_is_refused(place: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match='is no longitude and latitude'):
        Cell.at(*place)


@pytest.mark.parametrize(
    'name',
    [
        '0906994_67.25_128.50',
        '0906995_128.50_67.25',
        '906994_128.50_67.25',
        '0906994',
        '../0906994',
    ],
)
def test_a_name_whose_parts_disagree_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r'no name such as|is named as cell'):
        Cell.named(name)
