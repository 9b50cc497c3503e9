"""The declaration of a Copernicus-Bench task: everything about it that is a fact.

Dataset, datamodule, YAML check and documentation read it; none repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torchgeo_copernicus.datasets.bench.published import PUBLISHED
from torchgeo_copernicus.sensors import Sensor, Statistics

#: What is predicted: one class or several per image, a class per pixel (from one image, or from images
#: before and after an event), or a number per pixel.
Kind = Literal['classification', 'multilabel', 'segmentation', 'change', 'regression']
Split = Literal['train', 'val', 'test']

#: Label value that no loss or metric counts, in every segmentation task.
IGNORE_INDEX = -100

#: Revision of the archives on Hugging Face (the one TorchGeo pins).
REVISION = '9d252acd3aa0e3da3128e05c6f028647f0e48e5f'


@dataclass(frozen=True)
class Archive:
    """One file of the Hugging Face repository.

    Attributes:
        path: Path in the repository.
        sha256: Hash of the file.
    """

    path: str
    sha256: str

    @property
    def url(self) -> str:
        """Download address, pinned to a revision."""
        return (
            'https://huggingface.co/datasets/wangyi111/Copernicus-Bench/resolve/'
            f'{REVISION}/{self.path}'
        )

    @property
    def name(self) -> str:
        """File name."""
        return self.path.rsplit('/', 1)[1]


@dataclass(frozen=True)
class Target:
    """What a regression predicts.

    Attributes:
        name: For axes and colour bars.
        unit: Unit of mean, deviation and labels.
        mean: Mean of the training labels.
        std: Standard deviation of the training labels.
        colormap: Name of a matplotlib colour map.
        interpolation: How the target is resized and rotated: the published code treats that of
            Biomass as labels and that of air quality as an image.
    """

    name: str
    unit: str
    mean: float
    std: float
    colormap: str
    interpolation: Literal['nearest', 'bilinear']


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
        name: Key.
        title: Name for people.
        kind: What is predicted.
        archives: The zip file, or one file per split.
        folder: Folder of the data under the root, the top folder of the zip file.
        license: SPDX identifier.
        split_file: Path of a split list in the folder, `{}` standing for the split.
        split_sizes: Samples per split.
        date_pattern: Regular expression whose group `date` (YYYYMMDD..., hyphens allowed) is the
            acquisition in an image's name, or None when there is none.
        sensor: Modality of the images.
        stored_bands: Band names in file order.
        bands: Band names in the order of the published configuration.
        native_size: Image side (px) in the archive; some tasks have a few that are smaller.
        grid_size: Side (px) that image and label are brought to when read, because the stored ones vary
            or differ from each other; None when they are read as stored.
        model_size: Image side (px) the published models see.
        kernel_size: Patch side (px) of Copernicus-FM.
        statistics: Normalisation of the published configuration; for pairs one for each date.
        classes: Class names by label; empty for regression.
        colors: Colours of the classes in label maps.
        codes: Label in the file of each class, in the order of *classes*; 0, 1, 2, ... when empty.
        ignored_codes: Labels in the file that mean no class.
        clip: Range that values are clipped to before they are normalised; NaN becomes its upper end.
        target: What a regression predicts.
        metric: Published metric.
        recipe: Published hyper-parameters.
        published_gsd_m: Ground sampling distance (m) that the published run told the encoder, where it
            was not that of the images.
    """

    name: str
    title: str
    kind: Kind
    archives: tuple[Archive, ...]
    folder: str
    license: str
    split_file: str
    split_sizes: Mapping[Split, int]
    date_pattern: str | None
    sensor: Sensor
    stored_bands: tuple[str, ...]
    bands: tuple[str, ...]
    native_size: int
    model_size: int
    kernel_size: int
    statistics: tuple[Statistics, ...]
    metric: Literal['mIoU', 'OA', 'mAP', 'RMSE']
    recipe: Recipe
    classes: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    ignored_codes: tuple[int, ...] = ()
    grid_size: int | None = None
    clip: tuple[float, float] | None = None
    target: Target | None = None
    published_gsd_m: float | None = None

    @property
    def published(self) -> Mapping[str, tuple[float, float]]:
        """Published results by model: (mean, standard deviation) of three runs.

        In percent, or in the unit of the target; empty when the paper has none.
        """
        return PUBLISHED.get(self.name, {})

    @property
    def has_label_maps(self) -> bool:
        """Whether a sample has a `mask` (one value per pixel) rather than a `label`."""
        return self.kind in ('segmentation', 'change', 'regression')
