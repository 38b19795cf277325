"""The best that any sender can do in fixed windows who knows everything but what others send meanwhile; pure.

Others send independently of each other (a Poisson process of a known rate). Between the moment at which the server
counts a request and the moment at which it counts the next one that knows of it, a round trip goes by, and what comes in
meanwhile is seen by nobody. The sender of this bound knows the others' rate, when windows end, and at any moment how
everything stood a round trip ago, as if answers came all the time. A real one sees it only by its own requests.

Only the end of a window matters. With F requests free, as far as is known, one more is refused if others sent F or more
in the last round trip; what is left at the end is lost; what others send beyond it is refused. How early the last of
ours leaves, and how many are left to others, is a stochastic control problem in (time to the end, F), solved backwards.
The prices of a refusal of ours and of others are varied until no more than `RISK` and `HARM` of them are refused. In windows
of a second a refusal also costs the next window: `Retry-After` is a second at the least.

Without a limit on `HARM` there is no bound: whoever takes all of a window as it opens is never refused, and all the
others are. The same is true of sliding windows. Token buckets lose nothing as long as they do not run over.
"""

import math
from functools import cache

RISK = 0.001
"""The part of our requests that may be refused."""
HARM = 0.01
"""The part of the others' requests that may be refused on our account."""

_MOST_FREE = 30
_STEPS = 120
_PRICES = tuple(1.5**power for power in range(-8, 17))


def best_use(limit: int, window_s: float, foreign_per_s: float, round_trip_s: float) -> float:
    """Return the part of what others leave of fixed windows that can be used."""
    theirs = foreign_per_s * window_s
    left = limit - theirs
    by_a_refusal = left if window_s <= 1 else 0.0
    return 1 - _lost_at_the_end(foreign_per_s, round_trip_s, left, theirs, by_a_refusal) / left


@cache
def _lost_at_the_end(
    foreign_per_s: float, round_trip_s: float, left: float, theirs: float, by_a_refusal: float
) -> float:
    """Return the fewest requests a window that are left over, or lost to refusals."""
    best = math.inf
    for price in _PRICES:
        # The more a refusal of theirs costs the fewer there are: the least price that suffices.
        low, high = 0.0, 50.0
        for _ in range(7):
            harm = (low + high) / 2 if low else high / 8
            lost, refused, ours = _play(foreign_per_s, round_trip_s, price, harm)
            if refused <= HARM * theirs:
                high = harm
                if ours <= RISK * left:
                    best = min(best, lost + by_a_refusal * ours)
            else:
                low = harm
    return best


def _play(foreign_per_s: float, round_trip_s: float, price: float, harm: float) -> tuple[float, float, float]:
    """Return what is lost, refused of theirs and refused of ours, a window, by the best play at these prices."""
    tails = _tails(foreign_per_s * round_trip_s, _MOST_FREE)
    lost = [sum(1 - tails[number] for number in range(free)) for free in range(_MOST_FREE + 1)]
    refused = [foreign_per_s * round_trip_s - free + lost[free] for free in range(_MOST_FREE + 1)]
    ours = [0.0] * (_MOST_FREE + 1)
    step_s = min(4 * round_trip_s + 8 / foreign_per_s, 20 / foreign_per_s) / _STEPS
    comes = min(1.0, foreign_per_s * step_s)
    for _ in range(_STEPS):
        for values in (lost, refused, ours):
            values[1:] = [
                values[free] + comes * (values[free - 1] - values[free]) for free in range(1, _MOST_FREE + 1)
            ]
        refused[0] += comes
        for free in range(1, _MOST_FREE + 1):
            at_risk = tails[free - 1]
            stays = lost[free] + harm * refused[free] + price * ours[free]
            goes = lost[free - 1] + harm * refused[free - 1] + price * (ours[free - 1] + at_risk)
            if goes < stays:
                lost[free], refused[free], ours[free] = (
                    lost[free - 1],
                    refused[free - 1],
                    ours[free - 1] + at_risk,
                )
    return lost[-1], refused[-1], ours[-1]


def _tails(mean: float, most: int) -> list[float]:
    """Return the probabilities of 1 or more, 2 or more, ... up to `most` or more, and one further."""
    term, tails, tail = math.exp(-mean), [], 1.0
    for number in range(most + 1):
        tail -= term
        tails.append(max(0.0, tail))
        term *= mean / (number + 1)
    return tails
