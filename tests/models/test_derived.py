"""Kept kernels and position tables: never stale, never in the way of a gradient, and really kept."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from tests.models.golden import language_vector
from torchgeo_copernicus.models import CopernicusFM, derived
from torchgeo_copernicus.models.channels import resolve_channels
from torchgeo_copernicus.models.derived import DerivedTensors
from torchgeo_copernicus.models.hypernetwork import DynamicPatchEmbed, KernelGenerator
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

VECTOR = language_vector(0)
S2 = {'bands': S2_TOA, 'kernel_size': 8}
VARIABLE = {'language_embedding': VECTOR, 'kernel_size': 8}
SPECTRAL = resolve_channels(bands=S2_TOA)
W1 = 'patch_embed_spectral.fclayer.w1.weight'


def encoder(seed: int = 0) -> CopernicusFM:
    torch.manual_seed(seed)
    return CopernicusFM(embed_dim=32, depth=1, num_heads=4).eval()


def images(channels: int = 13) -> Tensor:
    return torch.randn(2, channels, 32, 32, generator=torch.Generator().manual_seed(channels))


@torch.no_grad()
def output(model: nn.Module, **inputs: object) -> Tensor:
    inputs = inputs or S2
    channels = 1 if 'language_embedding' in inputs else 13
    return model(images(channels).to(next(model.parameters()).dtype), **inputs)


def fresh(model: CopernicusFM, **inputs: object) -> Tensor:
    """Return the output of a copy, which starts with nothing kept."""
    twin = copy.deepcopy(model)
    assert len(twin.kept_positions) == len(twin.patch_embed_spectral.kept_kernels) == 0
    return output(twin, **inputs)


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def differs(one: Tensor, other: Tensor, by: float = 1e-4) -> bool:
    return (one.double() - other.double()).abs().max().item() > by


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gives the number of channels of each call of a generator."""
    calls: list[int] = []
    forward = KernelGenerator.forward

    def counted(self: KernelGenerator, channels: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(len(channels))
        return forward(self, channels)

    monkeypatch.setattr(KernelGenerator, 'forward', counted)
    return calls


def _step(optimizer: type[torch.optim.Optimizer], **options: object) -> Callable:
    def edit(model: CopernicusFM) -> None:
        model(images(), **S2).square().sum().backward()
        optimizer(model.patch_embed_spectral.parameters(), lr=0.1, **options).step()

    return edit


def _assign(model: CopernicusFM) -> None:
    for parameter in model.patch_embed_spectral.parameters():
        parameter.data = parameter.data * 1.5


def _transpose(model: CopernicusFM) -> None:
    weight = model.get_parameter(W1)
    weight.data = weight.data.T


def _replace(model: CopernicusFM) -> None:
    layer = model.patch_embed_spectral.weight_generator.fc_bias
    layer.weight = nn.Parameter(layer.weight * 9)


def _adapt(model: CopernicusFM) -> None:
    # As LoRA does, behind all other parameters.
    layer = model.patch_embed_spectral.fclayer.w2
    layer.register_parameter('extra', nn.Parameter(torch.randn(128)))
    layer.register_forward_hook(lambda layer, inputs, out: out + layer.extra)


def _parametrise(model: CopernicusFM) -> None:
    layer = nn.utils.parametrizations.weight_norm(model.patch_embed_spectral.fclayer.w2)
    with torch.no_grad():
        layer.parametrizations.weight.original0.mul_(3)


EDITS: dict[str, Callable[[CopernicusFM], object]] = {
    'sgd': _step(torch.optim.SGD),
    'adamw, foreach': _step(torch.optim.AdamW, foreach=True),
    'adamw, fused': _step(torch.optim.AdamW, fused=True),
    'state dict loaded': lambda model: model.load_state_dict(encoder(1).state_dict()),
    'state dict assigned': lambda model: model.load_state_dict(
        encoder(1).state_dict(), assign=True
    ),
    'data assigned': _assign,
    'data transposed': _transpose,
    'parameter replaced': _replace,
    'parameter added': _adapt,
    'parametrised': _parametrise,
    'to bfloat16 and back': lambda model: model.bfloat16().float(),
    'position table in place': lambda model: model.pos_embed[:, 1:].mul_(-1),
    'position table replaced': lambda model: setattr(
        model, 'pos_embed', nn.Parameter(-model.pos_embed, requires_grad=False)
    ),
}


# A GPU is not asked for its values; what PyTorch does not count goes unseen there.
@pytest.mark.parametrize('name', EDITS)
@pytest.mark.parametrize('gpu', [False, True])
def test_an_edit_is_never_missed(name: str, gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if gpu:
        monkeypatch.setattr(derived, '_probe', lambda tensor: 0.0)
    model = encoder()
    before = output(model)
    EDITS[name](model)
    after = output(model)
    same(after, fresh(model))
    assert differs(after, before)
    same(output(model), after)


def test_values_written_past_pytorch_are_seen_on_the_cpu() -> None:
    model = encoder()
    before = output(model)
    for parameter in model.patch_embed_spectral.parameters():
        parameter.data.mul_(1.5)
    same(output(model), fresh(model))
    assert differs(output(model), before)


@pytest.mark.parametrize('channels', [SPECTRAL, resolve_channels(language_embedding=VECTOR)])
@torch.no_grad()
def test_no_parameter_of_a_generator_is_forgotten(channels: object) -> None:
    def kernels(embed: DynamicPatchEmbed) -> Tensor:
        return torch.cat([part.flatten() for part in embed.kernels_of(channels, 16)])

    embed = encoder().embedding_of(channels)
    parameters = dict(embed.named_parameters())
    assert len(parameters) > 20
    for name, parameter in parameters.items():
        before = kernels(embed)
        parameter += torch.randn(parameter.shape)
        assert torch.equal(kernels(embed), kernels(copy.deepcopy(embed))), name
        assert differs(kernels(embed), before, 1e-6), name


def test_kernels_follow_a_change_of_dtype() -> None:
    model = encoder()
    before, double = output(model), output(model.double())
    assert double.dtype == torch.float64
    same(double, fresh(model))
    same(double.float(), before)


def test_a_vector_changed_in_place_is_not_taken_for_the_old_one() -> None:
    model, inputs = encoder(), VARIABLE | {'language_embedding': VECTOR.clone()}
    before = output(model, **inputs)
    inputs['language_embedding'].mul_(-3)
    same(output(model, **inputs), fresh(model, **inputs))
    assert differs(output(model, **inputs), before)


def test_rows_taken_otherwise_out_of_the_same_vectors_are_other_channels() -> None:
    # Same address, shape and version; the sum of what is compared on the CPU is the same as well.
    kept, table = DerivedTensors(), torch.arange(4.0).view(2, 2)
    for rows in (table, table.T):
        assert torch.equal(kept.get('key', [rows], lambda rows=rows: (rows * 2,))[0], rows * 2)


def test_copies_and_pickles_follow_their_own_parameters() -> None:
    model = encoder()
    before = output(model)
    pickled = pickle.dumps(model)
    assert len(pickled) < len(pickle.dumps(encoder())) + 1000
    for twin in (copy.deepcopy(model), pickle.loads(pickled), copy.deepcopy(copy.copy(model))):
        same(output(twin), before)
        _replace(twin)
        assert differs(output(twin), before)
        same(output(twin), fresh(twin))
    same(output(model), before)


def test_parameters_lent_by_functional_call_are_used_and_given_back() -> None:
    model, other = encoder(), encoder(1)
    before, expected = output(model), output(other)
    lent = {name: parameter.detach() for name, parameter in other.named_parameters()}
    with torch.no_grad():
        same(torch.func.functional_call(model, lent, (images(),), S2), expected)
    assert differs(expected, before)
    same(output(model), before)


def test_an_ensemble_by_vmap_uses_the_parameters_of_each_member() -> None:
    members = [encoder(), encoder(1)]
    expected, x = [output(member) for member in members], images()
    call = torch.func.vmap(lambda *state: torch.func.functional_call(members[0], state, (x,), S2))
    with torch.no_grad():
        found = call(*torch.func.stack_module_state(members))
    torch.testing.assert_close(found, torch.stack(expected), rtol=0, atol=1e-5)
    assert differs(found[0], found[1])
    same(output(members[0]), expected[0])


def test_tangents_of_forward_mode_are_not_dropped() -> None:
    embed, name = encoder().patch_embed_spectral.requires_grad_(False), 'weight_generator.fc_bias'
    inputs, layer = (torch.zeros(1, 13, 16, 16), SPECTRAL, 16), embed.weight_generator.fc_bias
    bias = embed(*inputs)[0, :, 0, 0]
    with forward_ad.dual_level():
        lent = {f'{name}.weight': forward_ad.make_dual(layer.weight, layer.weight)}
        found = forward_ad.unpack_dual(torch.func.functional_call(embed, lent, inputs)).tangent
    # A black image gives the bias, which is linear in the weight.
    same(found[0, :, 0, 0], bias - 0.01 * layer.bias)


@pytest.mark.parametrize('training', [True, False])
def test_a_gradient_reaches_the_generator_after_kernels_were_kept(training: bool) -> None:
    models = [encoder(), encoder()]
    output(models[0])
    assert len(models[0].patch_embed_spectral.kept_kernels) == 1
    for model in models:
        model.train(training)(images(), **S2).square().sum().backward()
    grads = [model.get_parameter(W1).grad for model in models]
    assert grads[0].any()
    same(*grads)


def test_a_learned_language_vector_gets_a_gradient_from_a_frozen_encoder() -> None:
    model, vector = encoder(), VECTOR.clone().requires_grad_()
    model.freeze()
    output(model, language_embedding=vector, kernel_size=8)
    model(images(1), language_embedding=vector, kernel_size=8).square().sum().backward()
    assert vector.grad is not None and vector.grad.any()


def test_frozen_kernels_are_generated_once_in_training_too(generated: list[int]) -> None:
    model = encoder().train()
    expected = fresh(model)
    generated.clear()
    model.freeze()
    for _ in range(3):
        same(model(images(), **S2), expected)
    assert generated == [13]


def test_kernels_made_in_inference_mode_take_part_in_a_backward_pass() -> None:
    model, x = encoder().requires_grad_(False), images().requires_grad_()
    with torch.inference_mode():
        expected = model(images(), **S2).clone()
    assert len(model.patch_embed_spectral.kept_kernels) == 1
    out = model(x, **S2)
    out.square().sum().backward()
    same(out, expected)
    assert x.grad is not None and x.grad.any()


def test_an_encoder_born_in_inference_mode_is_followed() -> None:
    with torch.inference_mode():
        model = encoder()
        before = output(model).clone()
        model.get_parameter(W1)[0].add_(5)
        assert differs(output(model), before)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_leaves_no_rounded_kernels_behind(dtype: torch.dtype) -> None:
    model = encoder()
    for _ in range(2):
        with torch.autocast('cpu', dtype):
            rounded = output(model)
        exact = output(model)
        same(exact, fresh(encoder()))
        assert differs(rounded, exact)
    with torch.autocast('cpu', dtype):
        same(output(model), fresh(encoder()))


def test_inputs_by_turns_get_their_own_kernels(generated: list[int]) -> None:
    model = encoder()
    turns: list[dict] = [S2, S2 | {'kernel_size': 4}, S2 | {'bands': S2_TOA.bands[::-1]}]
    turns += [VARIABLE, VARIABLE | {'language_embedding': language_vector(1)}]
    expected = [fresh(model, **inputs) for inputs in turns]
    for number, one in enumerate(expected):
        assert all(differs(one, other) for other in expected[:number])
    generated.clear()
    for _ in range(3):
        for inputs, one in zip(turns, expected, strict=True):
            same(output(model, **inputs), one)
    assert generated == [13, 13, 13, 1, 1]


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    kept, source, made = DerivedTensors(2), torch.ones(1), []

    def get(key: int) -> None:
        (found,) = kept.get(key, [source], lambda: (made.append(key) or source * key,))
        assert found.item() == key

    for key in (1, 2, 1, 3, 1, 2):
        get(key)
        assert len(kept) <= 2
    assert made == [1, 2, 3, 2]
    kept.clear()
    get(2)
    assert made[-1] == 2 and len(made) == 5
    model = encoder()
    for side in range(16, 64, 2):
        with torch.no_grad():
            model(torch.zeros(1, 2, side, side), bands=S1_GRD, kernel_size=2)
    assert len(model.kept_positions) == 16


def test_a_thread_that_forgets_does_not_stop_another(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, source = DerivedTensors(), torch.ones(1)
    # Comes between the look into the memory and the return.
    monkeypatch.setattr(derived, '_probe', lambda tensor: kept.clear())
    for _ in range(2):
        assert kept.get('key', [source], lambda: (source,))[0] is source
