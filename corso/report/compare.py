"""Corso's records held against the source's orders: classes, findings and money.

Every accepted order is in one class: `duplicated` (more than one record), `missing` (none), `different` (one
record, and a compared field differs) or `matched`. Records are never paired away: each record of a duplicated order
is a finding. Everything is joined by `source_order_id`, so the work can be done in buckets of it, one after the
other, in the memory of one bucket.

Two decisions. An order that is quarantined in this batch and has no record is a finding (missing, quarantined) but
not in the class `missing`, which counts accepted orders. One that has a record, though no batch of ours ever loaded
it, is a `foreign` finding whose cause is `quarantined`: the order is ours, the record is somebody else's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from corso.report.causes import cause_of_difference, cause_of_missing
from corso.report.differences import line_differences, order_differences
from corso.report.findings import aligned, finished
from corso.report.tolerances import ignored_columns
from corso.settings import Settings
from schemas.fields import MONEY, TEXT
from schemas.money import month_and_currency

CLASSES = ("matched", "missing", "different", "duplicated")
"""In what state an accepted order was found; the order of the words is the order of the reports."""

ORDERS_PER_BUCKET = 500_000
"""How many orders are compared at once: some 60 columns on each side, about a gigabyte."""

_MONEY_COLUMNS = {"currency": TEXT, "month": TEXT, "source": MONEY, "accepted": MONEY, "corso": MONEY}


@dataclass(frozen=True)
class Reconciliation:
    """What comparing found."""

    findings: pl.DataFrame
    """FINDINGS, the gravest first: by kind, cause, order, record, field."""
    classes: pl.DataFrame
    """`source_order_id`, `class`; one row = one accepted order, sorted."""
    money: pl.DataFrame
    """`currency`, `month`, `source`, `accepted`, `corso`, `difference` (accepted - corso); sorted.

    `source`: accepted and quarantined orders, as far as their total can be read. `corso`: all records of accepted
    orders, so that a duplicate counts twice, in the currency and month of the source's order.
    """
    counts: dict[str, int]
    """matched, missing, different, duplicated: accepted orders. foreign: records. unexplained: findings."""


@dataclass(frozen=True)
class _Sides:
    """What is compared; frames as in `reconcile`."""

    orders: pl.LazyFrame
    lines: pl.LazyFrame
    quarantine: pl.LazyFrame
    listing: pl.LazyFrame
    outcomes: pl.LazyFrame
    known: pl.LazyFrame
    placed: list[pl.Expr]
    ignored: frozenset[str]

    def bucket(self, number: int, of: int) -> "_Sides":
        """Return one part of everything; an order and all that belongs to it are in the same part."""
        if of == 1:
            return self
        here = pl.col("source_order_id").hash(0) % of == number
        return _Sides(
            self.orders.filter(here),
            self.lines.filter(here),
            self.quarantine.filter(here),
            self.listing.filter(here),
            self.outcomes.filter(here),
            self.known.filter(here),
            self.placed,
            self.ignored,
        )


def reconcile(
    *,
    accepted_orders: pl.LazyFrame,
    accepted_line_items: pl.LazyFrame,
    quarantine: pl.LazyFrame,
    listing: pl.LazyFrame,
    outcomes: pl.LazyFrame,
    known_ids: pl.LazyFrame,
    previous: pl.LazyFrame | None,
    settings: Settings,
    now: datetime,
    orders_per_bucket: int = ORDERS_PER_BUCKET,
) -> Reconciliation:
    """Compare a batch with the listing of its store.

    Frames: `accepted_orders` ORDERS, each order once; `accepted_line_items` LINE_ITEMS; `quarantine` QUARANTINE;
    `listing` LISTING; `outcomes` OUTCOME_TABLE, one row = one accepted order; `known_ids` one column
    `source_order_id`, every order of this store in the ledger, whatever its batch; `previous` the FINDINGS of the
    last reconciliation of this batch, for `first_seen`. Raises SettingsError if reconcile.ignore names no column.
    """
    store = settings.loader.store
    sides = _Sides(
        accepted_orders,
        accepted_line_items,
        quarantine,
        listing,
        outcomes,
        known_ids,
        month_and_currency(store.time_zone, store.currency),
        ignored_columns(settings),
    )
    rows = max(frame.select(pl.len()).collect().item() for frame in (accepted_orders, listing))
    buckets = 1 + rows // orders_per_bucket
    parts = [_reconcile(sides.bucket(number, buckets)) for number in range(buckets)]
    findings = finished(pl.concat(part.findings for part in parts), previous, store.id, now)
    classes = pl.concat(part.classes for part in parts).sort("source_order_id")
    counted = dict(classes.group_by("class").len().iter_rows())
    return Reconciliation(
        findings,
        classes,
        _sum_money(part.money for part in parts).with_columns(
            difference=pl.col("accepted") - pl.col("corso")
        ),
        {name: counted.get(name, 0) for name in CLASSES}
        | {
            "foreign": findings.filter(kind="foreign").height,
            "unexplained": findings.filter(cause="unexplained").height,
        },
    )


@dataclass(frozen=True)
class _Part:
    findings: pl.DataFrame
    classes: pl.DataFrame
    money: pl.DataFrame


def _reconcile(sides: _Sides) -> _Part:
    listing, records = _records(sides)
    orders = _orders(sides, records)
    quarantined = _quarantined(sides, orders)
    single = orders.lazy().filter(pl.col("records") == 1).select("source_order_id")
    listing_of_single = listing.join(single, on="source_order_id", how="semi")
    differences = pl.concat(
        [
            order_differences(sides.orders, listing_of_single, sides.ignored),
            line_differences(
                sides.lines.join(single, on="source_order_id", how="semi"), listing_of_single, sides.ignored
            ),
        ]
    )
    orders = orders.with_columns(_class(differences))
    findings = [
        _missing(orders),
        _different(orders, records, differences),
        _duplicated(orders, records),
        _foreign(sides, orders, records, quarantined),
        _missing_quarantined(quarantined, records),
    ]
    return _Part(
        pl.concat(aligned(part) for part in findings),
        orders.select("source_order_id", "class"),
        _money(orders, records, quarantined),
    )


def _records(sides: _Sides) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """Return the listing with each record once, and its narrow columns collected.

    Two cursors that meet, or a record that moved while the listing was read, give the same Corso id twice.
    """
    narrow = [
        "corso_order_id",
        "source_order_id",
        "created_on",
        "updated_on",
        pl.col("total_money").alias("corso_total"),
    ]
    records = sides.listing.select(*narrow, *sides.placed).collect()
    has_id = pl.col("corso_order_id") != ""
    if not records.select((has_id & pl.col("corso_order_id").is_duplicated()).any()).item():
        return sides.listing, records
    latest = (
        sides.listing.filter(has_id)
        .sort("updated_on", nulls_last=False, maintain_order=True)
        .unique("corso_order_id", keep="last", maintain_order=True)
    )
    listing = pl.concat([latest, sides.listing.filter(~has_id)])
    return listing, listing.select(*narrow, *sides.placed).collect()


def _orders(sides: _Sides, records: pl.DataFrame) -> pl.DataFrame:
    """Return the accepted orders, narrow, with their outcome and the number of their records."""
    counts = records.lazy().group_by("source_order_id").agg(records=pl.len())
    known = sides.outcomes.select(
        "source_order_id", "outcome", "holds_planned", "accepted_at", ledger_corso_order_id="corso_order_id"
    )
    narrow = ["source_order_id", "file", "line", pl.col("total_money").alias("source_total")]
    return (
        sides.orders.select(*narrow, *sides.placed)
        .join(known, on="source_order_id", how="left")
        .join(counts, on="source_order_id", how="left")
        .with_columns(pl.col("records").fill_null(0))
        .collect()
    )


def _quarantined(sides: _Sides, orders: pl.DataFrame) -> pl.DataFrame:
    """Return the quarantined orders, each once; a row without an id is an order of its own."""
    rows = (
        sides.quarantine.filter(table="orders", kind="quarantined")
        .select("source_order_id", "file", "line", "currency", "month", source_total="total_money")
        .collect()
        .sort("file", "line")
    )
    first = rows.filter(pl.col("source_order_id").is_null() | pl.col("source_order_id").is_first_distinct())
    return first.join(orders, on="source_order_id", how="anti")


def _class(differences: pl.DataFrame) -> pl.Expr:
    different = differences["source_order_id"].unique().implode()
    return (
        pl.when(pl.col("records") == 0)
        .then(pl.lit("missing"))
        .when(pl.col("records") > 1)
        .then(pl.lit("duplicated"))
        .when(pl.col("source_order_id").is_in(different))
        .then(pl.lit("different"))
        .otherwise(pl.lit("matched"))
        .alias("class")
    )


def _missing(orders: pl.DataFrame) -> pl.DataFrame:
    return orders.filter(pl.col("class") == "missing").with_columns(
        kind=pl.lit("missing"), cause=cause_of_missing(), source_money="source_total"
    )


def _different(orders: pl.DataFrame, records: pl.DataFrame, differences: pl.DataFrame) -> pl.DataFrame:
    record = records.select("source_order_id", "corso_order_id", "updated_on", "corso_total")
    return (
        differences.join(orders, on="source_order_id")
        .join(record, on="source_order_id")
        .with_columns(
            kind=pl.lit("different"),
            cause=cause_of_difference(),
            source_money="source_total",
            corso_money="corso_total",
        )
    )


def _duplicated(orders: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return one finding for each record of a duplicated order, the oldest record first."""
    number = pl.int_range(1, pl.len() + 1).over("source_order_id")
    told = pl.format(
        "record {} of {}, created {}{}",
        number,
        pl.col("records"),
        pl.col("created_on").dt.strftime("%Y-%m-%dT%H:%M:%SZ").fill_null("at an unknown time"),
        pl.when((pl.col("corso_order_id") == pl.col("ledger_corso_order_id")).fill_null(value=False))
        .then(pl.lit(", the one in the ledger"))
        .otherwise(pl.lit("")),
    )
    return (
        orders.filter(pl.col("class") == "duplicated")
        .join(
            records.select("source_order_id", "corso_order_id", "created_on", "corso_total"),
            on="source_order_id",
        )
        .sort("source_order_id", "created_on", "corso_order_id")
        .with_columns(
            kind=pl.lit("duplicated"),
            cause=pl.lit("duplicate"),
            rank=number.cast(pl.Int32),
            corso_value=told,
            source_money="source_total",
            corso_money="corso_total",
        )
    )


