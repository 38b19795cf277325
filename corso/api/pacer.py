"""When the next request may leave: a pure state machine. Monotonic seconds come in, decisions come out.

The rules and where they come from:

- One request alone seeds the machine; nothing else leaves before its answer. The same after every pause and whenever
  what is known is a guess, so that no burst ever runs into numbers that are out of date.
- What the answers tell is kept by `fixed_quota`, or by `rolling_quota` where the windows turn out not to be fixed;
  where they tell nothing, `found_rate` looks for the rate.
- Requests are spaced evenly, with a small burst.
- `Retry-After` is obeyed in full and never capped; it wins over the window's reset. Jitter is added after it. The
  quota of a 429 that the numbers foretold is simply used up; one that contradicts them cuts the rate, too.
- Requests under way are bounded by Little's law and by additive increase, multiplicative decrease (`latency`).

The waiting itself is `limiter`'s. `share` is read at every decision, so that it may change while a run is going on.
"""

import math
from dataclasses import dataclass

from corso.api.backoff import CAP_S, Jitter, random_jitter
from corso.api.fixed_quota import STEEPEST, FixedQuota
from corso.api.found_rate import DEFAULT_RATE, Found, FoundRate
from corso.api.latency import Concurrency, Latency
from corso.api.quota_headers import NOTHING, QuotaNotice
from corso.api.rolling_quota import RollingQuota
from corso.api.sent_log import SentLog

BURST = 5.0
"""Requests that may leave together."""

BURST_S = 0.05
"""... or as many as the pace allows in so many seconds: an event loop's turn at high rates."""

LONGEST_JITTER_S = 5.0
"""The most that is added to a pause."""

FIRST_PAUSE_S = 1.0
"""The pause after a 429 that names none; it doubles with every further one."""

