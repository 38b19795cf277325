"""How others use the quota, and what they may send until we know more; pure.

They are seen in what remains, between one answer and the next. Live traffic is taken for a Poisson process, whose
number in a time that nobody has seen yet varies as its mean does. Where it comes in bursts the number varies more, and
by as much more is kept for it (`Others.spread`).
"""

import math

from corso.api.poisson import least_kept, most_arrivals

_MEMORY = 100.0
"""Requests of others from which their rate follows: fewer follow it faster, more tell it more exactly."""
_ENOUGH = 20.0
_NOT_MORE_THAN_CHANCE = 1.3
_WIDEST = 8.0
_SEEMING = 0.2
"""What a new rate counts for beside those before, where it only seems to be."""


class Others:
    """Their rate, and bounds of their number."""

    def __init__(self) -> None:
        self.least_per_s = 0.0
        """What their rate is not below, by what is known otherwise."""
        self.spread = 1.0
        """The variance of their number in a given time over its mean: 1 if each comes for itself."""
        self._number = self._seconds = 0.0
        self._lately_per_s = 0.0
        self._squares = self._expected = _MEMORY / 2

    @property
    def per_s(self) -> float:
        """How fast they use the quota."""
        return max(self._lately_per_s, self.least_per_s)

    def note(self, seconds: float, number: float, *, blur: float = 0.0) -> None:
        """Take in that so many were sent in so many seconds: between two answers.

        `blur` is the variance that comes from how they are counted.
        """
        if seconds <= 0:
            self._number += number
            return
        expected = self.per_s * seconds
        if self._number > _ENOUGH:
            kept = math.exp(-expected / _MEMORY)
            self._squares = kept * self._squares + (number - expected) ** 2
            self._expected = kept * self._expected + expected + blur
            spread = self._squares / self._expected
            self.spread = min(_WIDEST, spread) if spread > _NOT_MORE_THAN_CHANCE else 1.0
        kept = math.exp(-max(number, expected, 0.0) / _MEMORY)
        self._number = max(0.0, kept * self._number + number)
        self._seconds = kept * self._seconds + seconds
        self._lately_per_s = self._number / self._seconds

    def seem(self, per_s: float) -> None:
        """Take in a rate of which nobody knows in which moments it came about: their own number in a time is not told."""
        self._number = self._seconds = self._lately_per_s = 0.0
        self.spread = 1.0
        self.least_per_s += _SEEMING * (per_s - self.least_per_s)

    def most(self, seconds: float, risk: float, *, also: float = 0.0) -> int:
        """Return the number that is exceeded with a probability of at most `risk`; `also` are expected besides."""
        expected = self.per_s * max(0.0, seconds) + also
        return math.ceil(self.spread * most_arrivals(expected / self.spread, risk))

    def least(self, seconds: float, lost: float) -> int:
        """Return the number that is exceeded by about `lost` on average."""
        expected = self.per_s * max(0.0, seconds)
        return round(self.spread * least_kept(expected / self.spread, lost / self.spread))
