"""Sends requests: not faster than the server likes, and again when it stumbles."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from torchgeo_copernicus.collect.place import positive

T = TypeVar('T')

# Earth Engine has one class of errors; what they are is in their text.
_QUOTA = ('too many', 'quota', 'rate limit', 'concurrent', '429')
_FINAL = (
    'memory limit',
    'not found',
    'does not exist',
    'permission',
    'not registered',
    'not signed up',
    'invalid',
    'must be less than or equal to',
    'no band',
    'unrecognized',
)


class RequestFailed(OSError):
    """A request that failed for good."""


def is_quota(message: str) -> bool:
    """Return whether an error of Earth Engine says that there were too many requests."""
    return any(text in message.lower() for text in _QUOTA)


def is_final(message: str) -> bool:
    """Return whether an error of Earth Engine will come again however often one asks."""
    return not is_quota(message) and any(text in message.lower() for text in _FINAL)


@dataclass(frozen=True)
class Retry:
    """How often and when to ask again.

    Attributes:
        tries: How often to ask in all.
        wait_s: Seconds before the second time; twice as many before each later one.
        longest_s: Seconds to wait at most.
    """

    tries: int = 5
    wait_s: float = 2.0
    longest_s: float = 120.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If one is impossible.
        """
        if isinstance(self.tries, bool) or not isinstance(self.tries, int) or self.tries < 1:
            raise ValueError(f'tries must be a whole number of at least 1, got {self.tries!r}.')
        positive(self.wait_s, 'wait_s')
        positive(self.longest_s, 'longest_s')

    def pause_s(self, failures: int) -> float:
        """Return the seconds to wait after a number of failures."""
        return min(self.wait_s * 2.0 ** (failures - 1), self.longest_s)


class Pace:
    """Time between the requests of a process, longer after errors of quota, and shorter again later."""

    def __init__(
        self,
        longest_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Start without any.

        Args:
            longest_s: Longest time between two requests (s).
            clock: Returns the time (s).
            sleep: Waits for some seconds.
        """
        self.interval_s = 0.0
        self.sleep = sleep
        self._longest_s = longest_s
        self._clock = clock
        self._next_s = 0.0
        self._lock = Lock()

    def wait(self) -> None:
        """Wait for the turn of a request."""
        with self._lock:
            now = self._clock()
            turn = max(self._next_s, now)
            self._next_s = turn + self.interval_s
        if turn > now:
            self.sleep(turn - now)

    def slow_down(self) -> None:
        """Double the time between requests."""
        with self._lock:
            self.interval_s = min(max(2 * self.interval_s, 0.1), self._longest_s)
            self._next_s = max(self._next_s, self._clock() + self.interval_s)

    def speed_up(self) -> None:
        """Shorten the time a little after a request went well."""
        with self._lock:
            self.interval_s = 0.0 if self.interval_s < 0.01 else self.interval_s * 0.98


class Asker:
    """Calls functions that send a request."""

    def __init__(self, retry: Retry, pace: Pace, errors: tuple[type[Exception], ...]) -> None:
        """Keep how to ask.

        Args:
            retry: How often and when to ask again.
            pace: Time between requests, shared by the threads of a process.
            errors: What a request raises that failed.
        """
        self._retry = retry
        self._pace = pace
        self._errors = errors

    def __call__(self, function: Callable[[], T]) -> T:
        """Return what a function returns.

        Raises:
            RequestFailed: If it failed for good, or too often.
        """
        failures = 0
        while True:
            self._pace.wait()
            try:
                result = function()
            except self._errors as error:
                failures += 1
                message = str(error) or repr(error)
                if is_quota(message):
                    self._pace.slow_down()
                if is_final(message) or failures >= self._retry.tries:
                    raise RequestFailed(
                        f'Earth Engine failed {failures} times, at last with: {message}'
                    ) from error
                self._pace.sleep(self._retry.pause_s(failures))
            else:
                self._pace.speed_up()
                return result
