"""Draws a place of SSL4EO-S12 v1.1: its dates from left to right, its modalities from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import CLEAR_CLASSES, CLOUD_CLASSES

_COLOURS = {3: 'tab:pink', 4: 'tab:red', 5: 'tab:orange', 6: 'black'}


def draw_place(
    sample: Sample,
    modalities: Sequence[Modality],
    bands: Mapping[Modality, tuple[str, ...]],
    show_titles: bool,
    suptitle: str | None,
) -> Figure:
    """Draw a sample.

    Sentinel-2 is in natural colour where it has the bands; Sentinel-1 shows VV, VH and their difference.

    Args:
        sample: From `SSL4EOS12v11`.
        modalities: Its modalities.
        bands: Their bands.
        show_titles: Write modality and date over each picture.
        suptitle: Title of the figure.
    """
    images = _by_modality(sample['image'], modalities)
    metadata = _by_modality(sample['metadata'], modalities)
    series = next(iter(images.values())).ndim == 4
    dates = next(iter(images.values())).shape[0] if series else 1
    figure = Figure(figsize=(2.2 * dates + 1, 2.4 * len(modalities) + 0.4), layout='constrained')
    axes = figure.subplots(len(modalities), dates, squeeze=False)
    masks = sample.get('cloud_mask')
    seen: set[int] = set()
    for row, modality in enumerate(modalities):
        stack = images[modality] if series else images[modality][None]
        when = metadata[modality] if series else metadata[modality][None]
        colours = _colours(stack.numpy(), modality, bands[modality])
        for column in range(dates):
            axis = axes[row, column]
            axis.imshow(colours[column], interpolation='nearest')
            axis.set_xticks([])
            axis.set_yticks([])
            if show_titles:
                day = date(1970, 1, 1) + timedelta(days=int(when[column, 2]))
                axis.set_title(f'{modality}  {day}', fontsize=8)
            if masks is not None and modality != 'S1GRD':
                mask = (masks if series else masks[None])[column].numpy()
                seen |= set(np.unique(mask).tolist()) - set(CLEAR_CLASSES)
                for value, colour in _COLOURS.items():
                    if (mask == value).any():
                        axis.contour(mask == value, [0.5], colors=colour, linewidths=0.8)
    if handles := [
        Patch(facecolor='none', edgecolor=_COLOURS[value], label=CLOUD_CLASSES[value])
        for value in sorted(seen & set(_COLOURS))
    ]:
        figure.legend(handles=handles, loc='outside lower center', ncols=len(handles), fontsize=8)
    if suptitle is not None:
        figure.suptitle(suptitle)
    return figure


def _by_modality(value: object, modalities: Sequence[Modality]) -> Mapping[Modality, Tensor]:
    if isinstance(value, Tensor):
        return {modalities[0]: value}
    if isinstance(value, Mapping):
        return value
    raise ValueError(
        f'A sample holds tensors, or dictionaries of them, not {type(value).__name__}.'
    )


def _colours(
    images: NDArray[np.float32], modality: Modality, bands: tuple[str, ...]
) -> NDArray[np.float32]:
    """Return pictures `[T, H, W, 3]` of 0 to 1, all dates stretched alike."""
    if modality == 'S1GRD' and len(bands) == 2:
        vv, vh = images[:, bands.index('VV')], images[:, bands.index('VH')]
        chosen = np.stack([vv, vh, vv - vh], axis=1)
    else:
        wanted = [band for band in MODALITY_BANDS['S2RGB'] if band in bands]
        if len(wanted) < 3:
            wanted = list((*bands, *bands, *bands)[:3]) if len(bands) < 3 else list(bands[:3])
        chosen = images[:, [bands.index(band) for band in wanted]]
    if modality == 'S2RGB':
        picture = chosen / 255
    else:
        # Clouds are bright everywhere; each channel of radar has a range of its own.
        axes = (0, 2, 3) if modality == 'S1GRD' else (0, 1, 2, 3)
        low, high = np.nanpercentile(chosen, [2, 98], axis=axes, keepdims=True)
        picture = (chosen - low) / np.maximum(high - low, 1e-6)
    return np.asarray(np.nan_to_num(np.moveaxis(picture, 1, -1)).clip(0, 1))
