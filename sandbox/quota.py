"""The quota that all clients and stores share with others: who asks, when, and what is written down of it.

What belongs here: joining a way of counting (`limits`) to the clock, to the limit's changes and to the others
(`foreign`), and the books for tests and benchmarks. The others are caught up with whenever one of our requests
arrives; so what the books say of them ends with our last request.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.foreign import ForeignRequests
from sandbox.limits import Admission, LimitSchedule, WindowModel, make_limit

WINDOWS_KEPT = 10_000
SECONDS_KEPT = 20_000


@dataclass(slots=True)
class WindowBook:
    """What came of one fixed window."""

    opened_at_s: float
    """Seconds after the first API request."""
    limit: int
    ours: int = 0
    foreign: int = 0
    refused_ours: int = 0
    refused_foreign: int = 0

    def row(self) -> list[float]:
        """Return the window as the counts show it."""
        return [
            round(self.opened_at_s, 6),
            self.limit,
            self.ours,
            self.foreign,
            self.refused_ours,
            self.refused_foreign,
        ]


@dataclass(slots=True)
class QuotaBooks:
    """What came of all requests so far, ours and the others'."""

    ours: int = 0
    foreign: int = 0
    refused_ours: int = 0
    refused_foreign: int = 0
    early: int = 0
    """Requests of ours that came although a 429 had told to wait longer."""
    windows: deque[WindowBook] = field(default_factory=lambda: deque(maxlen=WINDOWS_KEPT))
    """The last fixed windows, oldest first."""
    times: list[int] = field(default_factory=list)
    """Requests of ours that passed, second by second after the first API request; the first `SECONDS_KEPT` only."""

    def note(self, admission: Admission, began_at: float, *, ours: bool) -> None:
        """Write down what was said to one request."""
        counter = ("" if admission.allowed else "refused_") + ("ours" if ours else "foreign")
        setattr(self, counter, getattr(self, counter) + 1)
        if admission.opened_at is not None:
            opened_at_s = admission.opened_at - began_at
            if not self.windows or self.windows[-1].opened_at_s != opened_at_s:
                self.windows.append(WindowBook(opened_at_s, admission.limit))
            window = self.windows[-1]
            setattr(window, counter, getattr(window, counter) + 1)

    def note_second(self, elapsed_s: float) -> None:
        """Write down when a request of ours passed."""
        second = int(elapsed_s)
        if second < SECONDS_KEPT:
            self.times += [0] * (second + 1 - len(self.times))
            self.times[second] += 1

    def counts(self) -> dict[str, object]:
        """Return the books as `/_sandbox/counts` shows them."""
        return {
            "windows": [window.row() for window in self.windows],
            "ours": self.ours,
            "foreign": self.foreign,
            "refused_ours": self.refused_ours,
            "refused_foreign": self.refused_foreign,
            "early": self.early,
            "times": self.times,
        }


class Quota:
    """Counts each API request against the limit; `now` gives monotonic seconds.

    A request that arrives up to `early_grace_s` after a 429 is not called early: it was under way by then.
    """

    def __init__(
        self,
        schedule: LimitSchedule,
        window_s: float,
        now: Callable[[], float],
        *,
        model: WindowModel = "fixed",
        foreign_per_s: float = 0.0,
        seed: int = 0,
        early_grace_s: float = 0.0,
    ) -> None:
        self.books = QuotaBooks()
        self.window_s = window_s
        self._schedule = schedule
        self._limit = make_limit(model, window_s)
        self._now = now
        self._foreign_per_s = foreign_per_s
        self._seed = seed
        self._early_grace_s = early_grace_s
        self._began_at: float | None = None
        self._others: ForeignRequests | None = None
        self._holds: deque[tuple[float, float]] = deque()
        """When a 429 was answered, and until when nothing was to be sent; each ends later than the one before."""

    def admit(self) -> Admission:
        """Count one request of ours, after all of the others that came before it."""
        now = self._now()
        if self._began_at is None or self._others is None:
            self._began_at = now
            self._others = ForeignRequests(self._foreign_per_s, self._seed, now)
        for moment in self._others.until(now):
            self.books.note(self._admit_at(moment, self._began_at), self._began_at, ours=False)
        self.books.early += self._is_early(now)
        admission = self._admit_at(now, self._began_at)
        self.books.note(admission, self._began_at, ours=True)
        if admission.allowed:
            self.books.note_second(now - self._began_at)
        else:
            self._hold(now, now + admission.held_for_s)
        return admission

    def _admit_at(self, moment: float, began_at: float) -> Admission:
        return self._limit.admit(moment, self._schedule.at(moment - began_at))

    def _is_early(self, now: float) -> bool:
        while self._holds and self._holds[0][1] <= now:
            self._holds.popleft()
        # With a grace of nothing, what comes in the same instant was still under way.
        return bool(self._holds) and now > self._holds[0][0] + self._early_grace_s

    def _hold(self, now: float, until: float) -> None:
        if not self._holds or until > self._holds[-1][1]:
            self._holds.append((now, until))
