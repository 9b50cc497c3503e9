"""Published normalisation of SSL4EO-S12: v1.0, and both editions of v1.1.

The Zarr edition of v1.1 stores Sentinel-2 with an offset of +1000 DN, the other two without: statistics of
one on images of another shift every band by one standard deviation, and no error tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from torchgeo_copernicus.sensors import S1_GRD, S2_TOA, Statistics

#: Modalities of SSL4EO-S12: Sentinel-1, Sentinel-2 at the top of the atmosphere and at its bottom, and
#: the 8-bit natural-colour picture of the latter (v1.1) or the former (v1.0).
Modality = Literal['S1GRD', 'S2L1C', 'S2L2A', 'S2RGB']
#: Editions of v1.1.
Edition = Literal['zarr', 'webdataset']

#: What the Zarr edition adds to reflectance x 10000 (DN).
OFFSET_DN = 1000.0
#: Bands of each modality in storage order; Level-2A has no cirrus band.
MODALITY_BANDS: Mapping[Modality, tuple[str, ...]] = {
    'S1GRD': S1_GRD.band_names,
    'S2L1C': S2_TOA.band_names,
    'S2L2A': tuple(name for name in S2_TOA.band_names if name != 'B10'),
    'S2RGB': S2_TOA.rgb,
}

_DN = 'DN = reflectance x 10000'
_V10_SOURCE = (
    'SSL4EO-S12 v1.0 (arXiv:2211.07044, official code: mean and deviation of a 50k subset)'
)
_RGB_SOURCE = 'SSL4EO-S12 v1.0 (arXiv:2211.07044, official code of the 8-bit conversion)'
_ZARR_SOURCE = 'SSL4EO-S12 v1.1 (arXiv:2503.00168), Zarr edition'
_WEBDATASET_SOURCE = 'SSL4EO-S12 v1.1 (arXiv:2503.00168), WebDataset edition'


def _statistics(
    modality: Modality, mean: Sequence[float], std: Sequence[float], unit: str, source: str
) -> Statistics:
    names = MODALITY_BANDS[modality]
    return Statistics(
        dict(zip(names, mean, strict=True)), dict(zip(names, std, strict=True)), unit, source
    )


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split()]


_S2L1C_V10 = _statistics(
    'S2L1C',
    _numbers(
        '1605.575 1390.782 1314.873 1363.524 1549.444 2091.749 2371.717 2299.905 2560.295 830.066 '
        '22.104 2177.072 1524.065'
    ),
    _numbers(
        '786.787 850.348 875.065 1138.850 1122.178 1161.592 1274.392 1248.429 1345.527 577.316 '
        '51.154 1336.099 1136.538'
    ),
    _DN,
    _V10_SOURCE,
)
_S2L2A_V10 = _statistics(
    'S2L2A',
    _numbers(
        '752.401 884.297 1144.162 1297.473 1624.910 2194.642 2422.212 2517.761 2581.647 2645.519 '
        '2368.512 1805.068'
    ),
    _numbers(
        '1108.029 1155.152 1183.629 1368.114 1370.265 1355.554 1416.515 1474.789 1439.309 1582.280 '
        '1455.521 1343.484'
    ),
    _DN,
    _V10_SOURCE,
)
_S1GRD_V10 = _statistics('S1GRD', [-12.548, -20.192], [5.257, 5.912], 'dB', _V10_SOURCE)


def _chosen(statistics: Statistics, names: Sequence[str], source: str) -> Statistics:
    return Statistics(
        {name: statistics.mean[name] for name in names},
        {name: statistics.std[name] for name in names},
        statistics.unit,
        source,
    )


#: v1.0, of values as stored: S1 in dB, S2 without offset. `S2RGB` is of reflectance (L1C), which is what
#: decoding the 8-bit picture gives back.
V10_STATISTICS: Mapping[Modality, Statistics] = {
    'S1GRD': _S1GRD_V10,
    'S2L1C': _S2L1C_V10,
    'S2L2A': _S2L2A_V10,
    'S2RGB': _chosen(_S2L1C_V10, MODALITY_BANDS['S2RGB'], _V10_SOURCE),
}

#: Means and deviations that the 8-bit release of v1.0 was stretched with. The official script has a
#: rounded set for L1C and S1, the one of the Copernicus-FM pretraining; its numbers for L2A are not
#: known, so those of the 50k subset stand in.
EIGHT_BIT_STATISTICS: Mapping[Modality, Statistics] = {
    'S1GRD': _chosen(S1_GRD.statistics, MODALITY_BANDS['S1GRD'], _RGB_SOURCE),
    'S2L1C': _chosen(S2_TOA.statistics, MODALITY_BANDS['S2L1C'], _RGB_SOURCE),
    'S2L2A': _S2L2A_V10,
    'S2RGB': _chosen(S2_TOA.statistics, MODALITY_BANDS['S2RGB'], _RGB_SOURCE),
}

_V11_ZARR: Mapping[Modality, Statistics] = {
    'S1GRD': _statistics('S1GRD', [-12.577, -20.265], [5.179, 5.872], 'dB', _ZARR_SOURCE),
    'S2L1C': _statistics(
        'S2L1C',
        _numbers(
            '2607.345 2393.068 2320.225 2373.963 2562.536 3110.071 3392.832 3321.154 3583.770 '
            '1838.712 1021.753 3205.112 2545.798'
        ),
        _numbers(
            '786.523 849.702 875.318 1143.578 1126.248 1161.980 1273.505 1246.790 1342.755 576.795 '
            '45.626 1340.347 1145.036'
        ),
        f'{_DN} + 1000',
        _ZARR_SOURCE,
    ),
    'S2L2A': _statistics(
        'S2L2A',
        _numbers(
            '1793.243 1924.863 2184.553 2340.936 2671.402 3240.082 3468.412 3563.244 3627.704 '
            '3711.071 3416.714 2849.625'
        ),
        _numbers(
            '1160.144 1201.092 1219.943 1397.225 1400.035 1373.136 1429.170 1485.025 1447.836 '
            '1652.703 1471.002 1365.307'
        ),
        f'{_DN} + 1000',
        _ZARR_SOURCE,
    ),
    'S2RGB': _statistics(
        'S2RGB', [100.708, 87.489, 61.932], [68.550, 47.647, 40.592], '8-bit counts', _ZARR_SOURCE
    ),
}


def _without_offset(statistics: Statistics) -> Statistics:
    offset = OFFSET_DN if statistics.unit.startswith(_DN) else 0.0
    return Statistics(
        # Rounded to the published digits: 2607.345 - 1000 is not 1607.345 in binary.
        {name: round(value - offset, 3) for name, value in statistics.mean.items()},
        dict(statistics.std),
        _DN if offset else statistics.unit,
        _WEBDATASET_SOURCE,
    )


#: v1.1 by edition, of values as stored: Sentinel-2 of `zarr` has the offset of +1000 DN, that of
#: `webdataset` has not. S1 in dB, RGB in counts of 0 to 255, channels in the order red, green, blue.
V11_STATISTICS: Mapping[Edition, Mapping[Modality, Statistics]] = {
    'zarr': _V11_ZARR,
    'webdataset': {name: _without_offset(value) for name, value in _V11_ZARR.items()},
}
