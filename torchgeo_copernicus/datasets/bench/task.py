"""The declaration of a Copernicus-Bench task: everything about it that is a fact.

Dataset, datamodule, YAML check and documentation read it; none repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torchgeo_copernicus.sensors import Sensor, Statistics

Kind = Literal['classification', 'segmentation']

#: Label value that no loss or metric counts, in every segmentation task.
IGNORE_INDEX = -100

#: Revision of the archives on Hugging Face (the one TorchGeo pins).
REVISION = '9d252acd3aa0e3da3128e05c6f028647f0e48e5f'


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of the published protocol (frozen encoder, 50 epochs).

    Attributes:
        optimizer: Class in `torch.optim`.
        lr: Peak learning rate of the one-cycle schedule.
        weight_decay: Of the optimizer.
        batch_size: Samples per step.
        epochs: Passes over the training split.
    """

    optimizer: Literal['SGD', 'AdamW']
    lr: float
    weight_decay: float
    batch_size: int
    epochs: int = 50


@dataclass(frozen=True)
class BenchTask:
    """One of the 15 tasks.

    Attributes:
        name: Key, also the folder of the data.
        title: Name for people.
        kind: What is predicted.
        archive: Path of the zip file in the Hugging Face repository.
        sha256: Hash of the zip file.
        license: SPDX identifier.
        split_file: File name of a split list, `{}` standing for the split.
        date_pattern: Regular expression whose group `date` (YYYYMMDD...) is the acquisition in an image's
            name, or None when there is none.
        split_sizes: Samples per split.
        sensor: Modality of the images.
        stored_bands: Band names in file order.
        bands: Band names in the order of the published configuration.
        native_size: Image side (px) in the archive.
        model_size: Image side (px) the published models see.
        kernel_size: Patch side (px) of Copernicus-FM.
        statistics: Normalisation of the published configuration.
        classes: Class names by label.
        colors: Colours of the classes in label maps; empty for classification.
        metric: Published metric.
        recipe: Published hyper-parameters.
        published: Published results of the frozen Copernicus-FM ViT-B/16, (mean, std) in percent.
    """

    name: str
    title: str
    kind: Kind
    archive: str
    sha256: str
    license: str
    split_file: str
    date_pattern: str | None
    split_sizes: Mapping[str, int]
    sensor: Sensor
    stored_bands: tuple[str, ...]
    bands: tuple[str, ...]
    native_size: int
    model_size: int
    kernel_size: int
    statistics: Statistics
    classes: tuple[str, ...]
    colors: tuple[str, ...]
    metric: str
    recipe: Recipe
    published: tuple[float, float]

    @property
    def url(self) -> str:
        """Download address, pinned to a revision."""
        return (
            'https://huggingface.co/datasets/wangyi111/Copernicus-Bench/resolve/'
            f'{REVISION}/{self.archive}'
        )

    @property
    def zipfile(self) -> str:
        """File name of the archive."""
        return self.archive.rsplit('/', 1)[1]
