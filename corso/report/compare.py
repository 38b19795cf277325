"""Corso's records held against the source's orders: classes, findings and money.

Every accepted order is in one class: `duplicated` (more than one record), `missing` (none), `different` (one
record, and a compared field differs) or `matched`. Records are never paired away: each record of a duplicated order
is a finding.

The work is done in ranges of source_order_id (`corso.report.ranges`), each in bounded memory, in three passes:
1. Each side becomes narrow: ids, totals, and a number that stands for the whole row.
2. Orders and records are paired by them (`corso.report.pairing`). A record with an order's number is equal to it.
3. The others are read in full, and compared field by field.

Reading the lines of the listing, which are nested, is what takes longest. Where one range holds everything, orders become
narrow first, and records that are equal to none are put aside as they are read; else the listing is read in full twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import polars as pl

from corso.report import order_findings
from corso.report.bridge import CURRENCY_FIELD
from corso.report.differences import (
    DIFFERENCES,
    line_differences,
    order_differences,
    settled_by_tolerance,
)
from corso.report.findings import aligned, named, sorted_findings
from corso.report.fulfillment_findings import FulfillmentSides, fulfillment_findings
from corso.report.life import Earlier, FindingParts, lived
from corso.report.pairing import ROW, Paired, numbers_of_orders, pair, single_records
from corso.report.ranges import Ranges, cuts_between, slices
from corso.report.row_hashes import HASH, line_hash, listed_lines_hash, order_hash
from corso.report.tolerances import (
    FILLED_BY_CORSO,
    IN_CORSO,
    LINE_PREFIX,
    LINES,
    compared_line_columns,
    compared_order_columns,
    ignored_columns,
)
from corso.report.totals import range_totals, sum_up
from corso.settings import Settings
from schemas.fields import MONEY
from schemas.line_items import LINE_ITEM_PATHS
from schemas.money import NO_CURRENCY, currency_of
from schemas.orders import ORDER_PATHS

CLASSES = ("matched", "missing", "different", "duplicated")
"""In what state an accepted order was found; the order of the words is the order of the reports."""

_COUNTED_BY = ("total_money", "customer_currency_code", "source_created_on")
_COUNTED_AS_TEXT = "customer_currency_code"
"""Of these: another spelling of it counts as another currency, and has to be looked at. A month begins with a whole second."""
_RECORD = (ROW, "line_items", *ORDER_PATHS)
"""What is read in full of a record."""

ORDERS_PER_RANGE = 1_500_000
"""So many orders are paired at once, narrow: some 300 MB with their records."""
ORDERS_IN_FULL = 100_000
"""So many orders that may differ are compared at once, all their columns and lines on both sides: some 400 MB."""

_LOOKED_AT = 2_000
"""So many records tell whether Corso spells a column in another way than the source."""
_MANY = 0.02
"""Where more of them do than this, it takes less to number the column as it is compared than to look at each of them."""

Knows = Callable[[pl.Series], pl.DataFrame]
"""Ids -> a frame. Of orders -> source_order_id, source_fulfillment_id (empty for an order) of what the ledger has of them, whatever its batch."""


def knows_nothing(_order_ids: pl.Series) -> pl.DataFrame:
    """Be the ledger of nobody."""
    return pl.DataFrame(schema={"source_order_id": pl.String(), "source_fulfillment_id": pl.String()})


def owns_nothing(_corso_ids: pl.Series) -> pl.DataFrame:
    """Be the ledger of nobody."""
    return pl.DataFrame(schema={"corso_order_id": pl.String(), "ledger_order_id": pl.String()})


@dataclass(frozen=True)
class Sides:
    """What is compared."""

    orders: pl.LazyFrame
    """ORDERS that were accepted, each once."""
    line_items: pl.LazyFrame
    """LINE_ITEMS of these."""
    quarantine: pl.LazyFrame
    """QUARANTINE."""
    listing: pl.LazyFrame
    """LISTING."""
    outcomes: pl.LazyFrame
    """OUTCOME_TABLE, one row = one accepted order."""
    known: Knows
    """Asked range by range about what is of no accepted order: whose it is."""
    owners: Knows = owns_nothing
    """Corso's ids -> corso_order_id, ledger_order_id of those that the ledger has, under whichever id the record is now."""
    fulfillments: FulfillmentSides | None = None
    """None: none were read, and nothing is known of them."""
    reads_whole_store: bool = True
    """Whether the listing is that of the whole store; with look-ups, records of others are not seen."""


