"""When the next request may leave: a pure state machine. Monotonic seconds come in, decisions come out.

The rules and where they come from:

- One request alone seeds the machine; nothing else leaves before its answer. The same after every pause and at the
  start of every window, so that no burst ever runs into numbers that are out of date.
- Within a window answers come out of order, so the estimate is only ever tightened. A new window is taken whole.
  Answers to requests of a former window are ignored (the rules of Airbyte's token budget, after its faults).
- Our own requests stay within `share` of the window's limit, and all of them within what is left of it less those
  under way and a small reserve. They are spaced evenly, with a small burst.
- `Retry-After` is obeyed in full and never capped; it wins over the window's reset. Jitter is added after it.
- Without rate-limit fields the rate adapts (`cubic`), and a 429 puts that rate on top of the window's pace, too.

A window is told from the next one by when it ends: the moment the request left plus the reset. That is the earliest
end the answer allows; whole seconds make it up to one second wrong either way, which `_SKEW_S` and the margin cover.

The waiting itself is `limiter`'s. `share` is read at every decision, so that it may change while a run is going on.
"""

import math
from dataclasses import dataclass

from corso.api.backoff import CAP_S, Jitter, random_jitter
from corso.api.cubic import CubicRate
from corso.api.quota_headers import NOTHING, QuotaNotice

DEFAULT_RATE = 10.0
"""Requests per second to start from when neither the API nor loader.yaml says anything."""

BURST = 5.0
"""Requests that may leave together."""

BURST_S = 0.05
"""... or as many as the pace allows in so many seconds: an event loop's turn at high rates."""

LONGEST_JITTER_S = 5.0
"""The most that is added to a pause."""

FIRST_PAUSE_S = 1.0
"""The pause after a 429 that names none; it doubles with every further one."""

_WHOLE_TOKEN = 1 - 1e-9
_SKEW_S = 1.5
_SHORTEST_RESET_S = 1.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to send one request, to be handed back with how it went."""

    sent_at: float
    window: int
    pauses: int
    is_probe: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: ask again at `until`, or when another request has ended if that is None."""

    until: float | None
    held_since: float | None = None
    """Since when the API has been asking us to wait; None where the wait is our own pacing."""


@dataclass(slots=True)
class Tally:
    """What has been counted so far."""

    sent: int = 0
    """Requests that left, or may have."""
    throttled: int = 0
    """Answers with status 429."""
    retried: int = 0
    """Requests that repeated a failed one; the caller counts them."""
    quota: int = 0
    """Sum of the limits of all windows seen."""
    used: int = 0
    """Requests of ours in these windows."""
    foreign: int = 0
    """Requests of others in the windows that are over, as far as the answers show."""


