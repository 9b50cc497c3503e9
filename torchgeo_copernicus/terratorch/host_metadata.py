"""Metadata of batches that other datasets make, brought to this package's vector.

TerraTorch's datasets give `location_coords` and `temporal_coords`, TorchGeo's `lat`, `lon` and `time`.
Dropping them in silence would lose a part of the input.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from datetime import date

import torch
from torch import Tensor

from torchgeo_copernicus.metadata import days_from_seconds, days_since_epoch

#: Batch keys that are understood -> numbers per image.
HOST_KEYS: Mapping[str, int] = {
    'location_coords': 2,
    'temporal_coords': 2,
    'lat': 1,
    'lon': 1,
    'time': 1,
}


def metadata_from_host(batch: Mapping[str, object], size: int) -> Tensor | None:
    """Return the metadata vector of a batch of another dataset.

    Args:
        batch: Batch keys, as tensors, arrays or lists: `location_coords` `[B, 2]` (latitude,
            longitude), `temporal_coords` `[B, 1, 2]` or `[B, 2]` (year, day of the year from 0), `lat`
            and `lon` `[B]` (deg), `time` `[B]` (s since 1970-01-01). NaN means unknown.
        size: Number of images B.

    Returns:
        float32 `[B, 4]` with NaN where unknown (the sampling distance always is), or None when no key
        is understood.

    Raises:
        ValueError: If a key has another shape, such as several dates per image, or no number.
    """
    given = {key: batch[key] for key in HOST_KEYS if batch.get(key) is not None}
    values = {key: _per_image(key, value, size) for key, value in given.items()}
    if not values:
        return None
    unknown = torch.full((size,), torch.nan)
    longitude = latitude = days = unknown
    if 'location_coords' in values:
        latitude, longitude = values['location_coords'].unbind(dim=1)
    if 'temporal_coords' in values:
        pairs = values['temporal_coords'].tolist()
        days = torch.tensor([_days(year, day) for year, day in pairs])
    if 'lat' in values:
        latitude = values['lat'][:, 0]
    if 'lon' in values:
        longitude = values['lon'][:, 0]
    if 'time' in values:
        days = days_from_seconds(values['time'][:, 0])
    return torch.stack([longitude.float(), latitude.float(), days.float(), unknown], dim=1)


def metadata_of_tiles(metadata: Tensor | None, tiles: int) -> Tensor | None:
    """Match metadata to images: TerraTorch's tiled inference hands on that of the whole images.

    Args:
        metadata: `[B, ...]`, or None.
        tiles: Number of images that are to be encoded.

    Returns:
        `[tiles, ...]`; NaN, with a warning, where nothing says which image a tile is of.
    """
    if metadata is None or len(metadata) == tiles:
        return metadata
    if len(metadata) == 1:
        return metadata.expand(tiles, *metadata.shape[1:])
    warnings.warn(
        f'{tiles} tiles came with the metadata of {len(metadata)} images, and nothing says which '
        'belongs to which: it is taken as unknown. Use a batch size of 1 with tiled inference.',
        stacklevel=3,
    )
    return metadata.new_full((tiles, *metadata.shape[1:]), torch.nan)


def _per_image(key: str, value: object, size: int) -> Tensor:
    """Return numbers as float64 `[size, HOST_KEYS[key]]` on the CPU."""
    try:
        numbers = torch.as_tensor(value).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f'{key} holds no numbers: {error}') from error
    if numbers.numel() != size * HOST_KEYS[key] or not numbers.ndim or len(numbers) != size:
        raise ValueError(
            f'{key} has shape {list(numbers.shape)} for {size} images; wanted one '
            f'{"pair" if HOST_KEYS[key] == 2 else "value"} per image.'
        )
    return numbers.reshape(size, HOST_KEYS[key])


def _days(year: float, day_of_year: float) -> float:
    if math.isnan(year) or math.isnan(day_of_year):
        return math.nan
    try:
        start = date(int(year), 1, 1)
    except (ValueError, OverflowError) as error:
        raise ValueError(f'temporal_coords: {year:g} is no year ({error}).') from error
    return days_since_epoch(start) + math.floor(day_of_year)
