"""Make a look-alike of the map of Copernicus-Embed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.lookalike.embed_world import EmbedWorld
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, COLUMNS, ROWS

KINDS = ('npz', 'pt')


def paint_map(channels: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Paint a map.

    Args:
        channels: Numbers of a cell; 768 in the release.
        seed: Seed, not negative.

    Returns:
        float32 `[721, 1440, channels]`, north first; 0 at sea.

    Raises:
        ValueError: If there is no channel.
    """
    lat = 90 - CELL_DEG * np.arange(ROWS)
    lon = CELL_DEG * np.arange(COLUMNS) - 180
    return EmbedWorld(channels, seed).vectors(lon, lat[:, None])


def make_embed_map(
    directory: Path | str,
    channels: int = 8,
    seed: int = 0,
    kind: str = 'npz',
    *,
    compressed: bool = False,
) -> Path:
    """Write `embed_map_310k.npz` or `.pt`, laid out as in the release.

    Args:
        directory: Folder to write into; made where it is missing.
        channels: Numbers of a cell; 768 in the release, which are 3.2 GB.
        seed: Seed, not negative.
        kind: `npz` or `pt`.
        compressed: Compress the `.npz`, which the release does not.

    Returns:
        The file.

    Raises:
        ValueError: If an argument is not allowed.
        FileExistsError: If the file is there.
    """
    if kind not in KINDS or (compressed and kind != 'npz'):
        raise ValueError(
            f'kind {kind!r}, compressed {compressed}; allowed: {KINDS}, and only npz compressed.'
        )
    path = Path(directory) / f'embed_map_310k.{kind}'
    if path.exists():
        raise FileExistsError(f'{path} exists.')
    values = paint_map(channels, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == 'pt':
        torch.save(torch.from_numpy(values), path)
    elif compressed:
        np.savez_compressed(path, values)
    else:
        np.savez(path, values)
    return path
