"""How long an empty bucket takes to fill, where it is hardly ever less than full; pure.

What a bucket says of its end is in whole seconds: one of a hundred that lacks one, and is full in a second, may take a
second or a hundred. Where we may use a small share, and others leave the rest, it never says more, and a share of what is
not known is anything. So our part goes out in groups for a while, which grow until enough is missing for the answers to tell
(`fill_time`); and all but one of a group leave at once, the last one a bit later. What came back in between came at the
bucket's rate or slower, as others only take; when the last one leaves is found by bisection.
"""

import math

from corso.api.latency import Latency
from corso.api.sent_log import SentLog
from corso.api.window import SECOND

_FEWEST, _MOST = 4, 60
"""Requests of a group: of fewer the numbers, which are whole, tell too little."""
_CLEAR = 1.15
"""The bounds are near enough to each other."""
_OFF, _FAR_OFF, _COARSE_S = 1.15, 3.5, 3.0
"""What is told is believed unless it is so many times too short. What fills in a few seconds fills too fast for a group's
answers, which overtake each other, to show exactly how fast: there it has to be further off."""
_LEAST_GROUPS, _GROUPS = 7, 12
"""Groups that are sent at least, and at most."""
_PARTS = (0.1, 0.2, 0.3, 0.55)
"""Of a bucket that the first groups take, and all that come after them. One that fills in ten seconds tells so when a tenth of it
is missing, one that fills in two seconds when more than half is."""
_HIDDEN = 0.4
"""Where others take more than this part of what comes back, how fast it does is not to be seen this way."""
_WIDE = 8.0
"""How far apart the bounds are taken to be where there is but the upper one."""


class Sounding:
    """Groups of requests, and what follows from their answers; times are those at which requests leave."""

    def __init__(self, log: SentLog, latency: Latency) -> None:
        self._most_s = math.inf
        """How long it takes at most; known once a group was answered."""
        self.turns_at = -math.inf
        """When there is room again, after `room` said that there is none."""
        self._log = log
        self._latency = latency
        self._by_reset_s = math.inf
        self._least_s = 0.0
        """About how long it takes at least: as long as others do not hide what comes back."""
        self._begun = self._groups = self._met_others = 0
        self._before = -_MOST
        """The number of the last departure before the present group."""
        self._size = 0
        self._last_after_s = 0.0
        self._most_left = 0
        """The most that was left after a request of the group."""
        self._low: tuple[int, float] | None = None
        """The least that was left of the bucket after a request of the group but its last, and when that one left."""

    def length_s(self, told_s: float) -> float:
        """Return how long it takes to fill: `told_s`, the longest time that answers told, unless it is surely longer."""
        if math.isinf(self._most_s) or (self.is_over and self._hidden > _HIDDEN):
            return told_s
        found_s = self._most_s
        if self.is_over:
            found_s = math.sqrt(max(self._least_s, found_s / 2) * found_s) * (1 - self._hidden)
        far_off = _FAR_OFF if told_s < _COARSE_S else _OFF
        return found_s if min(found_s, self._least_s) > far_off * told_s else told_s

    @property
    def is_going_on(self) -> bool:
        """Whether requests go out in groups, or may again."""
        return self._size > 0 and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether it is clear enough, or does not become any clearer."""
        is_clear = self._groups >= _LEAST_GROUPS and self._most_s < _CLEAR * self._least_s
        return is_clear or self._groups >= _GROUPS

    @property
    def _hidden(self) -> float:
        """Return the part of what comes back that others take: so often a group finds the bucket less than full."""
        return self._met_others / max(1, self._groups - 1)

    def room(self, now: float, limit: int, allowance: int, length_s: float) -> int:
        """Return how many requests may leave now: `allowance` in each `length_s`, in groups."""
        sent = self._log.total - self._before
        began = self._log.time_of(self._before + 1)
        if began is None:
            self._begin(limit, allowance, length_s)
            return self._size - 1
        if sent < self._size - 1:
            return self._size - 1 - sent
        newest = self._log.time_of(self._log.total) or began
        if sent < self._size:
            self.turns_at = newest + self._last_after_s
            return int(now >= self.turns_at)
        answered_at = newest + self._latency.p95 + self._latency.guard_s()
        self.turns_at = max(began + self._size * length_s / allowance, answered_at)
        if now < self.turns_at:
            return 0
        self._begin(limit, allowance, length_s)
        return self._size - 1

    def _begin(self, limit: int, allowance: int, length_s: float) -> None:
        self._before, self._low, self._most_left = self._log.total, None, 0
        part = _PARTS[min(self._begun, len(_PARTS) - 1)]
        self._size = max(_FEWEST, min(_MOST, int(part * limit)))
        self._begun += 1
        most_s = min(self._most_s, self._by_reset_s)
        most_s = length_s if math.isinf(most_s) else max(most_s, length_s)
        middle_s = math.sqrt(max(self._least_s, most_s / _WIDE) * most_s)
        apart_s = 3 * self._latency.guard_s()
        # Later than the next group were due nothing of ours would be gained.
        after_s = min((self._size - 1) * middle_s / limit, 0.8 * self._size * length_s / allowance)
        self._last_after_s = max(after_s, apart_s)
        if apart_s > self._size * most_s / limit:
            # Answers overtake each other by more than it takes to fill: nothing is to be seen.
            self._groups = _GROUPS

    def learn(self, number: int, sent_at: float, limit: int, remaining: int, reset_s: float) -> None:
        """Take in an answer."""
        if remaining < limit:
            self._by_reset_s = min(self._by_reset_s, limit * (reset_s + SECOND) / (limit - remaining))
        if self._before < number < self._before + self._size:
            self._low = min((remaining, sent_at), self._low or (limit, sent_at))
            self._most_left = max(self._most_left, remaining)
        elif number == self._before + self._size and self._low is not None:
            low, since = self._low
            seconds, guard_s = sent_at - since, self._latency.guard_s()
            if seconds < 2 * guard_s:
                return  # it may have overtaken the others
            back, missing = remaining + 1 - low, limit - low
            self._groups += 1
            # What the first one finds may be missing from before.
            self._met_others += self._groups > 1 and self._most_left < limit - 1
            self._most_s = min(self._most_s, self._by_reset_s)
            if back > 1:
                self._most_s = min(self._most_s, limit * (seconds + guard_s) / (back - 1))
            if back < missing - 1:
                self._least_s = max(self._least_s, limit * max(0.0, seconds - guard_s) / (max(back, 0) + 1))
            self._least_s = min(self._least_s, self._most_s)
