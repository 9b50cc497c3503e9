"""Paint the local climate zones of cities and their surroundings.

Zones of cities differ by the sizes of their buildings, the shadows these cast, and the green between.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.lookalike.land import Covers, mosaic, patchwork
from torchgeo_copernicus.datasets.lookalike.landuse import LAND_USES, Painter, pure, savanna, shrubs
from torchgeo_copernicus.datasets.lookalike.spectra import overlay


@dataclass(frozen=True)
class _Town:
    """How a zone is built: side of a plot and length of a shadow in pixels, and weights of covers."""

    plot_px: float
    shadow_px: float
    built: float
    roof: float = 0.0
    road: float = 0.0
    grass: float = 0.0
    forest: float = 0.0
    soil: float = 0.0


_TOWNS = {
    'Compact high rise': _Town(7, 5, built=1.0, roof=0.4, road=0.4),
    'Compact mid rise': _Town(5, 2, built=1.4, roof=0.3, road=0.25, forest=0.1),
    'Compact low rise': _Town(2.5, 0.5, built=1.8, roof=0.15, road=0.2, soil=0.2),
    'Open high rise': _Town(8, 4, built=0.5, roof=0.25, road=0.2, grass=0.5, forest=0.4),
    'Open mid rise': _Town(6, 1.5, built=0.8, roof=0.1, road=0.2, grass=0.7, forest=0.3),
    'Open low rise': _Town(3, 0.4, built=0.5, roof=0.05, road=0.1, grass=0.5, forest=0.7),
    'Lightweight low rise': _Town(2, 0.2, built=0.7, roof=0.35, soil=1.0),
    'Large low rise': _Town(14, 0.6, built=0.4, roof=1.0, road=0.5),
    'Sparsely built': _Town(9, 0.3, built=0.12, grass=1.2, forest=0.6, soil=0.2),
    'Heavy industry': _Town(11, 1.5, built=0.5, roof=0.15, road=0.9, soil=0.6),
}


def _low_plants(rng: np.random.Generator, size: int) -> Covers:
    return patchwork(rng, size, {'grass': 1.0, 'crop': 1.0}, 40, 25)[0]


def _bare_soil(rng: np.random.Generator, size: int) -> Covers:
    return mosaic(rng, size, {'soil': 1.0, 'sand': 1.0}, 15)


_PAINTERS: dict[str, Painter] = {
    'Dense trees': LAND_USES['Forest'],
    'Scattered trees': savanna,
    'Bush, scrub': shrubs,
    'Low plants': _low_plants,
    'Bare rock or paved': lambda rng, size: mosaic(rng, size, {'road': 2.5, 'built': 0.4}, 8),
    'Bare soil or sand': _bare_soil,
    'Water': pure('water'),
}


def paint_zone(
    rng: np.random.Generator, size: int, label: str
) -> tuple[Covers, NDArray[np.float64]]:
    """Paint one zone.

    Args:
        rng: Source of the draws.
        size: Side of the map in pixels of 10 m.
        label: Class name of LCZ-S2.

    Returns:
        Covers, and the direct sunlight that buildings leave (1), `[size, size]`.
    """
    lit = np.ones((size, size))
    if label not in _TOWNS:
        return _PAINTERS[label](rng, size), lit
    town = _TOWNS[label]
    weights = {c: getattr(town, c) for c in ('built', 'roof', 'road', 'grass', 'forest', 'soil')}
    odds = {cover: 0.6 * weight for cover, weight in weights.items() if weight > 0}
    plots, edge = patchwork(rng, size, odds, 1.3 * town.plot_px, town.plot_px)
    street = 0.8 * np.clip(1.2 - edge, 0, 1) * (town.road > 0.15)
    covers = overlay({'road': street}, plots)
    # At half past ten the sun stands south-east, so the shadow of a wall lies north-west of it.
    wall = covers['built'] + covers.get('roof', 0)
    for step in range(1, int(np.ceil(town.shadow_px)) + 1):
        strength = 0.6 * min(1.0, town.shadow_px - step + 1)
        shadow = np.roll(wall, (-step, -step), axis=(0, 1)) * (1 - wall)
        lit = np.minimum(lit, 1 - strength * shadow)
    return covers, lit * (1 - 0.06 * town.shadow_px)
