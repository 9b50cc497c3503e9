"""Windows that lack a day, a year or a leap day; choices that would have no effect."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from torchgeo_copernicus.collect.products import product_of
from torchgeo_copernicus.collect.recipe import Recipe
from torchgeo_copernicus.collect.seasons import (
    Window,
    drawn_shift,
    months,
    polar_windows,
    season_windows,
    years_earlier,
)
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES


def test_the_windows_are_as_many_days_before_as_after() -> None:
    windows = season_windows()
    assert [len(season) for season in windows] == [3] * 4
    assert windows[0][0] == Window(date(2022, 11, 21), date(2023, 1, 21))
    assert [season[2].start.year for season in windows] == [2020] * 4
    for season in polar_windows():
        (window,) = season
        assert (window.stop - window.start).days == 361


def test_the_months_of_a_year_are_all_its_days() -> None:
    year = months(2020)
    assert (year[0].start, year[-1].stop) == (date(2020, 1, 1), date(2021, 1, 1))
    assert all(one.stop == two.start for one, two in pairwise(year))
    assert year[0].name == '2020-01-01_2020-02-01'


def test_a_leap_day_has_a_day_in_other_years() -> None:
    assert years_earlier(date(2020, 2, 29), 1) == date(2019, 2, 28)
    assert years_earlier(date(2020, 2, 29), 4) == date(2016, 2, 29)
    assert years_earlier(date(2020, 3, 1), 1) == date(2019, 3, 1)


def test_a_century_without_a_leap_day_does_not_fail() -> None:
    assert years_earlier(date(2104, 2, 29), 4) == date(2100, 2, 28)


def test_shifts_cover_the_year_and_depend_on_seed_and_place() -> None:
    shifts = [drawn_shift(0, number) for number in range(4000)]
    assert (min(shifts), max(shifts)) == (0, 364)
    assert shifts != [drawn_shift(1, number) for number in range(4000)]
    moved = season_windows(shift_days=10)
    assert moved[1][1].start == season_windows()[1][1].start - timedelta(days=10)


def test_impossible_windows_are_refused() -> None:
    with pytest.raises(ValueError, match='has no day'):
        Window(date(2021, 1, 1), date(2021, 1, 1))
    with pytest.raises(ValueError, match='half_width_days'):
        season_windows(half_width_days=-1)
    for changes in ({'dates': ()}, {'years': 0}, {'shift_days': -1}):
        with pytest.raises(ValueError, match='wanted at least one'):
            season_windows(**changes)  # type: ignore[arg-type]


def test_bands_are_those_of_the_modality_in_its_order() -> None:
    for modality in MODALITY_NAMES:
        product = product_of(modality)
        assert product.modality == modality
        assert len(product.bands) == len(MODALITIES[modality].sensor.bands)
    # Earth Engine writes B1 for B01, which is an alias there.
    bands = 'B1 B2 B3 B4 B5 B6 B7 B8 B8A B9 B10 B11 B12'
    assert product_of('s2_toa').bands == tuple(bands.split())
    sensor = MODALITIES['s2_toa'].sensor
    assert sensor.select(product_of('s2_toa').bands) == sensor.bands
    assert product_of('s3_olci').bands[3] == 'Oa04_radiance'
    with pytest.raises(ValueError, match='Unknown modality'):
        product_of('s4')  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('change', 'modalities'),
    [
        ({'seed': 1}, {'s3_olci'}),
        ({'polar': True}, {'s1_grd', 's2_toa'}),
        ({'cloud_percent': 5.0}, {'s2_toa'}),
        ({'year': 2020}, {'s3_olci', 's5p_co', 's5p_no2', 's5p_o3', 's5p_so2'}),
        ({'shifted': True}, {'s1_grd', 's2_toa'}),
        ({'harmonized': False}, {'s2_toa'}),
        ({'shifted': True, 'seed': 1}, {'s1_grd', 's2_toa', 's3_olci'}),
    ],
)
def test_a_choice_is_kept_with_the_images_that_it_decides(
    change: dict[str, object], modalities: set[str]
) -> None:
    plain, changed = Recipe(), Recipe(**change)  # type: ignore[arg-type]
    differing = {n for n in MODALITY_NAMES if plain.options(n) != changed.options(n)}
    assert differing == modalities
    seeded = Recipe(seed=2, shifted=True)
    assert seeded.options('s2_toa') != Recipe(shifted=True).options('s2_toa')


@pytest.mark.parametrize(
    'choices',
    [
        {'seed': -1},
        {'seed': True},
        {'seed': '0'},
        {'cloud_percent': 101},
        {'cloud_percent': float('nan')},
        {'cloud_percent': '20'},
        {'year': 1999},
        {'year': 2021.0},
        {'polar': True, 'shifted': True},
    ],
)
def test_impossible_choices_are_refused(choices: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r'seed|cloud_percent|year|shifted'):
        Recipe(**choices)  # type: ignore[arg-type]
