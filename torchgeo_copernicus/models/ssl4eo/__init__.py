"""The weights released with SSL4EO-S12 v1.0 (arXiv:2211.07044), and the networks they are for."""

from torchgeo_copernicus.models.ssl4eo.builders import (
    ssl4eo_s12_beit_small_patch16_224,
    ssl4eo_s12_resnet18,
    ssl4eo_s12_resnet50,
    ssl4eo_s12_vit_base_patch16_224,
    ssl4eo_s12_vit_huge_patch14_224,
    ssl4eo_s12_vit_large_patch16_224,
    ssl4eo_s12_vit_small_patch16_224,
)
from torchgeo_copernicus.models.ssl4eo.checkpoint_file import Checkpoint, read_checkpoint, read_full
from torchgeo_copernicus.models.ssl4eo.data2vec import Data2vecViT
from torchgeo_copernicus.models.ssl4eo.entries import ENTRIES
from torchgeo_copernicus.models.ssl4eo.entry import Entry
from torchgeo_copernicus.models.ssl4eo.first_convolution import adapt_first_convolution
from torchgeo_copernicus.models.ssl4eo.transforms import SSL4EOTransforms
from torchgeo_copernicus.models.ssl4eo.weights import (
    SSL4EOS12BEiTSmall16_Weights,
    SSL4EOS12ResNet18_Weights,
    SSL4EOS12ResNet50_Weights,
    SSL4EOS12ViTBase16_Weights,
    SSL4EOS12ViTHuge14_Weights,
    SSL4EOS12ViTLarge16_Weights,
    SSL4EOS12ViTSmall16_Weights,
)

__all__ = (
    'ENTRIES',
    'Checkpoint',
    'Data2vecViT',
    'Entry',
    'SSL4EOS12BEiTSmall16_Weights',
    'SSL4EOS12ResNet18_Weights',
    'SSL4EOS12ResNet50_Weights',
    'SSL4EOS12ViTBase16_Weights',
    'SSL4EOS12ViTHuge14_Weights',
    'SSL4EOS12ViTLarge16_Weights',
    'SSL4EOS12ViTSmall16_Weights',
    'SSL4EOTransforms',
    'adapt_first_convolution',
    'read_checkpoint',
    'read_full',
    'ssl4eo_s12_beit_small_patch16_224',
    'ssl4eo_s12_resnet18',
    'ssl4eo_s12_resnet50',
    'ssl4eo_s12_vit_base_patch16_224',
    'ssl4eo_s12_vit_huge_patch14_224',
    'ssl4eo_s12_vit_large_patch16_224',
    'ssl4eo_s12_vit_small_patch16_224',
)
