"""The eight modalities of Copernicus-Pretrain: what an image is, and how both formats hold it.

Sizes, numbers of dates and folders are those of arXiv:2503.11849 (table 1) and of the official loaders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from torchgeo_copernicus.sensors import (
    DEM,
    S1_GRD,
    S2_TOA,
    S3_OLCI,
    S5P_CO,
    S5P_NO2,
    S5P_O3,
    S5P_SO2,
    Sensor,
)

ModalityName = Literal[
    's1_grd', 's2_toa', 's3_olci', 's5p_co', 's5p_no2', 's5p_o3', 's5p_so2', 'dem'
]
MODALITY_NAMES: tuple[ModalityName, ...] = get_args(ModalityName)


@dataclass(frozen=True)
class Modality:
    """One of the eight.

    Attributes:
        name: Its key in lists of files, members of shards and samples.
        sensor: Bands, units and statistics.
        size_px: Side of its images in the shards.
        dates: Images of a place in the shards, where those there are were repeated to make up the number.
        stored_dtype: Type of the numbers in the shards.
        folder: Folder of the GeoTIFFs below the root.
        local: Whether images are of local patches (26 km² each) instead of the whole cell.
        monthly: Whether an image is the mean of a month, so that a date has one at most.
    """

    name: ModalityName
    sensor: Sensor
    size_px: int
    dates: int
    stored_dtype: Literal['float32', 'int16']
    folder: str
    local: bool = False
    monthly: bool = False

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape in the shards; the number of local patches, which varies, is left out."""
        image = (self.size_px, self.size_px)
        return image if self.name == 'dem' else (self.dates, len(self.sensor.bands), *image)

    def gsd_m(self, latitude: float) -> float:
        """Return the ground sampling distance (m): the side of a square as large as a pixel.

        Images of whole cells have pixels that are squares in degrees, and so narrower towards the poles.

        Args:
            latitude: Of the image's centre (deg).
        """
        narrowed = 1.0 if self.local else math.cos(math.radians(latitude))
        return self.sensor.gsd_m * math.sqrt(max(narrowed, 0.0))


def _s5p(name: ModalityName, sensor: Sensor, column: str) -> Modality:
    folder = f's5p_l3_wgs/images/{column}_column_number_density'
    return Modality(name, sensor, 28, 12, 'float32', folder, monthly=True)


_ALL = (
    Modality('s1_grd', S1_GRD, 264, 4, 'float32', 's1_grd_utm/images', local=True),
    Modality('s2_toa', S2_TOA, 264, 4, 'int16', 's2_toa_mix/images', local=True),
    Modality('s3_olci', S3_OLCI, 96, 8, 'float32', 's3_olci_wgs/images'),
    _s5p('s5p_co', S5P_CO, 'CO'),
    _s5p('s5p_no2', S5P_NO2, 'tropospheric_NO2'),
    _s5p('s5p_o3', S5P_O3, 'O3'),
    _s5p('s5p_so2', S5P_SO2, 'SO2'),
    Modality('dem', DEM, 960, 1, 'float32', 'dem_grid_wgs/images'),
)
#: The modalities by name.
MODALITIES: Mapping[ModalityName, Modality] = {modality.name: modality for modality in _ALL}


def chosen_modalities(names: object) -> tuple[ModalityName, ...]:
    """Return names of modalities in the usual order; all when None.

    Raises:
        ValueError: If one is unknown, there is none, or it is no list.
    """
    if names is None:
        return MODALITY_NAMES
    wanted = [names] if isinstance(names, str) else names
    if not isinstance(wanted, list | tuple) or not wanted:
        raise ValueError(f'modalities is {names!r}; list some of {list(MODALITY_NAMES)}.')
    if unknown := [name for name in wanted if name not in MODALITY_NAMES]:
        raise ValueError(f'Unknown modalities {unknown}. Allowed: {list(MODALITY_NAMES)}.')
    return tuple(name for name in MODALITY_NAMES if name in wanted)
