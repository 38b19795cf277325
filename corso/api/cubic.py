"""The rate of a client that is told nothing: CUBIC, as botocore's adaptive mode uses it; pure.

A throttled answer cuts the rate to 0.7 of what it was; then it grows back along a cubic curve that is flat near the
rate that failed. It never exceeds twice the rate that is really used, so that an idle spell earns nothing.
"""

import math

BETA = 0.7
"""What a throttled answer leaves of the rate."""

SCALE = 0.4
"""How steep the curve is (requests per second, per second cubed)."""

LOWEST = 0.1
"""Requests per second that no cut goes below."""

_SMOOTH = 0.8
_BUCKET_S = 0.5


class CubicRate:
    """A rate in requests per second; time comes in as monotonic seconds."""

    def __init__(self, rate: float, now: float) -> None:
        self.ceiling = math.inf
        """What it never grows beyond: the pace that was told while the API still told one."""
        self._plateau = max(rate, LOWEST)
        self._origin = now
        self._lag_s = 0.0
        self._used = 0.0
        self._count = 0
        self._bucket = now

    def rate(self, now: float) -> float:
        """Return the rate that is allowed now."""
        elapsed = max(0.0, now - self._origin)
        grown = SCALE * (elapsed - self._lag_s) ** 3 + self._plateau
        return max(LOWEST, min(grown, max(2 * self._used, self._plateau), self.ceiling))

    def sent(self, now: float) -> None:
        """Note a request, for the rate that is really used."""
        self._count += 1
        elapsed = now - self._bucket
        if elapsed >= _BUCKET_S:
            self._used = _SMOOTH * self._count / elapsed + (1 - _SMOOTH) * self._used
            self._count, self._bucket = 0, now

    def cut(self, now: float, *, grows_from: float) -> None:
        """Cut the rate; it grows again from `grows_from` on, the end of the pause that goes with the cut."""
        self._plateau = self.rate(now)
        self._lag_s = (self._plateau * (1 - BETA) / SCALE) ** (1 / 3)
        self._origin = grows_from
