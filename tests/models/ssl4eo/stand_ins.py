"""Narrow networks, and a cache without a network behind it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import timm
import torch

from tests.models.ssl4eo import released
from torchgeo_copernicus.models.ssl4eo import architecture, fetching
from torchgeo_copernicus.models.ssl4eo.data2vec import Data2vecViT


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all architectures but ResNet-18 be built narrow, at their real depth."""
    original = timm.create_model

    def create(name: str, **options: object) -> torch.nn.Module:
        size = released.SMALL[name]
        if size.heads:
            options |= {'embed_dim': size.width, 'num_heads': size.heads}
        elif name == 'resnet50':
            options |= {'base_width': size.width}
        return original(name, **options)

    beit = released.SMALL['beit_small_patch16_224']
    narrow = partial(Data2vecViT, embed_dim=beit.width, num_heads=beit.heads)
    monkeypatch.setattr(timm, 'create_model', create)
    monkeypatch.setattr(architecture, 'Data2vecViT', narrow)


def offline_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return torch hub's cache, empty and with no network behind it."""
    cache = folder / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(cache.parent))

    def offline(*_: object, **__: object) -> None:
        raise ConnectionError('no network in tests')

    monkeypatch.setattr(fetching, 'get_hf_file_metadata', offline)
    monkeypatch.setattr(fetching, 'fetch_from_drive', offline)
    return cache
