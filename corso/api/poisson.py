"""How many requests others may send meanwhile; pure."""

import math

_SUMMED_TO = 20.0


def most_arrivals(expected: float, risk: float) -> int:
    """Return the number that a Poisson process of this mean exceeds with a probability of at most `risk`.

    Above 20 expected arrivals by the normal approximation (for `risk` from 0.1 % to 10 % within one of the exact
    number).
    """
    if expected <= 0:
        return 0
    if expected > _SUMMED_TO:
        # The upper tail's quantile, by the usual rational approximation (Abramowitz and Stegun 26.2.23).
        t = math.sqrt(-2 * math.log(risk))
        z = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (
            1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t**3
        )
        return math.ceil(expected + z * math.sqrt(expected))
    term = math.exp(-expected)
    tail, number = 1 - term, 0
    while tail > risk:
        number += 1
        term *= expected / number
        tail -= term
    return number


def least_kept(expected: float, lost: float) -> float:
    """Return the number that a Poisson process of this mean exceeds by `lost` on average, between whole numbers, too."""
    if expected <= lost:
        return 0.0
    # The mean excess over n falls by the probability of more than n with each n.
    term = math.exp(-expected)
    excess, tail, number = expected, 1 - term, 0
    while excess - tail > lost and tail > 0:
        number += 1
        excess -= tail
        term *= expected / number
        tail -= term
    return number + (excess - lost) / tail if tail > 0 else float(number)
