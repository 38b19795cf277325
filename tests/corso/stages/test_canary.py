"""The canary holds the rest back until enough of it is in Corso as it was sent, however many runs that takes."""

import asyncio
import json
from collections import deque
from pathlib import Path

import pytest

from corso.delivery.ledger import Ledger
from corso.delivery.ports import unwatched
from corso.errors import OutcomeUnknown, Rejected, Stopped
from corso.extract.payloads import order_payloads
from corso.extract.plan import plan_orders
from corso.settings import Loader, Settings
from corso.stages.batch import Batch
from corso.stages.delivering import Delivery
from corso.stages.known_entries import known_entries
from schemas.wire import Operation, Receipt
from tests.clocks import JumpingClock
from tests.factories import line_row, lines_frame, order_row, orders_frame
from tests.fake_corso import STORE_ID, FakeCorso, Fault

COUNT = 12
CANARY = 4
REDIRECTS = Fault(
    Rejected(
        "POST /v1/orders: the API answered 308; redirects are not followed: is corso.base_url right?",
        status=308,
    )
)
REFUSES = Fault(Rejected("POST /v1/orders: the API answered 422", status=422, body="we do not ship there"))
BROKEN = Fault(OutcomeUnknown("POST /v1/orders: the API answered 500", status=500))


class Damaging(FakeCorso):
    """Keeps another name than it was sent."""

    def _carry_out(self, operation: Operation) -> Receipt:
        receipt = super()._carry_out(operation)
        self.orders[-1]["orderName"] = "another"
        return receipt


def upload(
    folder: Path, api: FakeCorso, *, limit: int | None = None, note: str = "", is_trusted: bool = True
) -> None:
    """Plan the batch and load it, as one run does."""
    loader = {"store": {"id": STORE_ID}, "exports": {}, "upload": {"canary": CANARY}}
    settings = Settings(folder / "loader.yaml", Loader.model_validate(loader))
    batch = Batch(settings, "b1")
    orders = orders_frame([order_row(number, notes=note or None) for number in range(1, COUNT + 1)])
    lines = lines_frame([line_row(number) for number in range(1, COUNT + 1)])
    batch.table("accepted_orders").parent.mkdir(parents=True, exist_ok=True)
    orders.write_parquet(batch.table("accepted_orders"))
    lines.write_parquet(batch.table("accepted_line_items"))
    payloads = order_payloads(orders, lines, STORE_ID)
    with Ledger.open(settings.ledger, STORE_ID, clock=api.clock) as ledger:
        if is_trusted:
            ledger.trust()
        known = known_entries(ledger, payloads["source_order_id"])
        plan = plan_orders(payloads, known, cancel_with_delete=True).lazy()
        delivery = Delivery(batch, plan, "order", ledger, api, api.clock, unwatched)
        asyncio.run(delivery.run(limit))


def stopped(folder: Path, api: FakeCorso, **how: int) -> str:
    """Load; return with which sentence it stopped."""
    with pytest.raises(Stopped) as caught:
        upload(folder, api, **how)
    return str(caught.value)


def sent(api: FakeCorso) -> set[str]:
    """Return the orders that were sent, whatever became of them."""
    return {each.source_order_id for each in api.sent}


def canary_of(folder: Path) -> list[str]:
    """Return the orders that were chosen."""
    (path,) = folder.rglob("canary.json")
    return list(json.loads(path.read_bytes())["orders"])


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (REDIRECTS, "redirects are not followed: is corso.base_url right?"),
        (BROKEN, "the API answered 500"),
        (REFUSES, "the API answered 422: we do not ship there"),
    ],
)
def test_where_none_of_it_arrives_nothing_more_is_sent_and_the_next_run_begins_with_it(
    fault: Fault, said: str, tmp_path: Path
) -> None:
    """An API that keeps something else is noticed by the next run's canary then, and not after the whole batch."""
    api = FakeCorso(JumpingClock(), every_fault=fault)
    sentence = stopped(tmp_path, api)
    assert f"0 of the first {CANARY} orders arrived" in sentence
    assert said in sentence
    assert sent(api) == {*canary_of(tmp_path)}
    assert len(sent(api)) == CANARY
    damaging = Damaging(JumpingClock(api.clock.utc()))
    if fault is REFUSES:
        assert f"0 of the first {CANARY} orders arrived" in stopped(tmp_path, damaging)
    else:
        assert "orderName" in stopped(tmp_path, damaging)
        assert len(damaging.orders) == CANARY


