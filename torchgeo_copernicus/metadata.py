"""Acquisition -> the sample's metadata vector, and the only conversions of its units.

The vector is float32 `[longitude (deg), latitude (deg), days since 1970-01-01, ground sampling distance
(m)]`; NaN means unknown. Seconds become days here and nowhere else; ground sampling distance and kernel
become the token area here and nowhere else.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from affine import Affine
from pyproj import CRS, Proj, Transformer
from pyproj.exceptions import CRSError
from torch import Tensor

from torchgeo_copernicus.require import readable, require

#: Names of the four fields, in order.
FIELDS = ('longitude', 'latitude', 'days since 1970-01-01', 'ground sampling distance (m)')

# Smallest and largest value of each field, and what to say of others.
_RANGES = (
    # Both longitude conventions, -180..180 and 0..360 (Cloud-S3 has values above 180).
    (-180.0, 360.0, 'degrees, -180 to 180 or 0 to 360'),
    (-90.0, 90.0, 'degrees, -90 to 90 (is it swapped with longitude?)'),
    # Farther from 1970 than the year 2243: no satellite image, but any recent time in seconds.
    (-100_000.0, 100_000.0, 'whole days, not seconds'),
    (0.05, 1e6, 'metres per pixel, at least 0.05 (is it an area in km2?)'),
)
_ALL_RANGES = 'metadata is out of range; wanted ' + '; '.join(
    f'{name}: {wanted}' for name, (_, _, wanted) in zip(FIELDS, _RANGES, strict=True)
)
_IDENTITY = Affine.identity()
#: Metres in a degree of latitude, or of longitude at the equator.
METRES_PER_DEGREE = 111_319.49

Date = date | datetime | np.datetime64 | str


def days_since_epoch(when: Date) -> float:
    """Return whole days between 1970-01-01 and the UTC day of *when*.

    Whole days, because the models were trained with dates: their shortest time wave is one day long, so
    a fraction would be a phase they have never seen.

    Args:
        when: A date, a datetime (naive means UTC), a NumPy datetime, or an ISO 8601 string.

    Raises:
        ValueError: If a string is not ISO 8601, or the time is not a time (NaT).
    """
    if pd.isna(when):
        raise ValueError('The date is NaT; pass None for an unknown date.')
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    if isinstance(when, np.datetime64):
        return float(when.astype('datetime64[D]').astype(np.int64))
    if isinstance(when, datetime):
        if when.tzinfo is not None:
            when = when.astimezone(UTC)
        when = when.date()
    return float((when - date(1970, 1, 1)).days)


def days_from_seconds(seconds: Tensor) -> Tensor:
    """Return whole days of *seconds* since 1970-01-01 UTC (any shape), as float32.

    TorchGeo's samples carry `time` in seconds.
    """
    return torch.floor(seconds.double() / 86_400).float()


def acquisition_metadata(
    crs: CRS | str | int | None,
    transform: Affine | None,
    size: tuple[int, int],
    when: Date | None,
    *,
    gsd_m: float | None = None,
) -> Tensor:
    """Return the metadata vector of an image.

    The location is the centre of pixel `(height // 2, width // 2)`, as in the official loaders.

    Args:
        crs: Coordinate reference system, or None when unknown.
        transform: Affine transform from pixel to CRS coordinates; None or identity means not
            georeferenced.
        size: (height, width) in pixels.
        when: Acquisition date, or None when unknown.
        gsd_m: Ground sampling distance (m) when known from the product; derived from the transform
            otherwise.

    Returns:
        float32 tensor `[4]`; see the module docstring.

    Raises:
        ValueError: If the size is not positive, or a value is out of its range.
    """
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f'size must be (height, width) of at least one pixel, got {size}.')
    longitude = latitude = pixel_m = math.nan
    if crs is not None and transform is not None and transform != _IDENTITY:
        name = crs if isinstance(crs, str | int) else crs.to_wkt()
        column, row = width // 2 + 0.5, height // 2 + 0.5
        x = transform.a * column + transform.b * row + transform.c
        y = transform.d * column + transform.e * row + transform.f
        longitude, latitude = _to_lonlat(name).transform(x, y)
        _check_fields(longitude, latitude, math.nan, math.nan)
        if gsd_m is None:
            pixel_m = _pixel_size_m(_system(name), transform, longitude, latitude)
    days = math.nan if when is None else days_since_epoch(when)
    gsd = pixel_m if gsd_m is None else gsd_m
    _check_fields(longitude, latitude, days, gsd)
    return torch.tensor([longitude, latitude, days, gsd], dtype=torch.float32)


@lru_cache(maxsize=256)
def _system(crs: str | int) -> CRS:
    """Return a horizontal coordinate reference system.

    Raises:
        ValueError: If it cannot be understood, or has no longitude and latitude.
    """
    try:
        system = CRS.from_user_input(crs)
    except CRSError as error:
        raise ValueError(f'The coordinate reference system is not understood: {error}') from error
    if not (system.is_geographic or system.is_projected):
        raise ValueError(f'{system.name} is neither geographic nor projected.')
    return system


@lru_cache(maxsize=256)
def _to_lonlat(crs: str | int) -> Transformer:
    # Looked up by name: to hash a CRS is to write it out, which takes longer than to transform.
    return Transformer.from_crs(_system(crs), 'EPSG:4326', always_xy=True)


def _pixel_size_m(crs: CRS, transform: Affine, longitude: float, latitude: float) -> float:
    """Return the side (m) of a square with the ground area of one pixel."""
    side = math.sqrt(abs(transform.determinant))
    if crs.is_geographic:
        return side * METRES_PER_DEGREE * math.sqrt(math.cos(math.radians(latitude)))
    side *= crs.axis_info[0].unit_conversion_factor
    scale = Proj(crs).get_factors(longitude, latitude).areal_scale
    # UTM and the like are within 1 %, where the nominal pixel size is the product's sampling distance;
    # Mercator is far off it.
    return side if abs(scale - 1) < 0.01 else side / math.sqrt(scale)


def token_area_km2(gsd_m: Tensor, kernel_size: int) -> Tensor:
    """Return the ground area of one patch token, the fourth metadata field of the official model.

    Args:
        gsd_m: Ground sampling distances (m), any shape; NaN stays NaN.
        kernel_size: Patch size (px).

    Returns:
        Areas (km2), float32 like the official metadata, computed in float64.
    """
    return (kernel_size * gsd_m.double() / 1000).square().float()


def check_metadata(metadata: Tensor) -> None:
    """Raise when metadata cannot be what it should, most often because of a wrong unit.

    On a GPU and in compiled code a value out of range is asserted on the device, without waiting for it:
    it ends the run a little later, with a RuntimeError.

    Args:
        metadata: `[B, 4]`; NaN passes everywhere.

    Raises:
        ValueError: If the shape or dtype is wrong or a value is out of range.
    """
    if metadata.ndim != 2 or metadata.shape[1] != 4:
        raise ValueError(
            f'metadata must have shape [B, 4] = {list(FIELDS)}, got {list(metadata.shape)}.'
        )
    if metadata.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f'metadata is {metadata.dtype}, which cannot hold a date or a coordinate; keep it float32 '
            '(with Lightning use precision bf16-mixed rather than bf16-true).'
        )
    if metadata.device.type == 'meta':
        return
    if not readable(metadata):
        outside = [
            (metadata[:, index] < low) | (metadata[:, index] > high)
            for index, (low, high, _) in enumerate(_RANGES)
        ]
        require(~torch.stack(outside), _ALL_RANGES)
        return
    for index, (low, high, _) in enumerate(_RANGES):
        values = metadata[:, index]
        # NaN compares false, and so passes.
        bad = (values < low) | (values > high)
        if bool(bad.any()):
            raise _out_of_range(index, values[bad][0].item())


def _check_fields(*fields: float) -> None:
    """Check one vector as `check_metadata` does, without tensors: this runs for every image read."""
    for index, (value, (low, high, _)) in enumerate(zip(fields, _RANGES, strict=True)):
        if value < low or value > high:
            raise _out_of_range(index, value)


def _out_of_range(index: int, value: float) -> ValueError:
    return ValueError(f'metadata: {FIELDS[index]} is {value:.6g}; wanted {_RANGES[index][2]}.')
