"""Draw seeded land: smooth fields, relief, parcels of farmland, and winding ribbons.

All lengths are in pixels, all arrays are square, and each draw uses the given generator only.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def _rotated(
    size: int, angle_rad: float, centre: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel coordinates along and across a direction, each `[H, W]`, zero at `centre` (row, column)."""
    y, x = np.mgrid[:size, :size].astype(np.float64)
    y, x = y - centre[0], x - centre[1]
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return cos * x + sin * y, cos * y - sin * x


def smooth_field(
    rng: np.random.Generator,
    size: int,
    length_px: float,
    slope: float = 2.5,
    stretch: float = 1.0,
    angle_rad: float = 0.0,
) -> NDArray[np.float64]:
    """Draw a random field that varies over a chosen length: filtered Gaussian noise.

    Args:
        rng: Source of the noise.
        size: Side of the field in pixels.
        length_px: Length scale in pixels.
        slope: Fall of the amplitude at short lengths; about 1.5 is rough, 3 is smooth.
        stretch: How many times longer the field is along `angle_rad` than across it.
        angle_rad: Direction of the stretch in radians.

    Returns:
        Field with mean 0 and standard deviation 1, `[size, size]`; it wraps around at its edges.
    """
    noise = np.fft.rfft2(rng.standard_normal((size, size)))
    y, x = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    along = stretch * (np.cos(angle_rad) * x + np.sin(angle_rad) * y)
    across = np.cos(angle_rad) * y - np.sin(angle_rad) * x
    gain = (1 + (2 * np.pi * length_px) ** 2 * (along**2 + across**2)) ** (-slope / 2)
    gain[0, 0] = 0
    field = np.fft.irfft2(noise * gain, s=(size, size))
    return np.asarray(field / field.std())


def shares(
    rng: np.random.Generator, size: int, covers: Sequence[str], length_px: float, sharpness: float
) -> dict[str, NDArray[np.float64]]:
    """Divide the land smoothly among covers.

    Args:
        rng: Source of the fields.
        size: Side of the fields in pixels.
        covers: Names of the covers.
        length_px: Length scale of the patches in pixels.
        sharpness: 1 blends the covers everywhere, 8 gives patches with narrow borders.

    Returns:
        Cover -> share of the pixel in 0..1, `[size, size]`; the shares sum to one.
    """
    fields = np.stack([smooth_field(rng, size, length_px) for _ in covers])
    weights = np.exp(sharpness * (fields - fields.max(axis=0)))
    return dict(zip(covers, weights / weights.sum(axis=0), strict=True))


def hillshade(
    rng: np.random.Generator, size: int, length_px: float, relief: float, sun_rad: float
) -> NDArray[np.float64]:
    """Draw hills and light them from one side.

    Args:
        rng: Source of the relief.
        size: Side of the field in pixels.
        length_px: Length scale of the hills in pixels.
        relief: Standard deviation of the light (1); 0 is flat land.
        sun_rad: Azimuth of the sun in radians, clockwise from north (the top row).

    Returns:
        Direct sunlight relative to flat ground in 0.4..1.6, `[size, size]`.
    """
    down, right = np.gradient(smooth_field(rng, size, length_px, slope=3.0))
    facing = down * np.cos(sun_rad) - right * np.sin(sun_rad)
    return np.asarray(np.clip(1 + relief * facing / facing.std(), 0.4, 1.6))


def parcels(
    rng: np.random.Generator, size: int, length_px: float, width_px: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Cut the land into crooked rectangles, laid in rows: fields, gardens, factory plots.

    Args:
        rng: Source of direction and sizes.
        size: Side of the map in pixels.
        length_px: Mean length of a parcel in pixels.
        width_px: Mean width of a parcel in pixels.

    Returns:
        Parcel number 0..P-1, `[size, size]`, and distance to the nearest border in pixels.
    """
    along, across = _rotated(size, rng.uniform(0, np.pi), (size / 2, size / 2))
    # Borders that are nearly straight look surveyed; curved ones look like a mosaic.
    bend = min(0.15 * width_px, 2.0)
    along = along + bend * smooth_field(rng, size, 60, slope=3.5)
    across = across + bend * smooth_field(rng, size, 60, slope=3.5)
    borders = np.cumsum(width_px * rng.uniform(0.5, 1.5, int(5 * size / width_px) + 3))
    borders -= borders[-1] / 2
    row = np.clip(np.searchsorted(borders, across), 1, len(borders) - 1)
    pitch = (length_px * rng.uniform(0.6, 1.6, len(borders)))[row]
    column = along / pitch + rng.uniform(0, 1, len(borders))[row]
    part = column - np.floor(column)
    edge = np.minimum(across - borders[row - 1], borders[row] - across)
    edge = np.minimum(edge, pitch * np.minimum(part, 1 - part))
    numbers = row * 100_000 + np.floor(column).astype(np.intp)
    return np.unique(numbers, return_inverse=True)[1].reshape(size, size), edge


def ribbon(
    rng: np.random.Generator, size: int, width_px: float, meander_px: float
) -> NDArray[np.float64]:
    """Draw one winding ribbon that crosses the map near its centre: a road or a river.

    Args:
        rng: Source of direction and bends.
        size: Side of the map in pixels.
        width_px: Width of the ribbon in pixels.
        meander_px: Amplitude of the bends in pixels.

    Returns:
        Share of each pixel that it covers in 0..1, `[size, size]`.
    """
    centre = size * rng.uniform(0.35, 0.65), size * rng.uniform(0.35, 0.65)
    along, across = _rotated(size, rng.uniform(0, np.pi), centre)
    wave = 2 * np.pi / max(rng.uniform(8, 12) * meander_px, 60.0)
    phase = rng.uniform(0, 2 * np.pi, 2)
    bend = np.sin(wave * along + phase[0]) + 0.25 * np.sin(2.3 * wave * along + phase[1])
    line = meander_px * bend
    down, right = np.gradient(line)
    distance = np.abs(across - line) / np.sqrt(1 + down**2 + right**2)  # not along the axis
    return np.asarray(np.clip(width_px / 2 + 0.5 - distance, 0, 1))
