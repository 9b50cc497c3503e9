"""Writes cells into a shard: members as the release has them, and the same bytes for the same cells.

Members come in the order of their names, leaves of the JSON are lists of one, and tensors lie in their files
without compression and image after image, so that each can be read alone.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName


def tensor_bytes(images: NDArray[np.generic]) -> bytes:
    """Return what `torch.save` makes of the images of a modality.

    Args:
        images: Of the shape that they shall be read with.
    """
    buffer = io.BytesIO()
    # Of a view all numbers of the whole would be saved, and in their order.
    torch.save(torch.from_numpy(np.ascontiguousarray(images)), buffer)
    return buffer.getvalue()


def image_names(
    name: ModalityName, cell: str, patches: Sequence[str], dates: Sequence[Sequence[str]]
) -> list[object]:
    """Return what the JSON of a cell says of a modality.

    Args:
        name: Which.
        cell: Name of the cell.
        patches: Names of its N local patches; not looked at where images are of the whole cell.
        dates: Day of each image as `YYYYMMDD`: a list for each patch, or a list of one such list; not looked at
            for elevation, which has none.
    """
    if name == 'dem':
        return [[cell]]
    if not MODALITIES[name].local:
        return [[f'{cell}/{day}'] for day in dates[0]]
    pairs = zip(patches, dates, strict=True)
    return [[[f'{cell}/{patch}/{day}'] for day in days] for patch, days in pairs]


def add_cell(
    archive: tarfile.TarFile,
    grid_id: int,
    tensors: Mapping[ModalityName, bytes],
    names: Mapping[ModalityName, object],
) -> None:
    """Add the members of a cell to a shard.

    Args:
        archive: The shard, open to be written.
        grid_id: Number of the cell.
        tensors: What `tensor_bytes` returned, by modality; those that the cell lacks are absent.
        names: What `image_names` returned, by modality.
    """
    members = {f'{name}.pth': content for name, content in tensors.items()}
    members['json'] = json.dumps(names).encode()
    for ending, content in sorted(members.items()):
        # Neither time nor user, which would make other bytes of the same cells.
        info = tarfile.TarInfo(f'{grid_id:07d}.{ending}')
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
