"""Make WebDataset shards of Copernicus-Pretrain, as the release has them.

So is the defect of the published converter on demand: it kept its variables from one cell to the next, so a
cell that lacks a modality carries that of the cell before.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from torchgeo_copernicus.datasets.lookalike.pretrain_cell import LACKING, PaintedCell, paint_cell
from torchgeo_copernicus.datasets.pretrain.modality import ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.shard_writer import (
    add_cell,
    image_names,
    tensor_bytes,
)

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
        before: dict[ModalityName, bytes] = {}
        names: dict[ModalityName, object] = {}
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
                    add_cell(archive, cell.cell.grid_id, before, names)
        (Path(made) / 'shards').rename(folder)
    return folder


def cell_tensors(cell: PaintedCell) -> dict[ModalityName, bytes]:
    """Return what `torch.save` makes of the images of a cell, by modality."""
    return {name: tensor_bytes(images) for name, images in cell.images.items()}


def cell_names(cell: PaintedCell) -> dict[ModalityName, object]:
    """Return the JSON of a cell: cell, local patch and date of each image, by modality."""
    grid = cell.cell.name
    return {
        name: image_names(name, grid, cell.patches.get(name, ()), cell.dates.get(name, ()))
        for name in cell.images
    }
