"""Enters the models here into TorchGeo's tables of models and weights."""

from __future__ import annotations

from torchgeo_copernicus.models import builders
from torchgeo_copernicus.models.ssl4eo import registration as ssl4eo
from torchgeo_copernicus.models.weights import CopernicusFMBase16_Weights
from torchgeo_copernicus.registry import enter


def register() -> None:
    """Make `get_model`, `get_weight`, `get_model_weights` and `list_models` know the models here.

    Raises:
        ValueError: If one of the names is taken by something else.
    """
    # Here, because loading the host calls this function.
    from torchgeo.models import api

    for builder in (
        builders.copernicus_fm_small,
        builders.copernicus_fm_base,
        builders.copernicus_fm_large,
        builders.copernicus_fm_huge,
    ):
        enter(api._model, builder.__name__, builder, 'torchgeo.models')
    weights = CopernicusFMBase16_Weights
    enter(api._model_weights, builders.copernicus_fm_base, weights, 'torchgeo.models')
    enter(api._model_weights, 'copernicus_fm_base', weights, 'torchgeo.models')
    ssl4eo.register()