@dataclass(frozen=True)
class Reconciliation:
    """What comparing found."""

    findings: pl.LazyFrame
    """FINDINGS, the gravest first: by kind, cause, order, record, field."""
    healed: pl.LazyFrame
    """HEALED, the latest first."""
    unseen: pl.LazyFrame
    """FINDINGS of earlier reconciliations about records of others, where only the batch's own orders were looked up."""
    money: pl.DataFrame
    """`currency`, `month`, `source`, `accepted`, `corso`, `difference` (accepted - corso); sorted.

    `source`: accepted and quarantined orders, as far as their total can be read. `corso`: all records of accepted
    orders, so that a duplicate counts twice; in which currency and month, see `corso.report.totals`.
    """
    counts: dict[str, int]
    """matched, missing, different, duplicated: accepted orders. foreign: records. unexplained: findings."""


class _Loose(NamedTuple):
    """Columns whose values are numbered as they are compared."""

    of_orders: frozenset[str]
    of_lines: frozenset[str]


@dataclass(frozen=True)
class _Comparison:
    """One comparison under way."""

    sides: Sides
    settings: Settings
    ranges: Ranges
    aside: Path
    """The folder of those records that are equal to no order, in full: of one range."""
    ignored: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def hashed_columns(self) -> list[str]:
        """The orders' columns that tell two orders apart.

        Not those that Corso may fill in where the source says nothing in any order: they would make every pair suspect.
        What the money is counted by is among them in any case.
        """
        columns = list(dict.fromkeys([*compared_order_columns(self.ignored), *_COUNTED_BY]))
        return _said_somewhere(self.sides.orders, columns, "")

    @cached_property
    def hashed_line_columns(self) -> list[str]:
        """The same of the lines, with their id; none where lines are not compared."""
        if LINES in self.ignored:
            return []
        columns = compared_line_columns(self.ignored)
        return ["source_line_item_id", *_said_somewhere(self.sides.line_items, columns, LINE_PREFIX)]

    @cached_property
    def loose(self) -> _Loose:
        """The columns that Corso spells in its own way, as an e-mail address in small letters, by a look at some records."""
        id_, line_id = "source_order_id", "source_line_item_id"
        columns = [name for name in self.hashed_columns if name != _COUNTED_AS_TEXT]
        in_corso = pl.col(columns).name.prefix(IN_CORSO)
        records = self.sides.listing.head(_LOOKED_AT).select(id_, in_corso, LINES).collect()
        here = pl.col(id_).is_in(records[id_].unique().implode())
        orders = self.sides.orders.filter(here).select(id_, *columns).collect()
        of_orders = settled_by_tolerance(orders.join(records, on=id_), columns, "", _MANY)
        if not self.hashed_line_columns:
            return _Loose(of_orders, frozenset())
        columns = [name for name in self.hashed_line_columns if name != line_id]
        in_corso = pl.col(columns).name.prefix(IN_CORSO)
        lines = self.sides.line_items.filter(here).select(id_, line_id, *columns).collect()
        listed = records.select(id_, LINES).filter(pl.col(LINES).list.len() > 0).explode(LINES).unnest(LINES)
        both = lines.join(listed.select(id_, line_id, in_corso), on=[id_, line_id])
        return _Loose(of_orders, settled_by_tolerance(both, columns, LINE_PREFIX, _MANY))

    @property
    def by_its_own_currency(self) -> bool:
        """Whether a record in another currency than its order's counts in its own."""
        return CURRENCY_FIELD not in self.ignored

    def cut_both_sides(self) -> None:
        """Keep what pairing needs of each side."""
        store = self.settings.loader.store
        currency = currency_of(pl.col("customer_currency_code"), store.currency).alias("currency")
        of_orders = [
            "source_order_id",
            "file",
            "line",
            "source_created_on",
            currency,
            pl.col("customer_currency_code").is_not_null().alias("has_currency"),
            pl.col("total_money").alias("source_total"),
            order_hash(self.hashed_columns, self.loose.of_orders),
        ]
        of_lines = ["source_order_id", line_hash(self.hashed_line_columns, self.loose.of_lines)]
        self.ranges.cut_wide("orders", self.sides.orders, lambda table: table.select(of_orders))
        self.ranges.cut_wide("lines", self.sides.line_items, lambda table: table.select(of_lines))
        of_records = [
            ROW,
            "source_order_id",
            "corso_order_id",
            "created_on",
            "updated_on",
            pl.col("total_money").cast(MONEY).alias("corso_total"),
            pl.col("customer_currency_code").alias("record_currency"),
            pl.col("source_created_on").alias("record_created_on"),
            pl.col("source_canceled_on").is_not_null().alias("is_cancelled"),
        ]
        if self.is_one_range:
            self.put_aside()
        else:
            of_records.append(self.record_hash)
        self.ranges.cut_wide("records", self.listing, lambda table: table.select(of_records))

    @property
    def listing(self) -> pl.LazyFrame:
        """The listing with the number of each row."""
        return self.sides.listing.with_row_index(ROW)

    @property
    def record_hash(self) -> pl.Expr:
        """The number of a record with its lines."""
        of_order = order_hash(self.hashed_columns, self.loose.of_orders)
        return (of_order + listed_lines_hash(self.hashed_line_columns, self.loose.of_lines)).alias(HASH)

    @property
    def is_one_range(self) -> bool:
        """Whether all fits into one range."""
        return not self.ranges.cuts

    def put_aside(self) -> None:
        """Write those records that are equal to no order, in full: of one range."""
        equal = numbers_of_orders(self.ranges.part("orders", 0), self.ranges.part("lines", 0)).lazy()
        for number, records in enumerate(slices(self.listing)):
            unequal = records.select(*_RECORD, self.record_hash).join(equal, on=HASH, how="anti")
            unequal.sink_parquet(self.aside / f"{number:05}.parquet", compression="lz4", mkdir=True)

    def unequal(self, number: int) -> pl.Series:
        """Return which rows of the listing are records, of one range, that are equal to no order."""
        if self.is_one_range:
            return pl.scan_parquet(self.aside, glob=False).select(ROW).collect()[ROW]
        equal = numbers_of_orders(self.ranges.part("orders", number), self.ranges.part("lines", number))
        return self.ranges.part("records", number).join(equal, on=HASH, how="anti")[ROW]

    def pair(self, number: int) -> pl.DataFrame:
        """Pair one range, keep the pairs, and return those that have to be looked at: source_order_id, ROW, sorted."""
        unequal = self.unequal(number)
        self.ranges.drop("lines")
        paired = pair(self.ranges.part("orders", number), self.ranges.part("records", number), unequal)
        for name, frame in vars(paired).items():
            self.ranges.put(name, number, frame)
        return paired.suspects

    def cut_suspects(self, folder: Path, suspects: Sequence[pl.DataFrame], at_once: int) -> Ranges:
        """Read what has to be looked at in full."""
        every = pl.concat(suspects)
        full = self.ranges.finer(folder, (some["source_order_id"] for some in suspects), at_once)
        here = pl.col("source_order_id").is_in(every["source_order_id"].implode())
        there = pl.col(ROW).is_in(every[ROW].implode())
        listing = pl.scan_parquet(self.aside, glob=False) if self.is_one_range else self.listing
        of_lines = ["source_order_id", *LINE_ITEM_PATHS]
        full.cut_wide("orders", self.sides.orders, lambda table: table.filter(here).select(list(ORDER_PATHS)))
        full.cut_wide("lines", self.sides.line_items, lambda table: table.filter(here).select(of_lines))
        full.cut_wide("records", listing, lambda table: table.filter(there).select(_RECORD))
        return full

    def cut_the_rest(self, earlier: Earlier) -> None:
        """Keep what it takes to name what is wrong; after pairing, which needs the memory."""
        sides = self.sides
        tables = {
            "outcomes": sides.outcomes.select(
                "source_order_id",
                "outcome",
                "holds_planned",
                "accepted_at",
                ledger_corso_order_id="corso_order_id",
            ),
            "quarantine": sides.quarantine.filter(table="orders", kind="quarantined").select(
                "source_order_id", "file", "line", "currency", "month", source_total="total_money"
            ),
            **earlier.by_range(),
        }
        if sides.fulfillments:
            tables |= sides.fulfillments.by_range()
        for name, table in tables.items():
            self.ranges.cut(name, table)

    def differences(self, full: Ranges, number: int) -> pl.DataFrame:
        """Return the fields that differ in one range."""
        parts = [pl.DataFrame(schema=DIFFERENCES)]
        for inner in full.within(self.ranges, number):
            orders, lines = full.part("orders", inner).lazy(), full.part("lines", inner).lazy()
            records = full.part("records", inner).lazy()
            parts += [
                order_differences(orders, records, self.ignored),
                line_differences(lines, records, self.ignored),
            ]
        return pl.concat(parts)

    def paired(self, number: int) -> Paired:
        """Return the pairs of one range; those that are apart with their outcomes."""
        parts = {each.name: self.ranges.part(each.name, number) for each in fields(Paired)}
        here = pl.col("source_order_id").is_in(parts["apart"]["source_order_id"].implode())
        told = self.ranges.part("outcomes", number).filter(here)
        return Paired(**parts | {"apart": parts["apart"].join(told, on="source_order_id", how="left")})

    def known(self, paired: Paired, number: int) -> pl.DataFrame:
        """Return what the ledger knows of the orders of one range that records, fulfillments and earlier findings name."""
        named = [paired.others, self.ranges.part("open_before", number)]
        if self.sides.fulfillments:
            named.append(self.ranges.part("fulfillments_held", number))
        return self.sides.known(pl.concat(table["source_order_id"] for table in named).unique())

    def renamed(self) -> pl.DataFrame:
        """Return those missing orders whose record is there under another id: source_order_id, corso_order_id, renamed."""
        parts = [
            (self.ranges.part("apart", number), self.ranges.part("others", number))
            for number in self.ranges.numbers
        ]
        missing = pl.concat(
            apart.filter(pl.col("class") == "missing")["source_order_id"] for apart, _ in parts
        )
        taken = self.sides.outcomes.filter(
            pl.col("source_order_id").is_in(missing.implode()), pl.col("corso_order_id") != ""
        )
        held = taken.select("source_order_id", "corso_order_id").collect()
        others = (others.select("corso_order_id", renamed="source_order_id") for _, others in parts)
        return held.join(pl.concat(others), on="corso_order_id")

    def findings(
        self,
        paired: Paired,
        differences: pl.DataFrame,
        quarantined: pl.DataFrame,
        known: pl.DataFrame,
        renamed: pl.DataFrame,
        number: int,
    ) -> pl.DataFrame:
        """Return the findings of one range, named and sorted; `known` is the range's, `renamed` that of all."""
        store = self.settings.loader.store
        foreign = order_findings.foreign(
            paired, _orders_of(known), quarantined, store.time_zone, store.currency or NO_CURRENCY
        )
        owners = self.sides.owners(foreign["corso_order_id"]) if foreign.height else owns_nothing(pl.Series())
        of_orders = [
            order_findings.missing(paired, renamed),
            order_findings.different(paired, differences, by_its_own_currency=self.by_its_own_currency),
            order_findings.duplicated(paired, by_its_own_currency=self.by_its_own_currency),
        ]
        findings = [
            *(order_findings.with_month(frame, store.time_zone) for frame in of_orders),
            *self._of_fulfillments(paired, known, number),
            order_findings.renamed(foreign, owners),
            order_findings.of_quarantined(paired, _orders_of(known), quarantined),
        ]
        return named(sorted_findings(pl.concat(aligned(frame) for frame in findings)), store.id)

    def _of_fulfillments(self, paired: Paired, known: pl.DataFrame, number: int) -> list[pl.DataFrame]:
        if self.sides.fulfillments is None:
            return []
        tables = {name: self.ranges.part(name, number) for name in self.sides.fulfillments.by_range()}
        spoken_of = pl.concat(table["source_order_id"] for table in tables.values()).unique().implode()
        orders = self.ranges.part("orders", number).filter(pl.col("source_order_id").is_in(spoken_of))
        single = single_records(orders, self.ranges.part("records", number), paired.apart)
        dated = order_findings.with_month(single, self.settings.loader.store.time_zone)
        orders = dated.select("source_order_id", "corso_order_id", "currency", "month")
        return fulfillment_findings(
            tables, known.filter(pl.col("source_fulfillment_id") != ""), orders, self.ignored
        )

    def unread(self, paired: Paired, known: pl.DataFrame, number: int) -> pl.Expr:
        """Return which earlier findings are about what was not read this time, and so are neither seen nor healed.

        Foreign records, where only the batch's own orders were looked up; and fulfillments of orders that have one
        record, but whose fulfillments the budget did not reach.
        """
        open_before = self.ranges.part("open_before", number)
        if open_before.is_empty():
            return pl.lit(value=False)
        id_, about_one = pl.col("source_order_id"), pl.col("source_fulfillment_id").is_not_null()
        ours = _orders_of(known)["source_order_id"].implode()
        others = (pl.col("kind") == "foreign") & ~about_one & ~id_.is_in(ours)
        orders = open_before.filter(about_one).select("source_order_id").unique()
        unread = orders.join(self.ranges.part("orders", number), on="source_order_id", how="semi").join(
            paired.apart.filter(pl.col("class") != "single"), on="source_order_id", how="anti"
        )
        if self.sides.fulfillments:
            unread = unread.join(
                self.ranges.part("fulfillments_read", number), on="source_order_id", how="anti"
            )
        of_fulfillments = about_one & id_.is_in(unread["source_order_id"].implode())
        return of_fulfillments if self.sides.reads_whole_store else others | of_fulfillments

    def totals(self, paired: Paired, quarantined: pl.DataFrame, number: int) -> pl.DataFrame:
        """Return the money of one range."""
        return range_totals(
            self.ranges.part("orders", number),
            paired,
            quarantined,
            self.settings.loader.store.time_zone,
            by_its_own_currency=self.by_its_own_currency,
        )


