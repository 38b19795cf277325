"""When our own requests left, for counting how many left since a moment; pure."""

from bisect import bisect_left

_MOST = 65_536


class SentLog:
    """Departures in bounded memory: each of the last sixteen thousand, the older ones as coarsely as it takes.

    Where some are taken together they stand under the time of the latest, so that none is counted as older than it is.
    """

    def __init__(self) -> None:
        self.total = 0
        """Departures so far; the number that the last one carries."""
        self._times: list[float] = []
        self._totals: list[int] = []
        """Beside each time, the total at it."""

    def add(self, now: float) -> int:
        """Note a departure; return its number, from 1."""
        self.total += 1
        self._times.append(now)
        self._totals.append(self.total)
        if len(self._times) > _MOST:
            old = _MOST * 3 // 4
            self._times[:old] = self._times[1:old:2]
            self._totals[:old] = self._totals[1:old:2]
        return self.total

    def withdraw(self, number: int) -> None:
        """Take a departure back that did not happen. Later ones keep the numbers they were given."""
        place = bisect_left(self._totals, number)
        self._totals[place:] = [total - 1 for total in self._totals[place:]]
        self.total -= 1

    def since(self, moment: float) -> int:
        """Return how many left at `moment` or later."""
        return self.total - self.number_before(moment)

    def number_before(self, moment: float) -> int:
        """Return the number of the last departure before `moment`."""
        place = bisect_left(self._times, moment)
        return self._totals[place - 1] if place else 0

    def time_of(self, number: int) -> float | None:
        """Return when the departure of this number left; None where there was none."""
        if not 0 < number <= self.total:
            return None
        return self._times[bisect_left(self._totals, number)]
