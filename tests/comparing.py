"""Compares rows that a test made up, and reads what came out into memory."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from factories import (
    NOW,
    STORE_ID,
    Row,
    lines_frame,
    listing_frame,
    orders_frame,
    outcome_row,
    outcomes_frame,
    quarantine_frame,
)

from corso.report.compare import Knows, Sides, reconcile
from corso.report.life import Earlier
from corso.settings import Exports, Loader, Reconcile, Settings, Store
from schemas.reconciliation import FINDINGS, HEALED


def settings(**reconcile_keys: Any) -> Settings:
    """Return a loader.yaml of a store in New York."""
    store = Store(id=STORE_ID, time_zone="America/New_York")
    loader = Loader(store=store, exports=Exports(), reconcile=Reconcile(**reconcile_keys))
    return Settings(Path("loader.yaml"), loader)


@dataclass(frozen=True)
class Found:
    """A reconciliation, read into memory."""

    findings: pl.DataFrame
    healed: pl.DataFrame
    unseen: pl.DataFrame
    money: pl.DataFrame
    counts: dict[str, int]
    put_aside: int
    """How many records were equal to no order by their numbers; of one range."""


def knowing(keys: list[tuple[str, str]]) -> Knows:
    """Be a ledger that has these orders and fulfillments."""
    names = ["source_order_id", "source_fulfillment_id"]
    table = pl.DataFrame(keys, schema=dict.fromkeys(names, pl.String), orient="row")
    return lambda ids: table.filter(pl.col("source_order_id").is_in(ids.implode()))


def owning(orders: dict[str, str]) -> Knows:
    """Be a ledger that has these orders: Corso's id -> source_order_id."""
    names = ["corso_order_id", "ledger_order_id"]
    table = pl.DataFrame(list(orders.items()), schema=dict.fromkeys(names, pl.String), orient="row")
    return lambda ids: table.filter(pl.col("corso_order_id").is_in(ids.implode()))


def compared(
    orders: list[Row],
    lines: list[Row],
    records: list[Row],
    *,
    outcomes: list[Row] | None = None,
    quarantined: list[Row] | None = None,
    known: list[str] | None = None,
    sent_as: dict[str, str] | None = None,
    earlier: Earlier | None = None,
    now: datetime = NOW,
    ignore: tuple[str, ...] = (),
    orders_per_range: int = 1000,
    orders_in_full: int = 1000,
    reads_whole_store: bool = True,
) -> Found:
    """Reconcile; orders without an outcome of their own were created and accepted.

    `sent_as` is what the ledger knows of records: Corso's id -> source_order_id.
    """
    given_outcomes = {row["source_order_id"]: row for row in outcomes or []}
    every = [
        given_outcomes.get(
            row["source_order_id"], outcome_row() | {"source_order_id": row["source_order_id"]}
        )
        for row in orders
    ]
    sides = Sides(
        orders=orders_frame(orders).lazy(),
        line_items=lines_frame(lines).lazy(),
        quarantine=quarantine_frame(quarantined or []).lazy(),
        listing=listing_frame(records).lazy(),
        outcomes=outcomes_frame(every).lazy(),
        known=knowing([(order, "") for order in known or []]),
        owners=owning(sent_as or {}),
        reads_whole_store=reads_whole_store,
    )
    with tempfile.TemporaryDirectory() as scratch:
        found = reconcile(
            sides,
            earlier or Earlier(),
            settings(ignore=ignore),
            now,
            Path(scratch),
            orders_per_range=orders_per_range,
            orders_in_full=orders_in_full,
        )
        read = Found(
            found.findings.collect(),
            found.healed.collect(),
            found.unseen.collect(),
            found.money,
            found.counts,
            sum(pl.read_parquet(file, glob=False).height for file in Path(scratch).glob("unequal/*")),
        )
    FINDINGS.validate(read.findings)
    HEALED.validate(read.healed)
    return read
