"""The rate of a client that is told nothing but refusals; pure.

Until the first refusal the rate grows: fast as long as one request under way carries it, so that a refusal meets few,
then gently. A refusal tells what the server took: the requests accepted until then, over the time that they and the
pause after them took. From then on the rate follows a cubic curve (CUBIC, as botocore's adaptive mode has it): a bit
below what was found, flat near it, then beyond it. Botocore's curve has its time in seconds; here it has it in
requests, so that a refusal is as rare a part of them at one request a second as at a hundred. A refusal that follows
soon cuts deeper, as botocore does each time.

Where the refusal names the limit and when it resets, the window's length follows from our own departures, and that
pace is kept (a refusal later on puts the curve on top of it).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from corso.api.quota_headers import QuotaNotice
from corso.api.sent_log import SentLog

DEFAULT_RATE = 10.0
"""Requests per second to start from when neither the API nor loader.yaml says anything."""

DIP = 0.1
"""How far below what was found the rate begins again."""

DEEP_DIP = 0.3
"""... and after a refusal that followed soon."""

CURVE = 600.0
"""Requests that the curve takes from its beginning to what was found ..."""

CURVE_S = 60.0
"""... or as many as leave in so many seconds, or in the longest pause that was asked for, if these are more."""

LOWEST = 0.1
"""Requests per second that nothing goes below."""

_DOUBLES_IN_S = 2.0
_GENTLE = 0.01
_GENTLE_FLOOR = 0.2
_FAST_UNDER_WAY = 1.0
_ENOUGH = 5
_USUAL_S = (1, 2, 4, 5, 10, 15, 20, 30, 60, 90, 120, 180, 300, 600, 900, 1800, 3600, 7200, 43_200, 86_400)
"""Lengths that windows usually have, in seconds."""

_SMOOTH = 0.8
_BUCKET_S = 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """What refusals have told: enough to go on from in another process."""

    per_second: float
    """Requests that the server takes."""
    pause_s: float = 0.0
    """The longest pause that it asked for."""


class FoundRate:
    """A rate in requests per second, found by what is refused."""

    def __init__(
        self,
        rate: float,
        now: float,
        log: SentLog,
        guard_s: Callable[[], float],
        *,
        ceiling: float = math.inf,
        found: Found | None = None,
    ) -> None:
        """Begin with `rate`; or where `found`, which was told before, left off."""
        self.ceiling = ceiling
        """What it never grows beyond: the pace that was told while the API still told one."""
        self.limit: int | None = None
        """Requests a window, where a refusal told it."""
        self.length_s = 0.0
        """The window's length, where it follows from a refusal that told the limit."""
        self._log = log
        self._guard_s = guard_s
        self._rate = max(rate, LOWEST)
        self._found = found.per_second if found else None
        self._dip = DIP
        self._longest_s = found.pause_s if found else 0.0
        """The longest pause that was asked for: a window lasts as long at the least."""
        self._curve = self._usual_curve()
        self._since_refusal = log.total
        self._refusal: tuple[int, float] | None = None
        """Number and departure of the refused request, until something is accepted again."""
        self._resumed_at = now
        self._resumed_with = log.total
        self._used = self._rate
        self._count, self._bucket = 0, now

    @property
    def found(self) -> Found | None:
        """What the last refusal told, or was told before; None where there was none. What is tried beyond it is no finding."""
        return None if self._found is None else Found(self._found, self._longest_s)

    def rate(self, share: float) -> float:
        """Return the rate that is allowed now: `share` of it, once there was a refusal to tell what the whole is."""
        if self._found is None:
            return max(LOWEST, min(self._rate, self.ceiling))
        return max(LOWEST, share * self._whole_rate())

    def has_room_at(self, now: float, share: float) -> float | None:
        """Return when one more may leave by the limit that a refusal told; None if at once."""
        if not self.limit or not self.length_s:
            return None
        allowance = max(1, math.floor(share * self.limit + 1e-9))
        reach_s = self.length_s + self._guard_s()
        if self._log.since(now - reach_s) < allowance:
            return None
        oldest = self._log.time_of(self._log.total - allowance + 1)
        return (now if oldest is None else oldest + reach_s) + 1e-6

    def _whole_rate(self) -> float:
        if self._found is None:
            return self._rate
        along = (self._log.total - self._since_refusal) / self._curve - 1
        grown = self._found * (1 + self._dip * along**3)
        # An idle spell earns nothing: at most twice what is really used.
        return max(LOWEST, min(grown, max(2 * self._used, self._found), self.ceiling))

    @property
    def has_recovered(self) -> bool:
        """Whether the curve is back at what was found."""
        return self._found is None or self._log.total - self._since_refusal >= self._curve

    def sent(self, now: float) -> None:
        """Note a request, for the rate that is really used."""
        self._count += 1
        elapsed = now - self._bucket
        if elapsed >= _BUCKET_S:
            self._used = _SMOOTH * self._count / elapsed + (1 - _SMOOTH) * self._used
            self._count, self._bucket = 0, now

    def accepted(self, round_trip_s: float) -> None:
        """Grow by one accepted request, as long as nothing was refused."""
        if self._found is not None or self._rate > 2 * max(self._used, LOWEST):
            return
        if self._rate * round_trip_s < _FAST_UNDER_WAY:
            self._rate *= 1 + math.log(2) / _DOUBLES_IN_S / self._rate
        else:
            self._rate += max(_GENTLE, _GENTLE_FLOOR / self._rate)

    def refused(self, number: int, sent_at: float, asked_s: float, notice: QuotaNotice) -> None:
        """Learn from a refusal of the request of this number, the first one after some that were accepted.

        `asked_s`: seconds that the answer asks to wait, or that are waited if it does not ask.
        """
        if notice.limit is not None and self._learn_limit(number, sent_at, asked_s, notice.limit, notice):
            self._found = self.ceiling = (self.limit or 1) / self.length_s
            self._dip = 0.0
        else:
            soon = self._found is not None and number - self._since_refusal < self._curve / 4
            self._dip = DEEP_DIP if soon else DIP
            self._found = max(LOWEST, min(self._carried(number, sent_at, asked_s), self.rate(1.0)))
        # Whoever had to wait for an hour finds out in hours whether there is more.
        self._longest_s = max(self._longest_s, asked_s)
        self._curve = self._usual_curve()
        self._refusal = (number, sent_at)
        self._since_refusal = self._log.total

    def resumed(self, now: float) -> None:
        """Note the first acceptance after a refusal: the pause was as long as this, whatever was asked for."""
        if self._refusal is not None and self._found is not None and self._dip:
            number, sent_at = self._refusal
            self._found = max(LOWEST, min(self._found, self._carried(number, sent_at, now - sent_at)))
        self._refusal = None
        self._resumed_at = now
        self._resumed_with = self._log.total

    def _usual_curve(self) -> float:
        return max(CURVE, max(CURVE_S, self._longest_s) * (self._found or 0.0))

    def _carried(self, number: int, sent_at: float, pause_s: float) -> float:
        """Return the most that the server took per second, over the last 1, 1.6, 2.6, ... seconds and the pause after."""
        longest_s = max(0.0, sent_at - self._resumed_at)
        carried = max(0, number - 1 - self._resumed_with) / max(longest_s + pause_s, 0.001)
        span_s = 1.0
        while span_s < longest_s:
            taken = number - 1 - self._log.number_before(sent_at - span_s)
            if taken >= _ENOUGH:
                carried = max(carried, taken / (span_s + pause_s))
            span_s *= 1.6
        return carried

    def _learn_limit(
        self, number: int, sent_at: float, asked_s: float, limit: int, notice: QuotaNotice
    ) -> bool:
        """Learn the window from a refusal that tells the limit; return whether it told anything new."""
        is_new = limit != self.limit
        self.limit = max(1, limit)
        began_at = self._log.time_of(number - limit)
        if notice.window_s:
            length_s = notice.window_s
        elif notice.reset_s is not None and notice.reset_s > asked_s + 1:
            length_s = notice.reset_s  # a bucket: one more is there long before it is full again
        elif began_at is not None:
            length_s = _usual_length(sent_at - began_at + asked_s - 1)
        else:
            # Fewer than the limit have left: others had a part of this window, or it began before us.
            length_s = 0.0
        if length_s > self.length_s:
            self.length_s, is_new = length_s, True
        return is_new and self.length_s > 0


def _usual_length(least_s: float) -> float:
    """Return the shortest usual length of a window that is longer than `least_s`.

    What is seen of a window is up to a second too short, and more where it began before the first request.
    """
    return next((usual for usual in _USUAL_S if usual > least_s - 0.01), math.ceil(least_s))
