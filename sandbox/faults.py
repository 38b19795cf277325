"""What may go wrong with a request on purpose, how often, and which fault a request meets.

What belongs here: the settings and the draw. How a fault is acted out is in `disturbance`.

Everything is drawn from one `random.Random(seed)` in the order in which requests arrive, one number a request:
the number's place in [0, 1) says which fault it is, and its place within that fault's share says which variety
(a 500 or a 503, HTML or nothing). So the same seed and the same requests meet the same faults, and a request
never meets two.
"""

import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "drop-answer",
    "reset-before",
    "reset-during",
    "reset-after",
    "error-before",
    "error-after",
    "slow",
    "stall",
    "truncate",
    "garble",
]
"""The faults of which a request meets at most one; each is an option of the command and described there."""
Scope = Literal["writes", "all"]
TOKEN_ERRORS = "token-errors"  # noqa: S105 - what the counts call it
_ROUNDING = 1e-9
"""By so much may the sum of shares such as 0.1 and 0.7 pass 1 and still mean 1."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How often what goes wrong: probabilities from 0 to 1. Raises ValueError where they do not fit.

    The ten up to `garble` share one draw, so they add up to 1 at most.
    """

    seed: int = 0
    drop_answer: float = 0.0
    """Carried out, then the connection is closed without a byte of the answer."""
    reset_before: float = 0.0
    """TCP reset before the body is read."""
    reset_during: float = 0.0
    """TCP reset when the first part of the body was read."""
    reset_after: float = 0.0
    """TCP reset when the body was read and nothing was carried out."""
    error_before: float = 0.0
    """500, 502 or 503, and nothing was carried out."""
    error_after: float = 0.0
    """500, 502 or 503, although the request was carried out."""
    slow: float = 0.0
    """Carried out, and the answer held back."""
    stall: float = 0.0
    """Held back first, then carried out, whether the client still waits or not."""
    truncate: float = 0.0
    """Carried out, and the connection closed in the middle of the answer's body."""
    garble: float = 0.0
    """Carried out, and answered with a body that is not JSON."""
    slow_for_s: float = 10.0
    """How long `slow` and `stall` hold back."""
    token_errors: float = 0.0
    """The token endpoint answers 500; drawn for itself."""
    on: Scope = "all"
    """Which requests meet the ten: POST and DELETE only, or reads too."""
    limit: int | None = None
    """After so many of the ten there are no more; None means no end."""

    def __post_init__(self) -> None:
        shares = self.shares()
        for name, share in (shares | {TOKEN_ERRORS: self.token_errors}).items():
            if not 0 <= share <= 1:
                msg = f"--{name} must be from 0 to 1, but is {share}"
                raise ValueError(msg)
        total = math.fsum(shares.values())
        if total > 1 + _ROUNDING:
            names = ", ".join(f"--{name}" for name, share in shares.items() if share)
            msg = f"a request meets one fault at most, so {names} may not add up to more than 1: {total:g}"
            raise ValueError(msg)

    def shares(self) -> dict[Kind, float]:
        """Return each fault's share of the requests, in the order in which they part [0, 1)."""
        return {kind: getattr(self, kind.replace("-", "_")) for kind in get_args(Kind)}


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault that one request meets."""

    kind: Kind
    place: float
    """From 0 to 1: which variety of the fault it is."""

    def pick(self, varieties: int) -> int:
        """Return the number of the variety, counted from 0."""
        return min(int(self.place * varieties), varieties - 1)


class FaultPlan:
    """Draws what each request meets, and counts it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._shares = [(kind, share) for kind, share in faults.shares().items() if share]
        self._random = random.Random(faults.seed)  # noqa: S311 - it must repeat, and guards nothing
        self._drawn = 0
        self.injected: Counter[str] = Counter()
        """Faults so far, by kind; `token-errors` among them."""

    def draw(self, method: str) -> Fault | None:
        """Draw for the request that has just arrived; one that can meet no fault draws no number."""
        if not self._shares or self._drawn == self._faults.limit:
            return None
        if self._faults.on == "writes" and method in ("GET", "HEAD"):
            return None
        number = self._random.random()
        low = 0.0
        for kind, share in self._shares:
            if number < low + share:
                self._drawn += 1
                self.injected[kind] += 1
                return Fault(kind, (number - low) / share)
            low += share
        return None

    def draw_token_error(self) -> bool:
        """Draw whether the token request that has just arrived is answered with 500."""
        share = self._faults.token_errors
        fails = bool(share) and self._random.random() < share
        self.injected.update([TOKEN_ERRORS] if fails else [])
        return fails
