"""The ledger as the frame that the books are closed by."""

from pathlib import Path

import polars as pl
import pytest
from export_factories import loader_settings

from corso.delivery.ledger import Change, Key, Ledger
from corso.delivery.states import State
from corso.report.outcomes import LEDGER_COLUMNS
from corso.stages.batch import Batch
from corso.stages.known_entries import ledger_frame
from tests.fake_corso import operation


def test_it_says_of_every_entry_what_the_ledger_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted, refused and planned ones, orders and fulfillments; read in several parts."""
    monkeypatch.setattr("corso.stages.known_entries._ORDERS_AT_ONCE", 2)
    batch = Batch(loader_settings(tmp_path, "orders: o.csv"), "b")
    batch.settings.workdir.mkdir()
    sent = [operation(number) for number in range(1, 5)]
    store_id = batch.settings.loader.store.id
    with Ledger.open(batch.settings.ledger, store_id) as ledger:
        ledger.plan([*sent, operation(1, "create_fulfillment", corso_order_id="7")], "b")
        ledger.start(sent)
        accepted = [Change(Key(f"o-{n}"), State.ACCEPTED, corso_id=str(n), held_hash="h") for n in (1, 2)]
        ledger.settle([*accepted, Change(Key("o-3"), State.REJECTED, status=422, reason="no such state")])
        orders = pl.LazyFrame({"source_order_id": [each.source_order_id for each in sent]})
        expected = {
            (
                *entry.key,
                entry.corso_id,
                entry.held_hash,
                entry.held_at,
                entry.state.value,
                entry.payload_hash,
                entry.attempts,
                entry.reason,
            )
            for entry in ledger.entries()
        }

    frame = ledger_frame(batch, orders, orders).collect()

    assert frame.schema == LEDGER_COLUMNS
    assert len(expected) == frame.height == 5
    assert set(frame.iter_rows()) == expected
    assert frame["held_at"].null_count() == 3


def test_a_store_without_a_ledger_has_the_columns_and_no_rows(tmp_path: Path) -> None:
    """The first plan of all is held against it."""
    batch = Batch(loader_settings(tmp_path, "orders: o.csv"), "b")
    one = pl.LazyFrame({"source_order_id": ["o-1"]})
    assert ledger_frame(batch, one).collect().equals(pl.DataFrame(schema=LEDGER_COLUMNS))
