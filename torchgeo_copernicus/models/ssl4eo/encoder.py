"""Puts the tensors of a released checkpoint into a network for the bands at hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from torchgeo_copernicus.models.checkpoint import load_tensors
from torchgeo_copernicus.models.ssl4eo.checkpoint_file import read_checkpoint
from torchgeo_copernicus.models.ssl4eo.entry import Entry
from torchgeo_copernicus.models.ssl4eo.first_convolution import adapt_first_convolution
from torchgeo_copernicus.sensors import Band

_LOGGER = logging.getLogger(__name__)


def read_encoder(path: Path | str, entry: Entry) -> dict[str, Tensor]:
    """Read the encoder of a file of any form.

    Args:
        path: Full checkpoint or backbone.
        entry: What it should be.

    Returns:
        Tensors under the names of the entry's architecture.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is of another method, or unreadable; see `read_checkpoint`.
    """
    checkpoint = read_checkpoint(path)
    if checkpoint.layout not in ('backbone', entry.method):
        raise ValueError(
            f'{path} is a checkpoint of {checkpoint.layout}, but {entry.name} is of {entry.method}.'
        )
    return checkpoint.parts.encoder


def load_encoder(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    entry: Entry,
    bands: Sequence[Band],
    where: str,
    *,
    rescale: bool = False,
    needs_norm: bool = True,
) -> None:
    """Load pretrained tensors into a network, whose head (if any) stays fresh.

    Args:
        model: Built by the entry's architecture for so many bands; untouched when this raises.
        tensors: Of the encoder, for the entry's bands.
        entry: What they are.
        bands: Of the input, in the order of its channels.
        where: Origin of the tensors, for messages.
        rescale: See `adapt_first_convolution`.
        needs_norm: Whether the final norm of a transformer is used; one that is not may be missing.

    Raises:
        ValueError: If the tensors do not fit.
    """
    fresh = [key for key in model.state_dict() if key.startswith(('head.', 'fc.'))]
    if not needs_norm:
        fresh += ['norm.weight', 'norm.bias']
    first = entry.architecture.first_convolution
    fitted = dict(tensors)
    if first in fitted:
        kernels = adapt_first_convolution(fitted[first], entry.bands, bands, rescale=rescale)
        fitted[first] = kernels
    missing, _ = load_tensors(model, fitted, where, may_miss=fresh)
    _LOGGER.info('%s loaded for %s. Not in it: %s.', where, [b.name for b in bands], missing)
