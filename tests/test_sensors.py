"""Bands are values: whatever they are called and however they are ordered, the numbers are theirs."""

from __future__ import annotations

from collections import Counter
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_copernicus.sensors import (
    S1_GRD,
    S2_TOA,
    S3_OLCI,
    S5P_NO2,
    SENSORS,
    Band,
    Statistics,
    get_sensor,
    resolve_bands,
)

BANDS = [band for sensor in SENSORS.values() for band in sensor.bands]
# EuroSAT-S2 keeps B8A last.
EUROSAT = [
    'B01',
    'B02',
    'B03',
    'B04',
    'B05',
    'B06',
    'B07',
    'B08',
    'B09',
    'B10',
    'B11',
    'B12',
    'B8A',
]
HLS = {
    'COASTAL_AEROSOL': 'B01',
    'BLUE': 'B02',
    'GREEN': 'B03',
    'RED': 'B04',
    'RED_EDGE_1': 'B05',
    'RED_EDGE_2': 'B06',
    'RED_EDGE_3': 'B07',
    'NIR_BROAD': 'B08',
    'NIR_NARROW': 'B8A',
    'WATER_VAPOR': 'B09',
    'CIRRUS': 'B10',
    'SWIR_1': 'B11',
    'SWIR_2': 'B12',
}


def test_all_eight_modalities_have_all_their_bands() -> None:
    assert {name: len(sensor.bands) for name, sensor in SENSORS.items()} == {
        's1_grd': 2,
        's2_toa': 13,
        's3_olci': 21,
        's5p_co': 1,
        's5p_no2': 1,
        's5p_o3': 1,
        's5p_so2': 1,
        'dem': 1,
    }
    assert all(get_sensor(name) is sensor for name, sensor in SENSORS.items())


def test_the_grid_of_each_modality_is_that_of_the_pretraining() -> None:
    assert {name: (s.gsd_m, s.kernel_size) for name, s in SENSORS.items()} == {
        's1_grd': (10, 16),
        's2_toa': (10, 16),
        's3_olci': (300, 8),
        's5p_co': (1000, 4),
        's5p_no2': (1000, 4),
        's5p_o3': (1000, 4),
        's5p_so2': (1000, 4),
        'dem': (30, 64),
    }


def test_wavelengths_are_nanometres_and_those_of_the_pretraining() -> None:
    waves = {b.name: (b.wavelength_nm, b.bandwidth_nm) for b in BANDS}
    assert [waves[name] for name in S1_GRD.band_names] == [(5e7, 1e9)] * 2
    assert [waves[name][0] for name in S2_TOA.band_names] == [
        *(440, 490, 560, 665, 705, 740, 783, 842, 860, 940, 1370, 1610, 2190)
    ]
    assert [waves[name][1] for name in S2_TOA.band_names] == [
        *(20, 65, 35, 30, 15, 15, 20, 115, 20, 20, 30, 90, 180)
    ]
    assert [waves[name][0] for name in S3_OLCI.band_names] == [
        *(400, 412.5, 442.5, 490, 510, 560, 620, 665, 673.75, 681.25, 708.75, 753.75, 761.25),
        *(764.375, 767.5, 778.75, 865, 885, 900, 940, 1020),
    ]
    assert [waves[name][1] for name in S3_OLCI.band_names] == [
        *(15, 10, 10, 10, 10, 10, 10, 10, 7.5, 7.5, 10, 7.5, 7.5, 3.75, 2.5, 15, 20, 10, 10, 20, 40)
    ]


def test_statistics_are_those_of_the_pretraining() -> None:
    assert S1_GRD.statistics.of(S1_GRD.bands) == ((-12.59, -20.26), (5.26, 5.91))
    mean, std = S2_TOA.statistics.of(S2_TOA.bands)
    assert mean == (
        *(1612.9, 1397.6, 1322.3, 1373.1, 1561.0, 2108.4, 2390.7),
        *(2318.7, 2581.0, 837.7, 22.0, 2195.2, 1537.4),
    )
    assert std == (
        *(791.0, 854.3, 878.7, 1144.9, 1127.5, 1164.2, 1276.0),
        *(1249.5, 1345.9, 577.5, 47.5, 1340.0, 1142.9),
    )
    assert SENSORS['dem'].statistics.of(SENSORS['dem'].bands) == ((0.0,), (10000.0,))
    assert S5P_NO2.statistics.of(S5P_NO2.bands) == ((0.0,), (1.0,))
    # Dividing counts by the deviation multiplies them by the OLCI scale.
    assert S3_OLCI.statistics.std['Oa01_radiance'] == pytest.approx(1 / 0.0139465)
    assert S3_OLCI.statistics.std['Oa21_radiance'] == pytest.approx(1 / 0.00324118)
    assert set(S3_OLCI.statistics.mean.values()) == {0.0}


def test_geophysical_variables_have_no_wavelength() -> None:
    variables = {band.name: band.variable for band in BANDS if band.wavelength_nm is None}
    assert variables == {
        'CO': 'Sentinel 5P Carbon Monoxide',
        'NO2': 'Sentinel 5P Nitrogen Dioxide',
        'O3': 'Sentinel 5P Ozone',
        'SO2': 'Sentinel 5P Sulfur Dioxide',
        'DEM': 'Copernicus Digital Elevation Model',
    }


