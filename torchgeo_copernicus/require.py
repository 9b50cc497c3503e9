"""Demands on the values of tensors that do not make the host wait for a GPU."""

from __future__ import annotations

import torch
from torch import Tensor


def readable(tensor: Tensor) -> bool:
    """Return whether values can be looked at without waiting for a GPU or cutting a compiled graph."""
    return not tensor.is_cuda and not torch.compiler.is_compiling()


def require(condition: Tensor, message: str) -> None:
    """Raise unless all of *condition* (bool, any shape) is true.

    On a GPU and in compiled code this is an assertion on the device: it ends the run a little later, with
    a RuntimeError.

    Raises:
        ValueError: If it is not, with *message*.
    """
    if not readable(condition):
        torch._assert_async(condition.all(), message)
    elif not bool(condition.all()):
        raise ValueError(message)
