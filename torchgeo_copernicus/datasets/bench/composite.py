"""Turns an image of any sensor into a picture that people can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.datasets.bench.task import BenchTask
from torchgeo_copernicus.sensors import S1_GRD, S3_OLCI

#: Colour of pixels without data, in pictures and in maps of values.
MISSING = '#d9d9d9'
#: Colour map of an image with one band that is no light, such as a column of a gas.
COLUMN_COLORMAP = 'cividis'

# Land is dark beside clouds.
_GAMMA = 0.6
_PERCENTILES = (2, 98)
# Reflectance of clear air in red, green and blue: it makes forests seen from space blue.
_AIR = (0.017, 0.036, 0.059)
# Share of the darkest reflectance that is taken away, and the least range of reflectance shown.
_SHARED, _LEAST_SPAN = 0.8, 0.05
# Level-2A, from which the air was taken out.
_SURFACE = ('bigearthnet_s2',)
# Sunlight (mW m-2 nm-1) in the bands of OLCI that are red, green and blue.
_SUNLIGHT = (1530.0, 1796.0, 1950.0)
# Share of negative pixels that tells a normalised image of what cannot be negative.
_NEGATIVE = 0.01


def limits(*arrays: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Return the 2nd and 98th percentile of the finite values of all arrays; 0, 1 when there are none."""
    values = np.concatenate([array[np.isfinite(array)] for array in arrays])
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, _PERCENTILES)
    return float(low), float(high)


def stretch(values: NDArray[np.float32], gamma: float = _GAMMA) -> NDArray[np.float32]:
    """Stretch what lies between the 2nd and 98th percentile to 0..1, and brighten the dark parts.

    Args:
        values: Any shape and unit, all stretched alike.
        gamma: Exponent; 1 leaves the brightness as it is.

    Returns:
        The same shape; what is not finite becomes NaN, a constant one half.
    """
    low, high = limits(values)
    known = np.where(np.isfinite(values), values, np.nan)
    # A range that is smaller than a millionth of its values is rounding.
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return np.asarray(known * 0 + 0.5, dtype=np.float32)
    return np.asarray(np.clip((known - low) / (high - low), 0, 1) ** gamma, dtype=np.float32)


def missing(task: BenchTask, bands: Sequence[str], image: Tensor) -> NDArray[np.bool_]:
    """Return where an image has no data.

    Args:
        task: Declaration of the images.
        bands: Names of the channels.
        image: `[C, H, W]` or `[T, C, H, W]`.

    Returns:
        `[H, W]` or `[T, H, W]`.
    """
    values = image[..., [bands.index(name) for name in task.sensor.rgb if name in bands], :, :]
    gaps = ~values.isfinite().all(dim=-3)
    if has_natural_colors(task, bands):
        # No light at all: missing pixels are filled with 0 before an image is resized.
        gaps |= (values == 0).all(dim=-3)
    return np.asarray(gaps.cpu().numpy())


def has_natural_colors(task: BenchTask, bands: Sequence[str]) -> bool:
    """Return whether red, green and blue are among the bands read."""
    return len(task.sensor.rgb) == 3 and set(task.sensor.rgb) <= set(bands)


def is_radar(task: BenchTask) -> bool:
    """Return whether images are backscatter of Sentinel-1."""
    return task.sensor is S1_GRD


def is_column(task: BenchTask) -> bool:
    """Return whether images have one band, a quantity for a colour bar."""
    return len(task.sensor.rgb) == 1


def composite(task: BenchTask, bands: Sequence[str], image: Tensor) -> NDArray[np.float32]:
    """Make a picture of an image, or of a series with one stretch for all dates.

    Natural colours; for Sentinel-1 red is VV, green VH and blue VV - VH, each in dB; a colour map for a
    column of a gas. What has no such colours, being a part of the bands, is the first of them in grey.

    Args:
        task: Declaration of the images.
        bands: Names of the channels, in any order.
        image: `[C, H, W]` or `[T, C, H, W]`, in the unit of the task's statistics, or normalised.

    Returns:
        `[H, W, 3]` or `[T, H, W, 3]`, 0 to 1; light grey where data is missing.
    """
    gaps = missing(task, bands, image)
    values = np.where(gaps[..., None, :, :], np.nan, physical(task, bands, image))
    channel = {name: values[..., index, :, :] for index, name in enumerate(bands)}
    if has_natural_colors(task, bands):
        picture = _natural(task, np.stack([channel[name] for name in task.sensor.rgb], axis=-1))
    elif is_radar(task):
        picture = _radar(*(decibels(task, channel[name]) for name in ('VV', 'VH') if name in bands))
    elif is_column(task):
        low, high = limits(values)
        scaled = (channel[bands[0]] - low) / max(high - low, 1e-30)
        picture = matplotlib.colormaps[COLUMN_COLORMAP](scaled)[..., :3]
    else:
        picture = np.repeat(stretch(channel[bands[0]])[..., None], 3, axis=-1)
    # The logarithm of nothing is no data either.
    gaps = gaps[..., None] | ~np.isfinite(picture).all(axis=-1, keepdims=True)
    return np.where(gaps, np.array(to_rgb(MISSING)), picture).astype(np.float32)


