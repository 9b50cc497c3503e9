"""Layer-wise rates, stochastic depth, freezing of blocks, gradient checkpointing, finer tokens."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from torchgeo_copernicus.models import CopernicusFM, layer_decay_groups
from torchgeo_copernicus.sensors import S2_TOA

DEPTH = 4


def encoder(**arguments: object) -> CopernicusFM:
    torch.manual_seed(0)
    return CopernicusFM(embed_dim=32, depth=DEPTH, num_heads=4, **arguments)  # type: ignore[arg-type]


def x(batch: int = 2) -> Tensor:
    return torch.randn(batch, 13, 32, 32, generator=torch.Generator().manual_seed(batch))


def rates(model: nn.Module, **arguments: float) -> dict[str, tuple[float, float]]:
    settings = {'lr': 1.0, 'layer_decay': 0.5, 'weight_decay': 0.1} | arguments
    found = {}
    names = {parameter: name for name, parameter in model.named_parameters()}
    for group in layer_decay_groups(model, **settings):
        assert isinstance(group['params'], list)
        assert isinstance(group['lr'], float)
        assert isinstance(group['weight_decay'], float)
        for parameter in group['params']:
            assert names[parameter] not in found
            found[names[parameter]] = (group['lr'], group['weight_decay'])
    return found


def test_rates_fall_towards_the_pixels() -> None:
    model = nn.Sequential(encoder(), nn.Linear(32, 3))
    found = rates(model)
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    assert set(found) == learns
    assert found['1.weight'] == (1.0, 0.1)
    for block in range(DEPTH):
        assert found[f'0.blocks.{block}.attn.qkv.weight'][0] == 0.5 ** (DEPTH - block)
    for name in (
        'coord_fc.weight',
        'cls_token',
        'patch_embed_spectral.weight_generator.fc_weight.weight',
    ):
        assert found[f'0.{name}'][0] == 0.5 ** (DEPTH + 1)
    assert found['0.norm.weight'][0] == found[f'0.blocks.{DEPTH - 1}.attn.qkv.weight'][0]


def test_an_encoder_with_a_head_has_the_same_rates() -> None:
    found = rates(encoder(num_classes=3))
    assert found['head.weight'][0] == 1.0
    assert found['blocks.3.attn.qkv.weight'][0] == 0.5


def test_biases_norms_and_tokens_do_not_decay() -> None:
    found = rates(nn.Sequential(encoder(), nn.Linear(32, 3)))
    for name in (
        '0.cls_token',
        '0.coord_token',
        '0.blocks.0.norm1.weight',
        '0.norm.bias',
        '1.bias',
    ):
        assert found[name][1] == 0.0, name
    assert found['0.blocks.0.mlp.fc1.weight'][1] == 0.1


def test_frozen_parameters_are_left_out() -> None:
    model = encoder(num_classes=3)
    model.freeze(2)
    assert not any(name.startswith(('blocks.0', 'blocks.1', 'cls')) for name in rates(model))


@pytest.mark.parametrize('decay', [0.0, -1.0, 1.1])
def test_a_factor_that_is_none_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match='layer_decay is'):
        layer_decay_groups(encoder(), 1.0, decay, 0.1)


def test_no_encoder_is_refused() -> None:
    with pytest.raises(ValueError, match='found 0'):
        layer_decay_groups(nn.Linear(2, 2), 1.0, 0.5, 0.1)


def test_paths_are_dropped_in_training_only_and_more_in_later_blocks() -> None:
    model = encoder(drop_path=0.6)
    shares = [getattr(block.drop_path1, 'drop_prob', 0.0) for block in model.blocks]
    assert shares == pytest.approx([0.0, 0.2, 0.4, 0.6])
    plain = encoder()
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(x(), bands=S2_TOA), plain.eval()(x(), bands=S2_TOA))
        trained = model.train()(x(8), bands=S2_TOA)
        assert not torch.allclose(trained, plain.train()(x(8), bands=S2_TOA), atol=1e-3)


@pytest.mark.parametrize('share', [-0.1, 1.0])
def test_a_drop_path_that_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match='drop_path is'):
        encoder(drop_path=share)


@pytest.mark.parametrize('blocks', [0, 2, DEPTH])
def test_only_what_comes_after_the_frozen_blocks_learns(blocks: int) -> None:
    model = encoder(num_classes=3, drop_path=0.5)
    model.freeze(blocks)
    learns = {name.split('.')[0] for name, p in model.named_parameters() if p.requires_grad}
    assert learns == {'head', 'norm'} | ({'blocks'} if blocks < DEPTH else set())
    model.train()
    assert [block.training for block in model.blocks] == [i >= blocks for i in range(DEPTH)]
    model(x(), bands=S2_TOA).sum().backward()
    for index, block in enumerate(model.blocks):
        assert all((p.grad is not None) == (index >= blocks) for p in block.parameters())


def test_freezing_it_all_leaves_the_head() -> None:
    model = encoder(num_classes=3)
    model.freeze()
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        'head.weight',
        'head.bias',
    }


@pytest.mark.parametrize('blocks', [-1, DEPTH + 1])
def test_blocks_that_are_not_there_cannot_be_frozen(blocks: int) -> None:
    with pytest.raises(ValueError, match=f'n_blocks is {blocks}'):
        encoder().freeze(blocks)


def test_recomputing_activations_changes_no_gradient() -> None:
    gradients = []
    for enable in (False, True):
        model = encoder()
        model.set_grad_checkpointing(enable)
        model(x(), bands=S2_TOA).sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 0
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


@torch.no_grad()
def test_half_the_kernel_gives_twice_as_many_tokens_a_side_of_half_the_size() -> None:
    model = encoder().eval()
    fine, coarse = (
        model.forward_intermediates(x(), bands=S2_TOA, kernel_size=kernel, indices=[0])[0]
        for kernel in (8, 16)
    )
    assert fine.shape == (2, 32, 4, 4)
    assert coarse.shape == (2, 32, 2, 2)
    # A token of 8 px at 20 m covers the ground of one of 16 px at 10 m.
    near, far = (torch.tensor([[11.0, 48.0, 18262.0, gsd]]) for gsd in (10.0, 20.0))
    assert torch.equal(model.encode_metadata(far, 1, 8), model.encode_metadata(near, 1, 16))
    assert not torch.equal(model.encode_metadata(near, 1, 8), model.encode_metadata(near, 1, 16))
