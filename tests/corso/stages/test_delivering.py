"""A whole upload against an API that fails on one order each time: it costs a few tries and waits, not all of them.

And how often progress is told.
"""

import asyncio
import json
from collections import deque
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from corso.delivery.ledger import Change, Entry, Key, Ledger
from corso.delivery.ports import unwatched
from corso.delivery.states import State
from corso.errors import OutcomeUnknown
from corso.extract.plan import plan_orders
from corso.settings import Loader, Settings
from corso.stages.batch import Batch, Facts
from corso.stages.delivering import Delivery, seldom
from corso.stages.known_entries import known_entries
from corso.stages.reading_back.known_records import keep_known
from tests.clocks import JumpingClock
from tests.fake_corso import STORE_ID, FakeCorso, Fault, entry_of, operation, order_body

BROKEN = Fault(OutcomeUnknown("POST /v1/orders: the API answered 500", status=500))


def settings_of(folder: Path) -> Settings:
    """Return settings of the store, without a canary."""
    loader = {"store": {"id": STORE_ID}, "exports": {}, "upload": {"canary": 0}}
    return Settings(folder / "loader.yaml", Loader.model_validate(loader))


def upload(folder: Path, api: FakeCorso, count: int, *, is_trusted: bool = True) -> Entry:
    """Load so many orders; return the first one's entry. All others have to be accepted."""
    settings = settings_of(folder)
    payloads = [json.dumps(order_body(number)) for number in range(1, count + 1)]
    texts = pl.DataFrame(
        {
            "source_order_id": [f"o-{number}" for number in range(1, count + 1)],
            "payload": payloads,
            "payload_hash": [sha256(payload.encode()).hexdigest() for payload in payloads],
            "cancel_payload": None,
            "content": None,
            "content_hash": None,
            "file": "orders.csv",
        },
        schema_overrides=dict.fromkeys(["cancel_payload", "content", "content_hash"], pl.String),
    ).with_row_index("line")
    with Ledger.open(settings.ledger, STORE_ID, clock=api.clock) as ledger:
        if is_trusted:
            ledger.trust()
        known = known_entries(ledger, texts["source_order_id"])
        plan = plan_orders(texts, known, cancel_with_delete=True).lazy()
        delivery = Delivery(Batch(settings, "b1"), plan, "order", ledger, api, api.clock, unwatched)
        asyncio.run(delivery.run(None))
        assert all(entry_of(ledger, each).state is State.ACCEPTED for each in range(2, count + 1))
        return entry_of(ledger)


def test_an_order_that_the_api_fails_on_each_time_is_given_up_for_this_run(tmp_path: Path) -> None:
    """It is surely not there, and stays planned for the next run; each try costs up to half a minute."""
    api = FakeCorso(JumpingClock())
    api.fail(1, *[BROKEN] * 50)
    entry = upload(tmp_path, api, 12)
    assert entry.state is State.PLANNED
    assert entry.reason == "POST /v1/orders: the API answered 500; looked up twice: not there"
    assert sum(each.source_order_id == "o-1" for each in api.sent) == 4
    assert api.clock.elapsed < 120


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_an_order_that_the_api_fails_on_a_few_times_arrives(failures: int, tmp_path: Path) -> None:
    """Once, like all others."""
    api = FakeCorso(JumpingClock(), faults={"o-1": deque([BROKEN] * failures)})
    assert upload(tmp_path, api, 12).state is State.ACCEPTED
    assert len(api.orders) == 12


def test_a_change_of_an_order_that_corso_does_not_know_yet_arrives_in_the_same_run(tmp_path: Path) -> None:
    """They were found with other content, and are to be updated: Corso knows them by their ids ten seconds later."""
    api = FakeCorso(JumpingClock(), known_after_s=10)
    lost = Fault(OutcomeUnknown("connection reset"), carried_out=True)
    for number in range(1, 13):
        api.fail(number, lost)
    for number in range(1, 13):
        api.has(order_body(number, totalMoney=99))
    entry = upload(tmp_path, api, 12)
    assert (entry.state, entry.kind) == (State.ACCEPTED, "update_order")
    assert [each["totalMoney"] for each in api.orders] == [27] * 12
    assert api.clock.elapsed < 60


