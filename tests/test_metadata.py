"""Where, when and how large: each unit is converted once, and a wrong one is named."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from torch import Tensor

from torchgeo_copernicus.metadata import (
    Date,
    acquisition_metadata,
    check_metadata,
    days_from_seconds,
    days_since_epoch,
    token_area_km2,
)

NAN = math.nan
GOOD = [11.5, 48.0, 18262.0, 10.0]
UTM32 = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def row(**fields: float) -> Tensor:
    names = ('lon', 'lat', 'days', 'gsd')
    values = dict(zip(names, GOOD, strict=True)) | fields
    return torch.tensor([[values[name] for name in names]])


def test_longitude_comes_before_latitude() -> None:
    # EPSG:4326 itself has latitude first.
    lon, lat, _, _ = acquisition_metadata(4326, Affine(1, 0, 100, 0, -1, 30), (1, 1), None)
    assert (lon, lat) == (100.5, 29.5)


@pytest.mark.parametrize(
    ('size', 'expected'), [((1, 1), (10.5, 49.5)), ((3, 5), (12.5, 48.5)), ((2, 4), (12.5, 48.5))]
)
def test_the_location_is_the_centre_of_the_middle_pixel(
    size: tuple[int, int], expected: tuple[float, float]
) -> None:
    found = acquisition_metadata(4326, Affine(1, 0, 10, 0, -1, 50), size, None)
    assert tuple(found[:2].tolist()) == expected


def test_utm_keeps_the_nominal_sampling_distance() -> None:
    found = acquisition_metadata(32632, UTM32, (1, 1), date(2020, 1, 1))
    assert found.dtype == torch.float32
    # The central meridian of zone 32 is 9 degrees east.
    assert found[0] == pytest.approx(9 + 5 / 78_800, abs=1e-6)
    assert found[1] == pytest.approx(45.1534, abs=1e-3)
    assert found[2:].tolist() == [18262, 10]


def test_degrees_become_metres_on_the_ground() -> None:
    at_equator = acquisition_metadata(4326, Affine(0.001, 0, 10, 0, -0.001, 0.0005), (1, 1), None)
    at_60 = acquisition_metadata(4326, Affine(0.001, 0, 10, 0, -0.001, 60.0005), (1, 1), None)
    assert at_equator[3] == pytest.approx(111.32, rel=1e-4)
    # Half as wide: the side of the square of that area.
    assert at_60[3] == pytest.approx(111.32 * math.sqrt(0.5), rel=1e-4)


def test_web_mercator_pixels_are_smaller_than_they_claim() -> None:
    found = acquisition_metadata(3857, Affine(10, 0, 0, 0, -10, 8_399_738), (1, 1), None)
    assert found[1] == pytest.approx(60, abs=1e-3)
    assert found[3] == pytest.approx(5.0, rel=0.01)


def test_polar_stereographic_has_the_scale_of_its_place() -> None:
    pole = acquisition_metadata(3413, Affine(30, 0, -15, 0, -30, 15), (1, 1), None)
    assert pole[1] == 90
    # True at 70 degrees north; 0.97 of it at the pole.
    assert pole[3] == pytest.approx(30 / 0.9698, rel=1e-3)
    east = acquisition_metadata(3413, Affine(30, 0, 2_187_600, 0, -30, 15), (1, 1), None)
    assert east[:2].tolist() == pytest.approx([45.0, 70.0], abs=0.1)
    assert east[3] == 30


def test_feet_are_not_metres() -> None:
    found = acquisition_metadata(2263, Affine(10, 0, 1e6, 0, -10, 2e5), (1, 1), None)
    assert found[3] == pytest.approx(3.048, rel=1e-4)


def test_a_rotated_image_has_its_own_centre_and_the_same_pixels() -> None:
    plain = acquisition_metadata(32632, UTM32, (65, 65), None)
    a, b = 10 * math.cos(0.5), 10 * math.sin(0.5)
    # About the centre of pixel (32, 32), which stays where it is.
    turned = Affine(*(a, b, 500_325 - 32.5 * (a + b)), *(b, -a, 4_999_675 + 32.5 * (a - b)))
    found = acquisition_metadata('EPSG:32632', turned, (65, 65), None)
    assert found[:2].tolist() == pytest.approx(plain[:2].tolist(), abs=1e-5)
    assert found[3] == pytest.approx(10)
    corner = acquisition_metadata(32632, turned, (1, 1), None)
    assert corner[0] != acquisition_metadata(32632, UTM32, (1, 1), None)[0]


@pytest.mark.parametrize(
    ('crs', 'transform'), [(None, UTM32), (32632, None), (32632, Affine.identity()), (None, None)]
)
def test_an_image_without_georeference_is_unknown_and_not_at_null_island(
    crs: int | None, transform: Affine | None
) -> None:
    found = acquisition_metadata(crs, transform, (64, 64), '2020-01-01')
    assert found.isnan().tolist() == [True, True, False, True]
    known = acquisition_metadata(crs, transform, (64, 64), None, gsd_m=300)
    assert known.isnan().tolist() == [True, True, True, False]


def test_the_sampling_distance_of_the_product_comes_first() -> None:
    assert acquisition_metadata(32632, UTM32, (1, 1), None, gsd_m=20)[3] == 20


@pytest.mark.parametrize('size', [(0, 4), (4, 0), (-1, 4)])
def test_an_empty_image_raises(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match='at least one pixel'):
        acquisition_metadata(32632, UTM32, size, None)


@pytest.mark.parametrize(
    'transform', [Affine(0.001, 0, 1000, 0, -0.001, 60), Affine(0.001, 0, 10, 0, -0.001, 90.1)]
)
def test_a_place_off_the_earth_is_named(transform: Affine) -> None:
    with pytest.raises(ValueError, match=r'longitude is|latitude is'):
        acquisition_metadata(4326, transform, (1, 1), None)


@settings(deadline=None)
@given(
    zone=st.integers(1, 60),
    north=st.booleans(),
    easting=st.floats(200_000, 800_000),
    northing=st.floats(1_000_000, 9_000_000),
    size=st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
)
def test_any_utm_place_comes_back(
    zone: int, north: bool, easting: float, northing: float, size: tuple[int, int]
) -> None:
    crs = (32600 if north else 32700) + zone
    found = acquisition_metadata(crs, Affine(10, 0, easting, 0, -10, northing), size, None)
    back = Transformer.from_crs(4326, crs, always_xy=True).transform(*found[:2].tolist())
    middle = (easting + 10 * (size[1] // 2 + 0.5), northing - 10 * (size[0] // 2 + 0.5))
    # float32 degrees are good to two metres.
    assert back == pytest.approx(middle, abs=3)
    assert found[3] == 10


@pytest.mark.parametrize(
    'when',
    [
        date(2020, 1, 2),
        datetime(2020, 1, 2, 23, 59),
        datetime(2020, 1, 2, tzinfo=UTC),
        # Already tomorrow in Greenwich, and still yesterday.
        datetime(2020, 1, 1, 20, tzinfo=timezone(timedelta(hours=-5))),
        datetime(2020, 1, 3, 1, tzinfo=timezone(timedelta(hours=2))),
        np.datetime64('2020-01-02'),
        np.datetime64('2020-01-02T23:59:59.999999999'),
        pd.Timestamp('2020-01-01T20:00-05:00'),
        '2020-01-02',
        '20200102',
        '2020-01-02T23:59:59',
        '2020-01-02T10:30:00Z',
        '2020-01-01T20:00:00-05:00',
    ],
)
def test_every_kind_of_date_is_the_same_utc_day(when: Date) -> None:
    assert days_since_epoch(when) == 18263


@pytest.mark.parametrize(
    'when', [date(1969, 12, 31), datetime(1969, 12, 31, 12), np.datetime64('1969-12-31T12')]
)
def test_half_a_day_before_1970_is_the_day_before(when: Date) -> None:
    assert days_since_epoch(when) == -1


@pytest.mark.parametrize('when', [np.datetime64('NaT'), pd.NaT, '', 'yesterday', '2020-13-01'])
def test_what_is_no_date_raises(when: Date) -> None:
    with pytest.raises(ValueError, match=r'NaT|month|isoformat'):
        days_since_epoch(when)


@given(st.dates(date(1800, 1, 1), date(2200, 1, 1)))
def test_days_come_back_as_their_date(when: date) -> None:
    days = days_since_epoch(when)
    assert date(1970, 1, 1) + timedelta(days=days) == when
    assert days_since_epoch(np.datetime64(when)) == days_since_epoch(when.isoformat()) == days
    assert float(torch.tensor(days, dtype=torch.float32)) == days


@given(st.integers(-24_855, 24_855), st.integers(0, 86_399))
def test_seconds_become_their_day(days: int, second: int) -> None:
    seconds = torch.tensor([[days * 86_400 + second]])
    for dtype in (torch.int64, torch.float64):
        assert days_from_seconds(seconds.to(dtype)).tolist() == [[days]]
    # TorchGeo's are float32: a multiple of 128 s, and so is a day.
    midnight = torch.tensor([days * 86_400], dtype=torch.float32)
    found = days_from_seconds(midnight)
    assert found.dtype == torch.float32
    assert found.tolist() == [days]


def test_unknown_seconds_stay_unknown() -> None:
    assert days_from_seconds(torch.tensor([NAN, -1.0])).nan_to_num(9.0).tolist() == [9, -1]


def test_the_token_area_is_the_official_one() -> None:
    gsd = torch.tensor([10.0, 30.0, NAN])
    assert torch.equal(token_area_km2(gsd, 16)[:1], torch.tensor([0.0256]))
    assert torch.equal(token_area_km2(gsd, 64)[1:2], torch.tensor([3.6864]))
    assert token_area_km2(gsd, 16).isnan().tolist() == [False, False, True]
    assert torch.equal(token_area_km2(torch.tensor([300.0]), 8), torch.tensor([5.76]))
    assert token_area_km2(gsd.double(), 16).dtype == torch.float32


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_right_and_unknown_values_pass(dtype: torch.dtype) -> None:
    check_metadata(torch.tensor([GOOD, [359.9, -90, -7305, 1000], [NAN] * 4], dtype=dtype))
    check_metadata(torch.empty(0, 4))
    check_metadata(torch.empty(2, 4, device='meta'))


@pytest.mark.parametrize(
    ('metadata', 'message'),
    [
        (row(days=1.6e9), r'days since 1970-01-01 is 1\.6e\+09; wanted whole days, not seconds'),
        (row(lon=48.0, lat=100.5), r'latitude is 100\.5; wanted .*swapped with longitude'),
        (row(lon=-181.0), 'longitude is -181; wanted degrees'),
        (row(lon=360.5), 'longitude is 360.5; wanted degrees'),
        (row(gsd=0.0256), r'ground sampling distance \(m\) is 0\.025.*; wanted .*area in km2'),
        (row(gsd=0.0), 'ground sampling distance'),
        (row(lon=math.inf), 'longitude is inf'),
        (row(lat=-math.inf), 'latitude is -inf'),
        (row(days=math.inf), 'days since 1970-01-01 is inf'),
        (row(gsd=math.inf), r'ground sampling distance \(m\) is inf'),
        (row().half(), r'torch\.float16.*keep it float32'),
        (row().bfloat16(), r'torch\.bfloat16.*bf16-mixed'),
        (row().long(), r'torch\.int64'),
        (row()[0], r'shape \[B, 4\].*got \[4\]'),
        (row()[:, :3], r'got \[1, 3\]'),
        (row()[None], r'got \[1, 1, 4\]'),
        (torch.cat([row(lat=NAN), row(lat=91.0)]), 'latitude is 91'),
    ],
)
def test_a_wrong_value_is_named_with_what_is_wanted(metadata: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_metadata(metadata)
