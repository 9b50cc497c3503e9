"""Dates and places in the JSON of a cell."""

from __future__ import annotations

import json
import math
import re

import pytest

from torchgeo_copernicus.datasets.pretrain.shards.shard_meta import CellMeta, read_meta
from torchgeo_copernicus.metadata import days_since_epoch

GRID, OTHER = '0906994_128.50_67.25', '0772176_-96.00_44.00'
ONE, TWO = '0865831_128.40_67.20', '0865832_128.60_67.30'
DAY = days_since_epoch('2021-06-01')


def meta(**names: object) -> CellMeta:
    return read_meta(json.dumps(names).encode())


def test_leaves_that_are_lists_of_one_are_names() -> None:
    rows = [[[f'{GRID}/{local}/2021060{d}'] for d in (1, 2)] for local in (ONE, TWO)]
    found = meta(s1_grd=rows, s3_olci=[[f'{GRID}/20210603']], dem=[[GRID]])
    assert found.faults == {}
    assert found.series['s1_grd'].patches == (ONE, TWO)
    assert found.series['s1_grd'].days == ((DAY, DAY + 1), (DAY, DAY + 1))
    assert found.series['s3_olci'].days == ((DAY + 2,),)
    assert found.series['s3_olci'].patches == ()
    assert math.isnan(found.series['dem'].days[0][0])
    assert found.stale(906_994) == {}


def test_plain_leaves_and_dates_with_dashes_are_understood_too() -> None:
    found = meta(s5p_co=[f'{GRID}/2021-06-01', f'{GRID}/20210602'], dem=[GRID])
    assert found.series['s5p_co'].days == ((DAY, DAY + 1),)
    assert found.series['dem'].grid_id == 906_994


@pytest.mark.parametrize('nothing', [None, [], {}, ''])
def test_a_missing_modality_is_absent(nothing: object) -> None:
    found = meta(s1_grd=nothing, dem=[GRID])
    assert list(found.series) == ['dem']
    assert found.faults == {}


def test_modalities_of_another_cell_are_told() -> None:
    found = meta(s5p_co=[f'{GRID}/20210601'], s5p_o3=[f'{OTHER}/20210601'], dem=[[OTHER]])
    assert found.stale(906_994) == {'s5p_o3': OTHER, 'dem': OTHER}
    assert found.stale(772_176) == {'s5p_co': GRID}


@pytest.mark.parametrize(
    ('modality', 'value', 'words'),
    [
        ('dem', [[f'{GRID}/20210601']], 'not the 1 parts'),
        ('s5p_co', [GRID], 'not the 2 parts'),
        ('s1_grd', [[f'{GRID}/20210601']], 'not the 3 parts'),
        ('s5p_co', 'x', 'no list'),
        ('s5p_co', 5, 'no list'),
        ('s5p_co', [5], 'no name'),
        ('s5p_co', [[f'{GRID}/20210601', f'{GRID}/20210602']], 'no name'),
        ('s5p_co', [f'{GRID}/20210641'], 'day|month|Invalid'),
        ('s5p_co', [f'{GRID}/1622505600'], 'no date'),
        ('s5p_co', [f'{GRID}/2021W011'], 'no date'),
        ('s5p_co', [f'{GRID}/20210601', f'{OTHER}/20210601'], 'several cells'),
        ('s5p_co', ['0906994_128.50_67.50/20210601'], 'which is'),
        ('s5p_co', ['../20210601'], 'no name such as'),
        ('s1_grd', [[f'{GRID}/{ONE}/20210601', f'{GRID}/{TWO}/20210602']], 'several patches'),
        ('s1_grd', [[f'{GRID}/here/20210601']], 'no name such as'),
        ('s1_grd', [[f'{GRID}/{ONE}/20210601']] * 2, 'come twice'),
        (
            's1_grd',
            [[f'{GRID}/{ONE}/20210601'], [f'{GRID}/{TWO}/20210601', f'{GRID}/{TWO}/20210602']],
            'different numbers',
        ),
        ('s1_grd', [[], []], 'no list'),
    ],
)
def test_what_is_not_understood_is_a_fault_of_that_modality_alone(
    modality: str, value: object, words: str
) -> None:
    found = meta(**{modality: value, 's5p_no2': [f'{GRID}/20210601']})
    assert list(found.series) == ['s5p_no2']
    assert list(found.faults) == [modality]
    assert re.search(words, found.faults[modality])  # type: ignore[index]


@pytest.mark.parametrize('content', [b'', b'[1]', b'\xff', b'[' * 200_000])
def test_what_is_no_json_of_a_cell_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match='JSON'):
        read_meta(content)
