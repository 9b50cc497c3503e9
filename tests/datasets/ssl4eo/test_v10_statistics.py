"""Statistics of SSL4EO-S12: editions and units must not be mixed."""

from __future__ import annotations

import pytest

from torchgeo_copernicus.datasets.ssl4eo.statistics import (
    EIGHT_BIT_STATISTICS,
    MODALITY_BANDS,
    V10_STATISTICS,
    V11_STATISTICS,
)
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

TABLES = [V10_STATISTICS, EIGHT_BIT_STATISTICS, *V11_STATISTICS.values()]


@pytest.mark.parametrize('table', TABLES)
def test_every_modality_has_numbers_for_its_bands_in_their_order(table: object) -> None:
    for modality, bands in MODALITY_BANDS.items():
        statistics = table[modality]  # type: ignore[index]
        assert tuple(statistics.mean) == tuple(statistics.std) == bands
        assert all(std > 0 for std in statistics.std.values())
        assert 'arXiv' in statistics.source


def test_the_zarr_edition_alone_has_the_offset() -> None:
    zarr, other = V11_STATISTICS['zarr'], V11_STATISTICS['webdataset']
    for modality in ('S2L1C', 'S2L2A'):
        for band in MODALITY_BANDS[modality]:
            difference = zarr[modality].mean[band] - other[modality].mean[band]
            assert difference == pytest.approx(1000, abs=1e-6)
        assert dict(zarr[modality].std) == dict(other[modality].std)
        assert zarr[modality].unit != other[modality].unit
        # Near those of v1.0, which has no offset.
        assert other[modality].mean['B02'] == pytest.approx(
            V10_STATISTICS[modality].mean['B02'], rel=0.06
        )
    for modality in ('S1GRD', 'S2RGB'):
        assert dict(zarr[modality].mean) == dict(other[modality].mean)
    assert other['S2L1C'].mean['B10'] == 21.753


def test_units_are_named() -> None:
    assert V10_STATISTICS['S1GRD'].unit == S1_GRD.statistics.unit == 'dB'
    assert V10_STATISTICS['S2L1C'].unit == S2_TOA.statistics.unit
    assert V11_STATISTICS['zarr']['S2RGB'].unit == '8-bit counts'


def test_published_ends_of_the_tables() -> None:
    assert V10_STATISTICS['S2L1C'].mean['B01'] == 1605.575
    assert V10_STATISTICS['S2L1C'].std['B12'] == 1136.538
    assert V10_STATISTICS['S2L2A'].mean['B12'] == 1805.068
    assert V10_STATISTICS['S2RGB'].mean == {'B04': 1363.524, 'B03': 1314.873, 'B02': 1390.782}
    assert V10_STATISTICS['S1GRD'].std == {'VV': 5.257, 'VH': 5.912}
    assert EIGHT_BIT_STATISTICS['S2RGB'].mean['B04'] == 1373.1
