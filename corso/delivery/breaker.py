"""The circuit breaker: whether the API works well enough that sending makes sense; a pure state machine.

```
closed --(20 troubles in a row, or more than half of the last 100)--> open --(outage_s since it opened first)--> given up
  ^                                                                   |  ^
  |                                              (a cheap read is answered)  '--(the trial is in trouble)--.
  |                                                                   v                                    |
  '--(the trial is answered)-------------------------------------- half-open: one operation at a time -----'
```

A trouble is a request that got no usable answer: no connection, a time-out, a reset, a 5xx. An answer that refuses
(4xx) is usable; a 429 is, too, but says nothing about a trial, since gateways give it before anything is done. While
the circuit is open nothing is sent but one cheap read after another, further and further apart with "equal" jitter
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/): a POST is no probe, since it would leave
one more operation in doubt. Reads that work say little about writes: the first operation afterwards goes alone.

Whoever sends takes a `Passage` first and hands it back with how it ended. What was sent before the circuit turned
last says nothing about how the API is now, and does not count. Time comes in as monotonic seconds.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

TROUBLES_IN_A_ROW = 20
"""So many open the circuit."""
RECENT = 100
"""Requests over which the part of troubles is judged; more than half of them open the circuit."""
SETTLED_AFTER = 20
"""So many usable answers, after the circuit was closed again, end an outage; the trial's is the first."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0


class _State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """The permission to send one operation; it holds until the circuit turns."""

    turn: int
    """How often the circuit had turned when it was given."""


class Breaker:
    """Told how requests end; says whether to send, when to probe, and when to give up."""

    def __init__(self, outage_s: float, jitter: Callable[[], float]) -> None:
        self._outage_s = outage_s
        self._jitter = jitter
        self._state = _State.CLOSED
        self._turns = 0
        self._trial: Passage | None = None
        self._recent: deque[bool] = deque(maxlen=RECENT)
        """Whether each of the last requests was in trouble."""
        self._troubles = 0
        self._well = 0
        self._outage_began: float | None = None
        self._probes = 0

    @property
    def is_open(self) -> bool:
        """Whether nothing may be sent now but probes."""
        return self._state is _State.OPEN

    @property
    def lets_pass(self) -> bool:
        """Whether an operation may be sent now."""
        return self._state is _State.CLOSED or (self._state is _State.HALF_OPEN and self._trial is None)

    def enter(self) -> Passage:
        """Let one operation pass, as `lets_pass` says that it may."""
        passage = Passage(self._turns)
        if self._state is _State.HALF_OPEN:
            self._trial = passage
        return passage

    def holds(self, passage: Passage) -> bool:
        """Say whether an operation that was let pass may still leave."""
        return passage.turn == self._turns

    def answered(self, passage: Passage) -> None:
        """Note a usable answer."""
        if not self.holds(passage):
            return
        if passage is self._trial:
            self._turn(_State.CLOSED)
            self._recent.clear()
            self._well = 0
        self._recent.append(False)
        self._troubles = 0
        self._well += 1
        if self._well >= SETTLED_AFTER:
            self._outage_began, self._probes = None, 0

    def throttled(self, passage: Passage) -> None:
        """Note a 429: it decides no trial; the next one to send is the next trial."""
        if passage is self._trial:
            self._trial = None
        else:
            self.answered(passage)

    def troubled(self, passage: Passage, now: float) -> bool:
        """Note a request without a usable answer; say whether the circuit opened by it."""
        if not self.holds(passage):
            return False
        self._recent.append(True)
        self._troubles += 1
        too_many = len(self._recent) == RECENT and sum(self._recent) > RECENT / 2
        if passage is not self._trial and self._troubles < TROUBLES_IN_A_ROW and not too_many:
            return False
        self._turn(_State.OPEN)
        if self._outage_began is None:
            self._outage_began = now
        return True

    def withdrawn(self, passage: Passage) -> None:
        """Note that nothing is to be learnt of a passage; nothing happens if it was handed back already."""
        if passage is self._trial:
            self._trial = None

    def probe_answered(self) -> None:
        """Let one operation try."""
        self._turn(_State.HALF_OPEN)

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

    def _turn(self, state: _State) -> None:
        self._state = state
        self._turns += 1
        self._trial = None