def reconcile(
    sides: Sides,
    earlier: Earlier,
    settings: Settings,
    now: datetime,
    scratch: Path,
    *,
    orders_per_range: int = ORDERS_PER_RANGE,
    orders_in_full: int = ORDERS_IN_FULL,
) -> Reconciliation:
    """Compare a batch with the listing of its store.

    `scratch` is an empty folder, from which the result is read lazily: it must stay until that is done. Raises
    SettingsError if reconcile.ignore names no column.
    """
    ignored = ignored_columns(settings)
    cuts = cuts_between([sides.orders, sides.listing], orders_per_range)
    comparison = _Comparison(sides, settings, Ranges(scratch / "narrow", cuts), scratch / "unequal", ignored)
    comparison.cut_both_sides()
    suspects = [comparison.pair(number) for number in comparison.ranges.numbers]
    full = comparison.cut_suspects(scratch / "full", suspects, orders_in_full)
    comparison.cut_the_rest(earlier)
    parts, renamed = FindingParts(scratch / "found"), comparison.renamed()
    counts = dict.fromkeys((*CLASSES, "foreign", "unexplained"), 0)
    money = []
    for number in comparison.ranges.numbers:
        orders, paired = comparison.ranges.part("orders", number), comparison.paired(number)
        differences, known = comparison.differences(full, number), comparison.known(paired, number)
        quarantined = order_findings.quarantined_orders(comparison.ranges.part("quarantine", number), orders)
        found = lived(
            comparison.findings(paired, differences, quarantined, known, renamed, number),
            comparison.ranges,
            number,
            earlier.reviews,
            comparison.unread(paired, known, number),
            now,
        )
        parts.add(number, found)
        money.append(comparison.totals(paired, quarantined, number))
        for name, count in _counted(orders.height, paired, differences, found.open):
            counts[name] += count
    return Reconciliation(
        parts.findings(),
        parts.healed(),
        parts.unseen(),
        sum_up(money).with_columns(difference=pl.col("accepted") - pl.col("corso")),
        counts,
    )


