"""THE promise of reconciling: whatever was damaged in Corso is found, named and rightly caused, and nothing else is."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corso.report.bridge import money_bridge, rows_of
from corso.report.summary import money_rows
from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.reading_back.fulfillments import read_fulfillments_back
from corso.stages.reading_back.reading import reading_back
from corso.stages.reconciling import reconcile
from tests.clocks import JumpingClock
from tests.damage import KINDS, Damaged, Told
from tests.export_factories import fulfillment_text, line_text, order_text
from tests.loader_process import BATCH, SECRET, Shop
from tests.sandbox_process import running_sandbox, sandbox_on_a_thread

pytestmark = pytest.mark.slow

ORDERS = [f"o-{number}" for number in range(1, 21)]
LISTING = "reconcile: {mode: listing}"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Path]:
    """Load twenty orders, each with two lines and a fulfillment; return the shop and the sandbox's database."""
    folder = tmp_path_factory.mktemp("damage")
    database = folder / "sandbox.db"
    numbers = range(1, len(ORDERS) + 1)
    with running_sandbox("--limit", "0", db=database) as sandbox:
        shop = Shop(folder / "shop", sandbox)
        lines = [
            line_text(number, line, price=price, quantity="1", tax="1.00")
            for number in numbers
            for line, price in ((1, "10.00"), (2, "5.00"))
        ]
        dispatches = [fulfillment_text(number, tracking_info_number=f"TRK-o-{number}") for number in numbers]
        shop.export([order_text(number) for number in numbers], lines, dispatches)
        shop.configure(LISTING)
        answer = shop.run("run")
        assert answer.code == 0, answer.said
    return shop, database


def told_by(findings: pl.DataFrame) -> Iterator[Told]:
    """Yield what findings say, as far as damage decides it."""
    for row in findings.select(Told._fields).iter_rows():
        told = Told(*row)
        # How copies and foreign records are described is not the damage's to say.
        yield told._replace(source_value=None, corso_value=None) if told.field is None else told


@hypothesis_settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=len(ORDERS)))
@example(kinds=sorted(KINDS))
def test_every_damage_is_found_named_and_rightly_caused_and_nothing_else_is(
    loaded: tuple[Shop, Path], monkeypatch: pytest.MonkeyPatch, kinds: list[str]
) -> None:
    """Damage drawn at random, done to the database behind the loader's back, read back over a socket."""
    monkeypatch.setenv("CORSO_CLIENT_ID", SECRET)
    monkeypatch.setenv("CORSO_CLIENT_SECRET", SECRET)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shop = _copied(loaded, folder)
        damaged = Damaged.of(folder / "sandbox.db", dict(zip(ORDERS, kinds, strict=False)))
        with sandbox_on_a_thread(db=folder / "sandbox.db") as sandbox:
            shop.sandbox = sandbox
            batch = Batch(read_settings(shop.configure(LISTING)), BATCH)
            findings, money = _reconciled(batch, folder / "scratch")
    assert Counter(told_by(findings)) == Counter(damaged.told)
    of_orders = findings.filter(pl.col("source_fulfillment_id").is_null())
    found = {kind: of_orders.filter(kind=kind)["source_order_id"].n_unique() for kind in damaged.orders}
    assert found == damaged.orders
    assert findings["finding_id"].is_unique().all()
    row = money.row(0, named=True)
    assert row["corso"] - row["accepted"] == damaged.money
    _bridge_ties(findings, money)


def _copied(loaded: tuple[Shop, Path], folder: Path) -> Shop:
    shop, database = loaded
    shutil.copy(database, folder / "sandbox.db")
    shutil.copytree(shop.folder, folder / "shop")
    return Shop(folder / "shop")


def _reconciled(batch: Batch, scratch: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read back and reconcile as the assets do; return the findings and the money."""
    orders = pl.scan_parquet(batch.table("accepted_orders"))
    fulfillments = pl.scan_parquet(batch.table("accepted_fulfillments"))

    def watch(*_: object) -> None:
        pass

    clock = JumpingClock(datetime.now(UTC))
    with reading_back(batch, orders, watch, clock=clock) as found:
        found.listing.collect().write_parquet(batch.table("corso_orders"))
    listing = pl.scan_parquet(batch.table("corso_orders"))
    back = read_fulfillments_back(batch, fulfillments, listing, watch, clock=clock)
    back.fulfillments.write_parquet(batch.table("corso_fulfillments"))
    back.read.write_parquet(batch.table("fulfillments_read"))
    result = reconcile(batch, listing, datetime.now(UTC), scratch)
    return result.findings.collect(), result.money


def _bridge_ties(findings: pl.DataFrame, money: pl.DataFrame) -> None:
    """Step by step, to the cent: what the money is apart is what its rows say."""
    bridge = money_bridge(money_rows(money), findings).row(0, named=True)
    apart = bridge["changed"] + bridge["duplicate"] + bridge["unexplained"]
    assert bridge["expected"] - apart == bridge["corso"]
    assert bridge["difference"] == apart
    assert bridge["corso"] + bridge["foreign"] == bridge["corso_with_foreign"]
    foreign = findings.filter(rows_of("foreign"))["corso_money"].sum()
    assert (foreign or Decimal(0)) == bridge["foreign"]
