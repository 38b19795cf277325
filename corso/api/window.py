"""One window of the quota and the length of windows: what is known of them, as bounds; pure.

All times are those at which requests LEAVE, not those at which the server counts them. A window begins, in these
terms, between the departure of the last request that was counted in the window before and that of the first one that
was counted in it. How long requests are under way drops out of that, but for its variation (`Latency.spread`), and
windows of a second can be told apart by answers that take longer.
"""

import math
from dataclasses import dataclass, field

from corso.api.quota_headers import QuotaNotice

SECOND = 1.0
"""Resets come in whole seconds, rounded up, down or to the nearest: a second wrong either way."""


def early_s(notice: QuotaNotice) -> float:
    """Return by how many seconds a window may end earlier than an answer's reset says."""
    if notice.reset_is_epoch:
        return 2 * SECOND  # held against the answer's date, which is cut to whole seconds, too
    return 0.02 if (notice.reset_s or 0.0) % 1 else SECOND


@dataclass(frozen=True, slots=True)
class Span:
    """A moment that is known to lie between two others."""

    lo: float
    hi: float

    @property
    def width(self) -> float:
        """Seconds between the bounds."""
        return self.hi - self.lo

    @property
    def middle(self) -> float:
        """The moment in the middle; the later bound where the earlier one is unknown."""
        return self.hi if math.isinf(self.lo) else (self.lo + self.hi) / 2

    def narrowed(self, other: "Span") -> "Span":
        """Return what both allow; `other` where they contradict each other."""
        lo, hi = max(self.lo, other.lo), min(self.hi, other.hi)
        return Span(lo, hi) if lo <= hi else other


class Length:
    """How long the windows are, in seconds."""

    def __init__(self) -> None:
        self._told: float | None = None
        self._longest_reset = [0.0, 0.0]
        """The longest one of the window before and of this one."""
        self.longest_reset_s = 0.0
        """The longest one of all."""
        self._early_s = SECOND
        self.late_s = SECOND
        """By how much a window may end later than an answer's reset says."""
        self._may_round_up = True
        self._may_be_whole = True
        self._by_resets: Span | None = None
        """From where windows were seen to begin to where their answers' resets say that they end."""
        self._observed: Span | None = None
        """How long windows were seen to last: at most the upper bound, and the lower one if they follow the clock."""

    @property
    def is_known(self) -> bool:
        """Whether it was told, or two beginnings were seen."""
        return self.is_certain or self._observed is not None

    @property
    def is_certain(self) -> bool:
        """Whether it was told, or resets leave but one whole number of seconds."""
        by_resets = self._by_resets
        return self._told is not None or (by_resets is not None and self._whole_in(by_resets) is not None)

    @property
    def span(self) -> Span:
        """The bounds."""
        if self._told is not None:
            return Span(self._told, self._told)
        reset = max(self._longest_reset)
        told = Span(max(0.0, reset - self._early_s), reset + self.late_s)
        if self._by_resets is not None:
            whole = self._whole_in(self._by_resets)
            told = told.narrowed(self._by_resets) if whole is None else Span(whole, whole)
        if self._observed is None:
            return told
        most = self._observed.hi
        whole = float(math.floor(min(most, told.hi) + 0.02))
        if self._may_be_whole and whole >= max(SECOND, told.lo):
            # Nobody configures 9.98 seconds. The next window opens with a request, so what is seen is the length or more.
            return Span(whole, whole)
        return told.narrowed(self._observed)

    def tell(self, notice: QuotaNotice) -> None:
        """Take in what an answer says of it."""
        reset_s = notice.reset_s or 0.0
        if not reset_s:
            self.late_s, self._may_round_up = SECOND, False
        self._told = notice.window_s or self._told
        self._longest_reset[1] = max(self._longest_reset[1], reset_s)
        self.longest_reset_s = max(self.longest_reset_s, reset_s)
        self._early_s = early_s(notice)

    def note_reset_at_end(self, reset_s: float, left_s: float) -> None:
        """Take in the last reset of a window of which no more than `left_s` was left, by where the next one began."""
        if (
            self._may_round_up
            and reset_s % 1 == 0
            and self._early_s == SECOND
            and reset_s - left_s > SECOND / 2
        ):
            # To the nearest second it would have been less.
            self.late_s = 0.0

    def note_end(self, span: Span) -> None:
        """Take in how long a window lasts: from where it was seen to begin to where its answers' resets say it ends."""
        self._by_resets = self._by_resets.narrowed(span) if self._by_resets else span

    def _whole_in(self, span: Span) -> float | None:
        """Return the one whole number of seconds in a span; None if there are none or several."""
        whole = float(math.floor(span.hi))
        return whole if self._may_be_whole and max(SECOND, span.lo) <= whole < span.lo + SECOND else None

    def turn(self, observed: Span | None) -> None:
        """Begin a new window; `observed` is how long the last one took, if both its ends were seen."""
        self._longest_reset = [self._longest_reset[1] or self._longest_reset[0], 0.0]
        if observed is None or self._told is not None:
            return
        reset = max(self._longest_reset)
        if observed.hi < reset - SECOND or observed.lo > reset + SECOND:
            self._observed = None
        elif self._observed is None:
            self._observed = observed
        else:
            # Where the next window opens with a request, one seems longer than another: none is longer than the shortest.
            most = min(self._observed.hi, observed.hi)
            self._observed = Span(min(self._observed.narrowed(observed).lo, most), most)

    def doubt(self) -> None:
        """Forget what was observed: a window did not end when it should have."""
        self._may_be_whole = self._may_be_whole and self._observed is None
        self._observed = self._by_resets = None
        self.late_s = SECOND


@dataclass(frozen=True, slots=True)
class First:
    """The first answer that told of a window."""

    number: int
    sent_at: float
    remaining: int


@dataclass(slots=True)
class Window:
    """One window, as the answers show it."""

    limit: int
    starts: Span
    remaining: int | None = None
    """What is left of it after the requests that were answered; None while it is only predicted."""
    told_at: float = -math.inf
    """When the newest request left whose answer told of it."""
    reset_s: float = 0.0
    """What that answer told of its end."""
    ends_by_reset: Span = field(default=Span(-math.inf, math.inf))
    """Its end by the answers' resets."""
    first: First | None = None
    foreign: int = 0
    """Requests of others since the first answer, at least."""
    was_seen_to_begin: bool = False

    def ends(self, length: Length) -> Span:
        """Return when it ends."""
        span = length.span
        by_length = Span(self.starts.lo + span.lo, self.starts.hi + span.hi)
        lo, hi = max(by_length.lo, self.ends_by_reset.lo), min(by_length.hi, self.ends_by_reset.hi)
        if lo > hi:
            return by_length if length.is_known and self.was_seen_to_begin else self.ends_by_reset
        return Span(lo, hi)

    def tell_reset(self, sent_at: float, notice: QuotaNotice, length: Length, guard_s: float) -> None:
        """Take in when it ends by one answer; tell `length` what follows from that."""
        length.tell(notice)
        reset_s = notice.reset_s or 0.0
        if sent_at >= self.told_at:
            self.reset_s = reset_s
        off = early_s(notice)
        latest = sent_at + reset_s + min(off, length.late_s) + guard_s
        lo, hi = self.ends_by_reset.lo, min(self.ends_by_reset.hi, latest)
        self.ends_by_reset = Span(min(max(lo, sent_at + reset_s - off), hi), hi)
        if self.was_seen_to_begin:
            length.note_end(
                Span(self.ends_by_reset.lo - self.starts.hi, self.ends_by_reset.hi - self.starts.lo)
            )
