"""What a store was made with: one hash of facts that are spelled out beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import torch
from torch import nn

Facts = Mapping[str, object]


def fingerprint(facts: Facts) -> str:
    """Return the SHA-256 of facts, which does not depend on the order of keys.

    Raises:
        ValueError: If they are not what JSON can hold.
    """
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def canonical(facts: Facts) -> str:
    """Return facts as JSON with sorted keys.

    Raises:
        ValueError: If they are not what JSON can hold.
    """
    try:
        return json.dumps(facts, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f'What a store is made with must be plain JSON: {error}.') from error


def differences(stored: object, wanted: object, path: str = '') -> Iterator[str]:
    """Yield a line for each field that differs."""
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*stored, *wanted}):
            there = f'{path}.{key}' if path else str(key)
            if key not in stored:
                yield f'{there}: not in the store, {_short(wanted[key])} now'
            elif key not in wanted:
                yield f'{there}: {_short(stored[key])} in the store, nothing now'
            else:
                yield from differences(stored[key], wanted[key], there)
    elif stored != wanted:
        yield f'{path}: {_short(stored)} in the store, {_short(wanted)} now'


def weights_sha256(module: nn.Module) -> str:
    """Return the SHA-256 of names, types, shapes and bytes of all parameters and buffers that are saved."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f'{name} {tensor.dtype} {list(tensor.shape)}\n'.encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f'{text[:77]}...'
