"""Writes shards with whatever is to be wrong with them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from torchgeo_copernicus.datasets.lookalike.pretrain_cell import PaintedCell, paint_cell
from torchgeo_copernicus.datasets.lookalike.pretrain_shards import cell_names, cell_tensors

Members = dict[str, bytes]


@lru_cache
def painted(number: int, seed: int = 0) -> PaintedCell:
    """Return a cell with images of at most 60 px; every other number has all modalities."""
    return paint_cell(seed, number, 16)


def members(cell: PaintedCell, **change: bytes | None) -> Members:
    """Return the members of a cell by name; changed ones are named `dem`, `json` and so on."""
    found: dict[str, bytes | None] = {**cell_tensors(cell), 'json': json_bytes(cell), **change}
    key = f'{cell.cell.grid_id:07d}'
    return {
        f'{key}.{name}' if name == 'json' else f'{key}.{name}.pth': content
        for name, content in sorted(found.items())
        if content is not None
    }


def json_bytes(cell: PaintedCell, **change: object) -> bytes:
    return json.dumps({**cell_names(cell), **change}).encode()


def saved(tensor: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensor, buffer, **options)
    return buffer.getvalue()


def write_shard(path: Path, cells: Sequence[Mapping[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, 'w') as archive:
        for cell in cells:
            for name, content in cell.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def place_of(path: Path, name: str) -> tuple[int, int]:
    """Return first byte and bytes of a member."""
    with tarfile.open(path) as archive:
        member = archive.getmember(name)
        return member.offset_data, member.size


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open('r+b') as file:
        file.seek(offset)
        file.write(content)
