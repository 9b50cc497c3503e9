"""Draws one sample of each task of Copernicus-Bench on one sheet.

    python scripts/contact_sheet.py
    python scripts/contact_sheet.py --root data --out sheet.png --width 1800

Without --root the samples are look-alikes that it makes itself; with it they are those of the tasks that
are there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from torchgeo_copernicus.datasets import DATASETS, TASKS, BenchDataset, BenchTask, write_sample
from torchgeo_copernicus.datasets.bench.captions import caption
from torchgeo_copernicus.datasets.bench.picture import draw_on

OUT = Path(__file__).parents[1] / 'docs' / 'images' / 'contact_sheet.webp'
COLUMNS = 3
# Cells without their margin (inches), pixels per inch, margin (px): 3 x (5.6 x 100 + 2 x 20) = 1800.
WIDTH, HEIGHT, DPI, MARGIN = 5.6, 3.6, 100, 20
# Targets that are looked at to find a varied one.
CANDIDATES = 24


def predicts(task: BenchTask) -> str:
    """Return what a task asks for, in words."""
    classes = len(task.classes)
    return {
        'classification': f'one of {classes} classes for the image',
        'multilabel': f'some of {classes} classes for the image',
        'segmentation': f'one of {classes} classes for each pixel',
        'change': f'one of {classes} classes for each pixel of two images',
        'regression': f'{task.target.name if task.target else "a number"} for each pixel',
    }[task.kind]


def datasets(root: Path | None, work: Path, seed: int) -> Iterator[BenchDataset]:
    """Yield the datasets that are in a folder, or look-alikes of all made in another.

    Args:
        root: Folder of data, or None.
        work: Empty folder for look-alikes.
        seed: Seed of these.
    """
    for name, dataset in DATASETS.items():
        if root is not None:
            if dataset.is_extracted(root):
                yield dataset(root)
            continue
        # Some tasks share an archive.
        if not dataset.is_extracted(work):
            write_sample(name, work, seed=seed)
        yield dataset(work)


def varied(dataset: BenchDataset, seed: int) -> int:
    """Return the index of the sample, of some chosen by chance, that has most to show."""
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:CANDIDATES]
    targets = [dataset.target(index).float().numpy() for index in chosen]
    if dataset.task.kind == 'classification':
        shown = [_structure(dataset[index]['image'][0].numpy()) for index in chosen]
    elif dataset.task.kind == 'multilabel':
        shown = [target.sum() for target in targets]
    elif dataset.task.kind == 'regression':
        shown = [np.nanstd(target) if np.isfinite(target).any() else 0 for target in targets]
    else:
        # How even the classes are: an island of one pixel shows little.
        shown = [_entropy(target) for target in targets]
    return int(chosen[int(np.argmax(shown))])


def _structure(image: NDArray[np.float32]) -> float:
    """Return how alike neighbours are, `[H, W]` to 0..1: noise shows little either."""
    return float(np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1])


def _entropy(labels: NDArray[np.float32]) -> float:
    _, counts = np.unique(labels, return_counts=True)
    share = counts / labels.size
    return float(-(share * np.log(share)).sum())


def rendered(figure: Figure) -> NDArray[np.uint8]:
    """Return the pixels of a figure, `[H, W, 3]`, with a margin of white."""
    buffer = BytesIO()
    figure.savefig(buffer, format='rgba', dpi=DPI)
    width, height = (round(inches * DPI) for inches in figure.get_size_inches())
    pixels = np.frombuffer(buffer.getvalue(), dtype=np.uint8).reshape(height, width, 4)
    return np.pad(
        pixels[..., :3], ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=255
    )


def cell(dataset: BenchDataset, seed: int) -> NDArray[np.uint8]:
    """Return the picture of one sample of a dataset, `[H, W, 3]`."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout='constrained')
    sample = dataset[varied(dataset, seed)]
    _, *rest = caption(dataset.task, sample).splitlines()
    title = '\n'.join([f'{dataset.task.title}: {predicts(dataset.task)}', *rest])
    draw_on(figure, dataset.task, dataset.bands, sample, suptitle=title)
    return rendered(figure)


def sheet(root: Path | None, seed: int) -> NDArray[np.uint8]:
    """Return the sheet, `[H, W, 3]`.

    Args:
        root: Folder of data; look-alikes are made when None.
        seed: Chooses the samples, and makes the look-alikes.

    Raises:
        ValueError: If the folder holds no task.
    """
    with TemporaryDirectory() as work:
        cells = [cell(dataset, seed) for dataset in datasets(root, Path(work), seed)]
    if not cells:
        raise ValueError(f'{root} holds none of {[task.folder for task in TASKS.values()]}.')
    columns = min(COLUMNS, len(cells))
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    width = rows[0].shape[1] - 2 * MARGIN
    head = Figure(figsize=(width / DPI, 0.4))
    # What lies in a folder may be look-alikes too.
    title = 'Copernicus-Bench' + ' (synthetic look-alikes, not real images)' * (root is None)
    head.text(0.5, 0.5, title, ha='center', va='center', fontsize=16)
    return np.concatenate([rendered(head), *rows])


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description='Draw one sample of each task on one sheet.')
    parser.add_argument('--root', type=Path, help='folder of data; look-alikes are made without')
    parser.add_argument('--out', type=Path, default=OUT, help='PNG, JPEG or WebP file to write')
    parser.add_argument('--seed', type=int, default=0, help='chooses the samples')
    parser.add_argument('--width', type=int, default=1100, help='of the sheet, in pixels')
    arguments = parser.parse_args()
    pixels = sheet(arguments.root, arguments.seed)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if arguments.width < image.width:
        height = round(image.height * arguments.width / image.width)
        image = image.resize((arguments.width, height), Image.Resampling.LANCZOS)
    # Small enough to lie in the repository; speckle would fill a file that keeps every pixel.
    image.save(arguments.out, quality=40, method=6)
    print(f'{arguments.out}: {image.width} x {image.height} px')


if __name__ == '__main__':
    main()
