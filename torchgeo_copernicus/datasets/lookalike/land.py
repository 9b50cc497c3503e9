"""Lay out land: parcels, mosaics and zones of covers, and one source of chance for each sample."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.lookalike.spectra import Shares
from torchgeo_copernicus.datasets.lookalike.terrain import parcels, shares, smooth_field

#: Cover name -> share of each pixel, `[H, W]`.
Covers = dict[str, NDArray[np.float64]]


def sample_rng(seed: int, index: int) -> np.random.Generator:
    """Return the source of chance of one sample, which no other sample shares.

    Args:
        seed: Seed of the archive, not negative.
        index: Number of the sample in it.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))


def patchwork(
    rng: np.random.Generator,
    size: int,
    odds: Mapping[str, float],
    length_px: float,
    width_px: float,
) -> tuple[Covers, NDArray[np.float64]]:
    """Give each parcel its own mixture of covers.

    Args:
        rng: Source of the draws.
        size: Side of the map in pixels.
        odds: Cover name -> how much of it there is; below 1 a parcel has mostly one cover.
        length_px: Mean length of a parcel in pixels.
        width_px: Mean width of a parcel in pixels.

    Returns:
        Covers, and the distance to the nearest border in pixels, `[size, size]`.
    """
    number, edge = parcels(rng, size, length_px, width_px)
    drawn = rng.dirichlet(list(odds.values()), int(number.max()) + 1)
    return {cover: drawn[number, i] for i, cover in enumerate(odds)}, edge


def mosaic(
    rng: np.random.Generator,
    size: int,
    odds: Mapping[str, float],
    length_px: float = 5,
    sharpness: float = 1.2,
) -> Covers:
    """Divide the land smoothly among covers, some of which have more of it than others.

    Args:
        rng: Source of the fields.
        size: Side of the map in pixels.
        odds: Cover name -> how much of it there is.
        length_px: Length scale of the patches in pixels.
        sharpness: 1 blends the covers everywhere, 8 gives patches with narrow borders.

    Returns:
        Covers; the weights need not sum to one.
    """
    even = shares(rng, size, list(odds), length_px, sharpness)
    return {cover: odds[cover] * share for cover, share in even.items()}


def zones(
    rng: np.random.Generator, size: int, parts: Sequence[float], length_px: float
) -> NDArray[np.intp]:
    """Divide the land into zones of about the wanted sizes.

    Args:
        rng: Source of the borders.
        size: Side of the map in pixels.
        parts: Share of the land (1) of each zone, positive; they sum to one.
        length_px: Length scale of the zones in pixels.

    Returns:
        Number of each pixel's zone, `[size, size]`.
    """
    wanted = np.asarray(parts, dtype=np.float64)
    fields = np.stack([smooth_field(rng, size, length_px, slope=2.7) for _ in wanted])
    level = np.zeros(len(wanted))
    some = fields[:, :: 1 + size // 64, :: 1 + size // 64]  # enough to count
    for _ in range(24):  # where one zone is too small, raise its field against the others
        number = (some + level[:, None, None]).argmax(axis=0)
        found = np.bincount(number.ravel(), minlength=len(wanted)) / number.size
        level += 0.5 * np.log((wanted + 0.01) / (found + 0.01))
    return np.asarray((fields + level[:, None, None]).argmax(axis=0))


def join(number: NDArray[np.intp], painted: Sequence[Shares]) -> Covers:
    """Put together what was painted for each zone.

    Args:
        number: Number of each pixel's zone, `[H, W]`.
        painted: Covers of each zone, painted over the whole map.

    Returns:
        Covers of the map; they sum to one in every pixel.
    """
    covers: Covers = {}
    for index, zone in enumerate(painted):
        inside = (number == index) / sum(zone.values(), np.zeros(()))
        for cover, share in zone.items():
            covers[cover] = covers.get(cover, np.zeros(())) + inside * share
    return covers
