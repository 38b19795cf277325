"""Rows of a plan slice by slice: the same rows, in the plan's order, in little memory."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from corso.delivery.ledger import Key
from corso.stages import selection as selection_module
from corso.stages.operations import rows_of
from corso.stages.selection import Selection

ROWS = 1_000


@pytest.fixture
def plan(tmp_path: Path) -> pl.LazyFrame:
    """Return a plan in a file: orders, every third of them with a fulfillment."""
    number = pl.int_range(ROWS)
    frame = pl.select(
        subject=pl.when(number % 4 == 3).then(pl.lit("fulfillment")).otherwise(pl.lit("order")),
        action=pl.when(number % 7 == 0).then(pl.lit("unchanged")).otherwise(pl.lit("create")),
        source_order_id=pl.format("o-{}", number - (number % 4 == 3)),
        source_fulfillment_id=pl.when(number % 4 == 3).then(pl.format("f-{}", number)).otherwise(pl.lit("")),
        payload=pl.format("payload {}", number),
    )
    frame.write_parquet(tmp_path / "plan.parquet", row_group_size=300)
    return pl.scan_parquet(tmp_path / "plan.parquet")


def test_slices_are_all_rows_in_their_order(plan: pl.LazyFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was selected, and wherever a slice, a row group or a batch ends."""
    monkeypatch.setattr(selection_module, "ROWS_A_SLICE", 170)
    keys = [Key("o-5"), Key("o-999"), Key("o-6", "f-7"), Key("no such order"), Key("o-160"), Key("o-5")]
    everything = Selection(plan)
    for selected in (
        everything,
        everything.where(subject="order").where(pl.col("action") != "unchanged"),
        everything.of(keys),
        everything.where(subject="order").of(keys, but=True),
        everything.of([]),
        everything.of_orders(pl.Series(["o-6", "o-400"])),
        everything.of_orders(pl.Series([], dtype=pl.String)),
    ):
        slices = list(selected.slices(50))
        assert all(each.height <= 50 for each in slices)
        assert pl.concat([plan.collect().clear(), *slices]).equals(selected.rows.collect())
        assert sum(each.height for each in slices) == selected.count()
    assert everything.of_orders(pl.Series(["o-6"])).rows.collect()["source_fulfillment_id"].to_list() == [
        "",
        "f-7",
    ]


def test_rows_are_found_as_a_join_finds_them(plan: pl.LazyFrame) -> None:
    """The filter by key is a semi join, or an anti join."""
    rows = plan.collect()
    keys = [
        Key(*row)
        for row in rows.select("source_order_id", "source_fulfillment_id").sample(200, seed=1).iter_rows()
    ]
    wanted = pl.DataFrame(keys, schema=["source_order_id", "source_fulfillment_id"], orient="row")
    for but, how in ((False, "semi"), (True, "anti")):
        joined = rows.join(wanted, on=wanted.columns, how=how, maintain_order="left")  # type: ignore[arg-type]
        assert rows_of(plan, keys, but=but).collect().equals(joined)


_READ = """
import resource, sys
import polars as pl
from corso.stages.selection import Selection
plan = Selection(pl.scan_parquet(sys.argv[1])).where(subject="order")
list(zip(range(3), plan.slices(2_000)))
few = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(sum(rows.height for rows in plan.slices(2_000)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / few)
"""


@pytest.mark.slow
def test_memory_is_a_slices_whatever_the_plan(tmp_path: Path) -> None:
    """To read all of it takes hardly more than to read its beginning."""
    rows = 400_000
    plan = pl.LazyFrame({"number": range(rows)}).select(
        subject=pl.lit("order"), payload=pl.format("{}{}", "number", pl.lit("a" * 1_000))
    )
    plan.sink_parquet(tmp_path / "plan.parquet")
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path / "plan.parquet")],
        check=True,
        capture_output=True,
        text=True,
    )
    read, growth = done.stdout.split()
    assert (int(read), float(growth) < 2) == (rows, True), growth
