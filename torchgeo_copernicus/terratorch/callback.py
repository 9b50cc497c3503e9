"""A callback that does nothing: naming it in a YAML imports this package."""

from __future__ import annotations

from lightning.pytorch import Callback


class RegisterCopernicus(Callback):
    """For YAMLs whose data and model are not of this package, so that TerraTorch knows its backbones.

    Add `- class_path: torchgeo_copernicus.terratorch.callback.RegisterCopernicus` to
    `trainer.callbacks`.
    """
