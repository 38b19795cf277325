"""Models of servers that count requests, others who use the same quota, and a client that wants to send all it may.

Everything happens in virtual time, in one plain event loop over `Pacer`: no sockets, no asyncio, hours in a second.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal, Protocol

from corso.api.pacer import Pacer, Ticket
from corso.api.quota_headers import read_notice

ResetForm = Literal["ceil", "floor", "exact", "epoch", "ietf"]
"""How an answer says when the window resets."""
Shown = Literal["always", "429", "never"]
"""Which answers carry the numbers."""
RetryAfter = Literal["seconds", "date", "none"]
"""How a 429 says how long to wait."""
Pattern = Literal["poisson", "constant", "bursts", "on and off", "waves"]
"""How others send: independently; evenly; four at once; half of the time (a third of a window each); with a slow rhythm."""

START = datetime(2026, 11, 22, tzinfo=UTC)
_FIRST_MOMENT = 1_000.0


@dataclass(frozen=True, slots=True)
class Count:
    """What a counter says of one request."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: float
    wait_s: float
    """Seconds after which another one may come, after a refusal."""


class Counter(Protocol):
    """Counts requests; time never runs backwards."""

    def take(self, now: float) -> Count:
        """Count one request that arrives now; a refused one uses up nothing."""
        ...

    def quota(self, start: float, end: float) -> float:
        """Return how many requests may be taken between two moments, when all are."""
        ...


LimitAt = Callable[[float], int]


@dataclass
class FixedWindows:
    """So many a window. Windows follow the clock, or open with the first request after the last one closed."""

    limit_at: LimitAt
    window_s: float
    phase_s: float = 0.0
    opens_by_request: bool = False
    _opened_at: float = -math.inf
    _used: int = 0

    def take(self, now: float) -> Count:
        """See `Counter.take`."""
        if now >= self._opened_at + self.window_s:
            began = (now + self.phase_s) // self.window_s * self.window_s - self.phase_s
            self._opened_at, self._used = now if self.opens_by_request else began, 0
        limit = self.limit_at(self._opened_at)
        allowed = self._used < limit
        self._used += allowed
        left_s = min(self.window_s, self._opened_at + self.window_s - now)
        return Count(allowed, limit, max(0, limit - self._used), left_s, left_s)

    def quota(self, start: float, end: float) -> float:
        """See `Counter.quota`."""
        steps = 2_000
        return sum(self.limit_at(start + (i + 0.5) * (end - start) / steps) for i in range(steps)) * (
            (end - start) / self.window_s / steps
        )


@dataclass
class SlidingWindow:
    """So many in any window that ends now."""

    limit_at: LimitAt
    window_s: float
    _taken: deque[float] = field(default_factory=deque)

    def take(self, now: float) -> Count:
        """See `Counter.take`."""
        taken, limit = self._taken, self.limit_at(now)
        while taken and taken[0] <= now - self.window_s:
            taken.popleft()
        allowed = len(taken) < limit
        if allowed:
            taken.append(now)
        reset_s = taken[0] + self.window_s - now if taken else self.window_s
        return Count(allowed, limit, max(0, limit - len(taken)), reset_s, reset_s)

    quota = FixedWindows.quota


@dataclass
class TokenBucket:
    """A bucket of `limit` tokens that fills in `window_s`."""

    limit_at: LimitAt
    window_s: float
    _level: float = -1.0
    _seen_at: float = 0.0

    def take(self, now: float) -> Count:
        """See `Counter.take`."""
        limit = self.limit_at(now)
        per_second = limit / self.window_s
        if self._level < 0:
            self._level = float(limit)
        self._level = min(float(limit), self._level + (now - self._seen_at) * per_second)
        self._seen_at = now
        allowed = self._level >= 1
        self._level -= allowed
        full_s = (limit - self._level) / per_second
        return Count(allowed, limit, int(self._level), full_s, (1 - self._level) / per_second)

    quota = FixedWindows.quota


@dataclass(frozen=True)
class Case:
    """A server, its network and its other clients."""

    counter: Callable[[], Counter]
    window_s: float
    """How long the window is, for the measure."""
    form: ResetForm = "ceil"
    shown: Shown = "always"
    retry_after: RetryAfter = "seconds"
    latency_s: float = 0.05
    """A round trip, on average."""
    jitter: float = 0.2
    """By what part of it a round trip may be longer or shorter."""
    foreign_per_s: float = 0.0
    """Requests of others, on average."""
    foreign: Pattern = "poisson"
    foreign_before_s: float = 0.0
    """For how long others have been sending when we begin."""
    share: float = 1.0
    max_in_flight: int = 64
    requests_per_second: float | None = None
    lag_s: float = 0.002
    """By how much our own timers may be late."""
    clock_off_s: float = 0.0
    """By how much our time of day is ahead of the server's."""


@dataclass
class Run:
    """What came of a case."""

    case: Case
    sent: int = 0
    refused_at: list[float] = field(default_factory=list)
    early: int = 0
    """Requests that left before the end of a Retry-After that had been read."""
    accepted_at: list[float] = field(default_factory=list)
    left_at: list[float] = field(default_factory=list)
    foreign_at: list[float] = field(default_factory=list)
    """When requests of others were accepted."""
    foreign_refused: int = 0
    pacer: Pacer = field(default_factory=lambda: Pacer(share=1.0, max_in_flight=1))
    ended_at: float = 0.0

    def use(self, start: float, end: float) -> float:
        """Return our part of what `share` and the others left us between two moments, from 0 to 1."""
        quota = self.case.counter().quota(start, end)
        ours = sum(start <= at < end for at in self.accepted_at)
        others = sum(start <= at < end for at in self.foreign_at)
        return ours / max(1.0, min(self.case.share * quota, quota - others))

    def refusals(self, start: float = 0.0) -> int:
        """Return how many 429s came after a moment."""
        return sum(at >= start for at in self.refused_at)

    def fullest(self, window_s: float) -> int:
        """Return the most of our requests that left within any `window_s`."""
        most, first = 0, 0
        for last, at in enumerate(self.left_at):
            while self.left_at[first] <= at - window_s:
                first += 1
            most = max(most, last - first + 1)
        return most


