"""The tally of one delivery, and the rules by which too many rejects end it.

Two rules: of the whole (upload.max_rejected) and of the last ones, so that a mapping that is wrong for everybody ends
after dozens and not after its share of a million. What was refused and not looked up yet may be done already: it
counts for a pause, never for a stop.
"""

from collections import deque

from corso.delivery.ledger import Key
from corso.delivery.states import State
from corso.errors import Stopped

REJECTS_ALWAYS_ALLOWED = 10
"""The rule of the whole does not judge by fewer."""
RECENT_ENDS = 50
"""Ended operations that the rule of the last ones looks back on."""
RECENT_REJECTS = 25
"""More rejects than this among the last ones stop the run, unless upload.max_rejected allows a larger part."""


class Tally:
    """What became of the operations of one delivery, and whether the guards let it go on."""

    def __init__(self, allowed: int, allowed_share: float) -> None:
        self.accepted = 0
        self.rejected = 0
        self.unknown = 0
        self.refused: set[Key] = set()
        """Refused and not looked up yet: they may be done already. Counted among `unknown`, too."""
        self.too_early: set[Key] = set()
        """Planned again, as Corso does not know their orders yet. They count for nothing else."""
        self._allowed = allowed
        self._allowed_of_recent = max(RECENT_REJECTS, _part(allowed_share, RECENT_ENDS))
        self._recent: deque[tuple[Key, State]] = deque()
        self._recent_rejects = 0

    @classmethod
    def of(cls, total: int, max_rejected: float) -> "Tally":
        """Return the tally of `total` operations of which upload.max_rejected may be rejected."""
        return cls(max(REJECTS_ALWAYS_ALLOWED, _part(max_rejected, total)), max_rejected)

    @property
    def done(self) -> int:
        """Operations that left and came to an end, known or not."""
        return self.accepted + self.rejected + self.unknown

    def note(self, key: Key, state: State, *, refused: bool = False) -> None:
        """Count one operation that ended as accepted, rejected or unknown."""
        match state:
            case State.ACCEPTED:
                self.accepted += 1
            case State.REJECTED:
                self.rejected += 1
            case _:
                self.unknown += 1
        if refused:
            self.refused.add(key)
        if len(self._recent) == RECENT_ENDS:
            _, oldest = self._recent.popleft()
            self._recent_rejects -= oldest is State.REJECTED
        end = State.REJECTED if refused else state
        self._recent.append((key, end))
        # Counted along: it is asked for twice an operation.
        self._recent_rejects += end is State.REJECTED

    def note_looked_up(self, rejected: set[Key]) -> None:
        """Take in what the look-ups found of the refused: which of them are rejects after all."""
        found = self.refused - rejected
        self.rejected += len(self.refused & rejected)
        self.unknown -= len(self.refused & rejected)
        self.refused = set()
        self._recent = deque((key, State.ACCEPTED if key in found else state) for key, state in self._recent)
        self._recent_rejects = sum(state is State.REJECTED for _, state in self._recent)

    @property
    def must_look_up(self) -> bool:
        """Whether so many were refused that they are looked up before more are sent: all may be done already."""
        return bool(self.refused) and self._too_many(self.rejected + len(self.refused)) is not None

    @property
    def verdict(self) -> Stopped | None:
        """Return why the run stops for its rejects, or None."""
        why = None if self.refused else self._too_many(self.rejected)
        return Stopped(why) if why else None

    def _too_many(self, rejects: int) -> str | None:
        if rejects > self._allowed:
            return f"the API rejected {rejects} of {self.done} operations; upload.max_rejected allows {self._allowed}"
        if self._recent_rejects > self._allowed_of_recent:
            return f"the API rejected {self._recent_rejects} of the last {len(self._recent)} operations; {self._allowed_of_recent} are allowed"
        return None


def _part(share: float, total: int) -> int:
    # 0.29 of 100 are 29, which floating-point numbers miss by a hair.
    return int(round(share * total, 6))
