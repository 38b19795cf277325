"""How long to wait before the next try of something that may be tried again; pure."""

import random
from collections.abc import Callable

ATTEMPTS = 6
"""Tries of a read or a token request, the first one included."""

BASE_S = 0.5
CAP_S = 60.0

Jitter = Callable[[], float]
"""Gives a number from 0 to 1, evenly."""

random_jitter: Jitter = random.SystemRandom().random


def full_jitter_s(failures: int, jitter: Jitter) -> float:
    """Return the seconds to wait after so many failures in a row: anything up to a doubling bound."""
    return jitter() * min(CAP_S, BASE_S * 2.0 ** min(failures, 20))
