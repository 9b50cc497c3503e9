"""Pictures of predictions, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.patches
import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Land is dark beside clouds.
_GAMMA = 0.6


@dataclass(frozen=True)
class Example:
    """One test image with its truth and prediction.

    Attributes:
        rgb: `[H, W, 3]`, any scale.
        truth: Label map `[H, W]`, or a scalar label.
        prediction: Of the same shape.
    """

    rgb: NDArray[np.float32]
    truth: NDArray[np.int64]
    prediction: NDArray[np.int64]


def stretch(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stretch an image between its 2nd and 98th percentile to 0..1, and brighten its dark parts."""
    low, high = np.nanpercentile(rgb, (2, 98))
    scaled: NDArray[np.float32] = (
        np.clip((rgb - low) / max(float(high - low), 1e-6), 0, 1) ** _GAMMA
    )
    return scaled


def segmentation_figure(
    examples: Sequence[Example], classes: Sequence[str], colors: Sequence[str], title: str
) -> Figure:
    """Draw image, truth and prediction side by side, with a legend of the classes.

    Args:
        examples: With label maps; labels outside the classes are left grey.
        classes: Names by label.
        colors: Colours by label.
        title: Above the figure.
    """
    figure = Figure(figsize=(7.5, 2.4 * len(examples) + 1), layout='constrained')
    axes = figure.subplots(len(examples), 3, squeeze=False)
    cmap = ListedColormap(list(colors)).with_extremes(under='grey', over='grey')
    norm = BoundaryNorm(np.arange(-0.5, len(classes)), len(classes))
    for row, example in zip(axes, examples, strict=True):
        row[0].imshow(stretch(example.rgb))
        for axis, labels in ((row[1], example.truth), (row[2], example.prediction)):
            axis.imshow(labels, cmap=cmap, norm=norm, interpolation='none')
    for axis, name in zip(axes[0], ('image', 'truth', 'prediction'), strict=True):
        axis.set_title(name)
    for axis in axes.flat:
        axis.set_axis_off()
    handles = [
        matplotlib.patches.Patch(facecolor=color, edgecolor='black', label=name)
        for color, name in zip(colors, classes, strict=True)
    ]
    if any(bool((example.truth < 0).any()) for example in examples):
        handles.append(matplotlib.patches.Patch(facecolor='grey', label='ignored'))
    figure.legend(handles=handles, loc='outside lower center', ncols=len(handles), frameon=False)
    figure.suptitle(title)
    return figure


def classification_figure(
    examples: Sequence[Example], classes: Sequence[str], title: str
) -> Figure:
    """Draw images with their true class, and the predicted one in red where it differs.

    Args:
        examples: With scalar labels.
        classes: Names by label.
        title: Above the figure.
    """
    columns = 4
    rows = -(-len(examples) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.6 * rows + 0.6), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, example in zip(axes.flat, examples, strict=False):
        axis.imshow(stretch(example.rgb))
        truth, prediction = classes[int(example.truth)], classes[int(example.prediction)]
        right = truth == prediction
        axis.set_title(
            truth if right else f'{truth}\nnot {prediction}',
            fontsize=8,
            color='black' if right else 'crimson',
        )
    figure.suptitle(title)
    return figure


def confusion_figure(confusion: NDArray[np.int64], classes: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix with its counts, shaded by the share of each true class.

    Args:
        confusion: `[K, K]` counts, truth in rows.
        classes: Names by label.
        title: Above the figure.
    """
    figure = Figure(figsize=(0.6 * len(classes) + 3, 0.6 * len(classes) + 2), layout='constrained')
    axis = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap='Blues', vmin=0, vmax=1)
    for row, column in np.argwhere(confusion):
        color = 'white' if share[row, column] > 0.5 else 'black'
        text = str(confusion[row, column])
        axis.text(column, row, text, color=color, ha='center', va='center', fontsize=8)
    axis.set_xticks(range(len(classes)), classes, rotation=45, ha='right')
    axis.set_yticks(range(len(classes)), classes)
    axis.set_xlabel('predicted')
    axis.set_ylabel('true')
    axis.set_title(title)
    return figure
