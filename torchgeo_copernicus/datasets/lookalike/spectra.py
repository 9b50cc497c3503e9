"""Give land covers and clouds the colours that Sentinel-2 sees.

Everything is keyed by band name, so a file may store its bands in any order it likes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

# Top-of-atmosphere reflectance x 1e4: typical values of clear European summer scenes, set by hand
# with class means of EuroSAT as a guide, not measured; for that see the USGS Spectral Library 7.
# Two rows are no covers: `path` is the light of the air alone, over black ground, and `diffuse`
# the part (x 1e4) of the sunlight that arrives from the whole sky and so reaches shadows too.
_TABLE = """
cover       B01  B02  B03  B04  B05  B06  B07  B08  B8A  B09  B10  B11  B12
path        980  690  410  230  170  120  100   80   60   10    4   10    5
diffuse    4500 3600 2700 2100 1900 1700 1600 1500 1400 1200  800  700  500
water      1180  890  660  400  340  280  260  230  200   60    8   70   50
forest     1110  800  650  400  690 1900 2450 2450 2750  720    9 1220  500
conifer    1090  770  570  350  520 1250 1550 1570 1750  480    9  800  350
crop       1190  930  950  580 1120 3050 3850 3800 4200 1250   12 1900  850
grass      1230  990  960  700 1180 2650 3200 3150 3500 1080   13 2050 1050
dry_grass  1340 1150 1130 1220 1520 1980 2230 2270 2500  920   15 2650 1700
soil       1460 1310 1370 1580 1780 1980 2130 2180 2370  790   16 3050 2350
sand       1900 2000 2400 3100 3300 3450 3600 3600 3800 1450   20 4500 3900
built      1600 1450 1400 1450 1560 1800 1960 2000 2100  600   13 2150 1800
roof       2300 2400 2500 2600 2700 2800 2900 2950 3000  830   14 2900 2500
road       1400 1200 1150 1180 1270 1450 1560 1580 1660  540   12 1700 1400
cloud      5200 5100 5000 5100 5200 5300 5400 5400 5500 2500   90 3600 2600
cirrus     3900 3700 3600 3600 3650 3700 3750 3750 3800 1900  350 2300 1700
"""


_HEADER, *_ROWS = (line.split() for line in _TABLE.strip().splitlines())

#: Cover name -> share of each pixel, `[H, W]`.
Shares = Mapping[str, NDArray[np.float64]]
#: Cover name -> band name -> top-of-atmosphere reflectance (1).
COVERS: dict[str, dict[str, float]] = {
    cover: {band: float(dn) / 1e4 for band, dn in zip(_HEADER[1:], dns, strict=True)}
    for cover, *dns in _ROWS
}

#: Side of a native pixel in pixels of 10 m; 1 where not listed.
NATIVE_PX = dict.fromkeys(('B05', 'B06', 'B07', 'B8A', 'B11', 'B12'), 2)
NATIVE_PX |= dict.fromkeys(('B01', 'B09', 'B10'), 6)


def spectrum(cover: str, bands: Sequence[str]) -> NDArray[np.float64]:
    """Look up the spectrum of one cover.

    Args:
        cover: Key of `COVERS`.
        bands: Band names in the wanted order.

    Returns:
        Reflectance (1), `[B]`.

    Raises:
        ValueError: If the cover or a band is unknown.
    """
    if cover not in COVERS:
        raise ValueError(f'unknown cover {cover!r}; allowed: {", ".join(COVERS)}')
    row = COVERS[cover]
    if unknown := [band for band in bands if band not in row]:
        raise ValueError(f'unknown Sentinel-2 bands {unknown}; allowed: {", ".join(row)}')
    return np.array([row[band] for band in bands])


def overlay(top: Shares, ground: Shares) -> dict[str, NDArray[np.float64]]:
    """Lay covers over others, which show through where the upper ones leave room.

    Args:
        top: Upper covers, together at most one in every pixel.
        ground: Lower covers.

    Returns:
        Shares of all covers.
    """
    bare = 1 - sum(top.values(), np.zeros(()))
    return {cover: top.get(cover, 0) + bare * ground.get(cover, 0) for cover in {**ground, **top}}


def mix(weights: Shares, bands: Sequence[str]) -> NDArray[np.float64]:
    """Mix covers linearly, pixel by pixel.

    Args:
        weights: Cover name -> non-negative weight `[H, W]`; they need not sum to one.
        bands: Band names in the wanted order.

    Returns:
        Reflectance (1), `[B, H, W]`.

    Raises:
        ValueError: If a cover or a band is unknown.
    """
    spectra = np.stack([spectrum(cover, bands) for cover in weights])
    shares = np.stack(list(weights.values()))
    return np.asarray(np.tensordot(spectra, shares / shares.sum(axis=0), axes=(0, 0)))


def relight(
    reflectance: NDArray[np.float64], light: NDArray[np.float64], bands: Sequence[str]
) -> NDArray[np.float64]:
    """Change how much direct sun reaches the ground; the air and the skylight stay.

    Args:
        reflectance: Reflectance under full sun (1), `[B, H, W]`.
        light: Direct sunlight relative to that (1), `[H, W]`.
        bands: Names of the B bands.

    Returns:
        Reflectance (1), `[B, H, W]`.
    """
    path = spectrum('path', bands)[:, None, None]
    diffuse = spectrum('diffuse', bands)[:, None, None]
    return np.asarray(path + (reflectance - path) * (diffuse + (1 - diffuse) * light))


def to_dn(
    reflectance: NDArray[np.float64], bands: Sequence[str], rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Measure a scene: each band at its native 10, 20 or 60 m, with noise, on the 10 m grid.

    Args:
        reflectance: Reflectance (1), `[B, H, W]`, H = W.
        bands: Names of the B bands.
        rng: Source of the sensor noise.

    Returns:
        Digital numbers = reflectance x 1e4, `[B, H, W]`.
    """
    image, size = np.empty(reflectance.shape, dtype=np.uint16), reflectance.shape[-1]
    # The optics blur: without this, borders of fields look cut with scissors.
    padded = np.pad(reflectance, ((0, 0), (1, 1), (1, 1)), mode='edge')
    rows = 0.2 * padded[:, :-2] + 0.6 * padded[:, 1:-1] + 0.2 * padded[:, 2:]
    blurred = 0.2 * rows[:, :, :-2] + 0.6 * rows[:, :, 1:-1] + 0.2 * rows[:, :, 2:]
    for i, band in enumerate(bands):
        side = NATIVE_PX.get(band, 1)
        starts = np.arange(0, size, side)
        sides = np.diff(starts, append=size)  # the last native pixel may be cut off
        native = np.add.reduceat(np.add.reduceat(blurred[i], starts, axis=0), starts, axis=1)
        native /= np.outer(sides, sides)
        native += (1e-4 + 6e-3 * native) * rng.standard_normal(native.shape)
        pixels = native.repeat(sides, axis=0).repeat(sides, axis=1)
        image[i] = np.clip(np.rint(pixels * 1e4), 1, 15_000)  # 0 would mean "no data"
    return image