class _Others:
    def __init__(self, case: Case, chance: random.Random) -> None:
        self._per_second = case.foreign_per_s
        self._pattern = case.foreign
        self._cycle_s = max(case.window_s, 10.0)
        self._chance = chance
        self._next = -case.foreign_before_s if self._per_second else math.inf
        self._step()

    def come(self, until: float, counter: Counter, run: Run) -> None:
        while self._next <= until:
            for _ in range(4 if self._pattern == "bursts" else 1):
                if counter.take(self._next).allowed:
                    run.foreign_at.append(self._next)
                else:
                    run.foreign_refused += 1
            self._step()

    def _step(self) -> None:
        if math.isinf(self._next):
            return
        match self._pattern:
            case "constant":
                self._next += 1 / self._per_second
            case "bursts":
                self._next += self._chance.expovariate(self._per_second / 4)
            case "poisson":
                self._next += self._chance.expovariate(self._per_second)
            case _:
                # Thinned out: twice the rate, of which the moment keeps its part.
                while True:
                    self._next += self._chance.expovariate(2 * self._per_second)
                    if self._chance.random() < self._part():
                        return

    def _part(self) -> float:
        turns = self._next / self._cycle_s
        if self._pattern == "on and off":
            return float(turns * 1.5 % 1 < 0.5)
        return 0.5 + 0.4 * math.sin(turns / 5 * math.tau)


def simulate(case: Case, seconds: float, *, seed: int = 0, pacer: Pacer | None = None) -> Run:
    """Let a client that always has something to send send for so many seconds; a refused request is sent again."""
    chance = random.Random(seed)
    pacer = pacer or Pacer(
        share=case.share,
        max_in_flight=case.max_in_flight,
        requests_per_second=case.requests_per_second,
        jitter=chance.random,
    )
    counter = case.counter()
    run = Run(case, pacer=pacer)
    others = _Others(case, random.Random(f"others {seed}"))
    events: list[tuple[float, int, Ticket, tuple[int, Mapping[str, str]] | None]] = []
    now, order, held_until = 0.0, 0, 0.0

    def one_way() -> float:
        return case.latency_s / 2 * (1 + case.jitter * (2 * chance.random() - 1))

    def happen() -> None:
        nonlocal order, held_until
        at, _, ticket, answer = heapq.heappop(events)
        order += 1
        if answer is None:
            others.come(at, counter, run)
            counted = counter.take(at)
            (run.accepted_at if counted.allowed else run.refused_at).append(at)
            heapq.heappush(events, (at + one_way(), order, ticket, _answer(case, counted, at)))
            return
        status, fields = answer
        notice = read_notice(fields, START + timedelta(seconds=at + case.clock_off_s))
        if status == 429 and notice.retry_after_s is not None:
            held_until = max(held_until, at + notice.retry_after_s)
        pacer.answered(ticket, at + _FIRST_MOMENT, status, notice)

    while now < seconds:
        decision = pacer.admit(now + _FIRST_MOMENT)
        if isinstance(decision, Ticket):
            run.sent += 1
            run.left_at.append(now)
            run.early += now < held_until - 1e-6
            order += 1
            heapq.heappush(events, (now + one_way(), order, decision, None))
            continue
        wake_at = math.inf
        if decision.until is not None:
            wake_at = max(decision.until - _FIRST_MOMENT, now + 1e-4) + case.lag_s * chance.random()
        if events and events[0][0] <= wake_at:
            now = max(now, events[0][0])
            happen()
        else:
            now = wake_at
    run.ended_at = now
    return run


def _answer(case: Case, counted: Count, at: float) -> tuple[int, Mapping[str, str]]:
    utc = START + timedelta(seconds=at)
    fields: dict[str, str] = {"date": format_datetime(utc, usegmt=True)}
    if not counted.allowed:
        wait_s = max(1, math.ceil(counted.wait_s))
        if case.retry_after == "seconds":
            fields["retry-after"] = str(wait_s)
        elif case.retry_after == "date":
            until = utc.replace(microsecond=0) + timedelta(seconds=wait_s + 1)
            fields["retry-after"] = format_datetime(until, usegmt=True)
    if case.shown == "always" or (case.shown == "429" and not counted.allowed):
        fields.update(_numbers(case, counted, utc))
    return 201 if counted.allowed else 429, fields


def _numbers(case: Case, counted: Count, utc: datetime) -> dict[str, str]:
    if case.form == "ietf":
        return {
            "ratelimit": f'"default";r={counted.remaining};t={math.ceil(counted.reset_s)}',
            "ratelimit-policy": f'"default";q={counted.limit};w={case.window_s:.0f}',
        }
    reset = {
        "ceil": f"{math.ceil(counted.reset_s)}",
        "floor": f"{math.floor(counted.reset_s)}",
        "exact": f"{counted.reset_s:.3f}",
        "epoch": f"{math.ceil(utc.timestamp() + counted.reset_s)}",
    }[case.form]
    return {
        "ratelimit-limit": str(counted.limit),
        "ratelimit-remaining": str(counted.remaining),
        "ratelimit-reset": reset,
    }
