"""Copernicus data and models for TorchGeo and TerraTorch.

Importing this package is light: it loads neither torch nor TerraTorch. It makes both hosts know the
models here, whichever is imported first.
"""

from torchgeo_copernicus.plugin import install

__version__ = '0.1.0.dev0'
__all__ = ('__version__',)

install()
