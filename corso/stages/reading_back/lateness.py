"""What was accepted just now and is not shown yet: it is asked for again, as reads may be late like listings are.

An order that was changed may be shown as it was before: its `updatedOn` (documented, by Corso's clock) tells.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from corso.clock import Clock
from corso.delivery.look_ups import LONGEST_LAG_GUESSED_S

Asked = TypeVar("Asked")

_FIRST_NAP_S, _LONGEST_NAP_S = 1.0, 8.0

_ANSWER_TAKES = timedelta(seconds=5)
"""How much older than its acceptance a change may look: the answer was under way, and clocks are told in whole seconds."""


def is_as_before(updated_on: datetime | None, changed_at: datetime | None, ahead_s: float | None) -> bool:
    """Say whether a record is shown as it was before a change that Corso accepted.

    `updated_on` is the record's, `changed_at` when the change was accepted by our clock, which is `ahead_s` ahead of
    Corso's (0 where that is not known). False where either is None.
    """
    if updated_on is None or changed_at is None:
        return False
    return updated_on < changed_at - timedelta(seconds=ahead_s or 0.0) - _ANSWER_TAKES


class NotShownYet(Generic[Asked]):
    """What is to be asked for again, until it shows or was accepted `LONGEST_LAG_GUESSED_S` ago."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._put_aside: list[Asked] = []

    def puts_aside(self, asked: Asked, accepted_at: datetime | None) -> bool:
        """Put something that was not shown aside, if it was accepted just now; say whether it was."""
        if accepted_at is None:
            return False
        # Another machine may have written the time down, by a clock that is ahead of ours.
        if abs(self._clock.utc() - accepted_at) >= timedelta(seconds=LONGEST_LAG_GUESSED_S):
            return False
        self._put_aside.append(asked)
        return True

    async def rounds(self) -> AsyncIterator[list[Asked]]:
        """Yield, after a while each time, what is to be asked for again; ends once nothing was put aside."""
        nap_s = _FIRST_NAP_S
        while self._put_aside:
            await self._clock.sleep(nap_s)
            nap_s = min(2 * nap_s, _LONGEST_NAP_S)
            again, self._put_aside = self._put_aside, []
            yield again
