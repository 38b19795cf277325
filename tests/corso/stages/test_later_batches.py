"""A batch that arrives late: which orders later batches brought, and that only those that were sent count."""

import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from corso.report.summary import Requests
from corso.stages.batch import Batch, Facts
from corso.stages.later_batches import (
    loaded_before,
    note_loading,
    orders_of_later_batches,
    said_of_later_batches,
)
from tests.export_factories import loader_settings


def batch(folder: Path, name: str, orders: list[str], facts: Facts) -> None:
    """Leave what a load of a batch leaves, its plan aside."""
    made = Batch(loader_settings(folder, 'orders: "{batch}/orders.csv"'), name)
    made.write_facts(facts)
    pl.DataFrame({"source_order_id": orders}).write_parquet(made.table("accepted_orders"))


SENT = Facts(stage="reconcile")
HALF_SENT = Facts(stage="plan", requests=Requests(sent=3))
PLANNED = Facts(stage="plan")


def test_what_later_batches_brought_stands_as_far_as_it_was_sent(tmp_path: Path) -> None:
    """Earlier ones, the batch itself, and what was only planned say nothing."""
    batch(tmp_path, "2026-11-20", ["before"], SENT)
    batch(tmp_path, "2026-11-21", ["self"], SENT)
    batch(tmp_path, "2026-11-22", ["a", "b"], SENT)
    batch(tmp_path, "2026-11-23", ["b", "c"], HALF_SENT)
    batch(tmp_path, "2026-11-24", ["d"], PLANNED)
    late = Batch(loader_settings(tmp_path, 'orders: "{batch}/orders.csv"'), "2026-11-21")
    assert sorted(orders_of_later_batches(late)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("exports", "name"),
    [('orders: "in/orders.csv"', "2026-11-21"), ('orders: "{batch}/orders.csv"', "monday")],
)
def test_names_that_tell_no_order_change_nothing(tmp_path: Path, exports: str, name: str) -> None:
    """What somebody typed is no date, and `sunday` is not after `monday`."""
    batch(tmp_path, "2026-11-22", ["a"], SENT)
    batch(tmp_path, "sunday", ["a"], SENT)
    assert orders_of_later_batches(Batch(loader_settings(tmp_path, exports), name)) == []


@pytest.mark.parametrize("exports", ['orders: "in/orders.csv"', 'orders: "{batch}/orders.csv"'])
def test_of_batches_without_days_those_are_later_whose_files_were_sent_later(
    tmp_path: Path, exports: str
) -> None:
    """One that is retried leaves what others brought since; what an older version sent goes by its plan."""
    first, second = (datetime(2026, 11, day, tzinfo=UTC) for day in (20, 21))
    batch(tmp_path, "monday", ["a", "m"], Facts(loaded_at=first))
    batch(tmp_path, "again", ["a", "b"], Facts(loaded_at=second))
    batch(tmp_path, "older version", ["a", "c"], SENT)
    batch(tmp_path, "planned", ["a", "d"], PLANNED)
    settings = loader_settings(tmp_path, exports)
    plan = Batch(settings, "older version").table("upload_plan")
    plan.touch()
    os.utime(plan, (later := second.timestamp() + 60, later))
    assert sorted(orders_of_later_batches(Batch(settings, "monday"))) == ["a", "b", "c"]
    assert sorted(orders_of_later_batches(Batch(settings, "again"))) == ["a", "c"]
    for news in ("older version", "planned", "new"):
        assert orders_of_later_batches(Batch(settings, news)) == []


def test_days_tell_the_order_whatever_was_sent_first(tmp_path: Path) -> None:
    """A late drop that was sent after the one of the next day is the older one all the same."""
    first, second = (datetime(2026, 11, day, tzinfo=UTC) for day in (25, 26))
    batch(tmp_path, "2026-11-21", ["a"], Facts(loaded_at=second))
    batch(tmp_path, "2026-11-22", ["b"], Facts(loaded_at=first))
    settings = loader_settings(tmp_path, 'orders: "{batch}/orders.csv"')
    assert orders_of_later_batches(Batch(settings, "2026-11-21")) == ["b"]
    assert orders_of_later_batches(Batch(settings, "2026-11-22")) == []


def test_files_keep_the_time_at_which_they_were_first_sent_and_other_ones_are_new(tmp_path: Path) -> None:
    """However often they are planned and sent again: what they say does not become news by that."""
    first, later = (datetime(2026, 11, day, tzinfo=UTC) for day in (20, 21))
    retried = Batch(loader_settings(tmp_path, 'orders: "in/orders.csv"'), "nightly")
    assert loaded_before(retried, ["aa"]) is None
    retried.write_facts(Facts(files=(("o.csv", "aa", 1), ("l.csv", "bb", 2))))
    assert loaded_before(retried, ["bb", "aa"]) is None
    for now in (first, later):
        note_loading(retried, now)
        assert loaded_before(retried, ["bb", "aa"]) == first
    assert loaded_before(retried, ["cc", "aa"]) is None
    (retried.tables / "facts.json").write_text("{")
    assert loaded_before(retried, ["bb", "aa"]) is None


def test_a_store_without_a_past_has_no_later_batch(tmp_path: Path) -> None:
    """The first plan of all."""
    settings = loader_settings(tmp_path, 'orders: "{batch}/orders.csv"')
    assert orders_of_later_batches(Batch(settings, "2026-11-21")) == []


def test_how_many_are_left_alone_is_said() -> None:
    """In the report's notes."""
    assert said_of_later_batches(1) == "1 order is left as a later batch has it."
    assert said_of_later_batches(1200) == "1,200 orders are left as later batches have them."
