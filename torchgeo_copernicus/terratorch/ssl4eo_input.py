"""What the values of a batch are, and how they become what a backbone of SSL4EO-S12 was pretrained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from torchgeo_copernicus.models.ssl4eo.normalisation import (
    Scaling,
    allowed_normalisations,
    scaling_of,
)
from torchgeo_copernicus.sensors import Band
from torchgeo_copernicus.terratorch.arguments import parse_float, parse_str

# Factors to the unit that the scaling takes.
_UNITS: Mapping[str, float] = {'DN = reflectance x 10000': 1.0, 'reflectance': 1e4, 'dB': 1.0}


@dataclass(frozen=True)
class InputScaling:
    """Steps from the values of a batch to those of the pretraining, perhaps none."""

    steps: tuple[Scaling, ...]

    def __call__(self, image: Tensor) -> Tensor:
        """Return the scaled image in its own type."""
        values = image
        for step in self.steps:
            values = step(values)
        return values.to(image.dtype)


def parse_input(
    values: str, normalisation: str | None, offset_dn: float | str, bands: Sequence[Band]
) -> InputScaling:
    """Return the scaling of a backbone's input.

    Args:
        values: `scaled`: as the weights' transforms give them. `physical`: digital numbers of Sentinel-2
            (reflectance x 10000), dB of Sentinel-1. Or the name of a task of Copernicus-Bench such as
            `eurosat_s2`: as its datamodule standardises them.
        normalisation: See `scaling_of`; that of the pretraining when None.
        offset_dn: See `scaling_of`.
        bands: Of the input, in its order.

    Raises:
        ValueError: If an argument is not understood, or would have no effect.
    """
    kind = parse_str('input_values', values)
    offset = parse_float('offset_dn', offset_dn, minimum=-1e4, maximum=1e4)
    if kind == 'scaled':
        if normalisation is not None or offset:
            raise ValueError(
                'normalisation and offset_dn have no effect on scaled values; set '
                'backbone_input_values to physical or to the task whose datamodule it is.'
            )
        return InputScaling(())
    wanted = allowed_normalisations(bands)[0]
    if normalisation is not None:
        wanted = parse_str('normalisation', normalisation)  # type: ignore[assignment]
    scaling = scaling_of(bands, wanted, offset_dn=offset)
    if kind == 'physical':
        return InputScaling((scaling,))
    return InputScaling((_undone(kind, bands), scaling))


def _undone(name: str, bands: Sequence[Band]) -> Scaling:
    """Return the way back from the standardisation of a task's datamodule."""
    # Here, because the datasets load much that registration does without.
    from torchgeo_copernicus.datasets import TASKS

    usable = {
        task.name: task.statistics[0]
        for task in TASKS.values()
        if len(task.statistics) == 1 and task.statistics[0].unit in _UNITS
    }
    if name not in usable:
        raise ValueError(
            f"input_values is {name!r}; allowed are 'scaled', 'physical' and the tasks {list(usable)}."
        )
    factor = _UNITS[usable[name].unit]
    means, stds = usable[name].of(bands)
    return Scaling(
        tuple(-mean / std for mean, std in zip(means, stds, strict=True)),
        tuple(1 / (std * factor) for std in stds),
        clip=False,
    )
