"""Requests that would hammer a server, be given up too early, or be asked for ever."""

from __future__ import annotations

import sys
from collections.abc import Callable
from http.client import IncompleteRead
from types import SimpleNamespace

import pytest

from tests.collect.fake_earth_engine import EEException, FakeEarthEngine
from torchgeo_copernicus.collect.client import request_errors
from torchgeo_copernicus.collect.request import (
    Asker,
    Pace,
    RequestFailed,
    Retry,
    is_final,
    is_quota,
)


class Clock:
    """Time that passes only when someone sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


def failing(*errors: Exception) -> Callable[[], str]:
    waiting = list(errors)

    def function() -> str:
        if waiting:
            raise waiting.pop(0)
        return 'answer'

    return function


def asker(clock: Clock, tries: int = 4) -> tuple[Asker, Pace]:
    pace = Pace(clock=clock, sleep=clock.sleep)
    errors = request_errors(FakeEarthEngine({}))  # type: ignore[arg-type]
    return Asker(Retry(tries, 2.0, 5.0), pace, errors), pace


def test_a_stumble_is_tried_again_after_longer_and_longer_pauses() -> None:
    clock = Clock()
    ask, pace = asker(clock)
    errors = EEException('Computation timed out.'), ConnectionError(), TimeoutError('slow')
    assert ask(failing(*errors)) == 'answer'
    assert clock.naps == [2, 4, 5]
    assert pace.interval_s == 0


def test_the_last_error_is_told() -> None:
    clock = Clock()
    ask, _ = asker(clock, tries=2)
    with pytest.raises(RequestFailed, match='failed 2 times, at last with: second'):
        ask(failing(EEException('first'), EEException('second'), EEException('third')))
    with pytest.raises(RequestFailed, match='ConnectionError'):
        ask(failing(ConnectionError(), ConnectionError()))


@pytest.mark.parametrize(
    'message',
    [
        'User memory limit exceeded.',
        "Image.load: Image asset 'x' not found (does not exist or caller does not have access).",
        'Caller does not have required permission to use project p.',
        'Total request size (99 bytes) must be less than or equal to 50331648 bytes.',
        "Image.select: Band pattern 'VV' did not match any bands. Invalid.",
    ],
)
def test_what_will_fail_again_is_not_asked_again(message: str) -> None:
    clock = Clock()
    ask, _ = asker(clock)
    assert is_final(message) and not is_quota(message)
    with pytest.raises(RequestFailed, match='failed 1 times'):
        ask(failing(EEException(message)))
    assert clock.naps == []


def test_errors_of_the_packages_below_are_tried_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class TransportError(Exception):
        pass

    below = SimpleNamespace(GoogleAuthError=TransportError, HttpLib2Error=KeyError)
    monkeypatch.setitem(sys.modules, 'google.auth.exceptions', below)
    monkeypatch.setitem(sys.modules, 'httplib2', below)
    ask, _ = asker(Clock())
    errors = TransportError('no route'), KeyError('reset'), IncompleteRead(b'')
    assert ask(failing(*errors)) == 'answer'


def test_other_errors_are_not_swallowed() -> None:
    ask, _ = asker(Clock())
    with pytest.raises(KeyError):
        ask(failing(KeyError('bug')))


@pytest.mark.parametrize(
    'message',
    ['Too Many Requests', 'Quota exceeded for quota metric', 'HTTP 429', 'Rate limit exceeded'],
)
def test_errors_of_quota_slow_all_requests_down_and_success_speeds_up(message: str) -> None:
    clock = Clock()
    ask, pace = asker(clock)
    assert not is_final(message)
    ask(failing(EEException(message), EEException(message)))
    assert pace.interval_s == pytest.approx(0.2 * 0.98)
    start = clock.now
    for _ in range(3):
        ask(failing())
    assert clock.now - start == pytest.approx(3 * 0.2, rel=0.1)
    for _ in range(400):
        ask(failing())
    assert pace.interval_s == 0


def test_the_pace_has_a_limit() -> None:
    clock = Clock()
    pace = Pace(longest_s=3, clock=clock, sleep=clock.sleep)
    for _ in range(20):
        pace.slow_down()
    assert pace.interval_s == 3


def test_requests_of_several_threads_take_turns() -> None:
    clock = Clock()
    naps: list[float] = []
    pace = Pace(clock=clock, sleep=naps.append)
    pace.interval_s = 1.0
    for _ in range(4):
        # Nobody waits yet, so that all come at the same time.
        pace.wait()
    assert naps == [1, 2, 3]


@pytest.mark.parametrize('wrong', [{'tries': 0}, {'tries': True}, {'wait_s': 0}, {'longest_s': -1}])
def test_impossible_retries_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r'tries|wait_s|longest_s'):
        Retry(**wrong)  # type: ignore[arg-type]
