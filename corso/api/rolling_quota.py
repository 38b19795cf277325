"""A quota that comes back little by little, as sliding windows and token buckets have it; pure.

Nothing resets at once there, so the pace is the even one, and what is left now is what the newest answer said, less
what left since, plus what our own departures of one length ago have given back since. With answers that take longer
than half a length the numbers are history: then our own departures alone are held to the limit.
"""

import math
from collections import deque

from corso.api.fixed_quota import FixedQuota
from corso.api.latency import Latency
from corso.api.poisson import most_arrivals
from corso.api.quota_headers import QuotaNotice
from corso.api.sent_log import SentLog

DEVIATIONS = 3.0
"""Standard deviations that the reserve holds of what others may send meanwhile: it matters at any moment."""

_RISK = 0.001
_SAMPLES = 32

_MEMORY = 0.2
_CORRECTED_OVER = 0.25
"""Part of the length over which what is left is brought to nothing."""


class RollingQuota:
    """What may be sent; times are monotonic seconds at which requests leave."""

    def __init__(self, log: SentLog, latency: Latency, seen: FixedQuota) -> None:
        self.limit = seen.limit
        self.foreign_per_s = 0.0
        """How fast others use the quota."""
        self._log = log
        self._latency = latency
        self._length_s = max(seen.length.longest_reset_s, 0.1)
        self._filled_in: deque[float] = deque(maxlen=_SAMPLES)
        self._window_s: float | None = None
        self._remaining = 0
        self._told_at = -math.inf
        self._number = 0
        self._reset_s = 0.0
        if seen.newest:
            self.learn(*seen.newest)

    @property
    def length_s(self) -> float:
        """Seconds in which the whole limit comes back."""
        if self._window_s:
            return self._window_s
        full_s = min(self._filled_in) if len(self._filled_in) >= _SAMPLES // 4 else 0.0
        return max(self._length_s, full_s)

    def needs_probe(self, _now: float, _share: float, _in_flight: int) -> bool:
        """Return False: nothing begins anew here."""
        return False

    @property
    def told_at(self) -> float:
        """When the newest request left whose answer told of the quota."""
        return self._told_at

    def is_spent(self, _share: float) -> bool:
        """Return False: a part of it comes back at any time."""
        return False

    def lost(self, _sent_at: float) -> None:
        """Do nothing for a request without an answer: it is among those that left."""

    @property
    def per_second(self) -> float:
        """The even pace of the whole quota."""
        return self.limit / self.length_s

    def room(self, now: float, share: float, _in_flight: int) -> int:
        """Return how many requests may leave now."""
        own = self._log.since(now - self.length_s - self._latency.guard_s())
        allowance = max(1, math.floor(share * self.limit + 1e-9)) - own
        if self._latency.p95 > self.length_s / 2:
            others = most_arrivals(self.foreign_per_s * self.length_s, _RISK)
            return min(allowance, self.limit - own - others)
        free = self._free(now) - self.reserve(now)
        silent_s = max(self._reset_s, self._latency.p95, 0.1 * self.length_s)
        if free < 1 and now > self._told_at + silent_s and not self._log.since(self._told_at + 1e-9):
            free = 1  # nothing is known any more: ask
        return min(allowance, free)

    def reserve(self, now: float) -> int:
        """Return how many requests others may have sent more than they gave back."""
        if not self.foreign_per_s:
            return 0
        # What they send and what they sent one length ago vary alike.
        return math.ceil(DEVIATIONS * math.sqrt(2 * self.foreign_per_s * max(0.0, now - self._told_at)))

    def pace(self, now: float, share: float, _in_flight: int) -> float:
        """Return the even pace, corrected by what is left."""
        even = share * self.per_second
        if not self.foreign_per_s:
            return 1.02 * even
        surplus = (self._free(now) - self.reserve(now)) / (_CORRECTED_OVER * self.length_s)
        return max(0.05 * even, min(1.02 * even, self.per_second - self.foreign_per_s + surplus))

    def turns_at(self, now: float) -> float:
        """Return when to ask again."""
        return now + max(0.5 / self.per_second, 0.002)

    def learn(
        self,
        number: int,
        sent_at: float,
        notice: QuotaNotice,
        *,
        late_s: float = 0.0,  # noqa: ARG002  (as `FixedQuota` has it)
        refused: bool = False,  # noqa: ARG002
    ) -> None:
        """Take in the numbers of one answer; the newest request's are right."""
        if notice.limit is not None:
            self.limit = max(1, notice.limit)
        if notice.window_s:
            self._window_s = notice.window_s
        remaining, reset_s = notice.remaining, notice.reset_s
        if remaining is None or reset_s is None or number < self._number:
            return
        self._number, self._remaining, self._told_at, self._reset_s = number, remaining, sent_at, reset_s
        self._length_s = max(self._length_s, reset_s)
        used = self.limit - remaining
        if used >= max(10, 0.2 * self.limit) and reset_s >= 5:
            # A bucket says when it is full again: always in the same relation to what is missing.
            self._filled_in.append(self.limit * (reset_s - 1) / used)
        elif self._filled_in:
            self._filled_in.popleft()
        own = number - self._log.number_before(sent_at - self.length_s - self._latency.guard_s())
        foreign = max(0.0, (used - own) / self.length_s)
        self.foreign_per_s += _MEMORY * (foreign - self.foreign_per_s)
        if self.foreign_per_s < 0.002 * self.per_second:
            self.foreign_per_s = 0.0

    def _free(self, now: float) -> int:
        since = self._log.total - self._number
        reach = self.length_s + self._latency.guard_s()
        given_back = self._log.number_before(now - reach) - self._log.number_before(self._told_at - reach)
        if self.foreign_per_s:
            # A bucket gives back evenly, whatever left one length ago.
            given_back = min(given_back, int(self.per_second * max(0.0, now - self._told_at)))
        return self._remaining - since + given_back
