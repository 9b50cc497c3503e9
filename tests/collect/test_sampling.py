"""Places that would not come again, lie in a flattened cloud, or overlap."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import Geod

from torchgeo_copernicus.collect.cities import City, read_cities
from torchgeo_copernicus.collect.overlap import SpacedPlaces
from torchgeo_copernicus.collect.place import Place, read_places, write_places
from torchgeo_copernicus.collect.sampling import Spread, fill_empty_cells, places_around_cities
from torchgeo_copernicus.datasets.pretrain.grid import Cell

NORTH = City('North', 25.0, 65.0, 1000)
CITIES = (NORTH, City('Fiji', 179.9, -17.0, 3000), City('Small', 0.0, 0.0, 10))
EARTH = Geod(ellps='WGS84')
PINNED = [
    '0000000_24.71_65.46',
    '0000001_0.25_-0.16',
    '0000002_-179.97_-16.49',
    '0000003_0.15_-1.05',
    '0000004_-0.87_-0.61',
]


def offsets_m(places: tuple[Place, ...], city: City) -> NDArray[np.float64]:
    lon = [place.longitude for place in places]
    lat = [place.latitude for place in places]
    start = np.full(len(places), city.longitude), np.full(len(places), city.latitude)
    azimuth, _, distance = EARTH.inv(*start, lon, lat)
    angle = np.radians(azimuth)
    return np.stack([distance * np.sin(angle), distance * np.cos(angle)])


@pytest.mark.parametrize(
    ('spread', 'east_km'), [('ground', 50), ('degrees', 50 * math.cos(math.radians(65)))]
)
def test_places_lie_as_far_east_as_north_of_a_northern_city(spread: Spread, east_km: float) -> None:
    places = places_around_cities([NORTH], 1500, 0, spread=spread, spaced=SpacedPlaces(1))
    east, north = offsets_m(places, NORTH).std(axis=1) / 1000
    assert east == pytest.approx(east_km, rel=0.08)
    assert north == pytest.approx(50, rel=0.08)
    assert abs(offsets_m(places, NORTH).mean(axis=1)).max() < 5000


def test_more_places_continue_the_same_list_and_other_seeds_another() -> None:
    few, many = (places_around_cities(CITIES, count, 7) for count in (5, 40))
    assert many[:5] == few
    assert places_around_cities(tuple(reversed(CITIES)), 5, 7) == few
    assert places_around_cities(CITIES, 5, 8) != few
    # Pinned: a list that was drawn must come again for ever.
    assert [place.name for place in few] == PINNED


def test_no_two_places_are_nearer_than_asked_for() -> None:
    spaced = SpacedPlaces(3900, there=[(25.0, 65.0)])
    places = places_around_cities([NORTH], 120, 0, sigma_km=20, spaced=spaced, first_number=10)
    assert [place.number for place in places] == list(range(10, 130))
    assert len(spaced) == 121
    points = [(25.0, 65.0), *((place.longitude, place.latitude) for place in places)]
    nearest = min(
        EARTH.inv(*one, *other)[2] for k, one in enumerate(points) for other in points[:k]
    )
    assert nearest > 3900 * 0.994


def test_the_largest_cities_are_taken() -> None:
    places = places_around_cities(CITIES, 30, 0, largest=1)
    assert all(abs(place.latitude + 17) < 5 for place in places)
    # Across the date line, with longitudes that cells have.
    assert {place.longitude > 0 for place in places} == {True, False}
    assert all(-180 <= place.longitude < 180 for place in places)
    both = places_around_cities(CITIES, 30, 0, largest=2)
    assert {place.latitude > 0 for place in both} == {True, False}


def test_a_crowded_city_is_an_error_and_not_an_endless_search() -> None:
    with pytest.raises(ValueError, match='no room for more than 1 of 2 places'):
        places_around_cities([NORTH], 2, 0, sigma_km=0.1)


def test_degrees_beyond_a_pole_are_not_places() -> None:
    pole = City('Pole', 0.0, 90.0, 1)
    places = places_around_cities([pole], 20, 0, spread='degrees')
    assert all(place.latitude <= 90 for place in places)


@pytest.mark.parametrize(
    'changes', [{'sigma_km': 0}, {'count': 0}, {'largest': 0}, {'cities': ()}, {'spread': 'flat'}]
)
def test_impossible_draws_are_refused(changes: dict[str, object]) -> None:
    arguments: dict[str, object] = {'cities': CITIES, 'count': 1, 'seed': 0, **changes}
    with pytest.raises(ValueError, match=r'sigma_km|wanted at least one|Unknown spread'):
        places_around_cities(**arguments)  # type: ignore[arg-type]


def test_cells_that_have_a_place_get_no_other() -> None:
    cells = [Cell.at(10, 50), Cell.at(10.25, 50), Cell.at(-180, -16.5)]
    there = [Place(3, 10.01, 50.01)]
    found = fill_empty_cells(cells, 0, per_cell=3, there=there, first_number=4)
    assert found.full == ()
    assert [place.number for place in found.places] == list(range(4, 10))
    assert {place.cell for place in found.places} == set(cells[1:])
    assert fill_empty_cells(cells, 1, there=there).places != found.places[:2]


def test_a_cell_is_filled_alike_whatever_the_others_are() -> None:
    cells = [Cell.at(10, 50), Cell.at(100, 50)]
    both = fill_empty_cells(cells, 0).places
    alone = fill_empty_cells(cells[1:], 0).places
    assert (both[1].longitude, both[1].latitude) == (alone[0].longitude, alone[0].latitude)


def test_places_are_spread_evenly_over_the_cell() -> None:
    cell = Cell.at(10, 50)
    places = fill_empty_cells([cell], 0, per_cell=400, spaced=SpacedPlaces(1)).places
    west, south, east, north = cell.bounds
    across = [(place.longitude - west) / (east - west) for place in places]
    up = [(place.latitude - south) / (north - south) for place in places]
    assert np.histogram2d(across, up, bins=2)[0].min() > 70
    # A polar cell is a triangle: three quarters of it lie in the half away from the pole.
    polar = Cell.at(10, 90)
    places = fill_empty_cells([polar], 0, per_cell=400, spaced=SpacedPlaces(0.001)).places
    away = sum(place.latitude < 90 - 0.125 / 2 for place in places)
    assert away / 400 == pytest.approx(0.75, abs=0.07)


def test_a_cell_without_room_is_named_and_not_crowded() -> None:
    cell = Cell.at(10, 50)
    found = fill_empty_cells([cell], 0, spaced=SpacedPlaces(60_000, there=[(10.0, 50.0)]))
    assert (found.places, found.full) == ((), (cell,))
    # Places of *there* keep their distance by themselves.
    west = cell.bounds[0]
    neighbour = Place(0, west - 0.0001, 50.0)
    places = fill_empty_cells([cell], 0, per_cell=8, there=[neighbour]).places
    assert min(EARTH.inv(west, 50.0, p.longitude, p.latitude)[2] for p in places) > 3800
    with pytest.raises(ValueError, match='per_cell'):
        fill_empty_cells([cell], 0, per_cell=0)


def test_a_table_of_places_comes_back_as_it_was(tmp_path: Path) -> None:
    places = places_around_cities(CITIES, 20, 0)
    path = tmp_path / 'new' / 'places.csv'
    write_places(path, places)
    assert read_places(path) == places
    assert [file.name for file in path.parent.iterdir()] == ['places.csv']


def test_names_of_places_are_those_of_the_released_folders() -> None:
    assert Place(865831, -95.9231, 43.9571).name == '0865831_-95.92_43.96'
    assert Place(1, -0.001, -0.004).name == '0000001_0.00_0.00'


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('name,lat\nA,1', 'no column'),
        ('number,lon,lat\n1,2,', r"line 2: no value of \['lat'\]"),
        ('number,lon,lat\n1,2,3\n1,4,5', 'line 3: number 1 is there already'),
        ('number,lon,lat\n1,2,93', 'line 2: .*latitude -90 to 90'),
        ('number,lon,lat\n1,180,3', 'below 180'),
        ('number,lon,lat\n-1,2,3', 'number of a place is -1'),
        ('number,lon,lat\n1.5,2,3', 'line 2: invalid literal'),
        ('\xff', 'cannot be read'),
    ],
)
def test_wrong_tables_of_places_are_refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / 'places.csv'
    path.write_bytes(text.encode('latin-1'))
    with pytest.raises(ValueError, match=match):
        read_places(path)


def test_cities_are_read_from_a_spreadsheets_table(tmp_path: Path) -> None:
    path = tmp_path / 'cities.csv'
    path.write_text('\ufeffname,lat,lon,population,country\nSão Paulo,-23.55,-46.63,2.2e7,BR\n')
    assert read_cities(path) == (City('São Paulo', -46.63, -23.55, 2.2e7),)
    for row, match in (
        ('A,-46,100,1,X', 'line 2: A is at'),
        ('A,1,1,-5,X', 'has the population'),
        ('A,1,1,nan,X', 'has the population'),
        ('A,1,1,,X', 'no value of'),
        ('A,one,1,1,X', 'line 2: could not convert'),
        ('', 'lists no city'),
    ):
        path.write_text(f'name,lon,lat,population,country\n{row}\n')
        with pytest.raises(ValueError, match=match):
            read_cities(path)
    with pytest.raises(ValueError, match='cannot be read'):
        read_cities(tmp_path / 'missing.csv')
