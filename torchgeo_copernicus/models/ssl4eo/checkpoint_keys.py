"""What the keys of the released checkpoints mean: one pure function per method.

Each sorts the tensors of a checkpoint into parts, the encoder's under the names of timm's ResNet, vision
transformer or BEiT. Nothing is lost: what is neither encoder, decoder nor head is among the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Parts:
    """Tensors of a checkpoint by what they are for.

    Attributes:
        encoder: Under timm's names.
        decoder: Of MAE, under the released names (`decoder_embed.weight`, `mask_token`, ...).
        head: Projection, prediction or classification heads, under the released names without the
            prefix of the encoder they sit on (`fc.0.weight`, `predictor.0.weight`, `lm_head.weight`).
        other: Momentum encoder, queue, student: under the released names.
    """

    encoder: Tensors
    decoder: Tensors = field(default_factory=dict)
    head: Tensors = field(default_factory=dict)
    other: Tensors = field(default_factory=dict)


def moco_v2(state: Mapping[str, Tensor]) -> Parts:
    """Sort `module.encoder_q.*` (with the head `fc.*`), `module.encoder_k.*`, `module.queue*`."""
    return _one_encoder(state, 'module.encoder_q.', 'fc.')


def moco_v3(state: Mapping[str, Tensor]) -> Parts:
    """Sort `module.base_encoder.*` (with the head `head.*`), `module.predictor.*` and the momentum."""
    parts = _one_encoder(state, 'module.base_encoder.', 'head.')
    predictor = _under(parts.other, 'module.predictor.')
    return Parts(
        parts.encoder,
        head={**parts.head, **{f'predictor.{key}': value for key, value in predictor.items()}},
        other={k: v for k, v in parts.other.items() if not k.startswith('module.predictor.')},
    )


def dino(teacher: Mapping[str, Tensor], student: Mapping[str, Tensor]) -> Parts:
    """Sort the teacher's `backbone.*` and `head.*`; the student is kept as `student.*`.

    The prefix `module.` is there where the network has batch normalisation (ResNet), not otherwise.
    """
    plain = _without_wrapper(teacher)
    encoder = _under(plain, 'backbone.')
    head = {key: value for key, value in plain.items() if key.startswith('head.')}
    used = {f'backbone.{key}' for key in encoder} | head.keys()
    other = {key: value for key, value in plain.items() if key not in used}
    other |= {f'student.{key}': value for key, value in student.items()}
    return Parts(encoder, head=head, other=other)


def mae(state: Mapping[str, Tensor]) -> Parts:
    """Sort the encoder from the decoder, to which `mask_token` belongs."""
    plain = _without_wrapper(state)

    def of_decoder(key: str) -> bool:
        return key.startswith('decoder_') or key == 'mask_token'

    return Parts(
        {key: value for key, value in plain.items() if not of_decoder(key)},
        decoder={key: value for key, value in plain.items() if of_decoder(key)},
    )


def data2vec(state: Mapping[str, Tensor]) -> Parts:
    """Sort the student of data2vec, a BEiT, from `lm_head.*` and `mask_token`.

    `*.relative_position_index` follows from the grid and is left out.
    """
    plain = {
        key: value
        for key, value in _without_wrapper(state).items()
        if not key.endswith('relative_position_index')
    }

    def of_head(key: str) -> bool:
        return key.startswith(('lm_head.', 'head.')) or key == 'mask_token'

    return Parts(
        {key: value for key, value in plain.items() if not of_head(key)},
        head={key: value for key, value in plain.items() if of_head(key)},
    )


def backbone(state: Mapping[str, Tensor]) -> Parts:
    """Sort an encoder alone from what some conversions leave with it: a head, a mask token."""
    plain = _without_wrapper(state)
    if all(key.startswith('backbone.') for key in plain):
        plain = _under(plain, 'backbone.')

    def of_head(key: str) -> bool:
        return key.startswith(('fc.', 'head.')) or key == 'mask_token'

    return Parts(
        {key: value for key, value in plain.items() if not of_head(key)},
        head={key: value for key, value in plain.items() if of_head(key)},
    )


#: Functions for checkpoints that keep everything in one dictionary, by method.
BY_METHOD: Mapping[str, Callable[[Mapping[str, Tensor]], Parts]] = {
    'moco-v2': moco_v2,
    'moco-v3': moco_v3,
    'mae': mae,
    'data2vec': data2vec,
    'backbone': backbone,
}


def recognise(keys: list[str]) -> str | None:
    """Return the key of `BY_METHOD` that names of tensors fit, or None."""
    if any(key.startswith('module.encoder_q.') for key in keys):
        return 'moco-v2'
    if any(key.startswith('module.base_encoder.') for key in keys):
        return 'moco-v3'
    plain = [key.removeprefix('module.').removeprefix('backbone.') for key in keys]
    if any(key.startswith('decoder_') for key in plain):
        return 'mae'
    if any(key.endswith('relative_position_bias_table') for key in plain):
        return 'data2vec'
    if 'conv1.weight' in plain or 'patch_embed.proj.weight' in plain:
        return 'backbone'
    return None


def _one_encoder(state: Mapping[str, Tensor], prefix: str, head: str) -> Parts:
    inside = _under(state, prefix)
    return Parts(
        {key: value for key, value in inside.items() if not key.startswith(head)},
        head={key: value for key, value in inside.items() if key.startswith(head)},
        other={key: value for key, value in state.items() if not key.startswith(prefix)},
    )


def _under(state: Mapping[str, Tensor], prefix: str) -> Tensors:
    return {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }


def _without_wrapper(state: Mapping[str, Tensor]) -> Tensors:
    """Take off the prefix of `DistributedDataParallel`, when all names have it."""
    if all(key.startswith('module.') for key in state):
        return _under(state, 'module.')
    return dict(state)
