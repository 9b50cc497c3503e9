"""Reads checkpoints without running anything they hold, and loads them without surprises."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

# Wrappers under which training code stores the parameters.
_WRAPPERS = ('model', 'state_dict')

# What torch and safetensors raise on files with missing or changed bytes.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    struct.error,
)


def read_content(path: Path | str, allowed: Sequence[type] = (), *, mmap: bool = False) -> object:
    """Read what a file holds, running nothing of it.

    Args:
        path: A `.safetensors` file, or one of torch's.
        allowed: Types beside tensors and plain Python values that the file may hold.
        mmap: Leave tensors in the file until they are used, where its format allows it. It must not
            change as long as they live.

    Returns:
        The content, tensors on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything else, or is cut off.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no checkpoint at {path}.')
    try:
        if path.suffix == '.safetensors':
            return dict(load_file(path))
        # What the user allowed stays allowed.
        before = torch.serialization.get_safe_globals()
        with torch.serialization.safe_globals([kind for kind in allowed if kind not in before]):
            # The format of old has no place to map from.
            mapped = mmap and zipfile.is_zipfile(path)
            return torch.load(path, map_location='cpu', weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f'{path} holds more than tensors, or is damaged, and was not read, because unpickling it '
            'could run code. Save the state dict alone, best as .safetensors.'
        ) from error
    except _DAMAGE as error:
        raise ValueError(
            f'{path} is not a readable checkpoint ({error}); is it cut off?'
        ) from error


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """Read a dictionary of tensors.

    Args:
        path: A `.safetensors` file, or one of torch's with plain tensors, possibly under the key
            `model` or `state_dict`.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds code, is cut off, or is no dictionary of tensors.
    """
    content = read_content(path)
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise ValueError(
            f'{path} holds a {type(content).__name__}, wanted a dictionary of tensors.'
        )
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if len(tensors) < len(content):
        other = [key for key in content if str(key) not in tensors]
        raise ValueError(f'{path} holds other things than tensors: {other[:5]}.')
    return tensors


def load_tensors(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    where: str,
    *,
    may_miss: Collection[str] = (),
    may_exceed: Collection[str] = (),
) -> tuple[list[str], list[str]]:
    """Load parameters, all or nothing.

    Args:
        model: Model to fill; untouched when this raises.
        tensors: Parameters by name.
        where: Name of their origin, for messages.
        may_miss: Parameters of the model that this origin is known not to have.
        may_exceed: Names this origin is known to have beyond the model's.

    Returns:
        The names that were missing and those that were left over, all of them expected.

    Raises:
        ValueError: If anything unexpected is missing or left over, or a shape differs.
    """
    own = model.state_dict()
    missing = [key for key in own if key not in tensors]
    left_over = [key for key in tensors if key not in own]
    shapes = [
        f'{key}: {list(tensors[key].shape)} in the file, {list(own[key].shape)} in the model'
        for key in own
        if key in tensors and tensors[key].shape != own[key].shape
    ]
    problems = [
        f'{title}: {_short(names)}'
        for title, names in (
            ('missing from the file', [key for key in missing if key not in may_miss]),
            ('not in the model', [key for key in left_over if key not in may_exceed]),
            ('of another shape (a checkpoint of another size?)', shapes),
        )
        if names
    ]
    if problems:
        raise ValueError(
            f'{where} does not fit {type(model).__name__}. ' + '; '.join(problems) + '.'
        )
    model.load_state_dict({key: tensors[key] for key in own if key in tensors}, strict=False)
    return missing, left_over


def _short(names: list[str]) -> str:
    more = f' and {len(names) - 4} more' if len(names) > 4 else ''
    return ', '.join(names[:4]) + more
