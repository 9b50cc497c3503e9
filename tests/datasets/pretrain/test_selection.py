"""Patches and dates that are drawn: pure, fair, in order, and the same of what modalities share."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.selection import Selection, season_of
from torchgeo_copernicus.metadata import days_since_epoch

DAYS = st.lists(st.integers(17_000, 20_000).map(float), min_size=1, max_size=12)
KEYS = st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 10**6))
NAMES = st.integers(0, 40).map(lambda number: f'{number:07d}_8.75_50.75')
PATCHES = st.lists(NAMES, unique=True, min_size=1, max_size=8)
RULES = st.sampled_from(['all', 'random', 'seasons', '2021-06-21'])


@given(DAYS, KEYS, RULES)
def test_the_same_key_draws_the_same_and_in_the_order_of_time(
    days: list[float], key: tuple[int, ...], rule: Any
) -> None:
    chosen = Selection(dates=rule).dates_of('s2_toa', days, *key)
    assert chosen == Selection(dates=rule).dates_of('s2_toa', days, *key)
    taken = [days[position] for position in chosen]
    assert taken == sorted(taken)
    assert len(set(chosen)) == len(chosen) > 0


@given(DAYS, KEYS)
def test_a_second_image_of_a_day_is_not_lost(days: list[float], key: tuple[int, ...]) -> None:
    chosen = Selection().dates_of('s3_olci', [*days, days[0]], *key)
    assert sorted(chosen) == list(range(len(days) + 1))
    both = [position for position in chosen if position in (0, len(days))]
    assert both == [0, len(days)]


@given(DAYS, KEYS)
def test_seasons_take_one_of_each_that_there_is(days: list[float], key: tuple[int, ...]) -> None:
    chosen = Selection(dates='seasons').dates_of('s1_grd', days, *key)
    assert Counter(season_of(days[i]) for i in chosen) == dict.fromkeys(map(season_of, days), 1)


@given(DAYS, KEYS, st.dates(date(2016, 1, 1), date(2025, 1, 1)))
def test_the_nearest_date_is_taken_and_of_two_the_earlier(
    days: list[float], key: tuple[int, ...], wanted: date
) -> None:
    (position,) = Selection(dates=wanted).dates_of('s2_toa', days, *key)
    apart = [abs(day - days_since_epoch(wanted)) for day in days]
    assert apart[position] == min(apart)
    assert days[position] == min(d for d, a in zip(days, apart, strict=True) if a == min(apart))


@given(DAYS, KEYS, RULES, st.randoms(use_true_random=False))
def test_the_order_of_the_list_does_not_change_the_days_that_are_drawn(
    days: list[float], key: tuple[int, ...], rule: Any, random: Any
) -> None:
    shuffled = random.sample(days, len(days))
    selection = Selection(dates=rule)
    drawn = [[d[i] for i in selection.dates_of('s2_toa', d, *key)] for d in (days, shuffled)]
    assert drawn[0] == drawn[1]


def test_every_date_is_drawn_about_equally_often_and_modalities_draw_apart() -> None:
    selection, days = Selection(dates='random'), [18_000.0, 18_100.0, 18_200.0, 18_300.0]
    names: tuple[ModalityName, ...] = ('s1_grd', 's2_toa')
    drawn = {
        name: [selection.dates_of(name, days, 0, epoch, 7)[0] for epoch in range(400)]
        for name in names
    }
    for chosen in drawn.values():
        assert all(60 < count < 140 for count in Counter(chosen).values())
        assert len(set(chosen)) == 4
    same = sum(a == b for a, b in zip(*drawn.values(), strict=True))
    assert 60 < same < 140


def test_each_part_of_the_key_changes_what_is_drawn() -> None:
    selection, days = Selection(dates='random'), [float(18_000 + day) for day in range(1000)]
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert len({selection.dates_of('dem', days, *key) for key in keys}) == 4


@pytest.mark.parametrize('rule', ['all', 'random', 'seasons', '2021-06-21'])
def test_elevation_without_a_date_is_always_taken(rule: Any) -> None:
    assert Selection(dates=rule).dates_of('dem', [math.nan], 0, 0, 5) == (0,)
    assert Selection(dates=rule).dates_of('dem', [], 0, 0, 5) == ()


@given(PATCHES, PATCHES, KEYS, st.integers(1, 9))
def test_shared_patches_are_drawn_for_all_modalities_before_others(
    radar: list[str], optical: list[str], key: tuple[int, ...], count: int
) -> None:
    there: dict[ModalityName, list[str]] = {'s1_grd': radar, 's2_toa': optical}
    chosen = Selection(patches=count).patches_of(there, *key)
    taken = {name: {there[name][i] for i in rows} for name, rows in chosen.items()}
    shared = set(radar) & set(optical)
    for name, rows in chosen.items():
        assert list(rows) == sorted(set(rows))
        assert len(rows) == min(count, len(there[name]))
        assert len(taken[name] & shared) == min(count, len(shared))
    assert taken['s1_grd'] & shared == taken['s2_toa'] & shared


@given(PATCHES, KEYS)
def test_all_patches_are_taken_when_no_number_is_given(
    names: list[str], key: tuple[int, ...]
) -> None:
    assert Selection().patches_of({'s2_toa': names}, *key) == {'s2_toa': tuple(range(len(names)))}
    assert Selection().patches_of({}, *key) == {}


def test_patches_change_with_the_epoch_and_all_come() -> None:
    names = [f'{number:07d}_8.75_50.75' for number in range(5)]
    drawn = Counter(
        Selection(patches=1).patches_of({'s2_toa': names}, 0, epoch, 3)['s2_toa']
        for epoch in range(400)
    )
    assert len(drawn) == 5
    assert all(40 < count < 130 for count in drawn.values())


@pytest.mark.parametrize(
    ('selection', 'single'),
    [
        (Selection(), {'dem'}),
        (Selection(dates='seasons', patches=1), {'dem'}),
        (Selection(dates='random'), {*MODALITY_NAMES} - {'s1_grd', 's2_toa'}),
        (Selection(dates='random', patches=1), {*MODALITY_NAMES}),
        (Selection(dates='random', patches=2), {*MODALITY_NAMES} - {'s1_grd', 's2_toa'}),
        (Selection(dates={'s3_olci': '2021-06-21'}), {'s3_olci', 'dem'}),
    ],
)
def test_an_axis_is_left_out_only_where_there_is_never_more_than_one(
    selection: Selection, single: set[str]
) -> None:
    assert {name for name in MODALITY_NAMES if selection.single(name)} == single


def test_a_date_may_be_written_in_any_usual_way() -> None:
    east = timezone(timedelta(hours=9))
    # Half past eight in the morning in Japan is the day before in UTC.
    for value in (
        '2021-06-21',
        date(2021, 6, 21),
        datetime(2021, 6, 21, 23),
        datetime(2021, 6, 22, 8, 30, tzinfo=east),
        datetime(2021, 6, 21, 23, tzinfo=UTC),
    ):
        dates: Any = value
        assert Selection(dates=dates).rule('s2_toa') == date(2021, 6, 21)


@pytest.mark.parametrize('patches', [0, -1, 1.0, True, '1'])
def test_a_number_of_patches_that_is_none_is_refused(patches: Any) -> None:
    with pytest.raises(ValueError, match='patches must be'):
        Selection(patches=patches)


@pytest.mark.parametrize('dates', ['some', '2021-13-01', 5, None, ['all'], {'s2_toa': 'x'}])
def test_an_unknown_rule_is_refused(dates: Any) -> None:
    with pytest.raises(ValueError, match=r'Dates are .* Allowed'):
        Selection(dates=dates)


def test_a_rule_for_an_unknown_modality_is_refused() -> None:
    dates: Any = {'s2': 'all'}
    with pytest.raises(ValueError, match=r"dates names \['s2'\]"):
        Selection(dates=dates)