def test_what_corso_never_knows_by_its_id_is_rejected_in_the_end(tmp_path: Path) -> None:
    """After half a minute it is no longer new."""
    api = FakeCorso(JumpingClock(), known_after_s=1e6)
    api.fail(1, Fault(OutcomeUnknown("connection reset"), before=False))
    api.has(order_body(1, totalMoney=99))
    entry = upload(tmp_path, api, 2)
    assert (entry.state, entry.status) == (State.REJECTED, 404)
    assert 30 <= api.clock.elapsed < 90


@pytest.mark.parametrize("order_id", [Decimal("1000001.0"), None])
def test_an_order_that_is_there_already_is_adopted_by_its_id(
    order_id: Decimal | None, tmp_path: Path
) -> None:
    """However the API writes it; where it tells none, the order stays in doubt, and is not created again."""
    api = FakeCorso(JumpingClock(), refuses_duplicates=False)
    api.has(order_body(1), orderId=order_id)
    entry = upload(tmp_path, api, 2, is_trusted=False)
    state = State.UNKNOWN if order_id is None else State.ACCEPTED
    assert (entry.state, entry.corso_id) == (state, "1000001" if order_id else None)
    assert [each.source_order_id for each in api.sent] == ["o-2"]


def test_an_order_whose_record_somebody_else_wrote_is_brought_up_to_date_and_not_created_again(
    tmp_path: Path,
) -> None:
    """A reconciliation saw it, as one that was quarantined then: the ledger is trusted, and does not know it."""
    api = FakeCorso(JumpingClock(), refuses_duplicates=False)
    record = api.has(order_body(1, totalMoney=99))
    seen = pl.LazyFrame(
        {
            "source_order_id": ["o-1", "o-9"],
            "corso_order_id": [str(record["orderId"]), "7"],
            "created_on": None,
        }
    )
    now = api.clock.utc()
    keep_known(settings_of(tmp_path), seen, newest=None, began=now, page_size=50, on_top_of=None)
    entry = upload(tmp_path, api, 3)
    assert (entry.state, entry.corso_id) == (State.ACCEPTED, str(record["orderId"]))
    assert [(each.kind, each.source_order_id) for each in api.sent] == [
        ("update_order", "o-1"),
        ("create_order", "o-2"),
        ("create_order", "o-3"),
    ]
    assert len(api.orders) == 3


def test_what_a_later_batch_brought_is_left_as_it_is_and_what_it_did_not_get_in_is_sent(
    tmp_path: Path,
) -> None:
    """Also what is in doubt of it, whatever the plan says: it may be older than that batch."""
    api = FakeCorso(JumpingClock())
    settings, now = settings_of(tmp_path), api.clock.utc()
    Batch(settings, "b1").write_facts(Facts(loaded_at=now - timedelta(days=2)))
    later = Batch(settings, "b2")
    later.write_facts(Facts(loaded_at=now - timedelta(days=1)))
    pl.DataFrame({"source_order_id": ["o-1", "o-2", "o-3"]}).write_parquet(later.table("accepted_orders"))
    brought = [operation(number, totalMoney=99) for number in (1, 2)]
    ids = [str(api.has(order_body(number, totalMoney=99))["orderId"]) for number in (1, 2)]
    with Ledger.open(settings.ledger, STORE_ID, clock=api.clock) as ledger:
        ledger.plan(brought, "b2")
        ledger.start(brought)
        taken = Change(Key("o-1"), State.ACCEPTED, corso_id=ids[0], held_hash=brought[0].payload_hash)
        ledger.settle([taken, Change(Key("o-2"), State.UNKNOWN)])
    entry = upload(tmp_path, api, 4)
    assert entry.held_hash == brought[0].payload_hash
    assert [each.source_order_id for each in api.sent] == ["o-3", "o-4"]


def test_progress_is_told_as_often_as_one_can_read_and_to_its_end() -> None:
    """Of three thousand operations in three seconds some thirty, the first and the last of each kind among them."""
    clock = JumpingClock()
    told: list[tuple[str, int, int]] = []
    watch = seldom(lambda *what: told.append(what), clock)

    async def go() -> None:
        for kind in ("create_order", "update_order"):
            for done in range(1, 3_001):
                watch(kind, done, 3_000)
                await clock.sleep(0.001)

    asyncio.run(go())
    for kind in ("create_order", "update_order"):
        shown = [done for what, done, _ in told if what == kind]
        assert shown[0] == 1
        assert shown[-1] == 3_000
        assert 30 <= len(shown) <= 33
