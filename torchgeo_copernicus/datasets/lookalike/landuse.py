"""Paint land uses as mixtures of covers, which optical and radar images then show."""

from collections.abc import Callable

import numpy as np

from torchgeo_copernicus.datasets.lookalike.land import Covers, mosaic, patchwork
from torchgeo_copernicus.datasets.lookalike.spectra import overlay
from torchgeo_copernicus.datasets.lookalike.terrain import parcels, ribbon, shares, smooth_field

#: Draws the covers of one land use on a square map of so many pixels.
Painter = Callable[[np.random.Generator, int], Covers]


def _annual_crop(rng: np.random.Generator, size: int) -> Covers:
    green = rng.uniform(0.2, 0.8)
    return patchwork(rng, size, {'crop': green, 'soil': 1 - green, 'dry_grass': 0.1}, 45, 26)[0]


def _forest(rng: np.random.Generator, size: int) -> Covers:
    return shares(rng, size, ('forest', 'conifer'), 5, rng.uniform(0.3, 1.5))


def _herbaceous_vegetation(rng: np.random.Generator, size: int) -> Covers:
    odds = {'dry_grass': 2.5, 'grass': rng.uniform(0.3, 1.5), 'soil': 0.5, 'forest': 0.4}
    return mosaic(rng, size, odds)


def _highway(rng: np.random.Generator, size: int) -> Covers:
    odds = {'crop': 0.4, 'grass': 0.5, 'soil': 0.4, 'forest': 0.3, 'built': 0.1}
    road = {'road': ribbon(rng, size, rng.uniform(2.5, 5), 3)}
    return overlay(road, patchwork(rng, size, odds, 26, 16)[0])


def _industrial(rng: np.random.Generator, size: int) -> Covers:
    odds = {'roof': 0.35, 'built': 0.5, 'road': 0.4, 'grass': 0.15}
    halls, edge = patchwork(rng, size, odds, 15, 10)
    return overlay({'road': 0.8 * np.clip(2 - edge, 0, 1)}, halls)


def _pasture(rng: np.random.Generator, size: int) -> Covers:
    meadows, edge = patchwork(rng, size, {'grass': 3, 'crop': 1.2, 'dry_grass': 0.1}, 60, 40)
    hedges = np.clip(1.8 - edge, 0, 1) * (smooth_field(rng, size, 8) > -0.3)
    return overlay({'forest': hedges}, meadows)


def _permanent_crop(rng: np.random.Generator, size: int) -> Covers:
    orchards, _ = patchwork(rng, size, {'soil': 2, 'dry_grass': 1.5, 'crop': 0.5}, 24, 14)
    rows, _ = patchwork(rng, size, {'forest': 0.8, 'soil': 1}, 3 * size, 2.2)
    return overlay({cover: 0.35 * share for cover, share in rows.items()}, orchards)


def _residential(rng: np.random.Generator, size: int) -> Covers:
    odds = {'built': 0.4, 'roof': 0.08, 'grass': 0.35, 'forest': 0.3}
    gardens, _ = patchwork(rng, size, odds, 3, 2.5)
    street = np.clip(1.3 - parcels(rng, size, 22, 9)[1], 0, 1)
    return overlay({'road': 0.7 * street}, gardens)


def _river(rng: np.random.Generator, size: int) -> Covers:
    woods = {'forest': 0.5 * shares(rng, size, ('forest', 'grass'), 10, 2)['forest']}
    odds = {'crop': 0.5, 'grass': 0.5, 'soil': 0.3, 'forest': 0.4}
    valley = overlay(woods, patchwork(rng, size, odds, 24, 14)[0])
    return overlay({'water': ribbon(rng, size, rng.uniform(9, 20), rng.uniform(5, 10))}, valley)


def _sea_lake(rng: np.random.Generator, size: int) -> Covers:
    # Sediment makes the water brighter; most lakes have little.
    sediment = 0.08 * rng.random() ** 3 * (1 + 0.1 * smooth_field(rng, size, 20))
    return {'sand': np.clip(sediment, 0, 1), 'water': np.ones((size, size))}


#: The land uses of EuroSAT, by class name.
LAND_USES: dict[str, Painter] = {
    'AnnualCrop': _annual_crop,
    'Forest': _forest,
    'HerbaceousVegetation': _herbaceous_vegetation,
    'Highway': _highway,
    'Industrial': _industrial,
    'Pasture': _pasture,
    'PermanentCrop': _permanent_crop,
    'Residential': _residential,
    'River': _river,
    'SeaLake': _sea_lake,
}


def pure(cover: str) -> Painter:
    """Return the painter of land with a single cover."""
    return lambda rng, size: {cover: np.ones((size, size))}


def shrubs(rng: np.random.Generator, size: int) -> Covers:
    """Paint bushes of a few metres on poor ground."""
    return mosaic(rng, size, {'forest': 0.7, 'dry_grass': 1.0, 'grass': 0.5, 'soil': 0.3}, 3, 1.5)


def savanna(rng: np.random.Generator, size: int) -> Covers:
    """Paint grass with single trees."""
    trees = {'forest': 0.7 * np.clip(smooth_field(rng, size, 2, 2.0) - 0.6, 0, 1)}
    return overlay(trees, mosaic(rng, size, {'dry_grass': 1.0, 'grass': 0.6, 'soil': 0.2}, 12))


def wetland(rng: np.random.Generator, size: int) -> Covers:
    """Paint a bog or marsh: pools among reeds and sedges."""
    return mosaic(rng, size, {'water': 1.0, 'grass': 1.3, 'forest': 0.3}, 4, 2.5)


def tidal_flat(rng: np.random.Generator, size: int) -> Covers:
    """Paint a coast between the tides: creeks, mud and salt meadows."""
    return mosaic(rng, size, {'water': 1.2, 'dry_grass': 0.7, 'sand': 0.8}, 10, 3)
