"""The rate limit: a fixed window, counted for all clients and stores together (assumed: nothing is published).

A window opens with the first request after the last one has closed. The count needs no lock: the server runs
on one thread, and `admit` never waits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Admission:
    """What the limit says of one request: whether it may pass, and how the window stands after it."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    """Whole seconds until the window closes, rounded up, so that who waits as long never comes too early."""


class FixedWindow:
    """At most `limit` requests in any window of `window_s` seconds; `now` gives monotonic seconds."""

    def __init__(self, limit: int, window_s: float, now: Callable[[], float]) -> None:
        self._limit = limit
        self._window_s = window_s
        self._now = now
        self._closes_at = -math.inf
        self._used = 0

    def admit(self) -> Admission:
        """Count one request. A refused one uses up nothing."""
        now = self._now()
        if now >= self._closes_at:
            self._closes_at = now + self._window_s
            self._used = 0
        allowed = self._used < self._limit
        self._used += allowed
        reset_s = max(1, math.ceil(self._closes_at - now))
        return Admission(allowed, self._limit, self._limit - self._used, reset_s)
