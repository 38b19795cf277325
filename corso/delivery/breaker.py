"""The circuit breaker: whether the API works well enough that sending makes sense; a pure state machine.

```
closed --(20 troubles in a row, or more than half of the last 100)--> open --(a cheap read is answered)--> closed
                                                                       '--(outage_s after it first opened)--> given up
```

A trouble is a request that got no usable answer: no connection, a time-out, a reset, a 5xx. An answer that refuses
(4xx) is usable. While it is open nothing is sent but one cheap read after another, further and further apart with
"equal" jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/): a POST is no probe, since it
would leave one more operation in doubt. Time comes in as monotonic seconds.
"""

from collections import deque
from collections.abc import Callable

TROUBLES_IN_A_ROW = 20
"""So many open the circuit."""
RECENT = 100
"""Requests over which the part of troubles is judged; more than half of them open the circuit."""
SETTLED_AFTER = 20
"""So many usable answers, after the circuit was closed again, end an outage."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0


class Breaker:
    """Told how requests end; says whether to send, when to probe, and when to give up."""

    def __init__(self, outage_s: float, jitter: Callable[[], float]) -> None:
        self._outage_s = outage_s
        self._jitter = jitter
        self._recent: deque[bool] = deque(maxlen=RECENT)
        """Whether each of the last requests was in trouble."""
        self._troubles = 0
        self._well = 0
        self._outage_began: float | None = None
        self._probes = 0
        self.is_open = False
        """Whether nothing may be sent now."""

    def answered(self) -> None:
        """Note a usable answer to something that was sent."""
        self._recent.append(False)
        self._troubles = 0
        self._well += 1
        if self._well >= SETTLED_AFTER and not self.is_open:
            self._outage_began, self._probes = None, 0

    def troubled(self, now: float) -> bool:
        """Note a request without a usable answer; say whether the circuit opened by it."""
        self._recent.append(True)
        self._troubles += 1
        too_many = len(self._recent) == RECENT and sum(self._recent) > RECENT / 2
        if self.is_open or not (self._troubles >= TROUBLES_IN_A_ROW or too_many):
            return False
        self.is_open = True
        if self._outage_began is None:
            self._outage_began = now
        return True

    def pause_s(self) -> float:
        """Return the seconds to wait before the next probe."""
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._probes, 20))
        self._probes += 1
        return longest * (0.5 + self._jitter() / 2)

    def gives_up(self, now: float) -> bool:
        """Say whether the outage has lasted longer than the run is willing to sit out."""
        return self._outage_began is not None and now - self._outage_began >= self._outage_s

    @property
    def account(self) -> str:
        """What the outage is, in words."""
        return f"for {self._outage_s:g} s requests have ended without a usable answer"

    def close(self) -> None:
        """Let requests go again, after a probe was answered."""
        self.is_open = False
        self._troubles = 0
        self._well = 0
        self._recent.clear()
