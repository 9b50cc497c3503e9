"""The Sentinel modalities of Copernicus-Pretrain: their bands as values.

A band is a value, not a position: every list of wavelengths or statistics is derived from band names,
because stored orders differ (EuroSAT-S2 keeps B8A last, Cloud-S2 keeps it after B08).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True)
class Band:
    """One channel of an image.

    Attributes:
        name: Name in the archives read here.
        wavelength_nm: Central wavelength (nm), or None for a geophysical variable.
        bandwidth_nm: Bandwidth (nm), or None for a geophysical variable.
        variable: Name of the variable in the released language vectors, or None for a spectral band.
        aliases: Other names of the same band (ESA's short form, TerraTorch's HLS names).
    """

    name: str
    wavelength_nm: float | None = None
    bandwidth_nm: float | None = None
    variable: str | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the band is either spectral or a variable.

        Raises:
            ValueError: If it is neither, or half of each.
        """
        spectral = self.wavelength_nm is not None and self.bandwidth_nm is not None
        empty = self.wavelength_nm is None and self.bandwidth_nm is None
        if not (spectral and self.variable is None) and not (empty and self.variable is not None):
            raise ValueError(
                f'Band {self.name!r} needs both wavelength_nm and bandwidth_nm (a spectral band), or '
                f'only `variable` (a geophysical variable); got wavelength_nm={self.wavelength_nm}, '
                f'bandwidth_nm={self.bandwidth_nm}, variable={self.variable!r}.'
            )


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each band, by name.

    Attributes:
        mean: Mean per band, in `unit`.
        std: Standard deviation per band, in `unit`.
        unit: Unit of the images they apply to.
        source: Where the numbers were published.
    """

    mean: Mapping[str, float]
    std: Mapping[str, float]
    unit: str
    source: str

    def of(self, bands: Sequence[Band]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return (means, standard deviations) in the order of *bands*.

        Raises:
            ValueError: If a band has no statistics here.
        """
        known = self.mean.keys() & self.std.keys()
        missing = [band.name for band in bands if band.name not in known]
        if missing:
            raise ValueError(
                f'No statistics for {missing} in those of {self.source}; there are {list(self.mean)}.'
            )
        return tuple(self.mean[b.name] for b in bands), tuple(self.std[b.name] for b in bands)


