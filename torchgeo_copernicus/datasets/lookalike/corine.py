"""Paint the land covers of CORINE, as BigEarthNet sums them up in 19 classes."""

import numpy as np

from torchgeo_copernicus.datasets.lookalike.land import Covers, mosaic, patchwork
from torchgeo_copernicus.datasets.lookalike.landuse import (
    LAND_USES,
    Painter,
    pure,
    savanna,
    shrubs,
    tidal_flat,
    wetland,
)
from torchgeo_copernicus.datasets.lookalike.spectra import overlay
from torchgeo_copernicus.datasets.lookalike.terrain import shares


def _complex_cultivation(rng: np.random.Generator, size: int) -> Covers:
    odds = {'crop': 0.5, 'soil': 0.4, 'grass': 0.5, 'dry_grass': 0.3, 'forest': 0.1, 'built': 0.03}
    return patchwork(rng, size, odds, 12, 7)[0]


def _farms_among_nature(rng: np.random.Generator, size: int) -> Covers:
    woods = shares(rng, size, ('forest', 'dry_grass', 'gap'), 9, 3)
    gap = woods.pop('gap')
    fields = patchwork(rng, size, {'crop': 0.5, 'soil': 0.3, 'grass': 0.4}, 24, 14)[0]
    return overlay({cover: (1 - gap) * share for cover, share in woods.items()}, fields)


def _natural_grassland(rng: np.random.Generator, size: int) -> Covers:
    return mosaic(rng, size, {'grass': 1.2, 'dry_grass': 1.0, 'soil': 0.6}, 12)


def _moor(rng: np.random.Generator, size: int) -> Covers:
    return mosaic(rng, size, {'dry_grass': 0.8, 'conifer': 0.7, 'soil': 0.3}, 7)


def _inland_water(rng: np.random.Generator, size: int) -> Covers:
    # Algae and mud colour lakes and rivers; the sea is clear.
    return mosaic(rng, size, {'water': 1.0, 'grass': 0.06, 'soil': 0.05}, 15, 0.5)


#: The classes of BigEarthNet, by name.
CORINE: dict[str, Painter] = {
    'Urban fabric': LAND_USES['Residential'],
    'Industrial or commercial units': LAND_USES['Industrial'],
    'Arable land': LAND_USES['AnnualCrop'],
    'Permanent crops': LAND_USES['PermanentCrop'],
    'Pastures': LAND_USES['Pasture'],
    'Complex cultivation patterns': _complex_cultivation,
    (
        'Land principally occupied by agriculture, with significant areas of natural vegetation'
    ): _farms_among_nature,
    'Agro-forestry areas': savanna,
    'Broad-leaved forest': pure('forest'),
    'Coniferous forest': pure('conifer'),
    'Mixed forest': LAND_USES['Forest'],
    'Natural grassland and sparsely vegetated areas': _natural_grassland,
    'Moors, heathland and sclerophyllous vegetation': _moor,
    'Transitional woodland, shrub': shrubs,
    'Beaches, dunes, sands': pure('sand'),
    'Inland wetlands': wetland,
    'Coastal wetlands': tidal_flat,
    'Inland waters': _inland_water,
    'Marine waters': pure('water'),
}
