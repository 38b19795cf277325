"""How long answers take, and how many requests under way that calls for; pure.

Concurrency follows Little's law: as many under way as leave while one answer is awaited, and 30 % more. On top of it
stands a cap as TCP has it (additive increase, multiplicative decrease): a server error or a time-out takes it to
0.7, then each round trip adds one, as long as answers do not become slower. (Netflix's concurrency-limits recommends
both to clients.)
"""

import math
from collections import deque

HEADROOM = 1.3
"""What Little's law gives is multiplied by this: pauses between answers are not all alike."""

BACK_TO = 0.7
"""What a server error or a time-out leaves of the cap."""

_RECENT = 64
_REFRESHED_EVERY = 8
_SLOWER = 2.0
_SLOWER_BY_S = 0.05
_FEWEST = 2
_OWN_DELAY_S = 0.002


class Latency:
    """Round-trip times of the last answers, in seconds."""

    def __init__(self) -> None:
        self.p95 = 0.0
        """What 95 of 100 answers take at most."""
        self.low = 0.0
        """What 5 of 100 answers take at most."""
        self.spread = 0.0
        """How far most answers are apart from each other in time: the 95th less the 5th percentile."""
        self.usual = 0.0
        """The median, over a long time: what "slower" is measured against."""
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._count = 0

    @property
    def known(self) -> bool:
        """Whether anything was measured."""
        return self._count > 0

    def note(self, seconds: float) -> float:
        """Take in one round trip; return the seconds by which the request may have arrived later than others do."""
        self._recent.append(seconds)
        self._count += 1
        if self._count % _REFRESHED_EVERY == 0 or self._count < _REFRESHED_EVERY:
            ordered = sorted(self._recent)
            last = len(ordered) - 1
            self.p95 = ordered[round(0.95 * last)]
            self.low = ordered[round(0.05 * last)]
            self.spread = self.p95 - self.low
            median = ordered[last // 2]
            # Falls at once, rises slowly: a server that has become slow stays "slower" for a while.
            self.usual = median if not self.usual else min(median, self.usual + 0.02 * (median - self.usual))
        return max(0.0, seconds - self.low)

    def guard_s(self) -> float:
        """Return the seconds by which two requests may overtake each other, and our own clock and event loop be late."""
        # A few answers show little of how much they vary.
        return _OWN_DELAY_S + (0.75 * self.spread if self._count >= _RECENT // 4 else 0.5 * self.p95)

    @property
    def is_slower(self) -> bool:
        """Whether answers take much longer than they usually do."""
        return self.p95 > _SLOWER * self.usual + _SLOWER_BY_S


class Concurrency:
    """How many requests may be under way."""

    def __init__(self, most: int, latency: Latency) -> None:
        self._most = most
        self._latency = latency
        self._cap = float(most)
        self._cut_at = -math.inf

    def allowed(self, rate: float) -> int:
        """Return the number for a pace of `rate` requests per second."""
        cap = max(1, min(self._most, math.floor(self._cap)))
        if not self._latency.known:
            return cap
        # Beyond what can be needed at any pace that the answers so far are evidence for, rate is not finite.
        needed = min(rate * self._latency.p95 * HEADROOM, 1e6)
        return min(cap, max(_FEWEST, math.ceil(needed) + 1))

    def well(self, in_flight: int) -> None:
        """Note an answer that says nothing against the present number."""
        if self._cap < self._most and in_flight + 1 >= self._cap * 0.5 and not self._latency.is_slower:
            self._cap = min(float(self._most), self._cap + 1 / max(1.0, self._cap))

    def troubled(self, now: float, in_flight: int) -> None:
        """Note a server error or a time-out; one round trip full of them counts once."""
        if now - self._cut_at < self._latency.p95:
            return
        self._cut_at = now
        self._cap = max(1.0, BACK_TO * min(self._cap, in_flight + 1))
