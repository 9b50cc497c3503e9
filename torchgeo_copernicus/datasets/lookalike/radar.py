"""Give land covers the echo that Sentinel-1 sees, with speckle.

The counterpart of `spectra` for radar: covers have the same names, and powers (not dB) mix linearly.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.lookalike.spectra import Shares
from torchgeo_copernicus.datasets.lookalike.terrain import hillshade

# Backscatter (dB) at 5.4 GHz and about 38 degrees of incidence: typical values, set by hand with
# BigEarthNet-S1 as a guide, not measured; for that see Ulaby & Dobson's handbook.
_TABLE = """
cover         VV     VH
water      -20.5  -28.5
forest      -8.8  -14.0
conifer     -9.8  -15.3
crop       -11.5  -17.5
grass      -12.8  -20.0
dry_grass  -13.5  -21.5
soil       -14.0  -24.0
sand       -18.0  -26.5
snow       -15.5  -22.0
built       -3.5  -11.0
roof        -2.0  -10.5
road       -16.0  -24.5
"""
_HEADER, *_ROWS = (line.split() for line in _TABLE.strip().splitlines())

#: Cover name -> band name -> backscatter in dB.
ECHOES: dict[str, dict[str, float]] = {
    cover: {band: float(db) for band, db in zip(_HEADER[1:], dbs, strict=True)}
    for cover, *dbs in _ROWS
}

# What people build has corners that send the pulse straight back, here and there.
_CORNERED = ('built', 'roof')
_CORNER_SPREAD = 1.3

# Blurs along one axis. The two together leave 0.44^2 of the variance: of speckle of a single look,
# whose variance is one, that of about five looks, correlated between neighbours as in real products.
_BLUR = (0.2, 0.6, 0.2)


def echo(cover: str, bands: Sequence[str]) -> NDArray[np.float64]:
    """Look up the backscatter of one cover.

    Args:
        cover: Key of `ECHOES`.
        bands: Polarisations in the wanted order.

    Returns:
        Linear power (1), `[B]`.

    Raises:
        ValueError: If the cover or a band is unknown.
    """
    if cover not in ECHOES:
        raise ValueError(f'unknown cover {cover!r}; allowed: {", ".join(ECHOES)}')
    row = ECHOES[cover]
    if unknown := [band for band in bands if band not in row]:
        raise ValueError(f'unknown Sentinel-1 bands {unknown}; allowed: {", ".join(row)}')
    return np.asarray(10 ** (np.array([row[band] for band in bands]) / 10))


def backscatter(
    weights: Shares, bands: Sequence[str], rng: np.random.Generator, relief: float = 0.1
) -> NDArray[np.float64]:
    """Mix the echoes of covers, on hills, with bright corners where something is built.

    Args:
        weights: Cover name -> non-negative weight `[H, W]`, H = W; they need not sum to one.
        bands: Polarisations in the wanted order.
        rng: Source of hills and corners.
        relief: Standard deviation of the brightness of slopes (1); 0 is flat land.

    Returns:
        Linear power without speckle (1), `[B, H, W]`.

    Raises:
        ValueError: If a cover or a band is unknown.
    """
    total = sum(weights.values(), np.zeros(()))
    echoes = np.stack([echo(cover, bands) for cover in weights])
    power = np.tensordot(echoes, np.stack(list(weights.values())) / total, axes=(0, 0))
    size = power.shape[-1]
    cornered = sum((weights[name] for name in _CORNERED if name in weights), np.zeros(())) / total
    corners = blur(rng.lognormal(-(_CORNER_SPREAD**2) / 2, _CORNER_SPREAD, (size + 2, size + 2)))
    # A pass of Sentinel-1 looks east or west, so slopes that face there are bright.
    hills = hillshade(rng, size, 30, relief, float(rng.choice([0.5, 1.5]) * np.pi))
    return np.asarray(power * hills * (1 + cornered * (corners - 1)))


def blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blur the last two axes as the processor does, leaving about five looks of one.

    Args:
        image: `[..., H + 2, W + 2]`; the border is used up.

    Returns:
        `[..., H, W]`.
    """
    left, centre, right = _BLUR
    rows = left * image[..., :-2, :] + centre * image[..., 1:-1, :] + right * image[..., 2:, :]
    return left * rows[..., :-2] + centre * rows[..., 1:-1] + right * rows[..., 2:]


def speckle(power: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Measure an echo: with multiplicative speckle of about five looks.

    Args:
        power: Linear power (1), `[B, H, W]`.
        rng: Source of the speckle.

    Returns:
        Linear power (1), positive, `[B, H, W]`.
    """
    bands, height, width = power.shape
    single_look = rng.standard_exponential((bands, height + 2, width + 2))
    return shortened(power * blur(single_look))


def to_db(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert linear power (1) to dB, same shape."""
    return shortened(10 * np.log10(power))


def shortened(
    values: NDArray[np.float32] | NDArray[np.float64], digits: int = 11
) -> NDArray[np.float32]:
    """Round to so many binary digits, which is far below the noise: files are half as large then.

    Args:
        values: Any shape.
        digits: Digits that are kept.
    """
    mantissa, exponent = np.frexp(values)
    scale = 2.0**digits
    return np.asarray(np.ldexp(np.rint(mantissa * scale) / scale, exponent), dtype=np.float32)
