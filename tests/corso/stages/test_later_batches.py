"""A batch that arrives late: which orders later batches brought, and that only those that were sent count."""

from pathlib import Path

import polars as pl
import pytest

from corso.report.summary import Requests
from corso.stages.batch import Batch, Facts
from corso.stages.later_batches import orders_of_later_batches, said_of_later_batches
from tests.export_factories import loader_settings


def batch(folder: Path, name: str, orders: list[str], facts: Facts) -> None:
    """Leave what a load of a batch leaves."""
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


def test_a_store_without_a_past_has_no_later_batch(tmp_path: Path) -> None:
    """The first plan of all."""
    settings = loader_settings(tmp_path, 'orders: "{batch}/orders.csv"')
    assert orders_of_later_batches(Batch(settings, "2026-11-21")) == []


def test_how_many_are_left_alone_is_said() -> None:
    """In the report's notes."""
    assert said_of_later_batches(1) == "1 order is left as a later batch has it."
    assert said_of_later_batches(1200) == "1,200 orders are left as later batches have them."
