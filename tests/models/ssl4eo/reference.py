"""The networks written out by hand, for the released names; they share no code with timm or with ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tests.models.ssl4eo.released import Size, resnet
from torchgeo_copernicus.models.ssl4eo.entry import Entry

Tensors = Mapping[str, Tensor]


def maps_of(
    entry: Entry, p: Tensors, size: Size, image: Tensor, indices: Sequence[int], norm: bool = False
) -> list[Tensor]:
    """Return the maps that a backbone should."""
    if entry.architecture_name.startswith('resnet'):
        return _resnet_maps(entry, p, size, image, indices)
    tokens = tokens_of(entry, p, size, image)
    side = image.shape[-2] // size.patch
    taken = [_layer_norm(tokens[i], p, 'norm') if norm else tokens[i] for i in indices]
    return [t[:, 1:].transpose(1, 2).unflatten(2, (side, -1)) for t in taken]


def tokens_of(entry: Entry, p: Tensors, size: Size, image: Tensor) -> list[Tensor]:
    """Return the tokens `[B, N, D]` after each block of a transformer."""
    beit = entry.architecture_name.startswith('beit')
    x = _patches(p, size, image)
    x = torch.cat([p['cls_token'].expand(len(x), 1, size.width), x], dim=1)
    bias = _bias(p, size, image) if beit else torch.zeros(())
    if not beit:
        x = x + p['pos_embed']
    found = []
    for number in range(size.depth):
        b = f'blocks.{number}.'
        h = _attention(_layer_norm(x, p, b + 'norm1'), p, b + 'attn.', size.heads, bias)
        x = x + (p[b + 'gamma_1'] * h if beit else h)
        h = _linear(_layer_norm(x, p, b + 'norm2'), p, b + 'mlp.fc1')
        h = _linear(0.5 * h * (1 + torch.erf(h / math.sqrt(2))), p, b + 'mlp.fc2')
        x = x + (p[b + 'gamma_2'] * h if beit else h)
        found.append(x)
    return found


def _patches(p: Tensors, size: Size, image: Tensor) -> Tensor:
    k = size.patch
    cut = image.unfold(2, k, k).unfold(3, k, k)  # [B, C, h, w, k, k]
    cut = cut.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    return cut @ p['patch_embed.proj.weight'].flatten(1).T + p['patch_embed.proj.bias']


def _linear(x: Tensor, p: Tensors, name: str) -> Tensor:
    return x @ p[f'{name}.weight'].T + p[f'{name}.bias']


def _layer_norm(x: Tensor, p: Tensors, name: str) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    spread = (centred.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
    return centred / spread * p[f'{name}.weight'] + p[f'{name}.bias']


def _attention(x: Tensor, p: Tensors, name: str, heads: int, bias: Tensor) -> Tensor:
    qkv = x @ p[name + 'qkv.weight'].T
    if name + 'q_bias' in p:
        none = torch.zeros_like(p[name + 'q_bias'])
        qkv = qkv + torch.cat([p[name + 'q_bias'], none, p[name + 'v_bias']])
    else:
        qkv = qkv + p[name + 'qkv.bias']
    q, k, v = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=2))
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]) + bias
    weights = scores.exp() / scores.exp().sum(dim=-1, keepdim=True)
    return _linear((weights @ v).transpose(1, 2).flatten(2), p, name + 'proj')


def _bias(p: Tensors, size: Size, image: Tensor) -> Tensor:
    """Return the bias, pair by pair; of a grid no larger than the pretraining's."""
    table = p['rel_pos_bias.relative_position_bias_table']
    h, w = (side // size.patch for side in image.shape[-2:])
    rows = 2 * size.grid - 1
    index = torch.empty(1 + h * w, 1 + h * w, dtype=torch.long)
    for i in range(1 + h * w):
        for j in range(1 + h * w):
            down, right = (i - 1) // w - (j - 1) // w, (i - 1) % w - (j - 1) % w
            index[i, j] = (down + size.grid - 1) * rows + right + size.grid - 1
            if i == 0 or j == 0:
                index[i, j] = rows**2 + (2 if i == j else 0 if i == 0 else 1)
    return table[index].permute(2, 0, 1)


def _resnet_maps(
    entry: Entry, p: Tensors, size: Size, image: Tensor, indices: Sequence[int]
) -> list[Tensor]:
    model = resnet(entry.architecture_name, len(entry.bands), size.width).eval()
    model.load_state_dict(dict(p))
    x = model.relu(model.bn1(model.conv1(image)))
    found = [x]
    x = model.maxpool(x)
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = stage(x)
        found.append(x)
    return [found[index] for index in indices]