@dataclass(slots=True)
class _Window:
    limit: int
    remaining: int
    ends_at: float
    own: int
    told_at: float
    """When the request left whose answer gave the newest numbers."""
    foreign_per_s: float = 0.0
    """How fast others use the quota, over the window so far."""

    @property
    def reserve(self) -> int:
        """Requests that are left to others when the window runs dry: one in fifty, 20 at the most."""
        return min(20, self.limit // 50)


class Pacer:
    """Decides; never waits, never looks at a clock."""

    def __init__(
        self,
        *,
        share: float,
        max_in_flight: int,
        requests_per_second: float | None = None,
        jitter: Jitter = random_jitter,
    ) -> None:
        self.share = share
        self.tally = Tally()
        self.seeded = False
        self.paused_until = -math.inf
        self._max_in_flight = max_in_flight
        self._start_rate = requests_per_second
        self._jitter = jitter
        self._in_flight = 0
        self._window: _Window | None = None
        self._number = 0
        self._length_s = 0.0
        self._cubic: CubicRate | None = None
        self._was_cut = False
        self._tokens = 1.0
        self._refilled_at = math.inf
        self._needs_probe = True
        self._probe_is_out = False
        self._pauses = 0
        self._held_since: float | None = None
        self._streak = 0

    @property
    def in_flight(self) -> int:
        """Requests that were admitted and have not ended."""
        return self._in_flight

    @property
    def quota_share(self) -> float | None:
        """Our part of the quota over the windows seen; None as long as no answer told of one."""
        return self.tally.used / self.tally.quota if self.tally.quota else None

    def admit(self, now: float) -> Ticket | Wait:
        """Admit a request that leaves at once, or say how long to wait."""
        wait = self._hold(now)
        if wait is not None:
            return wait
        if not self._needs_probe:
            rate = self._refill(now)
            if self._tokens < _WHOLE_TOKEN:
                return Wait(now + (1 - self._tokens) / rate)
        return self._issue(now)

    def may_leave(self, now: float) -> bool:
        """Whether a request that was admitted before may still leave: no pause has begun since."""
        return now >= self.paused_until

    def rate(self, now: float) -> float:
        """Return the present pace in requests per second; 0 before the first answer."""
        limits = [self._cubic.rate(now)] if self._cubic else []
        if self._window:
            slack = min(1.0, 0.2 * self._length_s)
            horizon = max(self._window.ends_at - slack - now, 0.05 * self._length_s, 0.05)
            limits.append(max(0, self._left(self._window, now)) / horizon)
        return min(limits, default=0.0)

    def answered(self, ticket: Ticket, now: float, status: int, notice: QuotaNotice = NOTHING) -> float:
        """Note an answer; return the seconds that nothing may be sent from now on."""
        self._release(ticket)
        told = self._learn(ticket, notice)
        if status == 429:
            self.tally.throttled += 1
        if status == 429 or (status == 503 and notice.retry_after_s is not None):
            self._pause(ticket, now, notice)
        elif status < 500 or told:
            self._proven(ticket, now, told=told)
        return max(0.0, self.paused_until - now)

    def unanswered(self, ticket: Ticket) -> None:
        """Note that no answer was read; the server may have counted the request all the same."""
        self._release(ticket)
        self._count_down(ticket)

    def withdrawn(self, ticket: Ticket) -> None:
        """Note that the request surely never left; it costs nothing."""
        self._release(ticket)
        self._tokens += 1
        self.tally.sent -= 1
        if self._window and ticket.window == self._number:
            self._window.own -= 1
            self.tally.used -= 1

    def _hold(self, now: float) -> Wait | None:
        if now < self.paused_until:
            return Wait(self.paused_until, self._held_since)
        if self._in_flight >= self._max_in_flight:
            return Wait(None)
        window = self._window
        if window:
            turns_at = window.ends_at + min(1.0, 0.1 * self._length_s)
            if now >= turns_at:
                self._needs_probe = True
            elif self._left(window, now) < 1:
                own_share_is_spent = self._allowance(window) < 1
                waits_for_answers = self._in_flight > 0 and not own_share_is_spent
                return Wait(None) if waits_for_answers else Wait(turns_at, now)
        return Wait(None) if self._needs_probe and self._probe_is_out else None

    def _allowance(self, window: _Window) -> int:
        return max(1, math.floor(self.share * window.limit + 1e-9)) - window.own

    def _left(self, window: _Window, now: float) -> int:
        # Others have gone on since the numbers were told; near the window's end that decides.
        foreign = math.ceil(window.foreign_per_s * max(0.0, now - window.told_at))
        available = window.remaining - self._in_flight - window.reserve - foreign
        return min(self._allowance(window), available)

    def _refill(self, now: float) -> float:
        rate = self.rate(now)
        gained = rate * max(0.0, now - self._refilled_at)
        self._tokens = min(max(BURST, BURST_S * rate), self._tokens + gained)
        self._refilled_at = now
        return rate

    def _issue(self, now: float) -> Ticket:
        is_probe = self._needs_probe
        self._probe_is_out |= is_probe
        self._tokens = max(0.0, self._tokens - 1)
        self._refilled_at = now
        self._in_flight += 1
        self.tally.sent += 1
        if self._window:
            self._window.own += 1
            self.tally.used += 1
        if self._cubic:
            self._cubic.sent(now)
        return Ticket(now, self._number, self._pauses, is_probe)

    def _release(self, ticket: Ticket) -> None:
        self._in_flight -= 1
        if ticket.is_probe:
            self._probe_is_out = False

    def _count_down(self, ticket: Ticket) -> None:
        if self._window and ticket.window == self._number:
            self._window.remaining -= 1

    def _learn(self, ticket: Ticket, notice: QuotaNotice) -> bool:
        remaining, reset_s = notice.remaining, notice.reset_s
        if remaining is None or reset_s is None:
            self._count_down(ticket)
            return False
        self._length_s = max(self._length_s, notice.window_s or reset_s, _SHORTEST_RESET_S)
        ends_at = ticket.sent_at + max(reset_s, _SHORTEST_RESET_S)
        window = self._window
        if window is None or ends_at > window.ends_at + min(_SKEW_S, self._length_s / 2):
            self._open(ticket, notice.limit, remaining, ends_at)
        elif ticket.window == self._number:
            window.remaining = min(window.remaining, remaining)
            window.ends_at = max(window.ends_at, ends_at)
            if notice.limit is not None and notice.limit < window.limit:
                self.tally.quota -= window.limit - notice.limit
                window.limit = notice.limit
            if ticket.sent_at >= window.told_at:
                elapsed = max(1.0, self._length_s - (window.ends_at - ticket.sent_at))
                foreign = max(0, window.limit - window.remaining - window.own)
                window.told_at, window.foreign_per_s = ticket.sent_at, foreign / elapsed
        return True

    def _open(self, ticket: Ticket, limit: int | None, remaining: int, ends_at: float) -> None:
        if self._window and ticket.window == self._number:
            # The request was booked on the window before; it is the first one of this window.
            self._window.own -= 1
            self.tally.used -= 1
        self._close()
        if not self._was_cut:
            self._cubic = None
        limit = max(remaining + 1 if limit is None else limit, 1)
        self._number += 1
        self._window = _Window(limit, remaining, ends_at, own=1, told_at=ticket.sent_at)
        self.tally.quota += limit
        self.tally.used += 1

    def _close(self) -> None:
        if self._window:
            taken = self._window.limit - self._window.remaining
            self.tally.foreign += max(0, taken - self._window.own)
            self._window = None

    def _proven(self, ticket: Ticket, now: float, *, told: bool) -> None:
        self.seeded = True
        if ticket.pauses == self._pauses:
            self._held_since, self._streak = None, 0
        if ticket.is_probe:
            self._needs_probe = False
        if not told and (self._window is None or (ticket.is_probe and now >= self._window.ends_at)):
            self._go_untold(now)

    def _go_untold(self, now: float) -> None:
        # The API tells nothing, or has ceased to: go on at the pace that was right so far, and adapt.
        last = self.share * self._window.limit / self._length_s if self._window else None
        if self._cubic is None:
            self._cubic = CubicRate(last or self._start_rate or DEFAULT_RATE, now)
        if last is not None:
            self._cubic.ceiling = last
        self._close()

    def _pause(self, ticket: Ticket, now: float, notice: QuotaNotice) -> None:
        asked_s = notice.retry_after_s
        if asked_s is None:
            asked_s = notice.reset_s
        if self._streak or asked_s is None:
            asked_s = max(asked_s or 0.0, min(CAP_S, FIRST_PAUSE_S * 2.0 ** min(self._streak, 20)))
        spread = min(LONGEST_JITTER_S, 0.1 * (self._length_s or asked_s))
        self.paused_until = max(self.paused_until, now + asked_s + spread * self._jitter())
        self._needs_probe = True
        if self._held_since is None:
            self._held_since = now
        if ticket.pauses == self._pauses:
            self._pauses += 1
            self._streak += 1
            self._cut(now)

    def _cut(self, now: float) -> None:
        if self._cubic is None:
            self._cubic = CubicRate(self.rate(now) or self._start_rate or DEFAULT_RATE, now)
        self._cubic.cut(now, grows_from=self.paused_until)
        self._was_cut = True
