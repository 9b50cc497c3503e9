"""What is collected of each modality: collection, bands, conditions, pixel size and box.

As Copernicus-Pretrain was collected (arXiv:2503.11849 and its published scripts), with one difference:
Sentinel-2 comes from the harmonised collection unless told otherwise. In the other one the numbers of
images since January 2022 are 1000 too high for reflectance x 10000.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.metadata import METRES_PER_DEGREE

#: Side of the box of a local patch (m): 264 pixels of 10 m.
PATCH_SIDE_M = 2640.0
#: Half the side of the box around the centre of a cell (m).
CELL_HALF_SIDE_M = 14_000.0


@dataclass(frozen=True)
class Product:
    """A product of Earth Engine.

    Attributes:
        modality: Which of the eight it makes.
        collection: Name of the collection.
        bands: Names of its bands there, in the order of the files.
        dtype: Type of the pixels.
        fill: Stands for no data on the way; in files of float32 it becomes NaN.
        scale_m: Nominal pixel size (m).
        pixel_deg: Pixel size (deg) of images along longitude and latitude; 0 for those in UTM.
    """

    modality: ModalityName
    collection: str
    bands: tuple[str, ...]
    dtype: Literal['float32', 'uint16']
    fill: float
    scale_m: float
    pixel_deg: float = 0.0


def _s2_bands() -> tuple[str, ...]:
    # Earth Engine has no zeros: B1, not B01.
    return tuple(name.replace('B0', 'B') for name in MODALITIES['s2_toa'].sensor.band_names)


# No unit has a value such as this one.
_NO_DATA = -9999.0
_S1 = Product('s1_grd', 'COPERNICUS/S1_GRD', ('VV', 'VH'), 'float32', _NO_DATA, 10.0)
_S2 = Product('s2_toa', 'COPERNICUS/S2_HARMONIZED', _s2_bands(), 'uint16', 0.0, 10.0)
_S3_BANDS = MODALITIES['s3_olci'].sensor.band_names
_S3 = Product(
    's3_olci', 'COPERNICUS/S3/OLCI', _S3_BANDS, 'float32', _NO_DATA, 300.0, 300 / METRES_PER_DEGREE
)
_DEM = Product(
    'dem', 'COPERNICUS/DEM/GLO30', ('DEM',), 'float32', _NO_DATA, 30.0, 30 / METRES_PER_DEGREE
)


def _s5p(modality: ModalityName, gas: str, column: str) -> Product:
    band = f'{column}_column_number_density'
    # Of the grid that Earth Engine keeps them on, whose pixels are 1113.2 m.
    return Product(
        modality, f'COPERNICUS/S5P/OFFL/L3_{gas}', (band,), 'float32', _NO_DATA, 1113.2, 0.01
    )


_ALL = (
    _S1,
    _S2,
    _S3,
    _s5p('s5p_co', 'CO', 'CO'),
    _s5p('s5p_no2', 'NO2', 'tropospheric_NO2'),
    _s5p('s5p_o3', 'O3', 'O3'),
    _s5p('s5p_so2', 'SO2', 'SO2'),
    _DEM,
)
_PRODUCTS = {product.modality: product for product in _ALL}


def product_of(modality: ModalityName, *, polar: bool = False, harmonized: bool = True) -> Product:
    """Return the product of a modality.

    Args:
        modality: Which.
        polar: Sentinel-1 in HH and HV, the polarisations it has near the poles.
        harmonized: Sentinel-2 of one radiometry for all years; else as it was published, where images since
            January 2022 are 1000 higher.

    Raises:
        ValueError: If there is no such modality.
    """
    if modality not in MODALITY_NAMES:
        raise ValueError(f'Unknown modality {modality!r}. Allowed: {list(MODALITY_NAMES)}.')
    product = _PRODUCTS[modality]
    if modality == 's1_grd' and polar:
        return replace(product, bands=('HH', 'HV'))
    if modality == 's2_toa' and not harmonized:
        return replace(product, collection='COPERNICUS/S2')
    return product
