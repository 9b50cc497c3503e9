"""The command line: `torchgeo-copernicus` and the commands listed by `--help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table


def sample(
    task: str, directory: str, n: int | None = None, seed: int = 0, size: int | None = None
) -> str:
    """Write a small look-alike of a dataset, in the layout of the real archive.

    Args:
        task: Name of the task, such as cloud_s2; `torchgeo-copernicus datasets` lists them.
        directory: Folder that will hold the task's folder; use it as `root`.
        n: Number of images over all splits.
        seed: One seed gives the same images every time.
        size: Side of an image in pixels.
    """
    from torchgeo_copernicus.datasets.lookalike import write_sample

    return f'Wrote {write_sample(task, directory, n, seed, size)}'


def verify(task: str, directory: str, limit: int = 200) -> str:
    """Check a copy of a dataset and print what is in it; fails when something is wrong.

    Nothing is downloaded, extracted or changed.

    Args:
        task: Name of the task, such as cloud_s2 (`torchgeo-copernicus datasets` lists them), or ssl4eo.
        directory: Folder that holds the task's folder; of ssl4eo the one with train and val (v1.1) or
            s1, s2c and s2a (v1.0).
        limit: Samples of each split to read; 0 for all.
    """
    if task == 'ssl4eo':
        from torchgeo_copernicus.datasets.ssl4eo.verify import verify_ssl4eo

        text, has_problems = verify_ssl4eo(directory, limit)
        if has_problems:
            sys.exit(text)
        return text
    from torchgeo_copernicus.datasets.bench import DATASETS
    from torchgeo_copernicus.datasets.bench import verify as bench

    if task not in DATASETS:
        raise ValueError(f'unknown task {task!r}; allowed: {", ".join(DATASETS)}, ssl4eo')
    reports = bench.verify(DATASETS[task], directory, limit)
    text = bench.describe(DATASETS[task].task, reports)
    if any(report.problems for report in reports):
        sys.exit(text)
    return text


def datasets() -> None:
    """List the tasks of Copernicus-Bench."""
    from torchgeo_copernicus.datasets.bench import TASKS

    table = Table(title='Copernicus-Bench', title_justify='left')
    for column in ('task', 'sensor', 'predicts', 'bands', 'px', 'train/val/test', 'metric'):
        table.add_column(column)
    table.add_column('licence')
    for task in TASKS.values():
        table.add_row(
            task.name,
            task.sensor.title,
            f'{len(task.classes)} classes, {task.kind}' if task.classes else task.kind,
            str(len(task.bands)),
            str(task.native_size),
            '/'.join(str(size) for size in task.split_sizes.values()),
            task.metric,
            task.license,
        )
    # A pipe has no width, and nothing should be cut off in it.
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table)


def export(
    directory: str,
    sensor: str = 's2_toa',
    bands: list[str] | None = None,
    kernel_size: int | None = None,
    image_size: int = 224,
    metadata: Literal['input', 'unknown'] | list[float] = 'unknown',
    size: str = 'copernicus_fm_base',
    pretrained: bool = True,
    ckpt_path: str | None = None,
    global_pool: Literal['token', 'avg'] = 'token',
    onnx: bool = True,
) -> str:
    """Write Copernicus-FM for one kind of image as ONNX and safetensors, with a model card.

    Needs the extra `export` for ONNX, which is compared with PyTorch before it is written.

    Args:
        directory: Folder for model.onnx, model.safetensors and README.md; files there are replaced.
        sensor: Modality of the images, such as s2_toa, s1_grd, s3_olci, s5p_no2 or dem.
        bands: Bands of it in the order of the images; all when left out.
        kernel_size: Patch side in pixels; the one of the pretraining when left out.
        image_size: Side of the images in pixels.
        metadata: input (a vector for each image), unknown, or four values for all images: longitude,
            latitude, days since 1970-01-01, ground sampling distance in m.
        size: copernicus_fm_small, _base, _large or _huge.
        pretrained: Take the released weights (base only).
        ckpt_path: Take the weights of this file instead (.safetensors, or tensors saved by torch).
        global_pool: What becomes the embedding: the class token, or the mean patch token.
        onnx: Write model.onnx as well.
    """
    from torchgeo_copernicus.models import export as written
    from torchgeo_copernicus.models.builders import build_from
    from torchgeo_copernicus.models.model_card import model_card
    from torchgeo_copernicus.sensors import get_sensor

    source = get_sensor(sensor)
    encoder, origin, license = build_from(size, pretrained, ckpt_path, global_pool)
    model = encoder.specialize(
        source if bands is None else source.select(bands),
        source.kernel_size if kernel_size is None else kernel_size,
        image_size,
        metadata,
    )
    folder = Path(directory)
    written.save_specialized(model, folder / 'model.safetensors')
    if onnx:
        written.export_onnx(model, folder / 'model.onnx')
    title = f'{size} for {source.title}'
    card = model_card(model.specialization, title, origin, license)
    (folder / 'README.md').write_text(card, encoding='utf-8')
    return f'Wrote {", ".join(sorted(path.name for path in folder.iterdir()))} to {folder}'


def convert() -> None:
    """Convert SSL4EO-S12: `convert ssl4eo v11`, `convert ssl4eo zarr3`, `convert ssl4eo webdataset`."""


def collect() -> None:
    """Collect own cells from Earth Engine: `collect cities`, `collect fill`, `collect download`, `collect list`."""


def embed() -> None:
    """Write embeddings of images: `embed --config FILE`; `embed --help` lists the options."""


def embeddings() -> None:
    """Use embeddings: `embeddings aggregate`, `embeddings climate`, `embeddings pca | similar | page`."""


def pretrain() -> None:
    """Work on Copernicus-Pretrain: `pretrain index`, `pretrain stats`, `pretrain verify`, `pretrain convert`."""


def _commands(given: Sequence[str]) -> dict[str, Any]:
    # `auto_cli` wants functions and dictionaries of them, nested.
    commands: dict[str, Any] = {
        'collect': collect,
        'convert': convert,
        'datasets': datasets,
        'embed': embed,
        'embeddings': embeddings,
        'export': export,
        'pretrain': pretrain,
        'sample': sample,
        'verify': verify,
    }
    if given[:1] == ['convert']:
        # Here and not above: to read their arguments takes seconds of imports.
        from torchgeo_copernicus.datasets.ssl4eo.convert.commands import COMMANDS

        commands['convert'] = {'ssl4eo': dict(COMMANDS)}
    if given[:1] == ['collect']:
        from torchgeo_copernicus.collect import commands as collecting

        commands['collect'] = dict(collecting.COMMANDS)
    if given[:1] == ['pretrain']:
        from torchgeo_copernicus.datasets.pretrain import commands as pretraining

        commands['pretrain'] = dict(pretraining.COMMANDS)
    if given[:1] == ['embeddings']:
        study = _of_extra('embed', 'torchgeo_copernicus.embedding.commands_study')
        pictures = _of_extra('embed', 'torchgeo_copernicus.embedding.commands_pictures')
        commands['embeddings'] = {**study.COMMANDS, **pictures.COMMANDS}
    return commands


def _of_extra(extra: str, module: str) -> ModuleType:
    """Import a module that needs an extra.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or '').startswith('torchgeo_copernicus'):
            raise
        raise ValueError(
            f'{error.name} is not installed: pip install "torchgeo-copernicus[{extra}]".'
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: Those of the process when None.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == ['embed']:
            producing = _of_extra('embed', 'torchgeo_copernicus.embedding.commands')
            message: str | None = producing.embed_command(given[1:])
        else:
            message = auto_cli(_commands(given), args=given, as_positional=True)
    except (ValueError, OSError) as error:
        sys.exit(f'torchgeo-copernicus: {error}')
    if message is not None:
        print(message)