@dataclass(frozen=True)
class Sensor:
    """One modality of Copernicus-Pretrain.

    Attributes:
        name: Key of the modality.
        title: Name for people.
        bands: Bands in storage order.
        gsd_m: Native ground sampling distance (m).
        kernel_size: Patch size the released model was pretrained with (px).
        statistics: Normalisation of the pretraining (of its images, which were not those of
            Copernicus-Bench).
        rgb: Names of the bands that make a picture for people.
    """

    name: str
    title: str
    bands: tuple[Band, ...]
    gsd_m: float
    kernel_size: int
    statistics: Statistics = field(hash=False)
    rgb: tuple[str, ...]

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands in storage order."""
        return tuple(band.name for band in self.bands)

    def select(self, names: Sequence[str]) -> tuple[Band, ...]:
        """Return the bands called *names*, in that order.

        Args:
            names: Band names or aliases.

        Raises:
            ValueError: If a name is unknown to this sensor or asked for twice, or there is none.
        """
        _refuse_no_list(names)
        table = _by_name(self.bands)
        bands = tuple(_look_up(name, table, self.name) for name in names)
        _refuse_duplicates(bands)
        return bands


def _by_name(bands: Sequence[Band]) -> dict[str, Band]:
    return {name: band for band in bands for name in (band.name, *band.aliases)}


def _look_up(name: str | Enum, table: Mapping[str, Band], where: str) -> Band:
    key = str(name.value) if isinstance(name, Enum) else str(name)
    if key in table:
        return table[key]
    close = difflib.get_close_matches(key, table, n=3)
    hint = f' Did you mean {close}?' if close else ''
    allowed = list(dict.fromkeys(band.name for band in table.values()))
    raise ValueError(f'Unknown band {key!r} of {where}.{hint} Allowed: {allowed} or their aliases.')


def _refuse_no_list(bands: object) -> None:
    if isinstance(bands, str | Band):
        kind = 'string' if isinstance(bands, str) else 'band'
        raise ValueError(f'bands must be a list of names, not the single {kind} {bands!r}.')
    if isinstance(bands, Sequence) and not bands:
        raise ValueError('bands is empty; name at least one band.')


def _refuse_duplicates(bands: Sequence[Band]) -> None:
    names = [band.name for band in bands]
    if len(set(names)) < len(names):
        raise ValueError(f'A band is listed twice in {names}; name each band once.')


@dataclass(frozen=True)
class _Row:
    """A spectral band and its statistics, one line of a table below."""

    wavelength_nm: float
    bandwidth_nm: float
    mean: float
    std: float
    aliases: tuple[str, ...] = ()


def _spectral_sensor(
    name: str,
    title: str,
    rows: Mapping[str, _Row],
    gsd_m: float,
    kernel_size: int,
    unit: str,
    rgb: tuple[str, ...],
) -> Sensor:
    bands = tuple(
        Band(band, row.wavelength_nm, row.bandwidth_nm, aliases=row.aliases)
        for band, row in rows.items()
    )
    means = [row.mean for row in rows.values()]
    stds = [row.std for row in rows.values()]
    return Sensor(
        name, title, bands, gsd_m, kernel_size, _statistics(list(rows), means, stds, unit), rgb
    )


def _statistics(
    names: Sequence[str], mean: Sequence[float], std: Sequence[float], unit: str
) -> Statistics:
    return Statistics(
        dict(zip(names, mean, strict=True)),
        dict(zip(names, std, strict=True)),
        unit,
        'Copernicus-FM pretraining (arXiv:2503.11849)',
    )


S1_GRD = _spectral_sensor(
    's1_grd',
    'Sentinel-1 GRD',
    {
        # The released model was trained with 5e7 nm (5 cm) for the C band, whose wavelength is 5.55 cm.
        'VV': _Row(5e7, 1e9, -12.59, 5.26, ('ASC_VV', 'DSC_VV')),
        'VH': _Row(5e7, 1e9, -20.26, 5.91, ('ASC_VH', 'DSC_VH')),
    },
    gsd_m=10.0,
    kernel_size=16,
    unit='dB',
    rgb=('VV', 'VH'),
)
S2_TOA = _spectral_sensor(
    's2_toa',
    'Sentinel-2 top of atmosphere',
    {
        'B01': _Row(440, 20, 1612.9, 791.0, ('B1', 'COASTAL_AEROSOL')),
        'B02': _Row(490, 65, 1397.6, 854.3, ('B2', 'BLUE')),
        'B03': _Row(560, 35, 1322.3, 878.7, ('B3', 'GREEN')),
        'B04': _Row(665, 30, 1373.1, 1144.9, ('B4', 'RED')),
        'B05': _Row(705, 15, 1561.0, 1127.5, ('B5', 'RED_EDGE_1')),
        'B06': _Row(740, 15, 2108.4, 1164.2, ('B6', 'RED_EDGE_2')),
        'B07': _Row(783, 20, 2390.7, 1276.0, ('B7', 'RED_EDGE_3')),
        'B08': _Row(842, 115, 2318.7, 1249.5, ('B8', 'NIR_BROAD')),
        'B8A': _Row(860, 20, 2581.0, 1345.9, ('B8a', 'NIR_NARROW')),
        'B09': _Row(940, 20, 837.7, 577.5, ('B9', 'WATER_VAPOR')),
        'B10': _Row(1370, 30, 22.0, 47.5, ('CIRRUS',)),
        'B11': _Row(1610, 90, 2195.2, 1340.0, ('SWIR_1',)),
        'B12': _Row(2190, 180, 1537.4, 1142.9, ('SWIR_2',)),
    },
    gsd_m=10.0,
    kernel_size=16,
    unit='DN = reflectance x 10000',
    rgb=('B04', 'B03', 'B02'),
)

# Centre (nm), width (nm) and radiance per count (mW m-2 sr-1 nm-1) of Oa01 to Oa21. The pretraining
# used 1029 nm for the last band; Copernicus-Bench and OLCI itself have 1020 nm.
_OLCI = """
400 15 0.0139465, 412.5 10 0.0133873, 442.5 10 0.0121481, 490 10 0.0115198, 510 10 0.0100953,
560 10 0.0123538, 620 10 0.00879161, 665 10 0.00876539, 673.75 7.5 0.0095103, 681.25 7.5 0.00773378,
708.75 10 0.00675523, 753.75 7.5 0.0071996, 761.25 7.5 0.00749684, 764.375 3.75 0.0086512,
767.5 2.5 0.00526779, 778.75 15 0.00530267, 865 20 0.00493004, 885 10 0.00549962, 900 10 0.00502847,
940 20 0.00326378, 1020 40 0.00324118
"""


def _olci_rows() -> dict[str, _Row]:
    rows = {}
    for number, entry in enumerate(_OLCI.split(','), 1):
        centre, width, scale = (float(value) for value in entry.split())
        # The pretraining multiplied counts by the scale and did not standardise further.
        rows[f'Oa{number:02d}_radiance'] = _Row(
            centre, width, mean=0.0, std=1 / scale, aliases=(f'Oa{number:02d}',)
        )
    return rows


#: Radiance (mW m-2 sr-1 nm-1) per count of each OLCI band.
OLCI_SCALE: Mapping[str, float] = {
    f'Oa{number:02d}_radiance': float(entry.split()[2])
    for number, entry in enumerate(_OLCI.split(','), 1)
}


S3_OLCI = _spectral_sensor(
    's3_olci',
    'Sentinel-3 OLCI',
    _olci_rows(),
    gsd_m=300.0,
    kernel_size=8,
    unit='counts',
    rgb=('Oa08_radiance', 'Oa06_radiance', 'Oa04_radiance'),
)


def _variable(
    name: str,
    band: str,
    variable: str,
    title: str,
    gsd_m: float,
    kernel: int,
    std: float,
    unit: str,
) -> Sensor:
    return Sensor(
        name,
        title,
        (Band(band, variable=variable),),
        gsd_m,
        kernel,
        _statistics((band,), (0.0,), (std,), unit),
        (band,),
    )


def _s5p(name: str, gas: str, title: str) -> Sensor:
    return _variable(
        name, gas, f'Sentinel 5P {title}', f'Sentinel-5P {title}', 1000.0, 4, 1.0, 'mol m-2'
    )


S5P_CO = _s5p('s5p_co', 'CO', 'Carbon Monoxide')
S5P_NO2 = _s5p('s5p_no2', 'NO2', 'Nitrogen Dioxide')
S5P_O3 = _s5p('s5p_o3', 'O3', 'Ozone')
S5P_SO2 = _s5p('s5p_so2', 'SO2', 'Sulfur Dioxide')
DEM = _variable(
    'dem', 'DEM', 'Copernicus Digital Elevation Model', 'Copernicus DEM', 30.0, 64, 10000.0, 'm'
)

#: All eight modalities by name.
SENSORS: Mapping[str, Sensor] = {
    sensor.name: sensor
    for sensor in (S1_GRD, S2_TOA, S3_OLCI, S5P_CO, S5P_NO2, S5P_O3, S5P_SO2, DEM)
}
_ALL_BANDS = _by_name([band for sensor in SENSORS.values() for band in sensor.bands])


def get_sensor(name: str) -> Sensor:
    """Return the modality called *name*.

    Raises:
        ValueError: If there is no such modality.
    """
    if name not in SENSORS:
        raise ValueError(f'Unknown sensor {name!r}. Allowed: {list(SENSORS)}.')
    return SENSORS[name]


def resolve_bands(bands: Sensor | Sequence[Band | str | Enum]) -> tuple[Band, ...]:
    """Return bands as values.

    Args:
        bands: A sensor (all its bands), or a sequence of bands, band names or aliases of any of the
            eight modalities (names are unique across them), or members of TerraTorch's band enums.

    Raises:
        ValueError: If the sequence is empty, a name is unknown, or a band is listed twice.
    """
    if isinstance(bands, Sensor):
        return bands.bands
    _refuse_no_list(bands)
    found = tuple(
        band if isinstance(band, Band) else _look_up(band, _ALL_BANDS, 'the Sentinel modalities')
        for band in bands
    )
    _refuse_duplicates(found)
    return found
