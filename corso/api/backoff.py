"""Whether something that may be tried again is, and after how long a wait; pure."""

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


BUDGET = 500
"""What a retry budget holds at first and at most."""

RETRY_COST = 5
"""What a retry takes from it, given back where it succeeds."""

SUCCESS_WORTH = 1
"""What a success at the first try gives back."""


class RetryBudget:
    """Retries that all reads together may still make: many at once would only multiply what a dying API has to do.

    The scheme and the numbers are botocore's (`retries/standard.py`, `RetryQuotaChecker`): an API that fails now and
    then never uses the budget up; one that answers nothing gets a hundred retries, however many ask.
    """

    def __init__(self) -> None:
        self.left = BUDGET

    def takes(self) -> bool:
        """Take one retry from the budget; False, and nothing taken, where there is none left."""
        if self.left < RETRY_COST:
            return False
        self.left -= RETRY_COST
        return True

    def succeeded(self, *, retried: bool) -> None:
        """Note that something was answered, at the first try or after retries."""
        self.left = min(BUDGET, self.left + (RETRY_COST if retried else SUCCESS_WORTH))