def test_no_name_stands_for_two_bands() -> None:
    names = Counter(name for band in BANDS for name in (band.name, *band.aliases))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize('band', BANDS, ids=lambda band: band.name)
def test_every_alias_is_the_same_band(band: Band) -> None:
    for name in (band.name, *band.aliases):
        assert resolve_bands([name]) == (band,)


def test_terratorch_names_are_the_same_bands() -> None:
    assert resolve_bands(list(HLS)) == resolve_bands(list(HLS.values()))


@pytest.mark.terratorch
def test_enums_of_terratorch_are_the_same_bands() -> None:
    from terratorch.datasets import HLSBands, OpticalBands, SARBands

    members = [HLSBands[name] for name in HLS]
    assert resolve_bands(members) == resolve_bands(list(HLS))
    assert resolve_bands([OpticalBands.NIR_NARROW]) == resolve_bands(['B8A'])
    assert resolve_bands([SARBands.ASC_VV, SARBands.DSC_VH]) == S1_GRD.bands
    with pytest.raises(ValueError, match="Unknown band 'THERMAL_INFRARED_1'"):
        resolve_bands([HLSBands.THERMAL_INFRARED_1])


def test_an_enum_is_known_by_its_value_and_not_by_its_name() -> None:
    class Bands(Enum):
        RED = 'B02'

    assert resolve_bands([Bands.RED]) == resolve_bands(['BLUE'])


@given(st.permutations(EUROSAT))
def test_numbers_follow_their_band_in_any_order(order: list[str]) -> None:
    bands = S2_TOA.select(order)
    assert bands == resolve_bands(order)
    assert [band.name for band in bands] == order
    mean, std = S2_TOA.statistics.of(bands)
    assert mean == tuple(S2_TOA.statistics.mean[name] for name in order)
    assert std == tuple(S2_TOA.statistics.std[name] for name in order)


def test_b8a_stored_last_keeps_its_own_wavelength() -> None:
    assert resolve_bands(EUROSAT)[-1].wavelength_nm == 860
    assert resolve_bands(EUROSAT)[8].wavelength_nm == 940


def test_a_sensor_stands_for_all_its_bands() -> None:
    assert resolve_bands(S3_OLCI) == S3_OLCI.bands


def test_an_own_band_passes_through() -> None:
    own = Band('thermal', 10_900.0, 600.0)
    assert resolve_bands([own, 'B02']) == (own, S2_TOA.bands[1])


def test_an_unknown_band_is_named_with_what_is_allowed_and_near() -> None:
    with pytest.raises(ValueError, match='Unknown band') as caught:
        S2_TOA.select(['B02', 'NIR_BRAOD'])
    message = str(caught.value)
    assert "'NIR_BRAOD' of s2_toa" in message
    assert "Did you mean ['NIR_BROAD'" in message
    assert str(list(S2_TOA.band_names)) in message
    with pytest.raises(ValueError, match='Unknown band') as caught:
        resolve_bands(['B99'])
    assert all(name in str(caught.value) for name in ('VV', 'Oa21_radiance', 'DEM'))


def test_a_band_of_another_sensor_is_not_selected() -> None:
    with pytest.raises(ValueError, match="'VV' of s2_toa"):
        S2_TOA.select(['VV'])


@pytest.mark.parametrize('names', [['B02', 'B02'], ['B02', 'BLUE'], ['VV', 'ASC_VV']])
def test_one_band_under_two_names_is_not_taken_twice(names: list[str]) -> None:
    with pytest.raises(ValueError, match='listed twice'):
        resolve_bands(names)


def test_a_single_string_is_not_read_letter_by_letter() -> None:
    with pytest.raises(ValueError, match="must be a list of names, not the single string 'B02'"):
        resolve_bands('B02')


def test_select_does_not_read_a_single_string_letter_by_letter() -> None:
    with pytest.raises(ValueError, match="single string 'B02'"):
        S2_TOA.select('B02')


def test_no_bands_at_all_raises() -> None:
    with pytest.raises(ValueError, match='name at least one'):
        resolve_bands([])


@pytest.mark.parametrize(
    'fields',
    [
        {},
        {'wavelength_nm': 490.0},
        {'bandwidth_nm': 65.0},
        {'wavelength_nm': 490.0, 'variable': 'Ozone'},
        {'wavelength_nm': 490.0, 'bandwidth_nm': 65.0, 'variable': 'Ozone'},
    ],
)
def test_a_band_that_is_half_spectral_raises(fields: dict) -> None:
    with pytest.raises(ValueError, match="Band 'half' needs both"):
        Band('half', **fields)


@pytest.mark.parametrize(
    ('mean', 'std'), [({'B02': 1.0}, {'B02': 1.0}), ({'B02': 1.0, 'B03': 1.0}, {'B02': 1.0})]
)
def test_a_band_without_statistics_is_named(mean: dict, std: dict) -> None:
    with pytest.raises(ValueError, match=r"\['B03'\] in those of somewhere"):
        Statistics(mean, std, 'DN', 'somewhere').of(S2_TOA.select(['B02', 'B03']))


def test_an_unknown_sensor_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'s2'.*'s1_grd', 's2_toa'.*'dem'"):
        get_sensor('s2')
