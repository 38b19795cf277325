"""The others: requests that are nobody's, but use the same quota.

They arrive as a Poisson process: independent of each other and of us, as those of a shop's live traffic are. No
task runs for them. Whoever wants to know how the quota stands asks for the arrivals up to now.
"""

import random
from collections.abc import Iterator


class ForeignRequests:
    """Arrivals at `per_s` a second from the moment `start` on; the same seed gives the same gaps."""

    def __init__(self, per_s: float, seed: int, start: float) -> None:
        self._per_s = per_s
        # Apart from the draws of faults, which also follow from the seed: neither may move the other.
        self._random = random.Random(f"foreign {seed}")  # noqa: S311 - it must repeat, and guards nothing
        self._next_at = start
        self._wait()

    def until(self, now: float) -> Iterator[float]:
        """Yield the moments of the arrivals since the last call, in their order."""
        while self._per_s and self._next_at <= now:
            yield self._next_at
            self._wait()

    def _wait(self) -> None:
        if self._per_s:
            self._next_at += self._random.expovariate(self._per_s)
