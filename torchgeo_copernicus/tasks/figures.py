"""Pictures of predictions, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench import panels
from torchgeo_copernicus.datasets.bench.composite import MISSING
from torchgeo_copernicus.datasets.bench.task import BenchTask, Target

# Width (inches) of a list of class names.
_LIST = 2.3


@dataclass(frozen=True)
class Example:
    """One test image with its truth and prediction.

    Attributes:
        rgb: `[H, W, 3]`, 0 to 1, as `composite` makes it.
        truth: Label map (int) or map of values (float, NaN where unknown) `[H, W]`, a scalar label, or
            `[K]` with 1 for each class that is there.
        prediction: Of the same shape, in the same unit.
    """

    rgb: NDArray[np.float32]
    truth: NDArray[Any]
    prediction: NDArray[Any]


def predictions_figure(examples: Sequence[Example], task: BenchTask) -> Figure:
    """Draw what a model predicts in the way that suits the task.

    Args:
        examples: Of this task.
        task: Its declaration.
    """
    if task.target is not None:
        return regression_figure(examples, task.target, task.title)
    if task.has_label_maps:
        return segmentation_figure(examples, task.classes, task.colors, task.title)
    if task.kind == 'multilabel':
        return multilabel_figure(examples, task.classes, task.title)
    return classification_figure(examples, task.classes, task.title)


def segmentation_figure(
    examples: Sequence[Example], classes: Sequence[str], colors: Sequence[str], title: str
) -> Figure:
    """Draw image, truth and prediction side by side, with a legend of the classes that occur.

    Args:
        examples: With label maps; labels outside the classes are grey.
        classes: Names by label.
        colors: Colours by label.
        title: Above the figure.
    """
    maps = [labels for example in examples for labels in (example.truth, example.prediction)]
    handles = panels.class_handles(maps, classes, colors)
    rows, _ = panels.legend_shape(handles, width := 7.5)
    height = 2.5 * len(examples) + 0.8 + 1.3 * panels.LINE * rows
    figure = Figure(figsize=(width, height), layout='constrained')
    for example, (truth, prediction) in zip(examples, _rows(figure, examples), strict=True):
        panels.show_classes(truth, example.truth, colors)
        panels.show_classes(prediction, example.prediction, colors)
    panels.legend(figure, handles)
    figure.suptitle(title)
    return figure


def regression_figure(examples: Sequence[Example], target: Target, title: str) -> Figure:
    """Draw image, truth and prediction side by side, all values on one scale.

    Args:
        examples: With maps of values; NaN is grey.
        target: What is predicted.
        title: Above the figure.
    """
    figure = Figure(figsize=(8.2, 2.5 * len(examples) + 1), layout='constrained')
    maps = [values for example in examples for values in (example.truth, example.prediction)]
    scale = panels.value_scale(maps)
    for example, (truth, prediction) in zip(examples, _rows(figure, examples), strict=True):
        panels.show_values(truth, example.truth, scale, target.colormap)
        panels.show_values(prediction, example.prediction, scale, target.colormap)
        panels.value_bar(prediction, maps, scale, panels.target_label(target))
    if any(np.isnan(values).any() for values in maps):
        panels.legend(figure, [panels.patch(MISSING, 'no data')])
    figure.suptitle(title)
    return figure


def _rows(figure: Figure, examples: Sequence[Example]) -> list[tuple[Axes, Axes]]:
    """Draw the images, and return the panels of truth and prediction beside each."""
    axes = figure.subplots(len(examples), 3, squeeze=False)
    for axis, name in zip(axes[0], ('image', 'truth', 'prediction'), strict=True):
        axis.set_title(name)
    for axis, example in zip(axes[:, 0], examples, strict=True):
        panels.show_picture(axis, example.rgb)
    return [(row[1], row[2]) for row in axes]


def agreement_figure(
    truth: NDArray[np.floating[Any]],
    prediction: NDArray[np.floating[Any]],
    target: Target,
    title: str,
) -> Figure:
    """Draw how often which value was predicted for which true one, and the line where they agree.

    Args:
        truth: True values of any shape; pairs that are not finite are left out.
        prediction: Of the same shape and unit.
        target: What is predicted.
        title: Above the figure.
    """
    known = np.isfinite(truth) & np.isfinite(prediction)
    pairs = np.stack([truth[known], prediction[known]]).astype(np.float64)
    figure = Figure(figsize=(5.6, 5), layout='constrained')
    axis = figure.subplots()
    axis.set_xlabel(f'true {panels.target_label(target)}')
    axis.set_ylabel(f'predicted {panels.target_label(target)}')
    if not pairs.size:
        axis.set_title(f'{title}: no values')
        return figure
    low, high = float(pairs.min()), float(pairs.max())
    margin = 0.02 * (high - low) or 0.5
    ends = (low - margin, high + margin)
    hexagons = axis.hexbin(*pairs, gridsize=60, bins='log', mincnt=1, extent=(*ends, *ends))
    axis.plot(ends, ends, color=panels.WRONG, linewidth=1, label='predicted = true')
    axis.set(xlim=ends, ylim=ends, aspect='equal')
    axis.legend(loc='upper left', fontsize=panels.SMALL)
    figure.colorbar(hexagons, label='pixels', shrink=0.8)
    rmse = float(np.sqrt(np.mean((pairs[1] - pairs[0]) ** 2)))
    axis.set_title(f'{title}: RMSE {rmse:.4g} {target.unit}, {pairs.shape[1]} pixels', fontsize=10)
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
    for axis in axes.flat[len(examples) :]:
        axis.set_axis_off()
    for axis, example in zip(axes.flat, examples, strict=False):
        panels.show_picture(axis, example.rgb)
        truth, prediction = classes[int(example.truth)], classes[int(example.prediction)]
        right = truth == prediction
        axis.set_title(
            truth if right else f'{truth}\nnot {prediction}',
            fontsize=panels.SMALL,
            color='black' if right else panels.WRONG,
        )
    figure.suptitle(title)
    return figure


def multilabel_figure(examples: Sequence[Example], classes: Sequence[str], title: str) -> Figure:
    """Draw images, each with the classes found in black, and missed (-) or wrong (+) ones in red.

    Args:
        examples: With `[K]` of 0 and 1.
        classes: Names by label.
        title: Above the figure.
    """
    lists = [_marked(example, classes) for example in examples]
    rows = -(-len(examples) // 2)
    side = max(_LIST, panels.LINE * max(len(lines) for lines in lists))
    figure = Figure(figsize=(4 * _LIST + 0.4, (side + 0.2) * rows + 0.9), layout='constrained')
    axes = figure.subplots(rows, 4, squeeze=False)
    for axis in axes.flat[2 * len(examples) :]:
        axis.set_axis_off()
    for index, (example, lines) in enumerate(zip(examples, lists, strict=True)):
        panels.show_picture(axes.flat[2 * index], example.rgb)
        axes.flat[2 * index].set_anchor('N')
        panels.show_lines(axes.flat[2 * index + 1], lines)
    figure.suptitle(title)
    figure.supxlabel('- missed      + predicted, but not there', fontsize=9, color=panels.WRONG)
    return figure


def _marked(example: Example, classes: Sequence[str]) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    pairs = zip(example.truth.astype(bool), example.prediction.astype(bool), strict=True)
    for name, (there, found) in zip(classes, pairs, strict=True):
        if not (there or found):
            continue
        mark = '' if there and found else '- ' if there else '+ '
        color = panels.WRONG if mark else 'black'
        lines += [(text, color) for text in panels.wrapped(mark + name, _LIST)]
    return lines or [('none', 'black')]


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
