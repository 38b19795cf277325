"""A quota of fixed windows, which Corso documents: so many requests until the window resets; pure.

The rules, after Airbyte's token budget and its faults:

- Within a window answers come out of order, so what remains is only ever tightened. A new window is taken whole.
  Answers to requests of a former window are ignored.
- Our own requests stay within `share` of the window's limit. All of them, those under way included, stay within what
  remains less a reserve: as many requests as others may send meanwhile (all but `RISK`).
- What is left is spread evenly over the rest of the window, so that it is used up just before the window ends. What
  others will have used until then, at the rate seen, is left to them.
- Once the length is known the next window is begun when the last one must be over. Until then a few requests are kept to
  see it begin by; where nothing is left, one request goes ahead. Between the earliest and the latest end of a window a
  request counts in both.

Times are departures, see `window`.
"""

import math
from collections import deque

from corso.api.fill_time import FillTime
from corso.api.latency import Latency
from corso.api.others import Others
from corso.api.poisson import most_arrivals
from corso.api.quota_headers import QuotaNotice
from corso.api.sent_log import SentLog
from corso.api.window import SECOND, First, Length, Span, Window, early_s

RISK = 0.001
"""The part of our requests that may be refused, as others send more than was to be foreseen."""

HARM = 0.01
"""The part of the others' requests that may be refused, as we left them too little at the end of a window."""

STEEPEST = 2.0
"""The pace is at most this many times the even one, however much is left for however little time."""

_ROLLING_AFTER = 3
_NOT_BEGUN, _FADES = 2.2, 0.9
"""So many windows that did not begin, each later one fading those before, show that windows slide. They are not counted in a
row: in the pause after a refusal a sliding window empties, and seems to begin."""
_LOST_AFTER = 2
_SLOWEST = 0.1
"""Part of the even pace that is kept up whatever others take, so as to see when they take less."""
_ASKS_AFTER = 0.2
_ASKS_AT_RISK = 0.03
_STEPS = 24
_SOON = 0.4
"""Part of a window within which two requests are mostly counted in the same one."""
_KEPT = 4
_JUST_AFTER = 1e-9


