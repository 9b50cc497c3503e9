"""What is written above a picture: place, date and size in words."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.composite import is_column
from torchgeo_copernicus.datasets.bench.task import BenchTask


def caption(task: BenchTask, sample: Sample) -> str:
    """Return the title of a figure: the task, and where, when and how large the image is.

    Args:
        task: Declaration of the sample.
        sample: With `image`, and `metadata` when known.
    """
    parts = [place(sample), when(task, sample), extent(task, sample)]
    return '\n'.join(part for part in (task.title, ', '.join(filter(None, parts))) if part)


def place(sample: Sample) -> str:
    """Return latitude and longitude such as `48.14 N, 11.58 E`; empty when unknown."""
    longitude, latitude, _, _ = (float(value) for value in _rows(sample)[0])
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        return ''
    # Some archives count from 0 to 360.
    longitude = (longitude + 180) % 360 - 180
    north, east = 'N' if latitude >= 0 else 'S', 'E' if longitude >= 0 else 'W'
    return f'{abs(latitude):.2f} {north}, {abs(longitude):.2f} {east}'


def when(task: BenchTask, sample: Sample) -> str:
    """Return the date of an image, or the first and last of a series; empty when unknown."""
    known = [day for day in dates(task, sample) if day]
    if is_column(task) and len(known) > 1:
        return f'{len(known)} means from {known[0].split()[-1]} on'
    return ' to '.join(dict.fromkeys([known[0], known[-1]])) if known else ''


def dates(task: BenchTask, sample: Sample) -> list[str]:
    """Return the date of each image as `2019-05-01`; empty where it is unknown."""
    # The archive gives means over a time their first day.
    before = 'mean from ' if is_column(task) else ''
    days = _rows(sample)[:, 2]
    return [
        before + (date(1970, 1, 1) + timedelta(days=float(day))).isoformat()
        if math.isfinite(day)
        else ''
        for day in days
    ]


def extent(task: BenchTask, sample: Sample) -> str:
    """Return the width on the ground such as `512 px = 5.1 km`; empty when unknown."""
    image: Tensor = sample['image']
    width = image.shape[-1]
    gsd = float(_rows(sample)[0, 3])
    if not math.isfinite(gsd):
        return ''
    if gsd == task.published_gsd_m:
        # What the published run told the encoder, not the truth.
        gsd = task.sensor.gsd_m
    # An image that was resized as a whole keeps the native distance in its metadata.
    pixels = task.native_size if width in (task.grid_size, task.model_size) else width
    metres = pixels * gsd
    return f'{width} px = ' + (f'{metres / 1000:.1f} km' if metres >= 1000 else f'{metres:.0f} m')


def shown(sample: Sample) -> list[int]:
    """Return the positions of the dates that are no repetition of another; [0] without dates."""
    image: Tensor = sample['image']
    if image.ndim == 3:
        return [0]
    valid = sample.get('valid')
    return [index for index in range(len(image)) if valid is None or bool(valid[index])]


def _rows(sample: Sample) -> NDArray[np.float32]:
    """Return the metadata as one row for each date shown, NaN when there is none."""
    metadata: Tensor | None = sample.get('metadata')
    if metadata is None:
        return np.full((len(shown(sample)), 4), np.nan, dtype=np.float32)
    rows: NDArray[np.float32] = np.asarray(metadata.detach().cpu().float().numpy())
    return np.atleast_2d(rows) if rows.ndim == 1 else rows[shown(sample)]
