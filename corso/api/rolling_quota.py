"""A quota that comes back little by little, as sliding windows and token buckets have it; pure.

Nothing resets at once there, so the pace is the even one, and what counts at any moment is what is free when our
request arrives: what the newest answer said, less what left since, plus what came back since, less what others may have
sent meanwhile. What comes back follows from the model:

- In a sliding window each request comes back one length after it was counted: our own as our log says, those of others
  as they were seen to come.
- A bucket fills at an even rate, whoever emptied it. It is told by what a sliding window cannot do: more of our requests
  left within one length than are counted as used, or what is missing and when it is there go together (`fill_time`, which
  also tells how long it takes to fill). Nothing is lost in a bucket that is not full, so a part of it is kept.
  One that is hardly ever less than full does not tell how fast it fills: that is found out by `sounding`.

With answers that take longer than half a length the numbers are history: then our own departures alone are held to the
limit.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from corso.api.fill_time import FillTime
from corso.api.fixed_quota import FixedQuota
from corso.api.latency import Latency
from corso.api.others import Others
from corso.api.quota_headers import QuotaNotice
from corso.api.sent_log import SentLog
from corso.api.sounding import Sounding
from corso.api.window import SECOND

RISK = 0.003
"""The part of our requests that may be refused, as others send more than was to be foreseen."""

_LEAST = 0.5
KEPT = 0.1
"""The part of a bucket that is kept full: what others may take at any time."""

_CORRECTED_OVER = 0.25
"""Part of the length over which what is left is brought to nothing."""
STEEP = 1.5
_SURE_AFTER = 5
_NOT_FOR = 200
"""So many signs it takes to be taken for a bucket after what remains has jumped up, which is a fixed window's beginning."""
_JUMP = 5
_ASKS_AT_RISK = 0.005
_SLOWEST = 0.05
_NEARLY_FULL = 0.6
"""The part of a bucket that may be missing while it is being sounded."""
_LEAST_SOUNDED = 20
"""Of a limit that is lower a group would be too much at once."""
_AT_ONCE_S = 0.05
_LOOKS_AGAIN_S = 1.0


@dataclass(slots=True)
class _Seen:
    """Requests of others, seen to come between two moments."""

    since: float
    until: float
    number: float

    def part_after(self, moment: float) -> float:
        """Return the part of them that came after a moment, on average."""
        if self.until <= moment:
            return 0.0
        return min(1.0, (self.until - moment) / (self.until - self.since))


