"""A signal ends an upload within half a minute, also where it waits for its turn to read."""

import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from corso.errors import Interrupted, OutcomeUnknown
from schemas.wire import JsonObject
from tests.clocks import JumpingClock
from tests.corso.stages.test_canary import CANARY, COUNT, upload
from tests.fake_corso import FakeCorso, Fault, order_body

ASKED_S, SIGNAL_AFTER_S = 90, 10


@dataclass
class Waiting(FakeCorso):
    """Has each read wait as after a 429; a while into the first one somebody ends the run."""

    reads: int = 0

    async def _wait(self) -> None:
        self.reads += 1
        is_first = self.reads == 1
        for second in range(ASKED_S):
            if is_first and second == SIGNAL_AFTER_S:
                signal.raise_signal(signal.SIGTERM)
            await self.clock.sleep(1)

    async def orders_by_source_id(self, source_order_id: str) -> list[JsonObject] | None:
        """See `OrderApi.orders_by_source_id`."""
        await self._wait()
        return await super().orders_by_source_id(source_order_id)

    async def order(self, corso_order_id: str) -> JsonObject | None:
        """See `OrderApi.order`."""
        await self._wait()
        return await super().order(corso_order_id)

    async def newest_first(self) -> AsyncIterator[Sequence[JsonObject]]:
        """See `OrderApi.newest_first`."""
        await self._wait()
        async for page in super().newest_first():
            yield page


@pytest.mark.parametrize("where", ["canary", "adoption", "look-up"])
def test_a_signal_ends_a_read_that_waits_for_its_turn(where: str, tmp_path: Path) -> None:
    """Nothing is written by it; the same command goes on."""
    api = Waiting(JumpingClock())
    if where == "adoption":
        api.has(order_body(COUNT + 1))
    if where == "look-up":
        api.every_fault = Fault(OutcomeUnknown("reset"), carried_out=True)
    with pytest.raises(Interrupted):
        upload(tmp_path, api, is_trusted=where != "adoption")
    assert api.clock.elapsed < SIGNAL_AFTER_S + 5
    assert len(api.sent) == (0 if where == "adoption" else CANARY)
    # A clock of its own: the cancelled sleepers of a loop that has ended hold the other one.
    patient = FakeCorso(JumpingClock(api.clock.utc()), orders=api.orders)
    upload(tmp_path, patient, is_trusted=where != "adoption")
    stored = [each["sourceOrderId"] for each in api.orders]
    assert len({*stored}) == len(stored) == COUNT + (where == "adoption")
