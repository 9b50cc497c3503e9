"""Checkpoints of random numbers in the key layouts of the release, of any size and on any device."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from torchgeo_copernicus.models.ssl4eo.entry import Entry

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Size:
    """Size of a network; the real ones, and others with the same depth."""

    width: int
    heads: int = 0
    depth: int = 12
    patch: int = 16
    grid: int = 14


REAL = {
    'resnet18': Size(64),
    'resnet50': Size(64),
    'vit_small_patch16_224': Size(384, 6),
    'beit_small_patch16_224': Size(384, 6),
    'vit_base_patch16_224': Size(768, 12),
    'vit_large_patch16_224': Size(1024, 16, 24),
    'vit_huge_patch14_224': Size(1280, 16, 32, 14, 16),
}
SMALL = {
    'resnet18': Size(64),
    'resnet50': Size(8),
    'vit_small_patch16_224': Size(24, 6),
    'beit_small_patch16_224': Size(24, 6),
    'vit_base_patch16_224': Size(24, 12),
    'vit_large_patch16_224': Size(32, 16, 24),
    'vit_huge_patch14_224': Size(32, 16, 32, 14, 16),
}


def numbers(shapes: Mapping[str, tuple[int, ...]], seed: int) -> Tensors:
    """Return random tensors of a size that leaves activations at about 1."""
    found = {}
    generator = torch.Generator().manual_seed(seed)
    meta = torch.empty(0).is_meta
    for key, shape in shapes.items():
        if key.endswith('num_batches_tracked'):
            found[key] = torch.tensor(7)
        elif meta:
            found[key] = torch.empty(shape)
        elif key.endswith('running_var'):
            found[key] = torch.rand(shape, generator=generator) + 0.5
        elif len(shape) >= 2:
            values = torch.randn(shape, generator=generator)
            is_table = 'token' in key or 'pos' in key
            found[key] = values if is_table else values / (torch.Size(shape[1:]).numel() ** 0.5)
        else:
            one = key.endswith('weight') or 'gamma' in key
            found[key] = one + 0.1 * torch.randn(shape, generator=generator)
    return found


def resnet(name: str, chans: int, base_width: int) -> ResNet:
    """Return torchvision's network without its head, to which timm's owes nothing but names."""
    kinds = {'resnet18': (BasicBlock, [2, 2, 2, 2]), 'resnet50': (Bottleneck, [3, 4, 6, 3])}
    model = ResNet(*kinds[name], width_per_group=base_width)
    model.conv1 = torch.nn.Conv2d(chans, 64, 7, stride=2, padding=3, bias=False)
    model.fc = torch.nn.Identity()
    return model


def _resnet_shapes(name: str, chans: int, base_width: int) -> dict[str, tuple[int, ...]]:
    with torch.device('meta'):
        state = resnet(name, chans, base_width).state_dict()
    return {key: tuple(value.shape) for key, value in state.items()}


def _block_shapes(width: int, hidden: int) -> dict[str, tuple[int, ...]]:
    return {
        'norm1.weight': (width,),
        'norm1.bias': (width,),
        'attn.qkv.weight': (3 * width, width),
        'attn.qkv.bias': (3 * width,),
        'attn.proj.weight': (width, width),
        'attn.proj.bias': (width,),
        'norm2.weight': (width,),
        'norm2.bias': (width,),
        'mlp.fc1.weight': (hidden, width),
        'mlp.fc1.bias': (hidden,),
        'mlp.fc2.weight': (width, hidden),
        'mlp.fc2.bias': (width,),
    }


def _vit_shapes(size: Size, chans: int) -> dict[str, tuple[int, ...]]:
    width = size.width
    shapes: dict[str, tuple[int, ...]] = {
        'cls_token': (1, 1, width),
        'pos_embed': (1, 1 + size.grid**2, width),
        'patch_embed.proj.weight': (width, chans, size.patch, size.patch),
        'patch_embed.proj.bias': (width,),
    }
    for number in range(size.depth):
        for key, shape in _block_shapes(width, 4 * width).items():
            shapes[f'blocks.{number}.{key}'] = shape
    return {**shapes, 'norm.weight': (width,), 'norm.bias': (width,)}


def _beit_shapes(size: Size, chans: int) -> dict[str, tuple[int, ...]]:
    width = size.width
    shapes = _vit_shapes(size, chans)
    del shapes['pos_embed']
    shapes['rel_pos_bias.relative_position_bias_table'] = ((2 * size.grid - 1) ** 2 + 3, size.heads)
    for number in range(size.depth):
        del shapes[f'blocks.{number}.attn.qkv.bias']
        for key in ('attn.q_bias', 'attn.v_bias', 'gamma_1', 'gamma_2'):
            shapes[f'blocks.{number}.{key}'] = (width,)
    return shapes


def encoder(entry: Entry, size: Size, seed: int = 0) -> Tensors:
    """Return the numbers of the encoder alone, under the names the release has behind its prefixes."""
    name, chans = entry.architecture_name, len(entry.bands)
    if name.startswith('resnet'):
        return numbers(_resnet_shapes(name, chans, size.width), seed)
    shapes = _beit_shapes if name.startswith('beit') else _vit_shapes
    return numbers(shapes(size, chans), seed)


def _trained(**content: object) -> dict[str, object]:
    state = {0: {'step': 7, 'exp_avg': torch.ones(2)}}
    return {
        'epoch': 99,
        'optimizer': {'state': state, 'param_groups': [{'lr': 0.1, 'params': [0]}]},
        **content,
    }


def _with_prefix(prefix: str, tensors: Tensors) -> Tensors:
    return {f'{prefix}{key}': value for key, value in tensors.items()}


def full(entry: Entry, tensors: Tensors, size: Size) -> dict[str, object]:
    """Return what the full checkpoint of a run holds, around the numbers of its encoder."""
    return {
        'moco-v2': _moco_v2,
        'moco-v3': _moco_v3,
        'dino': _dino,
        'mae': _mae,
        'data2vec': _data2vec,
    }[entry.method](entry, tensors, size)


def _moco_v2(entry: Entry, tensors: Tensors, size: Size) -> dict[str, object]:
    head = {'fc.0.weight': (5, 5), 'fc.0.bias': (5,), 'fc.2.weight': (3, 5), 'fc.2.bias': (3,)}
    state = {
        **_with_prefix('module.encoder_q.', tensors | numbers(head, 1)),
        **_with_prefix('module.encoder_k.', encoder(entry, size, 2) | numbers(head, 3)),
        'module.queue': torch.zeros(3, 8),
        'module.queue_ptr': torch.zeros(1, dtype=torch.long),
    }
    return _trained(arch=entry.architecture_name, state_dict=state)


def _moco_v3(entry: Entry, tensors: Tensors, size: Size) -> dict[str, object]:
    head = {'head.0.weight': (5, 5), 'head.1.weight': (5,), 'head.1.running_var': (5,)}
    state = {
        **_with_prefix('module.base_encoder.', tensors | numbers(head, 1)),
        **_with_prefix('module.momentum_encoder.', encoder(entry, size, 2) | numbers(head, 3)),
        **_with_prefix('module.predictor.', numbers({'0.weight': (4, 5)}, 4)),
    }
    return _trained(arch='vit_small', state_dict=state, scaler={'scale': 2.0})


def _dino(entry: Entry, tensors: Tensors, size: Size) -> dict[str, object]:
    head = numbers({'head.mlp.0.weight': (5, 5), 'head.last_layer.weight_v': (5, 5)}, 1)
    # Only networks with batch normalisation are wrapped for several processes.
    wrapper = 'module.' if entry.architecture_name.startswith('resnet') else ''
    teacher = _with_prefix(wrapper, _with_prefix('backbone.', tensors) | head)
    student = _with_prefix('module.', _with_prefix('backbone.', encoder(entry, size, 2)) | head)
    return _trained(
        teacher=teacher,
        student=student,
        args=Namespace(arch='x', epochs=100, local_crops_scale=(0.05, 0.14)),
        dino_loss={'center': torch.zeros(1, 5)},
    )


def _mae(entry: Entry, tensors: Tensors, size: Size) -> dict[str, object]:
    width, pixels = 16, size.patch**2 * len(entry.bands)
    shapes: dict[str, tuple[int, ...]] = {
        'mask_token': (1, 1, width),
        'decoder_pos_embed': (1, 1 + size.grid**2, width),
        'decoder_embed.weight': (width, size.width),
        'decoder_embed.bias': (width,),
        'decoder_norm.weight': (width,),
        'decoder_norm.bias': (width,),
        'decoder_pred.weight': (pixels, width),
        'decoder_pred.bias': (pixels,),
    }
    for key, shape in _block_shapes(width, 4 * width).items():
        shapes[f'decoder_blocks.0.{key}'] = shape
    return _trained(
        model=tensors | numbers(shapes, 1),
        args=Namespace(model='mae_vit', norm_pix_loss=True, resume=None, distributed=True),
        scaler={'scale': 2.0},
    )


def _data2vec(entry: Entry, tensors: Tensors, size: Size) -> dict[str, object]:
    head = {'mask_token': (1, 1, size.width), 'lm_head.weight': (5, 5), 'lm_head.bias': (5,)}
    state = tensors | numbers(head, 1)
    pairs = 1 + size.grid**2
    state['rel_pos_bias.relative_position_index'] = torch.zeros(pairs, pairs, dtype=torch.long)
    return _trained(model=state, args=Namespace(model='beit', drop_path=0.2))
