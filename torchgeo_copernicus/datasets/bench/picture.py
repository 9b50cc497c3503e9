"""Draws a sample of Copernicus-Bench for people who do not know the sensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor
from torchgeo.datasets import RGBBandsMissingError

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench import panels
from torchgeo_copernicus.datasets.bench.captions import caption, dates, shown
from torchgeo_copernicus.datasets.bench.composite import (
    COLUMN_COLORMAP,
    MISSING,
    composite,
    has_natural_colors,
    is_column,
    is_radar,
    missing,
    physical,
)
from torchgeo_copernicus.datasets.bench.task import BenchTask

# Side of a panel, width of a colour bar, and least width of a figure (inches).
_PANEL, _BAR, _NARROWEST = 2.9, 0.9, 4.4
_COLUMNS = {'NO2': 'tropospheric NO2 column', 'O3': 'total O3 column'}


def draw(
    task: BenchTask, bands: Sequence[str], sample: Sample, show_titles: bool, suptitle: str | None
) -> Figure:
    """Draw a sample: its images by date, then truth and prediction.

    Args:
        task: Declaration of the sample.
        bands: Names of its channels, in any order.
        sample: `image` (float32 `[C, H, W]` or `[T, C, H, W]`, physical or normalised), and if there
            `mask` or `label`, `prediction` of the same shape, `metadata` and `valid`.
        show_titles: Write a title above each panel.
        suptitle: Title of the figure; task, place, date and width on the ground when None.

    Raises:
        RGBBandsMissingError: If the bands of a natural-colour picture were not read.
    """
    lines = _lists(task, sample) if show_titles else []
    maps = _maps(sample)
    count = len(shown(sample)) + len(maps)
    width = max(_PANEL * (count + bool(lines)), _NARROWEST)
    if task.kind == 'regression':
        width += _BAR * (1 + is_column(task))
    rows, _ = panels.legend_shape(_handles(task, bands, sample, maps), width)
    height = max(_PANEL, panels.LINE * len(lines)) + 1.1 + panels.LINE * 1.3 * rows
    figure = Figure(figsize=(width, height), layout='constrained')
    draw_on(figure, task, bands, sample, show_titles, suptitle)
    return figure


def draw_on(
    figure: Figure,
    task: BenchTask,
    bands: Sequence[str],
    sample: Sample,
    show_titles: bool = True,
    suptitle: str | None = None,
) -> None:
    """Draw a sample on an empty figure with constrained layout; see `draw`.

    Raises:
        RGBBandsMissingError: If the bands of a natural-colour picture were not read.
    """
    if len(task.sensor.rgb) == 3 and not has_natural_colors(task, bands):
        raise RGBBandsMissingError
    maps = _maps(sample)
    lines = _lists(task, sample) if show_titles else []
    count = len(shown(sample))
    panes = count + len(maps) + bool(lines)
    axes = list(figure.subplots(1, panes, squeeze=False)[0])
    images, rest = axes[:count], axes[count:]
    _draw_images(images, task, bands, sample)
    if task.kind == 'regression' and task.target is not None and maps:
        scale = panels.value_scale(list(maps.values()))
        for axis, values in zip(rest, maps.values(), strict=True):
            panels.show_values(axis, values, scale, task.target.colormap)
        label = panels.target_label(task.target)
        panels.value_bar(rest[-1], list(maps.values()), scale, label)
    elif maps:
        for axis, labels in zip(rest, maps.values(), strict=True):
            panels.show_classes(axis, labels.astype(np.int64), task.colors)
    panels.legend(figure, _handles(task, bands, sample, maps))
    if show_titles:
        for axis, title in zip(axes, [*_image_titles(task, sample), *maps], strict=False):
            axis.set_title(title, fontsize=10)
        if lines:
            panels.show_lines(rest[-1], lines)
            for axis in images:
                axis.set_anchor('N')
        elif 'label' in sample:
            _title_label(images[0], task, sample)
    figure.suptitle(caption(task, sample) if suptitle is None else suptitle, fontsize=11)


def _maps(sample: Sample) -> dict[str, NDArray[np.float32]]:
    """Return the maps of a sample by title."""
    names = {'truth': 'mask', 'prediction': 'prediction'} if 'label' not in sample else {}
    return {title: _array(sample[key]) for title, key in names.items() if key in sample}


def _array(tensor: Tensor) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.asarray(tensor.detach().cpu().numpy())
    return values


def _draw_images(
    axes: Sequence[Axes], task: BenchTask, bands: Sequence[str], sample: Sample
) -> None:
    image: Tensor = sample['image']
    series = image[shown(sample)] if image.ndim == 4 else image[None]
    if is_column(task):
        columns = list(physical(task, bands, series)[:, 0])
        scale = panels.value_scale(columns)
        for axis, values in zip(axes, columns, strict=True):
            panels.show_values(axis, values, scale, COLUMN_COLORMAP)
        label = f'{_COLUMNS.get(bands[0], bands[0])} ({task.statistics[0].unit})'
        panels.value_bar(axes[-1], columns, scale, label)
        return
    for axis, picture in zip(axes, composite(task, bands, series), strict=True):
        panels.show_picture(axis, picture)
    axes[0].set_xlabel(_colors(task, bands), fontsize=panels.SMALL, loc='left')


def _colors(task: BenchTask, bands: Sequence[str]) -> str:
    """Return what the colours of the image mean."""
    if not is_radar(task):
        return f'{task.sensor.title.split()[0]}, natural colours'
    if {'VV', 'VH'} <= set(bands):
        return 'radar echo (dB): red VV, green VH, blue VV - VH'
    return f'radar echo {bands[0]} (dB): dark is weak'


def _image_titles(task: BenchTask, sample: Sample) -> list[str]:
    if sample['image'].ndim == 3:
        return ['' if 'label' in sample else 'image']
    days = dates(task, sample)
    if task.kind != 'change':
        return days
    order = ['before'] * (len(days) - 1) + ['after']
    return [f'{name}\n{day}'.strip() for name, day in zip(order, days, strict=True)]


def _handles(
    task: BenchTask, bands: Sequence[str], sample: Sample, maps: dict[str, NDArray[np.float32]]
) -> list[Patch]:
    handles = []
    if maps and task.kind != 'regression':
        labels = [labels.astype(np.int64) for labels in maps.values()]
        handles = panels.class_handles(labels, task.classes, task.colors)
    unknown = task.kind == 'regression' and any(np.isnan(values).any() for values in maps.values())
    if unknown or bool(missing(task, bands, sample['image']).any()):
        handles.append(panels.patch(MISSING, 'no data'))
    return handles


def _title_label(axis: Axes, task: BenchTask, sample: Sample) -> None:
    title, color = task.classes[int(sample['label'])], 'black'
    if 'prediction' in sample:
        found = task.classes[int(sample['prediction'])]
        color = 'black' if found == title else panels.WRONG
        title = f'truth: {title}\nprediction: {found}'
    axis.set_title('\n'.join(filter(None, (title, axis.get_title()))), fontsize=10, color=color)


def _lists(task: BenchTask, sample: Sample) -> list[tuple[str, str]]:
    """Return the lines (text, colour) that list the classes of truth and prediction, wrong ones red.

    Empty unless there are several labels.
    """
    if 'label' not in sample or sample['label'].ndim == 0:
        return []
    truth = _array(sample['label']).astype(bool)
    heads = {'truth': truth}
    if 'prediction' in sample:
        heads['prediction'] = _array(sample['prediction']).astype(bool)
    lines: list[tuple[str, str]] = []
    for head, chosen in heads.items():
        lines += [('', 'black')] * bool(lines) + [(head, 'dimgrey')]
        for label in np.flatnonzero(chosen):
            color = 'black' if truth[label] else panels.WRONG
            lines += [(text, color) for text in panels.wrapped(task.classes[label], _PANEL)]
        if not chosen.any():
            lines.append(('none', 'black'))
    return lines
