"""How long an empty bucket takes to fill, by what its answers say: how much is missing, and when it is full again; pure.

They say it in whole seconds, and not how these are rounded. Each answer bounds the time from both sides, for each way of
rounding; a way whose bounds contradict each other is none. Where all do, it is no bucket, or one that was sure fills at another
rate now: then its time is found out anew.
"""

import math

from corso.api.quota_headers import QuotaNotice
from corso.api.window import Span

_EXACT = 0.02
_WAYS = {"up": (1.0, 0.0), "down": (0.0, 1.0), "to the nearest": (0.5, 0.5)}
"""By how many seconds the bucket may be full earlier, and later, than is said."""
_NEAR, _LIKE = 1.15, 2.5
"""How far apart the bounds may be to say how long it takes, and that it is a bucket at all."""
_SLACK, _ROUGHLY = 1.05, 1.01
_SURE_AFTER = 20
_ANYTHING = Span(0.0, math.inf)


class FillTime:
    """Bounds of the time that an empty bucket takes to fill."""

    def __init__(self) -> None:
        self.span = _ANYTHING
        """The bounds: 0 to infinity where nothing was told, or what was told is no bucket's."""
        self.seconds: float | None = None
        """The time, as soon as the bounds are near to each other."""
        self._by_way = dict.fromkeys(_WAYS, _ANYTHING)
        self._agreed = 0
        """How many answers agreed since the bounds are like those of a bucket."""

    @property
    def is_sure(self) -> bool:
        """Whether what is missing and when it is there go together as in nothing but a bucket."""
        return self._agreed >= _SURE_AFTER

    def learn(self, limit: int, remaining: int, notice: QuotaNotice) -> None:
        """Take in one answer."""
        missing, reset_s = limit - remaining, notice.reset_s
        if missing <= 1 or reset_s is None or not self._by_way:
            return
        before = list(self._by_way.items())
        for way, so_far in before:
            early_s, late_s = _off(way, notice)
            # A part of a request that is there already is mostly told as nothing.
            lo = limit * max(0.0, reset_s - early_s) / missing
            hi = limit * (reset_s + late_s) / (missing - 1)
            if lo <= so_far.lo and hi >= so_far.hi:
                continue
            both = Span(max(lo, so_far.lo), min(hi, so_far.hi))
            if both.lo > _SLACK * both.hi:
                del self._by_way[way]
            else:
                self._by_way[way] = both
        if not self._by_way and self.is_sure:
            self._by_way = dict.fromkeys(_WAYS, _ANYTHING)
        if list(self._by_way.items()) != before:
            self._sum_up()
        self._agreed = self._agreed + 1 if self.span.hi < _LIKE * self.span.lo else 0

    def _sum_up(self) -> None:
        spans = self._by_way.values()
        self.span = (
            Span(min(each.lo for each in spans), max(each.hi for each in spans)) if spans else _ANYTHING
        )
        lo, hi = self.span.lo, self.span.hi
        if hi >= _NEAR * lo:
            self.seconds = None
            return
        # Nobody configures 9.98 seconds.
        whole = math.floor(hi * _ROUGHLY)
        self.seconds = float(whole) if lo / _ROUGHLY <= whole < lo / _ROUGHLY + 1 else math.sqrt(lo * hi)


def _off(way: str, notice: QuotaNotice) -> tuple[float, float]:
    early_s, late_s = _WAYS[way]
    if notice.reset_is_epoch:
        # Held against the answer's date, which is cut to whole seconds, too.
        return early_s + 1, late_s
    return (_EXACT, _EXACT) if (notice.reset_s or 0.0) % 1 else (early_s, late_s)
