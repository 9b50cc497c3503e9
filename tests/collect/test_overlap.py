"""Places that would overlap although they were refused, or be refused although they do not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from torchgeo_copernicus.collect.georeference import patch_grid
from torchgeo_copernicus.collect.overlap import APART_M, SpacedPlaces

EARTH = Geod(ellps='WGS84')


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    return float(EARTH.inv(*one, *other)[2])


def test_a_refused_place_is_not_taken_in() -> None:
    spaced = SpacedPlaces(2000)
    assert spaced.add(10, 50)
    # A chain of places: each too near to the one before, which must not count when it was refused.
    assert not spaced.add(10, 50.015)
    assert spaced.add(10, 50.03)
    assert len(spaced) == 2
    assert spaced.nearest_m(10, 50.015) == pytest.approx(1668, rel=0.01)
    assert spaced.nearest_m(10, 50.1) is None


@given(
    st.floats(-180, 180),
    st.floats(-90, 90),
    st.floats(0, 360),
    st.floats(0, 3),
    st.sampled_from([50.0, APART_M, 200_000.0]),
)
@settings(max_examples=300)
def test_distances_are_those_on_the_ground_at_the_date_line_and_the_poles_too(
    longitude: float, latitude: float, azimuth: float, share: float, apart: float
) -> None:
    other = EARTH.fwd(longitude, latitude, azimuth, share * apart)[:2]
    # The Earth is not quite round.
    if abs(share - 1) < 0.006:
        return
    spaced = SpacedPlaces(apart)
    assert spaced.add(longitude, latitude)
    assert spaced.add(*other) == (share > 1)
    if share < 1:
        # Coordinates of a degree's last digits are a few nanometres.
        assert spaced.nearest_m(*other) == pytest.approx(share * apart, rel=0.006, abs=1e-3)


@pytest.mark.parametrize('turn', [-360, 360])
def test_the_same_place_a_turn_further_is_the_same(turn: float) -> None:
    spaced = SpacedPlaces(1000)
    spaced.add(179.9999, 10)
    assert not spaced.add(179.9999 + turn, 10)
    assert not spaced.add(-179.9999, 10)


@given(st.lists(st.tuples(st.floats(179.9, 180.1), st.floats(59.95, 60.05)), max_size=40))
@settings(max_examples=30)
def test_all_that_were_taken_are_apart_and_no_more_were_refused(
    places: list[tuple[float, float]],
) -> None:
    spaced = SpacedPlaces(3000)
    taken: list[tuple[float, float]] = []
    for place in places:
        nearest = min((distance_m(place, other) for other in taken), default=math.inf)
        if spaced.add(*place):
            assert nearest > 3000 * 0.994
            taken.append(place)
        else:
            assert nearest < 3000 * 1.006
    assert len(spaced) == len(taken)


def test_places_that_were_there_count_even_when_they_overlap() -> None:
    spaced = SpacedPlaces(there=[(10, 50), (10, 50)])
    assert len(spaced) == 2
    assert not spaced.add(10, 50.01)


@given(st.floats(-180, 180), st.floats(-79, 83), st.floats(0, 360))
@settings(max_examples=40, deadline=None)
def test_images_of_places_that_are_apart_share_no_ground(
    longitude: float, latitude: float, azimuth: float
) -> None:
    other = EARTH.fwd(longitude, latitude, azimuth, APART_M * 1.006)[:2]
    if not -79.9 < other[1] < 83.9:
        return
    one, two = patch_grid(longitude, latitude, 2640, 10), patch_grid(*other, 2640, 10)
    if one.crs != two.crs:
        return
    west, south, east, north = one.bounds
    w, s, e, n = two.bounds
    assert e <= west or w >= east or n <= south or s >= north


@pytest.mark.parametrize('distance', [0, -1, math.nan, math.inf, True, 'x', 1e7])
def test_impossible_distances_are_refused(distance: float) -> None:
    with pytest.raises(ValueError, match='min_distance_m'):
        SpacedPlaces(distance)


@pytest.mark.parametrize('place', [(math.nan, 0), (0, 91), (0, math.nan), (math.inf, 0)])
def test_impossible_coordinates_are_refused(place: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match='no longitude and latitude'):
        SpacedPlaces().add(*place)
