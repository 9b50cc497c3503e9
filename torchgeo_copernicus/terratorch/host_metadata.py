"""Metadata of batches that other datasets make, brought to this package's vector.

TerraTorch's datasets give `location_coords` and `temporal_coords`, TorchGeo's `lat`, `lon` and `time`.
Dropping them in silence would lose a part of the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import torch
from torch import Tensor

from torchgeo_copernicus.metadata import days_from_seconds, days_since_epoch

#: Batch keys that are understood.
HOST_KEYS = ('location_coords', 'temporal_coords', 'lat', 'lon', 'time')


def metadata_from_host(batch: Mapping[str, object], size: int) -> Tensor | None:
    """Return the metadata vector of a batch of another dataset.

    Args:
        batch: Batch keys: `location_coords` `[B, 2]` (latitude, longitude), `temporal_coords`
            `[B, 1, 2]` or `[B, 2]` (year, day of the year from 0), `lat` and `lon` `[B]` (deg), `time`
            `[B]` (s since 1970-01-01).
        size: Number of images B.

    Returns:
        float32 `[B, 4]` with NaN where unknown (the sampling distance always is), or None when no key
        is understood.

    Raises:
        ValueError: If a key has another shape, such as several dates per image.
    """
    tensors = {key: batch[key] for key in HOST_KEYS if isinstance(batch.get(key), Tensor)}
    if not tensors:
        return None
    columns = [torch.full((size,), torch.nan) for _ in range(4)]
    for key, value in tensors.items():
        if not isinstance(value, Tensor):
            continue
        flat = value.detach().cpu().double().reshape(len(value), -1)
        pair = key.endswith('_coords')
        if flat.shape != (size, 2 if pair else 1):
            raise ValueError(
                f'{key} has shape {list(value.shape)} for {size} images; wanted one '
                f'{"pair" if pair else "value"} per image.'
            )
        if key == 'location_coords':
            columns[1], columns[0] = flat[:, 0], flat[:, 1]
        elif key == 'temporal_coords':
            columns[2] = torch.tensor(
                [days_since_epoch(date(int(year), 1, 1)) + day for year, day in flat.tolist()]
            )
        elif key == 'time':
            columns[2] = days_from_seconds(flat[:, 0])
        else:
            columns[('lon', 'lat').index(key)] = flat[:, 0]
    return torch.stack([column.float() for column in columns], dim=1)