def _foreign(
    sides: _Sides, orders: pl.DataFrame, records: pl.DataFrame, quarantined: pl.DataFrame
) -> pl.DataFrame:
    known = pl.concat([sides.known.select("source_order_id").collect(), orders.select("source_order_id")])
    ours = quarantined.select(
        "source_order_id", "file", "line", "source_total", quarantined=pl.lit(value=True)
    )
    return (
        records.join(known, on="source_order_id", how="anti")
        .join(ours, on="source_order_id", how="left")
        .with_columns(
            pl.when(pl.col("source_order_id") != "").then(pl.col("source_order_id")).alias("source_order_id"),
            kind=pl.lit("foreign"),
            cause=pl.when(pl.col("quarantined")).then(pl.lit("quarantined")).otherwise(pl.lit("foreign")),
            source_money="source_total",
            corso_money="corso_total",
        )
    )


def _missing_quarantined(quarantined: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    return quarantined.join(records, on="source_order_id", how="anti").with_columns(
        kind=pl.lit("missing"), cause=pl.lit("quarantined"), source_money="source_total"
    )


def _money(orders: pl.DataFrame, records: pl.DataFrame, quarantined: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit(0).cast(MONEY)
    at = ["currency", "month"]
    accepted = orders.select(*at, source="source_total", accepted="source_total", corso=nothing)
    held = orders.select("source_order_id", *at).join(
        records.select("source_order_id", "corso_total"), on="source_order_id"
    )
    parts = [
        accepted,
        quarantined.filter(pl.col("source_total").is_not_null()).select(
            *at, source="source_total", accepted=nothing, corso=nothing
        ),
        held.select(*at, source=nothing, accepted=nothing, corso=pl.col("corso_total").fill_null(nothing)),
    ]
    return _sum_money(parts)


def _sum_money(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    rows = pl.concat(
        [pl.DataFrame(schema=_MONEY_COLUMNS), *(part.select(list(_MONEY_COLUMNS)) for part in parts)]
    )
    sums = rows.group_by("currency", "month").agg(pl.col("source", "accepted", "corso").sum())
    return sums.cast(pl.Schema(_MONEY_COLUMNS)).sort("currency", "month")
