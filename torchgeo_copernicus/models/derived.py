"""Keeps tensors that follow from parameters, until one of the parameters changes.

Never hands out a stale one for any change PyTorch counts: optimizer steps, loading, moving, assignment,
in-place edits. Edits through `.data` or NumPy and steps of fused optimizers are not counted by PyTorch; on
the CPU a sample of the values is compared as well, elsewhere they need `clear`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual

# Values compared of each parameter on the CPU.
_PROBE = 4096


def _probe(tensor: Tensor) -> float:
    """Return a sum that changes with the tensor as a whole."""
    values = tensor.detach().flatten()
    return values[:: max(1, len(values) // _PROBE)].sum(dtype=torch.float64).item()


class _Watched:
    """What a tensor was when something was derived from it."""

    def __init__(self, tensor: Tensor) -> None:
        # Keeps the memory alive, so that no later tensor can lie at the same address.
        self.seen = tensor.detach()
        self.version = tensor._version
        self.probe = _probe(tensor) if tensor.is_cpu else 0.0

    def is_as_it_was(self, tensor: Tensor) -> bool:
        return (
            tensor.data_ptr() == self.seen.data_ptr()
            and tensor._version == self.version
            and tensor.shape == self.seen.shape
            and tensor.stride() == self.seen.stride()
            and tensor.dtype == self.seen.dtype
            and (not tensor.is_cpu or _probe(tensor) == self.probe)
        )


@dataclass
class _Kept:
    sources: list[_Watched]
    results: tuple[Tensor, ...]

    def is_of(self, sources: Sequence[Tensor]) -> bool:
        # An adapter brings further parameters.
        return len(sources) == len(self.sources) and all(
            watched.is_as_it_was(source)
            for watched, source in zip(self.sources, sources, strict=True)
        )


class DerivedTensors:
    """The results last used, by key. Copies and pickles of it start empty."""

    def __init__(self, capacity: int = 16) -> None:
        """Keep at most *capacity* results."""
        self.capacity = capacity
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        # Several threads may serve one model.
        self._lock = Lock()

    def get(
        self, key: Hashable, sources: Sequence[Tensor], make: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """Return what *make* gives, from memory if no source has changed.

        Args:
            key: What is derived.
            sources: All tensors it is derived from.
            make: Derives it; called without gradients.
        """
        if not all(map(is_plain, sources)):
            return make()
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or not kept.is_of(sources):
            # A tensor made in inference mode could not take part in a later backward pass.
            with torch.inference_mode(False), torch.no_grad():
                kept = _Kept([_Watched(source) for source in sources], make())
            if not all(map(is_plain, kept.results)):
                return kept.results
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > self.capacity:
                self._kept.popitem(last=False)
        return kept.results

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()

    def __len__(self) -> int:
        """Return the number of results kept."""
        return len(self._kept)

    def __getstate__(self) -> dict[str, int]:
        """Leave the results out of copies and pickles."""
        return {'capacity': self.capacity}

    def __setstate__(self, state: dict[str, int]) -> None:
        """Start empty."""
        self.__init__(**state)  # type: ignore[misc]


def is_plain(tensor: Tensor) -> bool:
    """Tell whether PyTorch counts the changes of a tensor, and its values are real.

    Inference tensors are not counted; fake, distributed and functorch tensors hold no values of their own,
    and what is compiled or exported has none yet; forward-mode differentiation adds a tangent; a CUDA graph
    would go on reading memory that is no longer kept.
    """
    return (
        not torch.compiler.is_compiling()
        and type(tensor) in (Tensor, nn.Parameter)
        and not tensor.is_inference()
        and tensor.device.type != 'meta'
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
        and not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())
        and unpack_dual(tensor).tangent is None  # type: ignore[no-untyped-call]
    )
