"""Models in plain PyTorch, their weights, and the builders TorchGeo lists."""

from torchgeo_copernicus.models.builders import (
    copernicus_fm_base,
    copernicus_fm_huge,
    copernicus_fm_large,
    copernicus_fm_small,
)
from torchgeo_copernicus.models.copernicus_fm import CopernicusFM
from torchgeo_copernicus.models.weights import CopernicusFMBase16_Weights

__all__ = (
    'CopernicusFM',
    'CopernicusFMBase16_Weights',
    'copernicus_fm_base',
    'copernicus_fm_huge',
    'copernicus_fm_large',
    'copernicus_fm_small',
)