def decibels(task: BenchTask, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return backscatter in dB, NaN where there is none."""
    if task.statistics[0].unit == 'dB':
        return values
    power = np.where(values > 0, values, np.nan)
    return np.asarray(10 * np.log10(power), dtype=np.float32)


def physical(task: BenchTask, bands: Sequence[str], image: Tensor) -> NDArray[np.float32]:
    """Return an image in the unit of the task's statistics, undoing these if they were applied.

    An image does not say whether it was normalised: its values do.

    Args:
        task: Declaration of the images.
        bands: Names of the channels.
        image: `[C, H, W]` or `[T, C, H, W]`.
    """
    values: NDArray[np.float32] = np.asarray(image.detach().cpu().float().numpy())
    moments = [statistics.of(task.sensor.select(bands)) for statistics in task.statistics]
    # Of a pair the last date has its own.
    dates = len(values) if values.ndim == 4 else 1
    moments = [moments[0]] * (dates - 1) + moments[-1:]
    mean, std = (
        np.array(part, np.float32).reshape((*values.shape[:-2], 1, 1))
        for part in zip(*moments, strict=True)
    )
    return values * std + mean if _is_normalised(values, mean, std, task) else values


def _is_normalised(
    values: NDArray[np.float32],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    task: BenchTask,
) -> bool:
    known = np.isfinite(values)
    if not known.any():
        return False
    if task.statistics[0].unit != 'dB':
        # Zero that was normalised and back may be less by a rounding error.
        return bool(np.mean((values < -1e-5 * mean)[known]) > _NEGATIVE)
    # Nearer to the middle of normalised backscatter (0) than to that of the data.
    raw = np.abs(values - mean) / std
    return bool(np.median(np.abs(values[known])) < np.median(raw[known]))


def _natural(task: BenchTask, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return natural colours of red, green and blue, `[..., 3]`, without the blue of the air."""
    reflectance = rgb * _to_reflectance(task)
    if task.name not in _SURFACE:
        dark = [limits(reflectance[..., color])[0] for color in range(3)]
        reflectance = reflectance - np.minimum(dark, _AIR)
    low, high = limits(reflectance)
    # Some of what all colours share stays, else one field among fields alike would be garish.
    low = min(low, _SHARED * low)
    span = np.array([limits(reflectance[..., color])[1] - low for color in range(3)])
    # Halfway between one range for all colours, which leaves a tint, and one for each, which leaves none.
    span = np.sqrt(np.maximum(span, span.max() / 100) * span.max())
    # A range that is not too small keeps open sea and forest dark, unless this is no reflectance at all.
    span = np.maximum(span, _LEAST_SPAN if high > _LEAST_SPAN / 5 else 1e-12)
    return np.asarray(np.clip((reflectance - low) / span, 0, 1) ** _GAMMA, dtype=np.float32)


def _to_reflectance(task: BenchTask) -> NDArray[np.float64]:
    """Return what red, green and blue are multiplied with; for radiance only about."""
    if task.sensor is S3_OLCI:
        return np.pi / np.array(_SUNLIGHT)
    return np.full(3, 1e-4 if 'x 10000' in task.statistics[0].unit else 1.0)


def _radar(*backscatter: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(backscatter) == 1:
        return np.repeat(stretch(backscatter[0], gamma=1)[..., None], 3, axis=-1)
    vv, vh = backscatter
    return np.stack([stretch(layer, gamma=1) for layer in (vv, vh, vv - vh)], axis=-1)
