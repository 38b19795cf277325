"""How a rate limit counts: fixed windows, a sliding window or a token bucket (assumed: nothing is published).

What belongs here: the arithmetic of one limit, from monotonic seconds to a yes or no. Who asks, for whom it counts
and what is written down of it is `quota`'s. Nothing needs a lock: the server runs on one thread, and nobody waits
in here.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

WindowModel = Literal["fixed", "sliding", "bucket"]
"""How requests are counted; each has its class below."""

_WHOLE_TOKEN = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Admission:
    """What the limit says of one request: whether it may pass, and how the limit stands after it."""

    allowed: bool
    limit: int
    remaining: int
    reset_in_s: float
    """Until the window closes, the oldest request leaves it, or the bucket is full."""
    retry_in_s: float
    """Until there is room again; means something where the request was refused."""
    opened_at: float | None = None
    """When the fixed window opened that the request fell into; other models have none."""

    @property
    def reset_s(self) -> int:
        """Whole seconds until the reset, rounded up, so that who waits as long never comes too early."""
        return max(1, math.ceil(self.reset_in_s))

    @property
    def retry_after_s(self) -> int:
        """Whole seconds until there is room, rounded up, and at least one."""
        return max(1, math.ceil(self.retry_in_s))

    @property
    def held_for_s(self) -> float:
        """How long a request after this refused one comes too early.

        A fixed window's exact end is no secret (it opened with a request), so who comes after it was not early,
        though before the whole seconds were over. Elsewhere it is as long as was told.
        """
        return self.retry_in_s if self.opened_at is not None else self.retry_after_s


class Limit(Protocol):
    """One way of counting."""

    def admit(self, now: float, limit: int) -> Admission:
        """Count one request where `limit` is what holds now. A refused one uses up nothing."""


class FixedWindow:
    """At most the limit in any window of `window_s` seconds.

    A window opens with the first request after the last one has closed, and keeps the limit that held then.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._opened_at = self._closes_at = -math.inf
        self._limit = 0
        self._used = 0

    def admit(self, now: float, limit: int) -> Admission:
        """Count one request."""
        if now >= self._closes_at:
            self._opened_at, self._closes_at = now, now + self._window_s
            self._limit, self._used = limit, 0
        allowed = self._used < self._limit
        self._used += allowed
        left_s = self._closes_at - now
        return Admission(allowed, self._limit, self._limit - self._used, left_s, left_s, self._opened_at)


class SlidingWindow:
    """At most the limit in the last `window_s` seconds, whenever one looks: a log of what passed."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._passed: deque[float] = deque()

    def admit(self, now: float, limit: int) -> Admission:
        """Count one request."""
        while self._passed and self._passed[0] + self._window_s <= now:
            self._passed.popleft()
        allowed = len(self._passed) < limit
        if allowed:
            self._passed.append(now)
        # After a cut of the limit more than the oldest have to leave before there is room.
        surplus = max(0, len(self._passed) - limit)
        return Admission(
            allowed,
            limit,
            max(0, limit - len(self._passed)),
            self._passed[0] + self._window_s - now,
            self._passed[surplus] + self._window_s - now,
        )


class TokenBucket:
    """A bucket that holds as many requests as the limit, full at the start and filled again in `window_s` seconds."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._tokens = math.inf
        self._filled_at = 0.0

    def admit(self, now: float, limit: int) -> Admission:
        """Count one request."""
        per_s = limit / self._window_s
        self._tokens = min(float(limit), self._tokens + per_s * (now - self._filled_at))
        self._filled_at = now
        allowed = self._tokens >= _WHOLE_TOKEN
        self._tokens = max(0.0, self._tokens - allowed)
        full_in_s = (limit - self._tokens) / per_s
        return Admission(
            allowed, limit, math.floor(self._tokens), full_in_s, max(0.0, 1 - self._tokens) / per_s
        )


def make_limit(model: WindowModel, window_s: float) -> Limit:
    """Make the limit that a model names."""
    models: dict[WindowModel, Callable[[float], Limit]] = {
        "fixed": FixedWindow,
        "sliding": SlidingWindow,
        "bucket": TokenBucket,
    }
    return models[model](window_s)


@dataclass(frozen=True, slots=True)
class LimitChange:
    """Another limit, from a moment on."""

    after_s: float
    """Seconds after the first API request."""
    limit: int


@dataclass(frozen=True, slots=True)
class LimitSchedule:
    """Which limit holds when."""

    first: int
    changes: tuple[LimitChange, ...] = ()

    def at(self, elapsed_s: float) -> int:
        """Return the limit that holds so many seconds after the first API request."""
        begun = [change for change in self.changes if change.after_s <= elapsed_s]
        return max(begun, key=lambda change: change.after_s).limit if begun else self.first
