"""What `encoder.py` compares: kinds of images, and encoders that take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torchgeo.models import CopernicusFM as TorchGeoCopernicusFM

from torchgeo_copernicus.metadata import token_area_km2
from torchgeo_copernicus.models import CopernicusFM
from torchgeo_copernicus.models.channels import Bands
from torchgeo_copernicus.sensors import S2_TOA, S3_OLCI, resolve_bands

_NORM = partial(nn.LayerNorm, eps=1e-6)
# Longitude and latitude (deg), days since 1970-01-01, and ground sampling distance (m).
_METADATA = (11.57, 48.14, 18262.0, 10.0)


@dataclass(frozen=True)
class Case:
    """One kind of image.

    Attributes:
        channels: Number of channels.
        size: Side (px).
        kernel_size: Patch side (px).
        bands: Spectral bands, or None for one variable with a language vector.
    """

    channels: int
    size: int
    kernel_size: int
    bands: Bands | None


CASES = {
    'S2': Case(13, 224, 16, S2_TOA),
    'S3': Case(21, 96, 8, S3_OLCI),
    'S5P': Case(1, 56, 4, None),
    'DEM': Case(1, 960, 64, None),
}


@dataclass(frozen=True)
class Candidate:
    """A model, and how it is called.

    Attributes:
        model: Has the parameters that are trained.
        run: From images to embeddings `[B, 768]`.
        embeddings: Parameters of the patch and metadata embeddings.
    """

    model: nn.Module
    run: Callable[[Tensor], Tensor]
    embeddings: tuple[nn.Parameter, ...]


def ours(case: Case, batch: int, device: torch.device) -> Candidate:
    """Return this package's encoder."""
    model = CopernicusFM().to(device)
    known, described = _metadata(batch, device), _described(case, device)

    def run(x: Tensor) -> Tensor:
        return model(x, known, kernel_size=case.kernel_size, **described)

    return Candidate(model, run, _embeddings(model))


def specialised(case: Case, batch: int, device: torch.device) -> Candidate:
    """Return the static copy of this package's encoder, for images without metadata."""
    model = (
        CopernicusFM()
        .to(device)
        .specialize(
            kernel_size=case.kernel_size,
            image_size=case.size,
            metadata='unknown',
            **_described(case, device),
        )
    )
    return Candidate(model, lambda x: model(x), tuple(model.patch_embed.parameters()))


def plain_vit(case: Case, batch: int, device: torch.device) -> Candidate:
    """Return timm's ViT-B with an ordinary patch convolution: the limit."""
    model = VisionTransformer(
        img_size=case.size,
        patch_size=case.kernel_size,
        in_chans=case.channels,
        num_classes=0,
        norm_layer=_NORM,
    ).to(device)
    # Fixed, as in the others.
    model.pos_embed.requires_grad_(False)
    return Candidate(model, lambda x: model(x), tuple(model.patch_embed.parameters()))


def torchgeo(case: Case, batch: int, device: torch.device) -> Candidate:
    """Return TorchGeo's Copernicus-FM of the same size, with the weights `ours` has.

    Raises:
        RuntimeError: If the weights do not fit.
    """
    model = TorchGeoCopernicusFM(
        embed_dim=768, depth=12, num_heads=12, global_pool=False, norm_layer=_NORM
    )
    torch.manual_seed(0)
    model.load_state_dict(CopernicusFM().state_dict())
    model = model.to(device)
    settings: dict[str, object] = {'kernel_size': case.kernel_size, 'input_mode': 'variable'}
    if case.bands is None:
        settings['language_embed'] = _vector(device)
    else:
        bands = resolve_bands(case.bands)
        settings |= {
            'input_mode': 'spectral',
            'wavelengths': [band.wavelength_nm for band in bands],
            'bandwidths': [band.bandwidth_nm for band in bands],
        }
    known = _metadata(batch, device)
    known[:, 3] = token_area_km2(known[:, 3], case.kernel_size)

    def run(x: Tensor) -> Tensor:
        return model(x, known, **settings)

    return Candidate(model, run, _embeddings(model))


CANDIDATES = {
    'ours': ours,
    'specialised': specialised,
    'plain ViT': plain_vit,
    'torchgeo': torchgeo,
}


def build(name: str, case: Case, batch: int, device: torch.device) -> Candidate:
    """Return a candidate, always with the same weights."""
    torch.manual_seed(0)
    return CANDIDATES[name](case, batch, device)


def images(case: Case, batch: int, device: torch.device) -> Tensor:
    """Return images, always the same."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, case.channels, case.size, case.size, generator=generator)
    return x.to(device)


def disagreement(case: Case) -> float:
    """Return the largest difference between our outputs and TorchGeo's: do they do the same work?"""
    device = torch.device('cpu')
    x = images(case, 1, device)
    with torch.inference_mode():
        outputs = []
        for name in ('ours', 'torchgeo'):
            candidate = build(name, case, 1, device)
            candidate.model.eval()
            outputs.append(candidate.run(x))
    return float((outputs[0] - outputs[1]).abs().max())


def _embeddings(model: nn.Module) -> tuple[nn.Parameter, ...]:
    return tuple(
        parameter
        for name, parameter in model.named_parameters()
        if name.startswith('patch_embed') or name.split('_')[0] in ('coord', 'scale', 'time')
    )


def _described(case: Case, device: torch.device) -> dict[str, object]:
    if case.bands is None:
        return {'language_embedding': _vector(device)}
    return {'bands': case.bands}


def _metadata(batch: int, device: torch.device) -> Tensor:
    return torch.tensor([_METADATA] * batch, device=device)


def _vector(device: torch.device) -> Tensor:
    return torch.randn(2048, generator=torch.Generator().manual_seed(0)).to(device)
