"""Reads released checkpoints, full ones and backbones, and knows them by their keys."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from torchgeo_copernicus.models.checkpoint import read_content
from torchgeo_copernicus.models.ssl4eo.checkpoint_keys import BY_METHOD, Parts, dino, recognise

# Where training code keeps the network.
_WRAPPERS = ('state_dict', 'model', 'module')


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        layout: `moco-v2`, `moco-v3`, `dino`, `mae` or `data2vec` for what only that method writes,
            `backbone` for an encoder alone.
        parts: The tensors, on the CPU and perhaps still in the file.
        epoch: Last epoch that was trained, counted from 0; None when it is not stated.
    """

    layout: str
    parts: Parts
    epoch: int | None

    @property
    def is_full(self) -> bool:
        """Whether it holds more than the encoder."""
        return bool(self.parts.decoder or self.parts.head or self.parts.other)


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read a file of any released layout, or the encoder alone.

    Training arguments in it (`argparse.Namespace`) are tolerated and not looked at, as is the state of
    the optimizer; nothing is run.

    Args:
        path: A file of torch's, or `.safetensors`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds code, is cut off, or its keys fit no layout.
    """
    content = read_content(path, [Namespace], mmap=True)
    if not isinstance(content, Mapping):
        raise ValueError(
            f'{path} holds a {type(content).__name__}, wanted a dictionary of tensors.'
        )
    epoch = content.get('epoch')
    known = epoch if isinstance(epoch, int) else None
    if isinstance(content.get('teacher'), Mapping):
        student = content.get('student')
        parts = dino(
            _tensors(content['teacher'], path),
            _tensors(student, path) if isinstance(student, Mapping) else {},
        )
        return Checkpoint('dino', parts, known)
    state = next(
        (content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content
    )
    layout = recognise([str(key) for key in state])
    if layout is None:
        raise ValueError(
            f'{path} is no checkpoint of SSL4EO-S12: it holds {_short(content)}, among them no '
            'encoder of MoCo (module.encoder_q.*, module.base_encoder.*), DINO (teacher), MAE '
            '(decoder_*), data2vec (rel_pos_bias.*), and no bare ResNet (conv1.weight) or vision '
            f'transformer (patch_embed.proj.weight). The innermost keys are {_short(state)}.'
        )
    return Checkpoint(layout, BY_METHOD[layout](_tensors(state, path)), known)


def read_full(path: Path | str) -> Checkpoint:
    """Read a full checkpoint, to continue the pretraining or to use its decoder or head.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds the encoder alone, or as for `read_checkpoint`.
    """
    checkpoint = read_checkpoint(path)
    if checkpoint.layout == 'backbone' or not checkpoint.is_full:
        raise ValueError(
            f'{path} holds an encoder alone, without decoder or pretraining head; take the full '
            'checkpoint.'
        )
    return checkpoint


def _tensors(state: Mapping[object, object], path: Path | str) -> dict[str, Tensor]:
    tensors = {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    if len(tensors) < len(state):
        other = [str(key) for key in state if str(key) not in tensors]
        raise ValueError(f'{path} has other things than tensors in its network: {other[:5]}.')
    return tensors


def _short(content: Mapping[object, object]) -> str:
    names = [str(key) for key in content]
    return f'{names[:8]}' + (f' and {len(names) - 8} more' if len(names) > 8 else '')
