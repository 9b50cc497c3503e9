"""Normalisation of Copernicus-Bench by sensor; it differs from that of the pretraining."""

from __future__ import annotations

from collections.abc import Sequence

from torchgeo_copernicus.sensors import S1_GRD, S2_TOA, S3_OLCI, S5P_NO2, S5P_O3, Statistics

_SOURCE = 'Copernicus-Bench (arXiv:2503.11849, official configuration)'


def _statistics(
    names: Sequence[str], mean: Sequence[float], std: Sequence[float], unit: str
) -> Statistics:
    return Statistics(
        dict(zip(names, mean, strict=True)), dict(zip(names, std, strict=True)), unit, _SOURCE
    )


def _identity(names: Sequence[str], unit: str) -> Statistics:
    return _statistics(names, [0.0] * len(names), [1.0] * len(names), unit)


_S2_MEAN = [1353.7, 1117.2, 1041.8, 946.5, 1199.1, 2003.0, 2374.0]
_S2_MEAN += [2301.2, 2599.7, 732.1, 12.1, 1820.6, 1118.2]
_S2_STD = [897.3, 736.0, 684.8, 620.0, 791.9, 1341.3, 1595.4]
_S2_STD += [1545.5, 1750.1, 475.1, 98.3, 1216.5, 736.7]
_LCZ_MEAN = [0.112, 0.104, 0.095, 0.120, 0.200, 0.237, 0.230, 0.260, 0.182, 0.112]
_LCZ_STD = [0.074, 0.068, 0.062, 0.079, 0.134, 0.160, 0.155, 0.175, 0.122, 0.074]
_LCZ_BANDS = ('B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B11', 'B12')
_FLOOD_MEAN = [0.0981, 0.0253]

#: Sentinel-1.
S1_STATISTICS = _statistics(S1_GRD.band_names, [-12.548, -20.192], [5.257, 5.912], 'dB')
#: Sentinel-2.
S2_STATISTICS = _statistics(S2_TOA.band_names, _S2_MEAN, _S2_STD, 'DN = reflectance x 10000')
#: Sentinel-2 of LCZ-S2, the ten bands of 10 and 20 m.
LCZ_STATISTICS = _statistics(_LCZ_BANDS, _LCZ_MEAN, _LCZ_STD, 'reflectance')
#: Sentinel-1 of Flood-S1, before the flood.
FLOOD_STATISTICS = _statistics(S1_GRD.band_names, _FLOOD_MEAN, [0.0430, 0.0174], 'linear power')
#: The same after it, as published: the deviations there are the means once more, a slip.
FLOOD_STATISTICS_AFTER = _statistics(S1_GRD.band_names, _FLOOD_MEAN, _FLOOD_MEAN, 'linear power')
#: Sentinel-3: radiance is used as it is.
S3_STATISTICS = _identity(S3_OLCI.band_names, 'mW m-2 sr-1 nm-1')
#: Sentinel-5P: columns are used as they are.
NO2_STATISTICS = _identity(S5P_NO2.band_names, 'mol m-2')
O3_STATISTICS = _identity(S5P_O3.band_names, 'mol m-2')