def test_once_it_has_passed_the_rest_goes_and_the_next_run_does_not_ask_again(tmp_path: Path) -> None:
    """Those that never arrived, at most half of it, are no reason to begin anew."""
    api = FakeCorso(JumpingClock(), every_fault=BROKEN)
    stopped(tmp_path, api)
    api.every_fault = None
    first, second = canary_of(tmp_path)[:2]
    api.faults = {first: deque([REFUSES]), second: deque([BROKEN] * 50)}
    upload(tmp_path, api)
    assert len(api.orders) == COUNT - 2
    api.faults = {}
    api.looks.clear()
    upload(tmp_path, api)
    assert len(api.orders) == COUNT - 1
    assert "Corso id" not in api.looks


def test_most_of_it_has_to_arrive(tmp_path: Path) -> None:
    """One order in Corso as it was sent says too little about the others."""
    api = FakeCorso(JumpingClock(), every_fault=BROKEN)
    stopped(tmp_path, api)
    api.every_fault = None
    api.faults = {each: deque([BROKEN] * 50) for each in canary_of(tmp_path)[1:]}
    assert f"1 of the first {CANARY} orders arrived" in stopped(tmp_path, api)
    assert len(api.orders) == 1
    api.faults = {}
    upload(tmp_path, api)
    assert len(api.orders) == COUNT


def test_what_arrived_although_nobody_heard_of_it_counts(tmp_path: Path) -> None:
    """It is looked up before the canary is judged."""
    api = FakeCorso(JumpingClock(), every_fault=Fault(OutcomeUnknown("reset"), carried_out=True))
    upload(tmp_path, api)
    assert len(api.orders) == COUNT


def test_what_cannot_be_looked_up_holds_the_rest_back_until_it_can(tmp_path: Path) -> None:
    """The next run finds it, and compares it then."""
    api = FakeCorso(JumpingClock(), every_fault=Fault(OutcomeUnknown("reset"), carried_out=True))
    api.finds_by_source_id = api.finds_by_email = api.lists = False
    assert "0 of the first" in stopped(tmp_path, api)
    assert len(api.orders) == CANARY
    api.every_fault, api.finds_by_source_id = None, True
    upload(tmp_path, api)
    assert len(api.orders) == COUNT


def test_changed_orders_that_never_arrive_hold_back_the_others(tmp_path: Path) -> None:
    """They are in Corso, as they were before."""
    api = FakeCorso(JumpingClock())
    upload(tmp_path, api)
    changed = FakeCorso(api.clock, orders=api.orders, every_fault=BROKEN)
    with pytest.raises(Stopped, match=f"0 of the first {CANARY} orders arrived"):
        upload(tmp_path, changed, note="new")
    assert sent(changed) == {*canary_of(tmp_path)}
    changed.every_fault = None
    upload(tmp_path, changed, note="new")
    assert [each["notes"] for each in api.orders] == ["new"] * COUNT


def test_a_limit_holds_for_the_canary_of_an_earlier_run_too(tmp_path: Path) -> None:
    """It is judged by the run that sends all of it."""
    api = FakeCorso(JumpingClock(), every_fault=BROKEN)
    stopped(tmp_path, api)
    chosen = canary_of(tmp_path)
    damaging = Damaging(api.clock)
    upload(tmp_path, damaging, limit=CANARY - 1)
    assert len(damaging.orders) == CANARY - 1
    assert sent(damaging) < {*chosen}
    assert "orderName" in stopped(tmp_path, damaging, limit=CANARY)
    assert len(damaging.orders) == CANARY
