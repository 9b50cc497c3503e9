"""Compiled and exported encoders: one graph, the same numbers, and never the numbers of older weights."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.export import Dim

from tests.models.golden import language_vector
from tests.models.test_language import FILE, vectors
from torchgeo_copernicus.models import CopernicusFM, derived
from torchgeo_copernicus.models.kernel_resize import resize_matrix
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

NAN = float('nan')
HERE = (11.57, 48.14, 18262.0, 10.0)
THERE = (-122.42, 37.77, 18627.0, 20.0)
NAMES = list(S2_TOA.band_names)
W1 = 'patch_embed_spectral.fclayer.w1.weight'


@pytest.fixture(autouse=True)
def nothing_compiled_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch._dynamo.reset()
    # pytest would record thousands of lines of it.
    monkeypatch.setattr(logging.getLogger('torch.__trace'), 'disabled', True)
    yield
    torch._dynamo.reset()


def encoder(seed: int = 0, depth: int = 1, **arguments: Any) -> CopernicusFM:
    torch.manual_seed(seed)
    return CopernicusFM(embed_dim=32, depth=depth, num_heads=4, **arguments).eval()


def images(batch: int = 2, channels: int = 13) -> Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, channels, 32, 32, generator=generator)


def metadata(batch: int = 2) -> Tensor:
    rows = (HERE, THERE, (NAN,) * 4, (NAN, 48.0, 18000.0, 10.0))
    return torch.tensor([rows[index % 4] for index in range(batch)])


def compiled(function: Callable, backend: Any = 'eager', dynamic: bool | None = None) -> Callable:
    return torch.compile(function, fullgraph=True, backend=backend, dynamic=dynamic)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('kernel_size', 'dynamic'), [(16, True), (8, None), (4, True)])
@torch.no_grad()
def test_a_compiled_encoder_is_the_same_for_every_batch_and_metadata(
    kernel_size: int, dynamic: bool | None
) -> None:
    model = encoder()
    fast = compiled(model, dynamic=dynamic)
    for batch in (2, 3, 5, 1):
        x, rows = images(batch), metadata(batch)
        inputs = {'bands': S2_TOA, 'kernel_size': kernel_size}
        for known in (rows, None, rows.roll(1, 0)):
            close(fast(x, known, **inputs), model(x, known, **inputs))
    assert not torch.allclose(fast(x, rows, **inputs), fast(x, None, **inputs))


@torch.no_grad()
def test_compiled_kernel_sizes_and_bands_are_not_mixed_up() -> None:
    model = encoder()
    fast = compiled(model, dynamic=True)
    seen: list[Tensor] = []
    for bands in (S2_TOA, NAMES[::-1]):
        for kernel_size in (16, 8, 4, 16):
            inputs = {'bands': bands, 'kernel_size': kernel_size}
            seen.append(fast(images(), metadata(), **inputs))
            close(seen[-1], model(images(), metadata(), **inputs))
    close(seen[0], seen[3])
    close(seen[4], seen[7])
    distinct = [*seen[:3], *seen[4:7]]
    for number, one in enumerate(distinct):
        assert not any(torch.allclose(one, other) for other in distinct[:number])


@torch.no_grad()
def test_inductor_gives_the_same() -> None:
    model = encoder()
    fast = torch.compile(model, fullgraph=True, dynamic=True)
    for batch in (2, 3):
        x, rows = images(batch), metadata(batch)
        close(
            fast(x, rows, bands=S2_TOA, kernel_size=8), model(x, rows, bands=S2_TOA, kernel_size=8)
        )


@torch.no_grad()
def test_compiled_language_vectors_are_inputs_not_constants() -> None:
    model, inputs = encoder(), {'kernel_size': 8}
    fast, seen = compiled(model), []
    for vector in (language_vector(0), language_vector(1)):
        seen.append(fast(images(channels=1), language_embedding=vector, **inputs))
        close(seen[-1], model(images(channels=1), language_embedding=vector, **inputs))
    assert not torch.allclose(*seen)
    both = torch.stack([language_vector(0), language_vector(1)])
    found = fast(images(channels=2), language_embedding=both, **inputs)
    close(found, model(images(channels=2), language_embedding=both, **inputs))
    with pytest.raises(RuntimeError, match='all zero, or not finite'):
        fast(images(channels=1), language_embedding=torch.zeros(2048), **inputs)


@torch.no_grad()
def test_compiled_names_of_variables_give_their_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    (tmp_path / 'checkpoints').mkdir()
    made_up = {name: language_vector(j) for j, name in enumerate(vectors())}
    torch.save(made_up, tmp_path / 'checkpoints' / FILE)
    model = encoder()
    fast = compiled(model)
    # Read for the first time while a graph is traced; the vectors must be real ones later too.
    for inputs, j in (({'language_embedding': 's5p_no2'}, 1), ({'bands': ['DEM']}, 4)):
        expected = model(images(channels=1), language_embedding=language_vector(j))
        close(fast(images(channels=1), **inputs), expected)
        close(model(images(channels=1), **inputs), expected)


@torch.no_grad()
def test_compiled_features_and_intermediates_are_the_same() -> None:
    model = encoder(depth=2)
    x, rows, inputs = images(), metadata(), {'bands': S2_TOA, 'kernel_size': 8}
    features = compiled(model.forward_features)(x, rows, **inputs)
    close(features, model.forward_features(x, rows, **inputs))
    found = compiled(model.forward_intermediates)(x, rows, indices=(-1, 0), **inputs)
    expected = model.forward_intermediates(x, rows, indices=(-1, 0), **inputs)
    for one, other in zip(found, expected, strict=True):
        close(one, other)


@pytest.mark.parametrize('checkpointing', [False, True])
def test_compiled_training_has_the_same_gradients(checkpointing: bool) -> None:
    model = encoder(depth=2).train()
    model.set_grad_checkpointing(checkpointing)
    grads = []
    for run in (model, compiled(model, 'aot_eager')):
        model.zero_grad()
        out = run(images(), metadata(), bands=S2_TOA, kernel_size=8)
        (out * torch.linspace(-1, 1, 32)).sum().backward()
        grads.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    assert any(name.startswith('patch_embed_spectral') for name in grads[0])
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-3, atol=1e-6, msg=name)


@torch.no_grad()
def test_weights_changed_after_compilation_are_followed() -> None:
    model, inputs = encoder(), {'bands': S2_TOA, 'kernel_size': 8}
    # Kernels are kept now; the graph must not hold them.
    before = model(images(), metadata(), **inputs)
    fast = compiled(model, 'aot_eager')
    close(fast(images(), metadata(), **inputs), before)
    model.load_state_dict(encoder(1).state_dict())
    model.pos_embed[:, 1:].neg_()
    after = fast(images(), metadata(), **inputs)
    close(after, model(images(), metadata(), **inputs))
    assert not torch.allclose(after, before, atol=1e-3)


def test_kernels_kept_before_compiled_training_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As on a GPU, which is not asked for its values; PyTorch does not count the steps of fused optimizers.
    monkeypatch.setattr(derived, '_probe', lambda tensor: 0.0)
    model, inputs = encoder(), {'bands': S2_TOA, 'kernel_size': 8}
    with torch.no_grad():
        before = model(images(), **inputs)
    compiled(model.train())(images(), **inputs).square().sum().backward()
    torch.optim.AdamW(model.patch_embed_spectral.parameters(), lr=0.1, fused=True).step()
    with torch.no_grad():
        after = model.eval()(images(), **inputs)
        close(after, copy.deepcopy(model)(images(), **inputs))
    assert not torch.allclose(after, before, atol=1e-3)


@torch.no_grad()
def test_compiled_autocast_generates_the_same_kernels_as_eager() -> None:
    embed = encoder().patch_embed_spectral
    descriptions = torch.randn(3, 128)
    expected, _ = embed.kernels(descriptions, 8)
    with torch.autocast('cpu', torch.bfloat16):
        found, _ = compiled(embed.kernels, 'aot_eager')(descriptions, 8)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize('training', [False, True])
def test_no_graph_breaks_and_no_pseudo_inverse_in_the_graph(training: bool) -> None:
    model = encoder().train(training)
    explained = torch._dynamo.explain(model)(images(), metadata(), bands=S2_TOA, kernel_size=8)
    assert explained.graph_break_count == 0
    assert explained.graph_count == 1
    graph: fx.GraphModule = explained.graphs[0]
    assert 'conv2d' in graph.code
    for once in ('pinv', 'logspace', 'eye'):
        assert once not in graph.code


@pytest.mark.parametrize('backend', ['eager', 'aot_eager'])
@torch.no_grad()
def test_compiled_metadata_out_of_range_raises(backend: str) -> None:
    fast = compiled(encoder(), backend)
    fast(images(), metadata(), bands=S2_TOA)
    for field, value in enumerate((400.0, 148.0, 1.6e9, 0.0256)):
        wrong = metadata()
        wrong[1, field] = value
        with pytest.raises(RuntimeError, match='metadata is out of range'):
            fast(images(), wrong, bands=S2_TOA)


def exported(
    model: nn.Module, rows: Tensor | None, strict: bool, **inputs: Any
) -> torch.export.ExportedProgram:
    batch = {0: Dim.DYNAMIC}
    shapes = {'x': batch, 'metadata': None if rows is None else batch}
    shapes |= {'bands': [None] * 13} | dict.fromkeys(inputs.keys() - {'bands'})
    return torch.export.export(
        model, (images(), rows), inputs, dynamic_shapes=shapes, strict=strict
    )


@pytest.mark.parametrize('strict', [True, False])
@pytest.mark.parametrize('known', [True, False])
@torch.no_grad()
def test_an_exported_encoder_is_the_same_for_every_batch(strict: bool, known: bool) -> None:
    model, inputs = encoder(), {'bands': NAMES, 'kernel_size': 8}
    # Kernels are kept now; the graph must not hold them.
    model(images(), metadata(), **inputs)
    program = exported(model, metadata() if known else None, strict, **inputs)
    for batch in (2, 3, 1):
        rows = metadata(batch) if known else None
        found = program.module()(images(batch), rows, **inputs)
        close(found, model(images(batch), rows, **inputs))
    assert 'pinv' not in program.graph_module.code
    # Weights, not kernels that were made once and for all.
    used = {name for name in program.state_dict if name.startswith('patch_embed_spectral.')}
    assert used <= set(program.graph_signature.parameters) and len(used) > 20 and W1 in used
    if known:
        wrong = metadata()
        wrong[0, 1] = 148
        with pytest.raises(RuntimeError, match='metadata is out of range'):
            program.module()(images(), wrong, **inputs)


@pytest.mark.parametrize('known', ['input', 'unknown'])
@torch.no_grad()
def test_a_specialised_encoder_compiles_whole(known: str) -> None:
    model = encoder().specialize(S2_TOA, 8, 32, known)
    fast = compiled(model, dynamic=True)
    for batch in (2, 3):
        inputs = (images(batch), metadata(batch))[: 1 + (known == 'input')]
        close(fast(*inputs), model(*inputs))
    if known == 'input':
        wrong = metadata()
        wrong[0, 1] = 148
        with pytest.raises(RuntimeError, match='metadata is out of range'):
            fast(images(), wrong)


def test_the_pseudo_inverse_is_computed_once_per_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, pinv = [], torch.linalg.pinv
    monkeypatch.setattr(torch.linalg, 'pinv', lambda m: (sizes.append(m.shape[1]), pinv(m))[1])
    model = encoder().train()
    # Sizes no other test uses.
    for kernel_size in (7, 9, 7, 9):
        model(torch.zeros(1, 2, 32, 32), bands=S1_GRD, kernel_size=kernel_size)
    assert sizes == [7**2, 9**2]


def test_a_constant_first_needed_under_a_transform_is_an_ordinary_tensor() -> None:
    device = torch.device('cpu')
    torch.func.grad(lambda x: (x * resize_matrix(11, device)).sum())(torch.ones(()))
    assert resize_matrix(11, device).numpy().shape == (11**2, 256)
