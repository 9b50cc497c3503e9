"""Models in plain PyTorch, their weights, and the builders TorchGeo lists."""

from torchgeo_copernicus.models.builders import (
    copernicus_fm_base,
    copernicus_fm_huge,
    copernicus_fm_large,
    copernicus_fm_small,
)
from torchgeo_copernicus.models.channels import resolve_channels
from torchgeo_copernicus.models.copernicus_fm import CopernicusFM
from torchgeo_copernicus.models.export import export_onnx, load_specialized, save_specialized
from torchgeo_copernicus.models.layer_decay import layer_decay_groups
from torchgeo_copernicus.models.multimodal import Modality, MultiModalCopernicusFM
from torchgeo_copernicus.models.weights import CopernicusFMBase16_Weights

__all__ = (
    'CopernicusFM',
    'CopernicusFMBase16_Weights',
    'Modality',
    'MultiModalCopernicusFM',
    'copernicus_fm_base',
    'copernicus_fm_huge',
    'copernicus_fm_large',
    'copernicus_fm_small',
    'export_onnx',
    'layer_decay_groups',
    'load_specialized',
    'resolve_channels',
    'save_specialized',
)
