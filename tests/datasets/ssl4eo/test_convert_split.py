"""Splits by region: no image of one split shows ground of the other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.ssl4eo.geographic_split import (
    places_in_drawn_blocks,
    split_by_block,
)

_M_PER_DEG = 111_195.0


def cities(seed: int, count: int = 40, each: int = 25) -> NDArray[np.float64]:
    """Scatter places around cities, many of them overlapping."""
    rng = np.random.default_rng(seed)
    centres = np.stack([rng.uniform(-180, 180, count), rng.uniform(-60, 70, count)], axis=1)
    # One on the date line, and one near the corner of four blocks.
    centres[:2] = (180, 10), (10, 50)
    places = centres.repeat(each, axis=0) + rng.normal(0, 0.05, (count * each, 2))
    places[:, 0] = (places[:, 0] + 180) % 360 - 180
    return places


def distances_m(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of each of *a* from each of *b*, near each other, on a sphere."""
    east = (a[:, None, 0] - b[None, :, 0] + 180) % 360 - 180
    north = a[:, None, 1] - b[None, :, 1]
    flat = np.cos(np.radians((a[:, None, 1] + b[None, :, 1]) / 2))
    found: NDArray[np.float64] = np.hypot(east * flat, north) * _M_PER_DEG
    return found


@pytest.mark.parametrize('seed', range(4))
def test_no_place_for_validation_overlaps_one_for_training(seed: int) -> None:
    places = cities(seed)
    val = split_by_block(places, 0.3, 1.0, seed)
    assert 0.2 < val.mean() < 0.45
    assert distances_m(places[val], places[~val]).min() > 2640 * 2**0.5
    # Places at random would overlap.
    mixed = np.random.default_rng(0).permutation(val)
    assert distances_m(places[mixed], places[~mixed]).min() < 1000


def test_places_across_an_edge_of_blocks_go_together() -> None:
    # A row from one block into the next, each 2 km from the last, and far away two other places.
    row = np.stack([np.linspace(9.9, 10.1, 12), np.full(12, 0.5)], axis=1)
    places = np.concatenate([row, [[50.5, 0.5], [70.5, 0.5]]])
    chosen = set()
    for seed in range(20):
        val = places_in_drawn_blocks(places, 0.5, 1.0, seed)
        assert not val[:12].any() or val[:12].all()
        chosen.add((bool(val[0]), bool(val[12])))
    assert len(chosen) == 4


def test_the_draw_of_a_block_does_not_depend_on_other_places() -> None:
    centres = np.stack([np.arange(60) * 2 + 0.5, np.full(60, 0.5)], axis=1)
    whole = split_by_block(centres, 0.5, 1.0, 3)
    half = split_by_block(centres[::2], 0.5, 1.0, 3)
    assert (whole[::2] == half).all()
    assert (split_by_block(centres, 0.7, 1.0, 3) >= whole).all()
    assert (split_by_block(centres[::-1], 0.5, 1.0, 3) == whole[::-1]).all()


def test_seed_and_side_change_the_split() -> None:
    places = cities(0)
    base = split_by_block(places, 0.3, 1.0, 0)
    assert (split_by_block(places, 0.3, 1.0, 0) == base).all()
    assert (split_by_block(places, 0.3, 1.0, 1) != base).any()
    assert (split_by_block(places, 0.3, 3.0, 0) != base).any()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((0.0, 1.0), 'val_fraction'),
        ((1.0, 1.0), 'val_fraction'),
        ((0.5, 0.0), 'block_deg'),
        ((0.5, 91.0), 'block_deg'),
        ((0.5, 90.0), 'leave a split empty'),
    ],
)
def test_an_impossible_split_is_refused(arguments: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_by_block(np.array([[1.5, 1.5], [2.5, 2.5]]), *arguments, 0)


def test_a_place_without_coordinates_is_refused() -> None:
    with pytest.raises(ValueError, match='no coordinates'):
        split_by_block(np.array([[1.5, 1.5], [np.nan, 2.5]]), 0.5, 1.0, 0)
