"""Opens a map that `torch.save` wrote, without unpickling it."""

from __future__ import annotations

import numpy as np

from torchgeo_copernicus.datasets.embed.map_array import whole_map
from torchgeo_copernicus.datasets.embed.stored_array import StoredArray, source_at
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import tensor_layout


def open_pt(path: str) -> StoredArray:
    """Open a `.pt` file of one tensor `[721, 1440, channels]`.

    Args:
        path: Path or address of the file.

    Raises:
        UnsafePickleError: If the file names anything but a tensor; nothing of it is run.
        ValueError: If it is damaged, of another shape, or cannot be read in parts.
        OSError: If it cannot be read.
    """
    source = source_at(path)
    found = tensor_layout(source)
    channels = whole_map(path, found.shape, np.dtype(found.dtype))
    if found.offset is None:
        raise ValueError(
            f'{path} is compressed, strided, big-endian or of a PyTorch below 1.6, and cannot be read in '
            'parts. Write it anew: torch.save(tensor.contiguous().clone(), path).'
        )
    return StoredArray(path, found.offset, found.dtype, channels, source.size)
