"""The forward pass never waits for a GPU; seen without one, on tensors that hold no values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from torchgeo_copernicus.models import (
    CopernicusFM,
    Modality,
    MultiModalCopernicusFM,
    constant,
    resolve_channels,
)
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

# Not the first one, whose constants a real GPU may need later in this process.
GPU = torch.device('cuda', 7)


class Crossings(TorchDispatchMode):
    """Notes every operation that the host has a part in."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(isinstance(t, Tensor) and t.device.type == 'cpu' for t in (*args, out)):
            self.found.append(str(func))
        return out


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[CopernicusFM]:
    """An encoder on a GPU that need not be there."""
    # Constants would be made on a real one.
    monkeypatch.setattr(constant, '_disable_current_modes', nullcontext)
    with torch.device('meta'):
        model = CopernicusFM(embed_dim=32, depth=2, num_heads=4).eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield model.to_empty(device=GPU)


def crossings(model: nn.Module, *inputs: object, **settings: object) -> list[str]:
    model(*inputs, **settings)  # Constants come to the GPU once.
    with Crossings() as seen:
        model(*inputs, **settings)
    return seen.found


@pytest.mark.parametrize('kernel_size', [16, 8])
@pytest.mark.parametrize('known', [True, False])
@pytest.mark.parametrize('learns', [True, False])
def test_the_encoder_does_not_wait(
    encoder: CopernicusFM, kernel_size: int, known: bool, learns: bool
) -> None:
    x, metadata = torch.empty(2, 13, 64, 64, device=GPU), torch.empty(2, 4, device=GPU)
    with torch.set_grad_enabled(learns):
        told = metadata if known else None
        assert not crossings(encoder, x, told, bands=S2_TOA, kernel_size=kernel_size)


def test_variables_do_not_wait(encoder: CopernicusFM) -> None:
    vector = torch.empty(1, 2048, device=GPU)
    x = torch.empty(2, 1, 16, 16, device=GPU)
    assert not crossings(encoder, x, language_embedding=vector, kernel_size=4)


@pytest.mark.parametrize('fusion', ['mean', 'concat', 'token', 'dict'])
def test_several_modalities_do_not_wait(encoder: CopernicusFM, fusion: str) -> None:
    modalities = {
        'S1': Modality(resolve_channels(S1_GRD), 16),
        'S2': Modality(resolve_channels(S2_TOA), 8),
    }
    model = MultiModalCopernicusFM(encoder, modalities, fusion)  # type: ignore[arg-type]
    x = {name: torch.empty(2, n, 32, 32, device=GPU) for name, n in (('S1', 2), ('S2', 13))}
    present = {'S1': torch.empty(2, dtype=torch.bool, device=GPU)}
    metadata = torch.empty(2, 4, device=GPU)
    assert not crossings(model, x, metadata, present, (0, 1))


def test_this_test_would_notice_waiting(encoder: CopernicusFM) -> None:
    class Waits(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1 if bool((x > 0).any()) else x

    class Copies(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.ones(2, 2).to(x.device)

    with pytest.raises(DataDependentOutputException):
        crossings(Waits(), torch.empty(2, 2, device=GPU))
    assert crossings(Copies(), torch.empty(2, 2, device=GPU))
