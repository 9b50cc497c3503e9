"""Make WebDataset shards of Copernicus-Pretrain, as the release has them.

Members come in the order of their names, and the leaves of the JSON are lists of one. So is the defect of the
published converter on demand: it kept its variables from one cell to the next, so a cell that lacks a
modality carries that of the cell before.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from torchgeo_copernicus.datasets.lookalike.pretrain_cell import LACKING, PaintedCell, paint_cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES

_FOLDER = 'pretrain_shards'


def make_pretrain_shards(
    directory: Path,
    n: int = 10,
    seed: int = 0,
    size_divisor: int = 8,
    *,
    cells_per_shard: int = 4,
    aligned: bool = False,
    stale: bool = False,
) -> Path:
    """Write shards `example-000000.tar` and so on.

    Args:
        directory: Parent of the new folder.
        n: Number of cells; of every four two lack some modalities, and one is polar.
        seed: Seed.
        size_divisor: Images are so many times smaller than the real ones.
        cells_per_shard: Cells of a shard; 100 in the release.
        aligned: Only cells with all modalities.
        stale: Write the tensors of the cell before in place of those that a cell lacks.

    Returns:
        The folder.

    Raises:
        ValueError: If a number is too small.
        FileExistsError: If the folder is there.
    """
    if min(n, cells_per_shard) < 1:
        raise ValueError(f'n {n} and cells_per_shard {cells_per_shard} must be at least 1.')
    folder = directory / _FOLDER
    if folder.exists():
        raise FileExistsError(f'{folder} exists.')
    directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=directory) as made:
        before: dict[str, bytes] = {}
        names: dict[str, object] = {}
        numbers = [
            i for i in range(len(LACKING) * n) if not (aligned and LACKING[i % len(LACKING)])
        ]
        for first in range(0, n, cells_per_shard):
            path = Path(made) / 'shards' / f'example-{first // cells_per_shard:06d}.tar'
            path.parent.mkdir(exist_ok=True)
            with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as archive:
                for number in numbers[first : min(first + cells_per_shard, n)]:
                    cell = paint_cell(seed, number, size_divisor)
                    if not stale:
                        before, names = {}, {}
                    before |= cell_tensors(cell)
                    names |= cell_names(cell)
                    _add(archive, f'{cell.cell.grid_id:07d}', before, names)
        (Path(made) / 'shards').rename(folder)
    return folder


def cell_tensors(cell: PaintedCell) -> dict[str, bytes]:
    """Return what `torch.save` makes of the images of a cell, by modality."""
    found = {}
    for name, image in cell.images.items():
        buffer = io.BytesIO()
        torch.save(torch.from_numpy(image), buffer)
        found[str(name)] = buffer.getvalue()
    return found


def cell_names(cell: PaintedCell) -> dict[str, object]:
    """Return the JSON of a cell: cell, local patch and date of each image, by modality."""
    found: dict[str, object] = {}
    grid = cell.cell.name
    for name in cell.images:
        if name == 'dem':
            found[name] = [[grid]]
        elif MODALITIES[name].local:
            pairs = zip(cell.patches[name], cell.dates[name], strict=True)
            found[name] = [[[f'{grid}/{patch}/{day}'] for day in days] for patch, days in pairs]
        else:
            found[name] = [[f'{grid}/{day}'] for day in cell.dates[name][0]]
    return found


def _add(
    archive: tarfile.TarFile, key: str, tensors: Mapping[str, bytes], names: Mapping[str, object]
) -> None:
    members = {f'{name}.pth': content for name, content in tensors.items()}
    members['json'] = json.dumps(names).encode()
    for ending, content in sorted(members.items()):
        info = tarfile.TarInfo(f'{key}.{ending}')
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