class RollingQuota:
    """What may be sent; times are monotonic seconds at which requests leave."""

    def __init__(self, log: SentLog, latency: Latency, seen: FixedQuota) -> None:
        self.limit = seen.limit
        self.others = Others()
        self._log = log
        self._latency = latency
        self._length_s = max(seen.length.longest_reset_s, SECOND)
        self._fill_time = seen.fill_time
        self._sounding = Sounding(log, latency)
        self._turns_at = -math.inf
        """When there may be room again, by the last call of `room`."""
        self._window_s: float | None = None
        self._remaining = 0
        self._told_at = -math.inf
        self._number = 0
        self._reset_s = 0.0
        self._theirs: deque[_Seen] = deque()
        """Requests of others that are counted in the window, oldest first."""
        self._counted = 0.0
        """How many these are."""
        self._signs_of_a_bucket = 0
        if seen.newest:
            self.learn(*seen.newest)

    @property
    def foreign_per_s(self) -> float:
        """How fast others use the quota."""
        return self.others.per_s

    @property
    def is_bucket(self) -> bool:
        """Whether it fills evenly; else it is a sliding window."""
        return self._signs_of_a_bucket >= _SURE_AFTER or self._fill_time.is_sure

    @property
    def length_s(self) -> float:
        """Seconds in which the whole limit comes back."""
        if self._window_s or not self.is_bucket:
            return self._window_s or self._length_s
        if self._fill_time.seconds:
            return self._fill_time.seconds
        told = self._fill_time.span
        return max(SECOND, min(self._sounding.length_s(max(self._length_s, told.lo)), told.hi))

    def needs_probe(self, _now: float, _share: float, _in_flight: int) -> bool:
        """Return False: nothing begins anew here."""
        return False

    def may_ask(self, now: float) -> bool:
        """Whether one request may go ahead to see how it stands: not as long as ours alone fill the window."""
        return self.is_bucket or self._log.since(now - self.length_s - self._latency.guard_s()) < self.limit

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

    def room(self, now: float, share: float, in_flight: int) -> int:
        """Return how many requests may leave now."""
        own = self._log.since(now - self.length_s - self._latency.guard_s())
        part = max(1, math.floor(share * self.limit + 1e-9))
        allowance, self._turns_at = part - own, now
        if self._is_sounding(share):
            allowance = self._sounding.room(now, self.limit, part, self.length_s)
            self._turns_at = self._sounding.turns_at
        if self._is_history:
            free = self.limit - own - self.others.most(self.length_s, RISK)
        else:
            free = math.floor(self._free(now)) - self.reserve(now)
        if free < 1 and not in_flight:
            # Whoever sees nothing any more learns nothing of others who have ceased. Of requests since then none will tell:
            # answers about tokens have no numbers, and some are lost.
            age_s = now - self._told_at
            if age_s > self.length_s or (
                not self._is_history
                and age_s > max(self._latency.p95, 0.1 * self.length_s)
                and self._free(now) > self._others_at(now, _ASKS_AT_RISK)
            ):
                free = 1
        return min(allowance, free)

    def reserve(self, now: float) -> int:
        """Return how many requests others may have sent that nobody has seen, and how many more of theirs still count."""
        return self._others_at(now, RISK)

    def pace(self, now: float, share: float, _in_flight: int) -> float:
        """Return the even pace, corrected by what is left."""
        even = share * self.per_second
        if self._is_sounding(share):
            return self.limit / _AT_ONCE_S
        if not self.foreign_per_s or now - self._told_at > self.length_s + self._latency.guard_s():
            # Or of all that was told nothing counts any more: then it is asked at the even pace (`room`).
            return 1.02 * even
        if self._is_history:
            return max(_SLOWEST * even, min(1.02 * even, self.per_second - self.foreign_per_s))
        theirs = self.foreign_per_s if self.is_bucket else self._counted / self.length_s
        ours = max(0.0, self.per_second - theirs)
        kept = max(self.reserve(now), KEPT * self.limit if self.is_bucket else 0.0)
        # The fewer there are for us the faster what is left has to be found.
        correct_s = _CORRECTED_OVER * self.length_s * max(0.1, ours / self.per_second)
        surplus = (self._free(now) - kept) / correct_s
        return max(_SLOWEST * even, min(STEEP * even, ours + surplus))

    def turns_at(self, now: float) -> float:
        """Return when to ask again."""
        return max(min(self._turns_at, now + _LOOKS_AGAIN_S), now + max(0.5 / self.per_second, 0.002))

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
        if notice.limit is not None and notice.limit != self.limit:
            self.limit = max(1, notice.limit)
            self._signs_of_a_bucket *= self.is_bucket
            self._sounding, self._fill_time = Sounding(self._log, self._latency), FillTime()
        if notice.window_s:
            self._window_s = notice.window_s
        remaining, reset_s = notice.remaining, notice.reset_s
        if remaining is None or reset_s is None:
            return
        self._fill_time.learn(self.limit, remaining, notice)
        self._sounding.learn(number, sent_at, self.limit, remaining, reset_s)
        if number < self._number:
            return
        self._length_s = max(self._length_s, reset_s)
        used, least = self.limit - remaining, self._own(number, sent_at, -self._latency.guard_s())
        fastest, guard_s = self.limit / self._length_s, self._latency.guard_s()
        overtaken = self._log.number_before(sent_at + guard_s) - self._log.number_before(sent_at - guard_s)
        if remaining > self._remaining + 1.5 * fastest * (sent_at - self._told_at) + max(_JUMP, overtaken):
            self._signs_of_a_bucket = -_NOT_FOR
        elif remaining and least > 1.1 * used + 3:
            self._signs_of_a_bucket += 1
        if self._is_history:
            own = number - self._log.number_before(sent_at - self.length_s - self._latency.guard_s())
            self._theirs.clear()
            self._counted = 0.0
            self.others.seem(max(0, used - own) / self.length_s)
        elif self.is_bucket:
            self.others.least_per_s = 0.0
            self._note_drained(number, sent_at, remaining)
        else:
            most = self._own(number, sent_at, self._latency.guard_s())
            self._note_counted(sent_at, max(0, used - most), max(0, used - least))
        self._number, self._remaining, self._told_at, self._reset_s = number, remaining, sent_at, reset_s

    def _is_sounding(self, share: float) -> bool:
        """Whether it is being found out how fast a bucket fills that does not tell, as it is nearly full."""
        return (
            share < 1
            and self.is_bucket
            and not self._window_s
            and not self._fill_time.seconds
            and self.limit >= _LEAST_SOUNDED
            and not self._sounding.is_over
            and not self._is_history
            and self.limit - self._remaining <= _NEARLY_FULL * self.limit
        )

    def _note_drained(self, number: int, sent_at: float, remaining: int) -> None:
        seconds = sent_at - self._told_at
        if math.isinf(seconds) or remaining >= self.limit - 2 or self._sounding.is_going_on:
            return  # what fills a full bucket is lost, and nobody knows how much; a group's answers overtake each other
        drained = self._remaining - remaining + self.per_second * seconds - (number - self._number)
        self.others.note(seconds, drained)

    def _own(self, number: int, sent_at: float, guard_s: float) -> int:
        """Return how many of ours are counted with this one: the most of them, or the fewest with a negative guard."""
        last = (
            max(number, self._log.number_before(sent_at + guard_s))
            if guard_s > 0
            else (self._log.number_before(sent_at + guard_s) + 1)
        )
        return last - self._log.number_before(sent_at - self.length_s - guard_s)

    def _note_counted(self, sent_at: float, least: int, most: int) -> None:
        """Take in how many requests of others are counted: which of them are new follows from those seen before.

        As requests overtake each other it is not known exactly which of ours are counted, and so how many of theirs.
        """
        began, since = sent_at - self.length_s, self._told_at
        before = self._counted
        while self._theirs and self._theirs[0].until <= began:
            self._counted -= self._theirs.popleft().number
        if self._theirs and self._theirs[0].since < began:
            first = self._theirs[0]
            part = first.part_after(began)
            self._counted -= (1 - part) * first.number
            first.number, first.since = part * first.number, began
        new = min(max(self._counted, least), most) - self._counted
        if math.isinf(since):
            new, since = least, began
        if new or sent_at > since:
            self.others.note(sent_at - since, new, blur=before - self._counted + (most - least) ** 2 / 4)
        self._counted += new
        while new < 0 and self._theirs:
            # More of the oldest are gone than was thought.
            first = self._theirs[0]
            gone = min(first.number, -new)
            first.number, new = first.number - gone, new + gone
            if first.number <= 0:
                self._theirs.popleft()
        if new > 0:
            self._theirs.append(_Seen(since, sent_at, new))
        if not self._theirs:
            self._counted = 0.0
        self.others.least_per_s = _LEAST * self._counted / self.length_s

    @property
    def _is_history(self) -> bool:
        """Whether answers take so long that what they tell is no longer so."""
        return self._latency.p95 > self.length_s / 2

    def _others_at(self, now: float, risk: float) -> int:
        if not self.foreign_per_s:
            return 0
        return self.others.most(
            now - self._told_at, risk, also=0.0 if self.is_bucket else self._may_count(now)
        )

    def _free(self, now: float) -> float:
        """Return what is free if no more came from others; what may still count of theirs is counted as far as is sure."""
        since, age_s = self._log.total - self._number, max(0.0, now - self._told_at)
        if self.is_bucket:
            return min(self._remaining + self.per_second * age_s, self.limit) - since
        reach = self.length_s + self._latency.guard_s()
        own = self._log.number_before(now - reach) - self._log.number_before(self._told_at - reach)
        gone = sum(
            seen.number * (1 - seen.part_after(now - reach) ** 2) for seen in self._leaving(now - reach)
        )
        return self._remaining - since + own + gone

    def _may_count(self, now: float) -> float:
        """Return how many of those that `_free` takes for gone may still count: as many as make the variance right."""
        reach = now - self.length_s - self._latency.guard_s()
        return sum(
            seen.number * part * (1 - part)
            for seen in self._leaving(reach)
            for part in (seen.part_after(reach),)
        )

    def _leaving(self, moment: float) -> Iterator[_Seen]:
        return takewhile(lambda seen: seen.since < moment, self._theirs)
