"""The BEiT of data2vec: any image size, and timm's where that can be asked."""

from __future__ import annotations

import pytest
import torch
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table
from timm.models.beit import Beit
from torch import Tensor

from tests.models.ssl4eo import reference, released
from torchgeo_copernicus.models.ssl4eo import ENTRIES, Data2vecViT
from torchgeo_copernicus.models.ssl4eo.relative_position import RelativePositionBias

ENTRY = ENTRIES['ssl4eo_s12_vits16_s2_data2vec']
SIZE = released.Size(12, 2, depth=2, patch=4, grid=5)


def model(**options: object) -> Data2vecViT:
    found = Data2vecViT(
        patch_size=4, grid_size=5, embed_dim=12, depth=2, num_heads=2, **options
    ).eval()  # type: ignore[arg-type]
    found.load_state_dict(released.encoder(ENTRY, SIZE), strict='num_classes' not in options)
    return found


def image(height: int = 20, width: int = 20) -> Tensor:
    return torch.rand(2, 13, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize('norm', [False, True])
def test_maps_are_those_of_the_network_written_by_hand(norm: bool) -> None:
    expected = reference.maps_of(ENTRY, released.encoder(ENTRY, SIZE), SIZE, image(), [0, 1], norm)
    found = model().forward_intermediates(image(), [0, 1], norm=norm)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_timm_loads_the_same_tensors_and_agrees() -> None:
    theirs = Beit(
        img_size=20,
        patch_size=4,
        in_chans=13,
        num_classes=0,
        global_pool='token',
        embed_dim=12,
        depth=2,
        num_heads=2,
        init_values=1e-4,
        use_abs_pos_emb=False,
        use_shared_rel_pos_bias=True,
    ).eval()
    theirs.load_state_dict(model().state_dict())
    torch.testing.assert_close(model()(image()), theirs(image()), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(('height', 'width'), [(12, 20), (4, 8), (16, 12)])
def test_a_smaller_image_keeps_the_bias_of_each_distance(height: int, width: int) -> None:
    x = image(height, width)
    expected = reference.maps_of(ENTRY, released.encoder(ENTRY, SIZE), SIZE, x, [1])[0]
    found = model().forward_intermediates(x, [1])[0]
    assert found.shape == (2, 12, height // 4, width // 4)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.filterwarnings('ignore::UserWarning')  # Of timm's interpolation.
@pytest.mark.parametrize('grid', [(15, 15), (16, 20), (32, 32), (40, 18)])
def test_a_larger_table_is_that_of_the_fine_tuning_of_beit(grid: tuple[int, int]) -> None:
    bias = RelativePositionBias(14, 3)
    bias.relative_position_bias_table.copy_(torch.randn(732, 3))
    rows = (2 * grid[0] - 1) * (2 * grid[1] - 1) + 3
    theirs = resize_rel_pos_bias_table(bias.relative_position_bias_table, grid, (rows, 3))
    found = bias.table_of(*grid)
    torch.testing.assert_close(found, theirs, atol=1e-3, rtol=1e-3)  # Theirs stops at 1e-6.
    # Class token.
    assert torch.equal(found[-3:], bias.relative_position_bias_table[-3:])


@torch.no_grad()
def test_a_side_of_the_pretrained_size_is_not_interpolated() -> None:
    # timm's progression moves it a little.
    bias = RelativePositionBias(14, 3)
    bias.relative_position_bias_table.copy_(torch.randn(732, 3))
    table = bias.relative_position_bias_table[:-3].unflatten(0, (27, 27))
    wide = bias.table_of(14, 20)[:-3].unflatten(0, (27, 39))
    torch.testing.assert_close(wide[:, 19], table[:, 13])  # Straight up and down.


def test_the_table_learns_from_images_of_other_sizes() -> None:
    bias = RelativePositionBias(5, 3)
    for grid in ((3, 4), (7, 9)):
        bias(*grid).sum().backward()
        gradient = bias.relative_position_bias_table.grad
        assert gradient is not None
        assert gradient.abs().sum() > 0
        bias.zero_grad()


def test_a_bias_made_in_inference_mode_can_be_trained_later() -> None:
    # Tensors that are kept between calls must not belong to the mode they were made in.
    bias = RelativePositionBias(4, 2)
    with torch.inference_mode():
        bias(3, 11)
    bias(3, 11).sum().backward()


def test_a_default_device_does_not_get_into_what_is_kept() -> None:
    bias = RelativePositionBias(4, 2)
    with torch.device('meta'):
        expected = bias(2, 13), bias(13, 2)
        assert RelativePositionBias(4, 2)(3, 13).is_meta
    assert all(torch.equal(a, b) for a, b in zip((bias(2, 13), bias(13, 2)), expected, strict=True))


def test_fresh_weights_begin_as_in_beit() -> None:
    fresh = Data2vecViT(embed_dim=12, depth=2, num_heads=2, num_classes=3)
    state = fresh.state_dict()
    assert torch.equal(state['blocks.1.gamma_2'], torch.full((12,), 1e-4))
    assert not state['rel_pos_bias.relative_position_bias_table'].any()
    assert state['cls_token'].std() > 0
    assert fresh(torch.rand(1, 13, 32, 48)).shape == (1, 3)
    assert state['rel_pos_bias.relative_position_bias_table'].shape == (732, 2)


@torch.no_grad()
def test_both_poolings_use_the_pretrained_norm() -> None:
    tokens = reference.tokens_of(ENTRY, released.encoder(ENTRY, SIZE), SIZE, image())[-1]
    normed = reference._layer_norm(tokens, released.encoder(ENTRY, SIZE), 'norm')
    for pool, expected in (('token', normed[:, 0]), ('avg', normed[:, 1:].mean(dim=1))):
        found = model(global_pool=pool)(image())
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="global_pool is 'max'"):
        model(global_pool='max')


def test_recomputing_activations_changes_no_gradient() -> None:
    gradients = []
    for recompute in (False, True):
        network = model(num_classes=2).train()
        torch.nn.init.ones_(network.head.weight)
        network.set_grad_checkpointing(recompute)
        network(image()).square().sum().backward()
        gradients.append([p.grad for p in network.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_mixed_precision_runs() -> None:
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = model().forward_intermediates(image())
    assert len(found) == 2
    assert found[0].isfinite().all()


def test_a_remainder_of_the_image_is_not_dropped() -> None:
    with pytest.raises(ValueError, match=r'Images are \[20, 22\] px; wanted multiples'):
        model()(image(20, 22))


def test_options_it_lacks_are_refused() -> None:
    for options in ({'stop_early': False}, {'intermediates_only': False}):
        with pytest.raises(ValueError, match='Only the intermediates'):
            model().forward_intermediates(image(), [0], **options)


def test_what_weight_decay_spares_is_there() -> None:
    assert model().no_weight_decay() <= {name for name, _ in model().named_parameters()}
