"""Finds a model that was told other bands or classes than the data has.

Both are stated in a YAML, and a difference would not fail: it would give wrong numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from torchgeo_copernicus.datamodules.bench import BenchDataModule
from torchgeo_copernicus.datasets.bench.task import IGNORE_INDEX
from torchgeo_copernicus.sensors import Band


def check_agreement(
    datamodule: BenchDataModule, hparams: Mapping[str, object], model: nn.Module
) -> None:
    """Compare a datamodule that is set up with a task.

    Args:
        datamodule: Of Copernicus-Bench.
        hparams: Arguments of the task.
        model: Its network; bands are compared where its `encoder` has them.

    Raises:
        ValueError: If they differ; says which options to change.
    """
    told: object = getattr(getattr(model, 'encoder', None), 'bands', None)
    given = [band.name for band in datamodule.bands]
    if isinstance(told, tuple) and all(isinstance(band, Band) for band in told):
        names = [band.name for band in told]
        if names != given:
            raise ValueError(
                f'The data has the bands {given}, the backbone was told {names}. Set '
                'data.init_args.bands and backbone_model_bands to the same list.'
            )
    task = datamodule.task
    classes = hparams.get('class_names')
    if isinstance(classes, list | tuple) and tuple(classes) != task.classes:
        raise ValueError(
            f'class_names is {list(classes)}, the data has {list(task.classes)}: labels would be '
            'called by wrong names. Set class_names (and num_classes) to those of the data.'
        )
    arguments = hparams.get('model_args')
    number = arguments.get('num_classes') if isinstance(arguments, Mapping) else None
    if task.classes and number is not None and int(str(number)) != len(task.classes):
        raise ValueError(f'num_classes is {number}, {task.title} has {len(task.classes)} classes.')
    if task.kind in ('segmentation', 'change') and hparams.get('ignore_index') != IGNORE_INDEX:
        raise ValueError(
            f'ignore_index is {hparams.get("ignore_index")}; in the data it is {IGNORE_INDEX}.'
        )
