"""How long something still takes: by what got done in the last minute, and by the end of a pause.

Since the beginning would be wrong: after a pause of ten minutes it knows nothing any more. Where the last minute tells
too little, the pace that the API allows at the moment says it.
"""

import math
from collections import deque
from dataclasses import dataclass

from corso.stages.batch import Pace

_REACH_S = 60.0
_LEAST_S = 5.0
"""What got done in less than this says nothing about the pace."""
_SAMPLE_S = 0.25


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    done: int


class TimeLeft:
    """The pace of one thing that is being done, and when it will be done; times are monotonic seconds."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self._newest: _Sample | None = None
        self._allowed = 0.0
        self._last_known = 0.0
        self._paused_until = -math.inf

    def note(self, now: float, done: int, pace: Pace | None = None) -> None:
        """Take in how much is done by now, and how the limiter is doing."""
        pause_s = pace.pause_s if pace else 0.0
        if self._paused_until > -math.inf or pause_s or (self._newest and done < self._newest.done):
            # Before a pause, in it, and with less done than before: nothing of it tells how it goes on.
            self._samples.clear()
        self._paused_until = now + pause_s if pause_s else -math.inf
        self._newest = _Sample(now, done)
        if not self._samples or now - self._samples[-1].at >= _SAMPLE_S:
            self._samples.append(self._newest)
        while len(self._samples) > 1 and self._samples[1].at <= now - _REACH_S:
            self._samples.popleft()
        if pace and pace.per_second:
            self._allowed = pace.per_second
        self._last_known = self.per_second or self._last_known

    @property
    def per_second(self) -> float:
        """How many got done a second in the last minute; 0 as long as nobody can say."""
        if self._newest is None or not self._samples:
            return 0.0
        first, last = self._samples[0], self._newest
        return (last.done - first.done) / (last.at - first.at) if last.at - first.at >= _LEAST_S else 0.0

    def done_at(self, total: int) -> float | None:
        """Return when all will be done; None as long as nobody can say."""
        pace = self.per_second or self._last_known or self._allowed
        if self._newest is None or not total or not pace:
            return None
        begins = max(self._newest.at, self._paused_until)
        return begins + max(0, total - self._newest.done) / pace


def said_seconds(seconds: float) -> str:
    """Return 0:34, 12:05 or 1:26:05."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
