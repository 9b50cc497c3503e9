"""Normalisation of Copernicus-Bench by sensor; it differs from that of the pretraining."""

from __future__ import annotations

from torchgeo_copernicus.sensors import S2_TOA, Statistics

_MEAN = [1353.7, 1117.2, 1041.8, 946.5, 1199.1, 2003.0, 2374.0]
_MEAN += [2301.2, 2599.7, 732.1, 12.1, 1820.6, 1118.2]
_STD = [897.3, 736.0, 684.8, 620.0, 791.9, 1341.3, 1595.4]
_STD += [1545.5, 1750.1, 475.1, 98.3, 1216.5, 736.7]

#: Sentinel-2 top of atmosphere.
S2_STATISTICS = Statistics(
    mean=dict(zip(S2_TOA.band_names, _MEAN, strict=True)),
    std=dict(zip(S2_TOA.band_names, _STD, strict=True)),
    unit='DN = reflectance x 10000',
    source='Copernicus-Bench (arXiv:2503.11849, official configuration)',
)