class FixedQuota:
    """What may be sent, as far as the answers tell; times are monotonic seconds."""

    def __init__(self, log: SentLog, latency: Latency) -> None:
        self.length = Length()
        self.others = Others()
        self.fill_time = FillTime()
        """If it should turn out to be a bucket."""
        self._log = log
        self._latency = latency
        self._window: Window | None = None
        self._before: Window | None = None
        self._last_of_before = -math.inf
        """When the newest request left that was surely counted in the window before."""
        self._told_at = -math.inf
        self.newest: tuple[int, float, QuotaNotice] | None = None
        """The newest answer: the number of its request, when that left, what it said."""
        self._falls: deque[bool] = deque(maxlen=_STEPS)
        """Whether each of the last requests left less than the one shortly before it, as each does in a window."""
        self._unconfirmed = 0
        self._doubts = 0
        self._not_begun = 0.0
        """How many windows did not begin when they surely should have, lately."""
        self._had_limit = False

    @property
    def limit(self) -> int:
        """Requests a window, for all clients."""
        return self._window.limit if self._window else 1

    @property
    def looks_rolling(self) -> bool:
        """Whether windows keep beginning too early, used already, or not at all: these are no fixed windows."""
        if self._doubts >= _ROLLING_AFTER or self._not_begun > _NOT_BEGUN:
            return True
        if len(self._falls) == _STEPS and sum(self._falls) < _STEPS / 3:
            return True
        # Answers that tell of windows long gone by are of no use for telling windows apart.
        return self.length.is_known and self._latency.p95 > 0.5 * self.length_s

    @property
    def length_s(self) -> float:
        """How long a window is; 0 as long as nothing was told."""
        return self.length.span.middle if self._window else 0.0

    @property
    def told_at(self) -> float:
        """When the newest request left whose answer told of the quota."""
        return self._told_at

    @property
    def per_second(self) -> float:
        """The even pace of the whole quota."""
        return self.limit / max(self.length.span.middle, 0.1)

    def allowance(self, share: float) -> int:
        """Return how many of the window's requests are ours."""
        return max(1, math.floor(share * self.limit + 1e-9))

    def is_spent(self, share: float) -> bool:
        """Whether our part of the window is used up, whatever others do."""
        return self._left_of(share) < 1

    def own(self) -> int:
        """Return how many of our requests count in the present window, as far as they may."""
        if self._window is None:
            return 0
        starts = self._window.starts
        return self._log.since((starts.hi if math.isinf(starts.lo) else starts.lo) + _JUST_AFTER)

    def turn(self, now: float) -> None:
        """Begin the next window if the present one is over by now, as far as that is known."""
        window = self._window
        if window is None or not self.length.is_known:
            return
        ends = window.ends(self.length)
        if now < ends.hi + self._latency.guard_s():
            return
        length = self.length_s
        if now > ends.hi + 2 * length:
            # After a long silence: begun by whoever came first, any time since.
            ends = Span(now - length, now)
            self._unconfirmed = _LOST_AFTER
        self._begin(Window(window.limit, ends))
        self._unconfirmed += 1

    def needs_probe(self, now: float, share: float, in_flight: int) -> bool:
        """Whether one request should go ahead alone: the window's beginning is a guess, or its end, and it is used up."""
        window = self._window
        if window is None or self._is_sure:
            return False
        if window.remaining is None:
            return True
        if now < self._ends_by():
            return False
        # Or all that is left is kept to see the next window begin by, which it is time for.
        is_used_up = self.room(now, share, in_flight) < max(1, 0.1 * window.limit)
        return is_used_up or not self.pace(now, share, in_flight)

    @property
    def foreign_per_s(self) -> float:
        """How fast others use the quota."""
        return self.others.per_s

    def may_ask(self, _now: float) -> bool:
        """Return True: one request may go ahead at any time to see how it stands."""
        return True

    def room(self, now: float, share: float, in_flight: int) -> int:
        """Return how many requests may leave now; `turn` has been called for this moment."""
        window = self._window
        if window is None:
            return 0
        free = self._free(window, in_flight)
        spare = free - self.reserve(now)
        if spare < 1 <= free and now >= self._asks_at(in_flight):
            # Whoever sees nothing any more learns nothing of others who have ceased.
            is_new = window.remaining is None
            spare = int(free > self.others.most(now - self._known_at(window), _ASKS_AT_RISK) or is_new)
        return min(self._left_of(share), spare)

    def reserve(self, now: float) -> int:
        """Return how many requests are kept for others: until ours arrives, and until the window ends."""
        window = self._window
        if window is None or not self.foreign_per_s:
            return 0
        return max(self._at_risk(now), self._kept_for_others(window, window.ends(self.length).middle))

    def _at_risk(self, now: float) -> int:
        """Return how many others may have sent since the newest numbers, or may send until ours arrives."""
        window = self._window
        if window is None or not self.foreign_per_s:
            return 0
        length_s = max(self.length.span.hi, SECOND)
        left = max(1.0, window.limit - self.foreign_per_s * length_s)
        # A refusal costs a second, and what of it the rest of a window cannot make up.
        costs = left * max(0.0, 1 - STEEPEST * (length_s - SECOND) / length_s)
        return self.others.most(now - self._known_at(window), min(0.05, RISK * left, 0.5 / max(1.0, costs)))

    def _kept_for_others(self, window: Window, end: float) -> int:
        """Return how many they may use until the window ends."""
        seconds = end - self._known_at(window)
        theirs = self.foreign_per_s * self.length.span.hi
        return max(int(self.foreign_per_s * seconds), self.others.least(seconds, HARM * theirs))

    def _known_at(self, window: Window) -> float:
        return window.told_at if window.remaining is not None else window.starts.lo

    def pace(self, now: float, share: float, in_flight: int) -> float:
        """Return the requests per second at which the rest of the window is used evenly."""
        window = self._window
        if window is None:
            return 0.0
        ends = window.ends(self.length)
        length = max(self.length.span.hi, 0.1)
        ours = min(self._left_of(share), self._free(window, in_flight))
        end = ends.middle
        if not self._is_sure:
            # As long as nobody knows when it ends, a few are kept to see the next one begin by.
            a_second = SECOND * window.limit / length
            kept = min(math.ceil(a_second), max(_KEPT, math.ceil(_KEPT / 100 * a_second)))
            end, last = self._newest_ends(now)
            if self.allowance(share) > 2 * kept:
                ours = max(0, ours - kept)
            if end - now <= 0.1 or self.allowance(share) <= 2 * kept:
                end = last
        foreign = self._kept_for_others(window, end) if self.foreign_per_s else 0
        even = self.allowance(share) / length
        seconds = max(end - now - 0.01 * length, 0.005 * length, 0.001)
        pace = min(ours, self._free(window, in_flight) - foreign) / seconds
        slowest = min(_SLOWEST * self.limit / length, max(0, ours) / seconds)
        return min(STEEPEST * even, max(pace, slowest))

    def turns_at(self, now: float) -> float:
        """Return when there may be room again: the present window is surely over, or one request may ask."""
        at = [self._ends_by(), self._asks_at(0)]
        if self.foreign_per_s and self._window and self._window.remaining:
            at.append(now + min(0.02 * self.length.span.hi, 0.5 / self.foreign_per_s))
        return min((one for one in at if one > now), default=at[0])

    def _ends_by(self) -> float:
        """Return when the present window is surely over; if its end moves on with each answer, a bit after the newest."""
        window = self._window
        if window is None:
            return 0.0
        again_at = -math.inf if self._is_sure else window.told_at + min(window.reset_s, SECOND)
        return max(window.ends(self.length).hi + self._latency.guard_s(), again_at)

    def _asks_at(self, in_flight: int) -> float:
        """Return when one request may ask how it stands, though others may need all that is left."""
        window = self._window
        if window is None or window.remaining == 0:
            return math.inf
        if window.remaining is None:
            return math.inf if in_flight else window.starts.hi
        ends = window.ends(self.length)
        if ends.width > 2 * self._latency.guard_s() and not self._log.since(ends.middle):
            # Before the middle of when it may end, or after it: by half of that is known better then.
            asks_at = ends.middle
        else:
            asks_at = math.inf
        if in_flight:
            return asks_at
        # The nearer the end, the more often: so that the last of a window is not left for want of news.
        after_s = min(_ASKS_AFTER * self.length.span.hi, 0.25 * max(0.0, ends.middle - window.told_at))
        return min(asks_at, window.told_at + max(after_s, self._latency.p95))

    def lost(self, sent_at: float) -> None:
        """Count a request without numbers in its answer, or without an answer: it was counted, as far as we know."""
        window = self._window
        if window and window.remaining is not None and sent_at >= window.starts.lo:
            window.remaining -= 1

    def learn(
        self,
        number: int,
        sent_at: float,
        notice: QuotaNotice,
        *,
        late_s: float = 0.0,
        refused: bool = False,
    ) -> None:
        """Take in the numbers of one answer: to the request of this number in the log.

        The request may have arrived `late_s` later than requests usually do after their departure. A refusal tells
        what is left, and is no reason to doubt that windows are fixed.
        """
        remaining, reset_s = notice.remaining, notice.reset_s
        if remaining is None or reset_s is None:
            self.lost(sent_at)
            return
        self._told_at = max(self._told_at, sent_at)
        self.fill_time.learn(notice.limit or self.limit, remaining, notice)
        self._note_step(sent_at, remaining, reset_s)
        if self.newest is None or number > self.newest[0]:
            self.newest = (number, sent_at, notice)
        window, doubts = self._window, self._doubts
        if window is None:
            self._window = window = Window(
                self._limit(notice, remaining), Span(-math.inf, sent_at), remaining, sent_at
            )
            window.first = First(number, sent_at, remaining)
            window.tell_reset(sent_at, notice, self.length, self._latency.guard_s())
        elif sent_at >= window.starts.lo and self._is_counted_in(window, sent_at, late_s, notice, remaining):
            if refused:
                self._doubts = min(self._doubts, doubts)
            else:
                self._note_foreign(number, sent_at, remaining)

    def _is_counted_in(
        self, window: Window, sent_at: float, late_s: float, notice: QuotaNotice, remaining: int
    ) -> bool:
        """Take in what an answer says of the present window, or of a newer one; False if it is of the one before."""
        if window.remaining is None:
            self._meet(window, sent_at, late_s, notice, remaining)
        elif self._is_another(window, sent_at, notice, remaining):
            is_fresh = remaining > window.remaining + self._reordered(window.told_at, sent_at)
            if is_fresh or window.remaining > 0.9 * window.limit:
                since = window.ends(self.length).lo if self._is_sure else -math.inf
                since = since if since <= sent_at else -math.inf
                self._begin(Window(window.limit, Span(max(since, min(window.told_at, sent_at)), sent_at)))
                self._take(sent_at, late_s, notice, remaining)
            else:
                # Its end moves on, and nothing came back.
                self._go_on(sent_at, notice, remaining)
        elif sent_at < window.starts.hi and window.was_seen_to_begin:
            if not self._is_fresh(sent_at, remaining) and not self._is_close(window, sent_at, remaining):
                self._note_last_of_before(window, sent_at)
                return False
            window.starts = Span(min(window.starts.lo, sent_at), min(window.starts.hi, sent_at + late_s))
            self._tighten(window, sent_at, notice, remaining)
        else:
            self._tighten(window, sent_at, notice, remaining)
        return True

    def _note_step(self, sent_at: float, remaining: int, reset_s: float) -> None:
        if self.newest is None:
            return
        _, before_at, before = self.newest
        if before.remaining is not None and 0 < sent_at - before_at < _SOON * max(reset_s, SECOND):
            self._falls.append(remaining < before.remaining)

    def _meet(
        self, window: Window, sent_at: float, late_s: float, notice: QuotaNotice, remaining: int
    ) -> None:
        """Take in the first answers of a window that was predicted."""
        if self._is_fresh(sent_at, remaining):
            self._take(sent_at, late_s, notice, remaining)
        elif sent_at <= window.starts.hi:
            self._note_last_of_before(window, sent_at)
        elif self._is_used_by_others(window, sent_at, remaining):
            self._take(sent_at, late_s, notice, remaining)
        else:
            self._go_on(sent_at, notice, remaining)

    def _is_used_by_others(self, window: Window, sent_at: float, remaining: int) -> bool:
        """Whether others may have used so much of a predicted window that no more remains of it than of the one before."""
        guard_s = self._latency.guard_s()
        used = window.limit - remaining - self._log.since(window.starts.lo - guard_s)
        expected = self.foreign_per_s * (sent_at - window.starts.lo + guard_s)
        return 0 <= used <= most_arrivals(expected, RISK)

    def _take(self, sent_at: float, late_s: float, notice: QuotaNotice, remaining: int) -> None:
        """Take a new window whole, by the first answer that tells of it."""
        window, before = self._window, self._before
        if window is None:
            return
        lo = max(window.starts.lo, min(self._last_of_before, sent_at))
        window.starts = Span(lo, max(lo, sent_at + late_s))
        if before is not None:
            left_s = window.starts.hi - before.told_at + self._latency.guard_s()
            self.length.note_reset_at_end(before.reset_s, left_s)
        window.limit = self._limit(notice, remaining)
        window.remaining, window.told_at = remaining, sent_at
        window.was_seen_to_begin = before is not None and self._unconfirmed < _LOST_AFTER
        window.tell_reset(sent_at, notice, self.length, self._latency.guard_s())
        self._unconfirmed = 0
        used = window.limit - remaining - self._log.since(window.starts.lo - self._latency.guard_s())
        others = most_arrivals(self.foreign_per_s * window.starts.width, 0.001)
        is_used_already = window.was_seen_to_begin and used > max(3, 0.1 * window.limit) + others
        is_early = (
            before is not None and window.starts.hi - before.starts.lo < 0.5 * self.length.longest_reset_s
        )
        self._doubts = self._doubts + 1 if is_used_already or is_early else 0

    def _go_on(self, sent_at: float, notice: QuotaNotice, remaining: int) -> None:
        """A window that was due has not begun: go on with the present one, of whose length nothing is known now."""
        window = self._window
        if window is None:
            return
        self._doubts += 1
        self._not_begun += self.length.is_certain
        self.length.doubt()
        window.starts = Span(-math.inf, sent_at)
        window.was_seen_to_begin = False
        window.limit = self._limit(notice, remaining)
        window.remaining, window.told_at = remaining, sent_at
        window.ends_by_reset = Span(-math.inf, math.inf)
        window.tell_reset(sent_at, notice, self.length, self._latency.guard_s())

    def _tighten(self, window: Window, sent_at: float, notice: QuotaNotice, remaining: int) -> None:
        window.remaining = min(remaining, remaining if window.remaining is None else window.remaining)
        window.tell_reset(sent_at, notice, self.length, self._latency.guard_s())
        if notice.limit is not None:
            window.limit = min(window.limit, notice.limit)

    def _begin(self, window: Window) -> None:
        old, before = self._window, self._before
        observed = None
        if old and before and old.was_seen_to_begin and before.was_seen_to_begin:
            observed = Span(
                old.starts.lo - before.starts.hi - self._latency.guard_s(),
                old.starts.hi - before.starts.lo + self._latency.guard_s(),
            )
        self.length.turn(observed)
        if old:
            self._last_of_before = old.told_at
            if old.remaining is not None:
                self._before = old
        self._window = window
        self._not_begun *= _FADES

    def _is_another(self, window: Window, sent_at: float, notice: QuotaNotice, remaining: int) -> bool:
        """Whether an answer tells of a newer window than the present one, which was not expected yet."""
        if sent_at <= window.told_at or window.remaining is None:
            return False
        if remaining > window.remaining + self._reordered(window.told_at, sent_at):
            return True
        ends = window.ends(self.length).hi
        earliest = sent_at + (notice.reset_s or 0.0) - early_s(notice)
        return earliest > ends + max(0.5, self._latency.guard_s())

    def _is_fresh(self, sent_at: float, remaining: int) -> bool:
        """Whether what remains is more than the window before can have had left."""
        before = self._before
        if before is None or before.remaining is None:
            return True
        slack = self._reordered(-math.inf, sent_at)
        # A window of which hardly anything was used tells nothing by what remains.
        return remaining > before.remaining + slack or before.remaining >= before.limit - slack - 2

    def _is_close(self, window: Window, sent_at: float, remaining: int) -> bool:
        """Whether what remains is about what remained of the window when the first of it was answered."""
        apart_s = abs(sent_at - window.told_at) + 2 * self._latency.guard_s()
        slack = self._reordered(-math.inf, sent_at) + most_arrivals(self.foreign_per_s * apart_s, RISK)
        return window.remaining is not None and abs(remaining - window.remaining) <= slack

    def _reordered(self, since: float, sent_at: float) -> int:
        """Return by how much what remains may seem to rise, as our own requests overtake each other."""
        guard_s = self._latency.guard_s()
        close = max(since, sent_at - guard_s) - guard_s
        return self._log.number_before(sent_at + guard_s) - self._log.number_before(close)

    def _note_last_of_before(self, window: Window, sent_at: float) -> None:
        self._last_of_before = max(self._last_of_before, sent_at)
        if sent_at < window.starts.hi:
            window.starts = Span(max(window.starts.lo, sent_at), window.starts.hi)

    def _note_foreign(self, number: int, sent_at: float, remaining: int) -> None:
        """Measure what others used since the first answer of this window, by what remained then and remains now."""
        window = self._window
        if window is None or sent_at < window.told_at:
            return
        seconds, window.told_at = sent_at - window.told_at, sent_at
        first = window.first
        if first is None or remaining > first.remaining:
            window.first = First(number, sent_at, remaining)
            return
        guard_s = self._latency.guard_s()
        own = (
            self._log.number_before(sent_at + guard_s) - self._log.number_before(first.sent_at - guard_s) - 1
        )
        more = max(0, first.remaining - remaining - own - window.foreign)
        window.foreign += more
        self.others.note(seconds, more)

    def _newest_ends(self, now: float) -> tuple[float, float]:
        """Return the end that the newest answer tells and the latest that it allows; half a length on if they are past."""
        if self.newest is None:
            return now, now
        _, sent_at, notice = self.newest
        end = sent_at + (notice.reset_s or 0.0)
        last = end + self.length.late_s
        return end, last if now < last else now + self.length.span.hi / 2

    def _left_of(self, share: float) -> int:
        # The whole is bounded by what remains, which knows better than we do what was counted in this window.
        return self.allowance(share) - self.own() if share < 1 else self.limit

    def _free(self, window: Window, in_flight: int) -> int:
        if window.remaining is None:
            return window.limit - self._log.since(window.starts.lo - self._latency.guard_s())
        return window.remaining - min(in_flight, self._log.since(window.starts.lo - self._latency.guard_s()))

    def _limit(self, notice: QuotaNotice, remaining: int) -> int:
        if notice.limit is not None:
            self._had_limit = True
            return max(1, notice.limit)
        known = self._window.limit if self._window else 1
        return max(remaining + 1, known if self._had_limit else 1)

    @property
    def _is_sure(self) -> bool:
        return self.length.is_known and self._unconfirmed < _LOST_AFTER and not self._doubts
