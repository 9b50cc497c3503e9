"""Memory that is used again is never that of something still in use."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from torchgeo_copernicus.datasets.buffers import Buffers

LARGE = (3, 300, 300)


@pytest.mark.parametrize('hold', [lambda t: t, lambda t: t[1:, 5], lambda t: t.numpy()[0]])
def test_memory_that_is_referred_to_is_not_used_again(hold: Callable[[Tensor], Any]) -> None:
    buffers = Buffers()
    held = hold(buffers.take(LARGE).fill_(1.0))
    buffers.take(LARGE).fill_(2.0)
    assert (held == 1.0).all()
    del held
    before = buffers.owned_bytes
    buffers.take(LARGE)
    assert buffers.owned_bytes == before


def test_memory_is_used_again_also_for_somewhat_smaller_shapes() -> None:
    buffers = Buffers()
    address = buffers.take(LARGE).data_ptr()
    again = buffers.take((2, 300, 300))
    assert again.data_ptr() == address
    assert again.shape == (2, 300, 300)


def test_what_lies_idle_and_does_not_fit_is_given_back() -> None:
    buffers = Buffers()
    buffers.take((100, 300, 300))
    buffers.take(LARGE)
    assert buffers.owned_bytes == 4 * 3 * 300 * 300


def test_threads_never_get_the_same_memory() -> None:
    buffers, wrong = Buffers(), []

    def use(number: float) -> None:
        for _ in range(300):
            tensor = buffers.take((70_000,)).fill_(number)
            if tensor.min() != number or tensor.max() != number:
                wrong.append(number)

    threads = [threading.Thread(target=use, args=(float(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_memory_is_not_sent_to_other_processes() -> None:
    buffers = Buffers()
    buffers.take(LARGE)
    assert len(pickle.dumps(buffers)) < 1000
    assert pickle.loads(pickle.dumps(buffers)).take((2, 2)).dtype == torch.float32
