"""Marks functions whose tensor depends on nothing but their arguments, to be computed once.

A compiled or exported graph holds the tensor itself, not the steps that lead to it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar, cast

import torch
from torch import Tensor
from torch._guards import tracing
from torch.utils._python_dispatch import _disable_current_modes

_Number = TypeVar('_Number', int, float)
_Arguments = ParamSpec('_Arguments')


def constant(function: Callable[_Arguments, Tensor]) -> Callable[_Arguments, Tensor]:
    """Compute each result once and keep it (the 64 last used).

    Args:
        function: Takes hashable arguments, the device among them. Its results are shared, so nobody may
            change them in place.
    """
    kept = lru_cache(maxsize=64)(function)

    @wraps(function)
    def call(*args: Hashable) -> Tensor:
        with ordinary_tensors():
            return kept(*args)

    return assumed_constant(cast(Callable[_Arguments, Tensor], call))


@contextmanager
def ordinary_tensors() -> Iterator[None]:
    """Make tensors that may be kept.

    One made in inference mode could not take part in a later backward pass, and one made while a graph is
    traced, or under `torch.func.grad`, would belong to it. `torch.load` reads no values while one is traced.
    """
    with (
        tracing(None),
        _disable_current_modes(),
        torch._C._DisableFuncTorch(),
        torch.inference_mode(False),
        torch.no_grad(),
    ):
        yield


def as_constant(number: _Number) -> _Number:
    """Return a number as it is, also where a compiler has made a symbol of it.

    Compiled code is then for this number alone.
    """
    if not torch.compiler.is_compiling():
        return number
    return type(number)(f'{number}')


def assumed_constant(function: Callable[_Arguments, Tensor]) -> Callable[_Arguments, Tensor]:
    """Let compiled graphs hold the function's result instead of looking into it."""
    marked: Callable[_Arguments, Tensor] = torch.compiler.assume_constant_result(function)  # type: ignore[no-untyped-call]
    return marked
