"""Which cells a region, coordinates or a raster are of, and where cells are in a part of a map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS, GEOTRANSFORM, ROWS, Cell

LON, LAT = st.floats(-180, 180), st.floats(-90, 90)


@st.composite
def windows(draw: st.DrawFn) -> MapWindow:
    row, column = draw(st.integers(0, ROWS - 1)), draw(st.integers(0, COLUMNS - 1))
    rows, columns = draw(st.integers(1, ROWS - row)), draw(st.integers(1, COLUMNS))
    return MapWindow(row, column, rows, columns)


def test_the_whole_map_has_the_geotransform_of_the_published_one() -> None:
    assert MapWindow().geotransform == GEOTRANSFORM == (0.25, 0, -180.125, 0, -0.25, 90.125)
    assert MapWindow().lat[[0, -1]].tolist() == [90, -90]
    assert MapWindow().lon[[0, -1]].tolist() == [-180, 179.75]


@settings(deadline=None)
@given(windows())
def test_coordinates_and_geotransform_lead_back_to_the_same_cells(window: MapWindow) -> None:
    assert MapWindow.of_coordinates(window.lat, window.lon) == window
    noisy = window.lat.astype(np.float32) + np.float32(5e-5), window.lon.astype(np.float32)
    assert MapWindow.of_coordinates(*noisy) == window
    found = MapWindow.of_geotransform(window.geotransform, window.rows, window.columns, 'x.tif')
    assert found == window


@settings(deadline=None)
@given(windows(), st.data())
def test_pixels_and_grid_ids_agree_with_cells(window: MapWindow, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, window.rows - 1))
    column = data.draw(st.integers(0, window.columns - 1))
    cell = Cell(int(window.grid_ids[row, column]))
    assert cell.map_pixel == (window.row + row, (window.column + column) % COLUMNS)
    assert (cell.latitude, cell.longitude % 360) == (window.lat[row], window.lon[column] % 360)


@settings(deadline=None)
@given(LON, LAT, st.sampled_from([-360, 0, 360]))
def test_a_place_is_in_the_cell_that_the_grid_says(lon: float, lat: float, turn: int) -> None:
    rows, columns = MapWindow().positions(np.array([lon + turn]), np.array([lat]))
    assert (int(rows[0]), int(columns[0])) == Cell.at(lon + turn, lat).map_pixel


@settings(deadline=None)
@given(LON, LAT, LON, LAT)
def test_a_region_has_the_cells_of_its_corners_and_no_cell_beside_it(
    west: float, south: float, east: float, north: float
) -> None:
    south, north = sorted((south, north))
    window = MapWindow.of_region((west, south, east, north))
    corner = MapWindow().positions(np.array([west]), np.array([south]))
    assert (int(corner[0][0]), int(corner[1][0])) == (window.row + window.rows - 1, window.column)
    width = (east - west) % 360 if east >= west else east - west + 360
    width = 360 if east - west == 360 else width
    assert width / 0.25 <= window.columns <= width / 0.25 + 2 or window.columns == COLUMNS
    assert (north - south) / 0.25 - 1 <= window.rows <= (north - south) / 0.25 + 2
    assert abs(window.lat[0] - north) <= 0.125 + 1e-9 or window.lat[0] < north


@settings(deadline=None)
@given(windows(), st.data())
def test_pieces_of_a_part_are_the_same_cells(window: MapWindow, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, window.rows - 1))
    column = data.draw(st.integers(0, window.columns - 1))
    rows = data.draw(st.integers(1, window.rows - row))
    most = COLUMNS if window.columns == COLUMNS else window.columns - column
    columns = data.draw(st.integers(1, most))
    inner = MapWindow(window.row + row, (window.column + column) % COLUMNS, rows, columns)
    down, across = window.pieces(inner)
    ids = np.concatenate([window.grid_ids[down, piece] for piece in across], axis=1)
    np.testing.assert_array_equal(ids, inner.grid_ids)


@settings(deadline=None)
@given(windows(), windows())
def test_a_part_that_is_not_there_raises_instead_of_being_cut(
    window: MapWindow, inner: MapWindow
) -> None:
    if np.isin(inner.grid_ids, window.grid_ids).all():
        down, across = window.pieces(inner)
        ids = np.concatenate([window.grid_ids[down, piece] for piece in across], axis=1)
        np.testing.assert_array_equal(ids, inner.grid_ids)
    else:
        with pytest.raises(ValueError, match='Choose a region within'):
            window.pieces(inner)


def test_a_region_across_the_date_line_ascends() -> None:
    window = MapWindow.of_region((170, -10, -170, 10))
    assert window.lon[[0, -1]].tolist() == [170, 190]
    assert (np.diff(window.lon) == 0.25).all()
    assert window == MapWindow.of_region((170, -10, 190, 10))
    assert MapWindow.of_region((350, 0, 10, 1)).lon[[0, -1]].tolist() == [-10, 10]


@pytest.mark.parametrize('region', [(-180, -90, 180, 90), None])
def test_a_region_of_the_world_has_every_cell_once(
    region: tuple[float, float, float, float] | None,
) -> None:
    assert MapWindow.of_region(region) == MapWindow()


def test_a_region_of_the_world_may_begin_at_greenwich() -> None:
    assert MapWindow.of_region((0, -90, 360, 90)) == MapWindow(0, 720, ROWS, COLUMNS)


def test_a_region_ends_with_its_last_cell_and_a_place_is_one_cell() -> None:
    # 0.125 and 0.375 are edges of cells.
    assert MapWindow.of_region((0.125, 0.125, 0.375, 0.375)) == MapWindow(359, 721, 1, 1)
    assert MapWindow.of_region((11.6, 48.1, 11.6, 48.1)).grid_ids.tolist() == [
        [Cell.at(11.6, 48.1).grid_id]
    ]


@pytest.mark.parametrize(
    'region',
    [
        (0, 10, 20, 0),
        (0, 0, 20, 91),
        (-200, 0, 20, 10),
        (0, 0, float('nan'), 1),
        (0, 0, 1),
        '0 0 1',
        7,
        ('a', 0, 1, 2),
        (-180, 0, 360, 1),
    ],
)
def test_no_region_raises(region: object) -> None:
    with pytest.raises(ValueError, match='region'):
        MapWindow.of_region(region)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('lat', 'lon', 'message'),
    [
        ([0, 0.25], [0, 0.25], 'lat must descend'),
        ([0.25, 0], [0.25, 0], 'lon must ascend'),
        ([0.25, 0], [0, 1], 'lon must ascend'),
        ([0.1, 0], [0, 0.25], 'not multiples of 0.25'),
        ([90.25, 90], [0, 0.25], 'not multiples of 0.25 degrees in -90 to 90'),
        ([[0.25, 0]], [0], 'one axis'),
        ([], [0], 'one axis'),
        (['a'], [0], 'one axis'),
    ],
)
def test_other_coordinates_raise(lat: list[float], lon: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MapWindow.of_coordinates(lat, lon)


@pytest.mark.parametrize(
    ('transform', 'message'),
    [
        ((0.25, 0, -180.125, 0, 0.25, -90.125), 'south up'),
        ((0.5, 0, -180.125, 0, -0.5, 90.125), 'geotransform'),
        ((0.25, 0.1, -180.125, 0, -0.25, 90.125), 'geotransform'),
        # Edges in place of centres: TorchGeo's copy begins half a cell before -180.
        ((0.25, 0, -180, 0, -0.25, 90), 'not the centres of cells'),
    ],
)
def test_a_raster_that_lies_between_the_cells_raises(
    transform: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MapWindow.of_geotransform(transform, 4, 4, 'x.tif')


@pytest.mark.parametrize('numbers', [(-1, 0, 1, 1), (0, 1440, 1, 1), (720, 0, 2, 1), (0, 0, 1, 0)])
def test_cells_outside_of_the_map_raise(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match='not in a map'):
        MapWindow(*numbers)
