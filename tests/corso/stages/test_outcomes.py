"""How a plan's orders and fulfillments ended, slice by slice, and what the ledger is asked for it."""

import os
import time
from pathlib import Path

import polars as pl
import pytest
from export_factories import loader_settings

from corso.delivery.ledger import Change, Key, Ledger
from corso.delivery.states import State
from corso.extract.plan import PLAN_COLUMNS
from corso.report.outcomes import LEDGER_COLUMNS
from corso.stages.batch import Batch
from corso.stages.known_entries import entries_of, known_keys
from corso.stages.outcomes import write_outcomes
from schemas.reconciliation import OUTCOME_TABLE
from tests.fake_corso import operation


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """A batch of a store without a ledger yet."""
    batch = Batch(loader_settings(tmp_path, "orders: o.csv"), "b")
    batch.settings.workdir.mkdir()
    return batch


def load(batch: Batch, planned_by: str = "b") -> None:
    """Have the ledger hold five orders: two accepted, one refused, one on its way, one planned; and two fulfillments."""
    sent = [operation(number) for number in range(1, 6)]
    fulfillments = [operation(number, "create_fulfillment", corso_order_id="7") for number in (1, 2)]
    with Ledger.open(batch.settings.ledger, batch.settings.loader.store.id) as ledger:
        ledger.plan([*sent, *fulfillments], planned_by)
        ledger.start([*sent[:4], fulfillments[0]])
        accepted = [
            Change(
                Key(f"o-{number}", fulfillment),
                State.ACCEPTED,
                corso_id=str(number),
                held_hash=each.payload_hash,
            )
            for number, fulfillment, each in (
                (1, "", sent[0]),
                (2, "", sent[1]),
                (1, fulfillments[0].source_fulfillment_id, fulfillments[0]),
            )
        ]
        ledger.settle([*accepted, Change(Key("o-3"), State.REJECTED, status=422, reason="no such state")])


def plan_of(*numbers: int) -> pl.LazyFrame:
    """Return a plan that creates these orders, and then a fulfillment of each of the first two."""
    rows = [("order", operation(number)) for number in numbers]
    rows += [
        ("fulfillment", operation(number, "create_fulfillment", corso_order_id="7")) for number in numbers[:2]
    ]
    return pl.LazyFrame(
        [
            {
                "subject": subject,
                "action": "create",
                "source_order_id": each.source_order_id,
                "source_fulfillment_id": each.source_fulfillment_id,
                "payload_hash": each.payload_hash,
            }
            for subject, each in rows
        ],
        schema=PLAN_COLUMNS,
    )


@pytest.mark.parametrize("rows_at_once", [1, 2, 3, 200_000])
def test_each_order_and_each_fulfillment_ends_as_the_ledger_says(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    """However many rows of the plan are looked at at once; in the plan's order."""
    monkeypatch.setattr("corso.stages.outcomes._ROWS_AT_ONCE", rows_at_once)
    load(batch)
    plan = plan_of(5, 3, 1, 2, 4, 6)
    orders = OUTCOME_TABLE.validate(write_outcomes(batch, plan, "order", tmp_path).collect())
    assert orders.select("source_order_id", "outcome", "corso_order_id", "reason").rows() == [
        ("o-5", "not_sent", None, None),
        ("o-3", "rejected", None, "no such state"),
        ("o-1", "created", "1", None),
        ("o-2", "created", "2", None),
        ("o-4", "unknown", None, None),
        ("o-6", "not_sent", None, None),
    ]
    fulfillments = write_outcomes(batch, plan_of(1, 2), "fulfillment", tmp_path).collect()
    assert fulfillments.select("source_order_id", "outcome", "corso_fulfillment_id").rows() == [
        ("o-1", "created", "1"),
        ("o-2", "not_sent", None),
    ]


@pytest.mark.parametrize(
    ("planned_by", "planned_ago_s", "outcome"),
    [("later", 3600, "unchanged"), ("later", -3600, "not_sent"), ("b", 3600, "not_sent")],
)
@pytest.mark.parametrize("step", [None, operation(1).payload_hash])
def test_an_order_that_another_batch_brought_since_is_left_alone_and_one_that_waits_for_this_plan_was_not_sent(
    batch: Batch, tmp_path: Path, planned_by: str, planned_ago_s: int, outcome: str, step: str | None
) -> None:
    """Corso took another content of it after this plan was made, or before; it may be what this plan says before it cancels."""
    load(batch, planned_by)
    path = batch.table("upload_plan")
    path.parent.mkdir(parents=True)
    path.touch()
    planned_at = time.time() - planned_ago_s
    os.utime(path, (planned_at, planned_at))
    plan = plan_of(1, 2, 3, 4, 5).with_columns(
        payload_hash=pl.when(source_order_id="o-1").then(pl.lit("another")).otherwise("payload_hash"),
        content_hash=pl.when(source_order_id="o-1").then(pl.lit(step, pl.String)),
    )
    found = write_outcomes(batch, plan, "order", tmp_path / "found").collect()
    assert found["outcome"].to_list() == [outcome, "created", "rejected", "unknown", "not_sent"]


def test_of_a_plan_without_rows_and_a_store_without_a_ledger_there_are_the_columns(
    batch: Batch, tmp_path: Path
) -> None:
    """An export may be empty, and the first plan of all is held against nothing."""
    empty = write_outcomes(batch, plan_of(), "order", tmp_path / "empty").collect()
    assert OUTCOME_TABLE.validate(empty).is_empty()
    first = write_outcomes(batch, plan_of(1), "order", tmp_path / "first").collect()
    assert first.select("outcome", "accepted_at").rows() == [("not_sent", None)]


def test_the_ledger_is_asked_for_orders_or_for_their_fulfillments(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it says of them, read in several parts."""
    monkeypatch.setattr("corso.stages.known_entries._ORDERS_AT_ONCE", 2)
    load(batch)
    ids = pl.Series([f"o-{number}" for number in range(1, 7)] * 2)
    with Ledger.read(batch.settings.ledger, batch.settings.loader.store.id) as ledger:
        expected = {
            (
                *entry.key,
                entry.corso_id,
                entry.held_hash,
                entry.held_at,
                entry.state.value,
                entry.payload_hash,
                entry.batch,
                entry.attempts,
                entry.reason,
            )
            for entry in ledger.entries()
        }
        orders, fulfillments = (entries_of(ledger, ids, fulfillments=which) for which in (False, True))
    assert orders.schema == fulfillments.schema == LEDGER_COLUMNS
    assert (orders.height, fulfillments.height) == (5, 2)
    assert {*orders.iter_rows(), *fulfillments.iter_rows()} == expected
    assert orders["held_at"].null_count() == 3
    keys = known_keys(batch, ids)
    assert sorted(keys.rows()) == sorted((row[0], row[1]) for row in expected)