def _orders_of(known: pl.DataFrame) -> pl.DataFrame:
    """Return source_order_id of those that are orders."""
    return known.filter(source_fulfillment_id="").select("source_order_id")


def _said_somewhere(table: pl.LazyFrame, columns: Sequence[str], prefix: str) -> list[str]:
    """Return the columns without those that Corso may fill in, and that are empty in every row of the source."""
    fillable = [name for name in columns if prefix + name in FILLED_BY_CORSO - {"order_number"}]
    if not fillable:
        return list(columns)
    said = table.select(pl.col(fillable).is_not_null().any()).collect(engine="streaming")
    empty = {name for name in fillable if not said[name].item()}
    return [name for name in columns if name not in empty]


def _counted(
    orders: int, paired: Paired, differences: pl.DataFrame, findings: pl.DataFrame
) -> Iterator[tuple[str, int]]:
    classes = dict(paired.apart.group_by("class").len().iter_rows())
    missing, duplicated = classes.get("missing", 0), classes.get("duplicated", 0)
    different = differences["source_order_id"].n_unique()
    yield from (("missing", missing), ("duplicated", duplicated), ("different", different))
    yield ("matched", orders - missing - duplicated - different)
    about_orders = findings.filter(pl.col("source_fulfillment_id").is_null())
    yield ("foreign", about_orders.filter(kind="foreign").height)
    yield ("unexplained", findings.filter(cause="unexplained").height)
