"""The canary is read back from an API whose reads may be late."""

import asyncio

from corso.delivery.look_ups import LONGEST_LAG_GUESSED_S
from corso.stages.canary import read_each
from schemas.wire import JsonObject
from tests.clocks import JumpingClock
from tests.fake_corso import FakeCorso


class Late(FakeCorso):
    """Shows the order `7` after some seconds, and `8` never."""

    readable_after_s = 12.0

    async def order(self, corso_order_id: str) -> JsonObject | None:
        """See `OrderApi.order`."""
        shown = {"5": 0.0, "7": self.readable_after_s}.get(corso_order_id, float("inf"))
        return {"orderId": corso_order_id} if self.clock.elapsed >= shown else None


def read(*corso_ids: str) -> tuple[list[str], float]:
    """Return what can be read, and the seconds that it took."""
    clock = JumpingClock()
    records = asyncio.run(read_each(Late(clock), corso_ids, clock.sleep, 2.0))
    return sorted(records), clock.elapsed


def test_an_order_that_shows_late_is_waited_for() -> None:
    """It was accepted: to say that Corso has not got it would be wrong, and stop the run."""
    records, elapsed_s = read("5", "7")
    assert records == ["5", "7"]
    assert Late.readable_after_s <= elapsed_s < LONGEST_LAG_GUESSED_S


def test_orders_that_show_at_once_are_not_waited_for() -> None:
    """The usual case costs nothing."""
    assert read("5") == (["5"], 0.0)


def test_an_order_that_never_shows_is_given_up() -> None:
    """As long as an absent create is given, and no longer."""
    assert read("5", "8") == (["5"], LONGEST_LAG_GUESSED_S)


def test_what_is_shown_as_it_was_before_an_update_is_read_again() -> None:
    """The rest of a night would wait for a person, for want of a few seconds."""
    clock = JumpingClock()

    class Stale(FakeCorso):
        async def order(self, corso_order_id: str) -> JsonObject | None:
            return {"orderId": corso_order_id, "notes": "new" if self.clock.elapsed >= 9 else "old"}

    def shows(_corso_id: str, record: JsonObject) -> bool:
        return record["notes"] == "new"

    records = asyncio.run(read_each(Stale(clock), ["5"], clock.sleep, 2.0, shows))
    assert records["5"]["notes"] == "new"
    assert clock.elapsed < LONGEST_LAG_GUESSED_S
