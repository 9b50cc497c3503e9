"""Metadata of other datasets becomes ours, or raises; nothing of it is dropped in silence."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_copernicus.metadata import check_metadata, days_since_epoch
from torchgeo_copernicus.terratorch.host_metadata import HOST_KEYS, metadata_from_host

NAN = torch.nan


def converted(size: int = 2, **batch: object) -> list[list[float]]:
    found = metadata_from_host(batch, size)
    assert found is not None
    assert found.dtype == torch.float32
    assert found.shape == (size, 4)
    check_metadata(found)
    # So that an unknown value equals an unknown value.
    return found.nan_to_num(-999).tolist()


def test_latitude_comes_first_in_terratorch_and_second_here() -> None:
    coords = torch.tensor([[48.0, 11.5], [-33.5, 151.0]])
    assert converted(location_coords=coords) == [[11.5, 48, -999, -999], [151, -33.5, -999, -999]]


def test_a_day_of_the_year_counts_from_zero() -> None:
    coords = torch.tensor([[2020.0, 0.0], [2020.0, 365.0]])
    days = [days_since_epoch(date(2020, 1, 1)), days_since_epoch(date(2020, 12, 31))]
    for shape in ((2, 2), (2, 1, 2)):
        found = converted(temporal_coords=coords.reshape(shape))
        assert [row[2] for row in found] == days


@given(st.dates(date(1972, 1, 1), date(2100, 1, 1)))
def test_any_date_comes_back(when: date) -> None:
    coords = torch.tensor([[when.year, when.timetuple().tm_yday - 1]], dtype=torch.float32)
    (row,) = converted(1, temporal_coords=coords)
    assert date(1970, 1, 1) + timedelta(days=row[2]) == when


def test_keys_of_torchgeo_are_understood() -> None:
    found = converted(
        lat=torch.tensor([48.0, NAN]),
        lon=torch.tensor([[11.5], [12.5]]),
        time=torch.tensor([86_400 * 18_262 + 50_000, NAN], dtype=torch.float64),
    )
    assert found == [[11.5, 48, 18262, -999], [12.5, -999, -999, -999]]


def test_one_key_alone_leaves_the_others_unknown() -> None:
    assert converted(1, time=torch.tensor([0])) == [[-999, -999, 0, -999]]


@pytest.mark.parametrize('batch', [{}, {'mask': torch.ones(2)}, {'time': None}])
def test_a_batch_without_metadata_is_none_and_not_nan(batch: dict) -> None:
    assert metadata_from_host(batch, 2) is None


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('location_coords', torch.zeros(3, 2), r'\[3, 2\] for 2 images; wanted one pair'),
        ('location_coords', torch.zeros(2), r'\[2\] for 2 images; wanted one pair'),
        ('location_coords', torch.zeros(2, 4, 2), r'\[2, 4, 2\]'),
        # Several dates of a series.
        ('temporal_coords', torch.full((2, 3, 2), 2020.0), r'\[2, 3, 2\] .* one pair per image'),
        ('time', torch.zeros(2, 3), r'\[2, 3\] for 2 images; wanted one value'),
        ('lat', torch.zeros(1), r'\[1\] for 2 images; wanted one value'),
        ('lon', torch.zeros(2, 2), r'\[2, 2\]'),
        ('time', torch.tensor(0.0), r'\[\]'),
    ],
)
def test_another_shape_is_named(key: str, value: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f'^{key} has shape {message}'):
        metadata_from_host({key: value}, 2)


def test_an_unknown_date_of_one_image_stays_unknown() -> None:
    coords = torch.tensor([[NAN, NAN], [2020.0, 0.0]])
    assert [row[2] for row in converted(temporal_coords=coords)] == [-999, 18262]


def test_a_year_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match='temporal_coords'):
        metadata_from_host({'temporal_coords': torch.zeros(1, 2)}, 1)


@pytest.mark.parametrize('key', HOST_KEYS)
def test_what_is_no_tensor_is_not_dropped_in_silence(key: str) -> None:
    values = [[2020.0, 0.0]] if key.endswith('_coords') else [48.0]
    for value in (values, np.array(values)):
        try:
            found = metadata_from_host({key: value}, 1)
        except ValueError as error:
            assert key in str(error)
        else:
            assert found is not None
            assert not found.isnan().all()


def test_swapped_coordinates_do_not_pass_the_check() -> None:
    found = metadata_from_host({'lat': torch.tensor([151.0]), 'lon': torch.tensor([-33.5])}, 1)
    assert found is not None
    with pytest.raises(ValueError, match='latitude is 151'):
        check_metadata(found)