_WHOLE_TOKEN = 1 - 1e-9
_LOOK_AGAIN_S = 0.005
_SILENT_ANSWERS = 10
_FORGOTTEN_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to send one request, to be handed back with how it went."""

    sent_at: float
    number: int
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
    quota: float = 0.0
    """Requests that the API allowed in the time that was seen."""
    used: int = 0
    """Requests of ours in this time."""
    foreign: float = 0.0
    """Requests of others in this time, as far as the answers show."""


class Pacer:
    """Decides; never waits, never looks at a clock."""

    def __init__(
        self,
        *,
        share: float,
        max_in_flight: int,
        requests_per_second: float | None = None,
        jitter: Jitter = random_jitter,
        found: Found | None = None,
    ) -> None:
        """Begin with nothing known but, of an API that tells nothing, what was `found` before.

        `requests_per_second`, which somebody set, wins over it.
        """
        self.share = share
        self.tally = Tally()
        self.seeded = False
        self.paused_until = -math.inf
        self._latency = Latency()
        self._concurrency = Concurrency(max_in_flight, self._latency)
        self._log = SentLog()
        self._start_rate = requests_per_second
        self._found_before = None if requests_per_second else found
        self._jitter = jitter
        self._in_flight = 0
        self._quota: FixedQuota | RollingQuota = FixedQuota(self._log, self._latency)
        self._is_told = False
        self._silent = 0
        self._found: FoundRate | None = None
        self._tokens = 1.0
        self._refilled_at = math.inf
        self._needs_probe = True
        self._probe_is_out = False
        self._pauses = 0
        self._held_since: float | None = None
        self._streak = 0
        self._counted_to = math.inf

    @property
    def in_flight(self) -> int:
        """Requests that were admitted and have not ended."""
        return self._in_flight

    @property
    def quota(self) -> tuple[int, float] | None:
        """The limit and the length of its window in seconds, as far as the answers tell; None if they do not."""
        return (self._quota.limit, self._quota.length_s) if self._is_told else None

    @property
    def found(self) -> Found | None:
        """What refusals told of an API that tells nothing else; None where it does, or refused nothing."""
        return self._found.found if self._found and not self._is_told else None

    @property
    def quota_share(self) -> float | None:
        """Our part of the quota over the time seen; None as long as no answer told of one."""
        return self.tally.used / self.tally.quota if self.tally.quota else None

    def admit(self, now: float) -> Ticket | Wait:
        """Admit a request that leaves at once, or say how long to wait."""
        if now < self.paused_until:
            return Wait(self.paused_until, self._held_since)
        self._turn(now)
        rate = self.rate(now)
        if self._in_flight >= self._concurrency.allowed(max(rate, self._usual_rate)):
            return Wait(None)
        if self._asks_first(now):
            return Wait(None) if self._probe_is_out else self._issue(now, is_probe=True)
        until = self._room_at(now)
        if until is not None:
            return until
        self._refill(now, rate)
        if self._tokens < _WHOLE_TOKEN:
            full_at = now + (1 - self._tokens) / rate if rate else math.inf
            turns_at = self._quota.turns_at(now) if self._is_told else math.inf
            return Wait(turns_at if now < turns_at < full_at else full_at)
        return self._issue(now, is_probe=False)

    def may_leave(self, now: float) -> bool:
        """Whether a request that was admitted before may still leave: no pause has begun since."""
        return now >= self.paused_until

    def rate(self, now: float) -> float:
        """Return the present pace in requests per second; 0 before the first answer."""
        rates = [self._quota.pace(now, self.share, self._in_flight)] if self._is_told else []
        if self._found:
            rates.append(self._found.rate(1.0 if self._is_told else self.share))
        return min(rates, default=0.0)

    def even_rate(self, now: float) -> float:
        """Return the present pace, evened out where requests leave in groups."""
        return min(self.rate(now), STEEPEST * self._usual_rate) if self._is_told else self.rate(now)

    def answered(self, ticket: Ticket, now: float, status: int, notice: QuotaNotice = NOTHING) -> float:
        """Note an answer; return the seconds that nothing may be sent from now on."""
        self._release(ticket)
        late_s = self._latency.note(now - ticket.sent_at)
        asks_for_a_pause = status == 429 or (status == 503 and notice.retry_after_s is not None)
        self.tally.throttled += status == 429
        # An API that shows its numbers on refusals only tells nothing to pace by.
        told = notice.describes_a_window and (self._is_told or status != 429)
        if told:
            self._quota.learn(ticket.number, ticket.sent_at, notice, late_s=late_s, refused=status == 429)
            self._count(now, used=status != 429)
        else:
            self._quota.lost(ticket.sent_at)
        if asks_for_a_pause:
            self._pause(ticket, now, status, notice)
        elif status < 500 or told:
            self._proven(ticket, now, told=told)
        if status >= 500:
            self._concurrency.troubled(now, self._in_flight)
        elif status != 429:
            self._concurrency.well(self._in_flight)
            if self._found:
                self._found.accepted(self._latency.p95)
        return max(0.0, self.paused_until - now)

    def answered_elsewhere(
        self, ticket: Ticket, now: float, status: int, notice: QuotaNotice = NOTHING
    ) -> float:
        """Note the answer of the token endpoint: it says nothing about the quota, and may ask all for a pause."""
        self._release(ticket)
        if status == 429:
            self.tally.throttled += 1
        if notice.retry_after_s is not None and status in {429, 503}:
            self.hold(now, notice.retry_after_s)
        return max(0.0, self.paused_until - now)

    def hold(self, now: float, asked_s: float) -> None:
        """Let nothing leave for so many seconds, and a little longer: others wait for the same moment."""
        if self._held_since is None or now > self.paused_until + _FORGOTTEN_AFTER_S:
            self._held_since = now
        spread = min(LONGEST_JITTER_S, 0.1 * (self._quota.length_s or asked_s))
        self.paused_until = max(self.paused_until, now + asked_s + spread * self._jitter())
        self._needs_probe = True

    def unanswered(self, ticket: Ticket, now: float) -> None:
        """Note that no answer was read; the server may have counted the request all the same."""
        self._release(ticket)
        self._quota.lost(ticket.sent_at)
        self._concurrency.troubled(now, self._in_flight)

    def withdrawn(self, ticket: Ticket) -> None:
        """Note that the request surely never left; it costs nothing."""
        self._release(ticket)
        self._tokens += 1
        self.tally.sent -= 1
        self._log.withdraw(ticket.number)

    def left(self, now: float) -> int:
        """Return how many requests may leave at once by the quota that was told; 0 before it was."""
        return self._quota.room(now, self.share, self._in_flight) if self._is_told else 0

    def reserve(self, now: float) -> int:
        """Return how many requests of the told quota are kept for others at this moment."""
        return self._quota.reserve(now) if self._is_told else 0

    @property
    def _usual_rate(self) -> float:
        return self.share * self._quota.per_second if self._is_told else 0.0

    def _asks_first(self, now: float) -> bool:
        """Whether one request is to go ahead alone."""
        if not self._is_told:
            return self._needs_probe
        if self._probe_is_out:
            return self._needs_probe or self._quota.needs_probe(now, self.share, self._in_flight)
        # Where our own requests surely fill the window there is nothing to be asked.
        asks = self._needs_probe and self._quota.may_ask(now)
        return asks or self._quota.needs_probe(now, self.share, self._in_flight)

    def _turn(self, now: float) -> None:
        quota = self._quota
        if not self._is_told or not isinstance(quota, FixedQuota):
            return
        quota.turn(now)
        if quota.looks_rolling:
            self._quota = RollingQuota(self._log, self._latency, quota)

    def _room_at(self, now: float) -> Wait | None:
        """Return None if the quota has room for one more, else how long to wait."""
        if not self._is_told:
            until = self._found.has_room_at(now, self.share) if self._found else None
            return None if until is None or until <= now else Wait(until)
        if self._quota.room(now, self.share, self._in_flight) >= 1:
            return None
        turns_at = max(now, self._quota.turns_at(now))
        if self._quota.is_spent(self.share) or not self._in_flight:
            return Wait(turns_at, now)
        # Answers that are under way may show that others took less than was left to them.
        return Wait(min(turns_at, now + max(_LOOK_AGAIN_S, self._latency.p95 / 4)))

    def _refill(self, now: float, rate: float) -> None:
        gained = rate * max(0.0, now - self._refilled_at)
        # Where few are ours those of a window would all leave at once, and whether they come back one by one is not seen.
        few = isinstance(self._quota, FixedQuota) and self._is_told
        burst = min(BURST, max(1.5, self.share * self._quota.limit / 4)) if few else BURST
        self._tokens = min(max(burst, BURST_S * rate), self._tokens + gained)
        self._refilled_at = now

    def _issue(self, now: float, *, is_probe: bool) -> Ticket:
        self._probe_is_out |= is_probe
        self._tokens = max(0.0, self._tokens - 1)
        self._refilled_at = now
        self._in_flight += 1
        self.tally.sent += 1
        if self._found:
            self._found.sent(now)
        return Ticket(now, self._log.add(now), self._pauses, is_probe)

    def _release(self, ticket: Ticket) -> None:
        self._in_flight -= 1
        if ticket.is_probe:
            self._probe_is_out = False

    def _count(self, now: float, *, used: bool) -> None:
        quota, length_s = self._quota, self._quota.length_s
        seconds = now - self._counted_to
        if 0 < seconds <= max(60.0, length_s):
            self.tally.quota += quota.per_second * seconds
            self.tally.foreign += quota.foreign_per_s * seconds
            self.tally.used += used
        self._counted_to = now

    def _proven(self, ticket: Ticket, now: float, *, told: bool) -> None:
        self.seeded = True
        if ticket.pauses == self._pauses:
            if self._streak and self._found:
                self._found.resumed(now)
            self._held_since, self._streak = None, 0
        if ticket.is_probe:
            self._needs_probe = False
        if told:
            self._silent = 0
            if not self._is_told or (self._found and self._found.has_recovered):
                self._found = None
            self._is_told = True
            return
        self._silent += 1
        # One answer without numbers may be any proxy's.
        is_silent = (
            self._silent >= _SILENT_ANSWERS and now > self._quota.told_at + self._quota.length_s
            if self._is_told
            else self._found is None
        )
        if is_silent:
            self._go_untold(now)

    def _go_untold(self, now: float) -> None:
        """The API tells nothing, or has ceased to: go on at the pace that was right so far, and adapt."""
        if self._is_told:
            last = self.share * self._quota.per_second
            self._found = FoundRate(last, now, self._log, self._latency.guard_s, ceiling=last)
            self._quota = FixedQuota(self._log, self._latency)
        elif self._found is None:
            self._found = self._find(now)
        self._is_told = False

    def _find(self, now: float, told: float | None = None) -> FoundRate:
        rate = told or self._start_rate or DEFAULT_RATE
        found = self._found_before if told is None else None
        return FoundRate(rate, now, self._log, self._latency.guard_s, found=found)

    def _pause(self, ticket: Ticket, now: float, status: int, notice: QuotaNotice) -> None:
        asked_s = notice.retry_after_s
        if asked_s is None:
            asked_s = notice.reset_s
        if self._streak or asked_s is None:
            asked_s = max(asked_s or 0.0, min(CAP_S, FIRST_PAUSE_S * 2.0 ** min(self._streak, 20)))
        self.hold(now, asked_s)
        if ticket.pauses == self._pauses:
            self._pauses += 1
            self._streak += 1
            # A refusal that the numbers foretold says nothing new: others were quicker.
            was_foretold = self._is_told and notice.remaining == 0
            if status == 429 and self._streak == 1 and not was_foretold:
                self._cut(ticket, now, asked_s, notice)

    def _cut(self, ticket: Ticket, now: float, asked_s: float, notice: QuotaNotice) -> None:
        if self._found is None:
            self._found = self._find(now, self._quota.per_second if self._is_told else None)
        self._found.refused(ticket.number, ticket.sent_at, asked_s, notice)
