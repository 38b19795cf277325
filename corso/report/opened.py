"""Orders side by side: what the export says, what is sent of it, and what Corso holds, field by field.

They are for the page, so they are bounded: a few hundred orders, chosen so that every kind of finding has some. Of the
others the page shows the finding's own two values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from corso.report.differences import value_text
from corso.report.masking import masked_texts, masked_values, shown_values
from schemas.fields import TEXT, dtypes
from schemas.fulfillments import FULFILLMENT_PATHS, FULFILLMENTS
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.orders import ORDER_PATHS, ORDERS
from schemas.quarantine import PROBLEM

ORDERS_OPENED = 300
"""Orders that the page can open side by side: some 3 KB of page each."""
LONGEST = 400
"""Characters of a value in the opened order."""
RECORDS_OPENED = 3
"""Records of one order that are shown beside each other."""
NOT_READ = "not read back"
"""Stands for Corso's side of fulfillments that were not asked for this time."""
_MOST_REASONS = 5
_MOST_ROWS = 400
"""Fields of one order that are shown, those of its lines and fulfillments included."""

ORDER, LINE, FULFILLMENT = "order", "line", "fulfillment"
"""The parts that an order is opened into."""
_EXPORT, _SENT = "export", "sent"
_KEY = ("source_order_id", "part", "part_id", "field")
_LONG = {**dict.fromkeys((*_KEY, "value"), TEXT), "side": TEXT, "rank": pl.Int32()}
_PREFIX = {ORDER: "", LINE: "line_items.", FULFILLMENT: "fulfillments."}
_SCHEMAS = {ORDER: dtypes(ORDERS), LINE: dtypes(LINE_ITEMS), FULFILLMENT: dtypes(FULFILLMENTS)}
_PATHS = {ORDER: ORDER_PATHS, LINE: LINE_ITEM_PATHS, FULFILLMENT: FULFILLMENT_PATHS}
_PART_IDS = {LINE: "source_line_item_id", FULFILLMENT: "source_fulfillment_id"}


@dataclass(frozen=True)
class BatchTables:
    """The tables that orders are opened from; a batch has not all of them at every stage.

    `raw` and `accepted`: part (order, line, fulfillment) -> the canonical table, as text and converted. `listing`:
    LISTING. `corso_fulfillments`: canonical fulfillments that Corso gave back, `fulfillments_read`: of which orders
    (`source_order_id`). `quarantine`: QUARANTINE. `outcomes`: OUTCOME_TABLE.
    """

    raw: Mapping[str, pl.LazyFrame]
    accepted: Mapping[str, pl.LazyFrame]
    quarantine: pl.LazyFrame
    outcomes: pl.LazyFrame
    listing: pl.LazyFrame | None = None
    corso_fulfillments: pl.LazyFrame | None = None
    fulfillments_read: pl.LazyFrame | None = None


@dataclass(frozen=True)
class OpenedOrder:
    """One order: `columns` are the titles of its sides, `rows` one field each: part, part's id, field, a value a side."""

    source_order_id: str
    outcome: str | None
    said: tuple[str, ...]
    """Why it is not in Corso, where somebody said why: broken rules, Corso's refusal."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    left_out: int = 0
    """Fields beyond those that are shown."""


def opened_orders(
    findings: pl.DataFrame, tables: BatchTables, *, personal: bool, at_most: int = ORDERS_OPENED
) -> list[OpenedOrder]:
    """Open the orders of some of the findings; `personal` says that personal data is shown, not veiled."""
    ids = chosen_orders(findings, at_most)
    if not ids:
        return []
    sides = [frame for frame in _sides(tables, ids) if frame.height]
    long = pl.concat([pl.DataFrame(schema=_LONG), *(frame.select(list(_LONG)) for frame in sides)])
    if not personal:
        long = masked_values(long, "field", "value")
    said = _said(tables, ids, personal=personal)
    of_order = long.with_columns(shown_values(pl.col("value"), LONGEST)).partition_by(
        "source_order_id", as_dict=True
    )
    nothing = pl.DataFrame(schema=_LONG)
    wanted = _parts_of(findings, ids)
    read = _read(tables, ids)
    return [
        _opened(
            order,
            of_order.get((order,), nothing),
            wanted.get(order, set()),
            order in read,
            *said.get(order, (None, ())),
        )
        for order in ids
    ]


def chosen_orders(findings: pl.DataFrame, at_most: int) -> list[str]:
    """Return the ids of at most so many orders, so that each kind, cause and field of finding has about as many."""
    named = findings.filter(pl.col("source_order_id").is_not_null())
    turn = pl.int_range(pl.len()).over("kind", "cause", "field")
    return (
        named.select("source_order_id", turn=turn)
        .sort("turn", maintain_order=True)
        .unique("source_order_id", keep="first", maintain_order=True)
        .head(at_most)["source_order_id"]
        .to_list()
    )


def _sides(tables: BatchTables, ids: list[str]) -> Iterator[pl.DataFrame]:
    for side, of_side in ((_EXPORT, tables.raw), (_SENT, tables.accepted)):
        for part, frame in of_side.items():
            yield _long(_of(frame, ids), part, pl.lit(side))
    if tables.listing is not None:
        records = _of(tables.listing, ids)
        yield _long(records, ORDER, pl.col("corso_order_id"))
        lines = (
            records.select("source_order_id", "corso_order_id", "line_items")
            .filter(pl.col("line_items").list.len() > 0)
            .explode("line_items")
            .unnest("line_items")
        )
        yield _long(lines, LINE, pl.col("corso_order_id"))
    if tables.corso_fulfillments is not None:
        yield _long(_of(tables.corso_fulfillments, ids), FULFILLMENT, pl.col("corso_order_id"))


def _of(frame: pl.LazyFrame, ids: list[str]) -> pl.DataFrame:
    return frame.filter(pl.col("source_order_id").is_in(ids)).collect(engine="streaming")


def _long(frame: pl.DataFrame, part: str, side: pl.Expr) -> pl.DataFrame:
    """Turn a table of a part into one row a value: the columns of _LONG, without those that say nothing.

    Where several rows say the same field of the same part (an order that stands twice in the export), the first counts.
    """
    paths, types, schema = _PATHS[part], _SCHEMAS[part], frame.schema
    names = [
        name for name in paths if name in schema and name not in {"source_order_id", _PART_IDS.get(part)}
    ]
    part_id = pl.col(_PART_IDS[part]) if part in _PART_IDS else pl.lit(None, TEXT)
    texts = frame.select(
        "source_order_id",
        part_id.alias("part_id"),
        side.alias("side"),
        *(
            (pl.col(name) if schema[name] == TEXT else value_text(pl.col(name), types[name])).alias(name)
            for name in names
        ),
    )
    ranks = {_PREFIX[part] + name: rank for rank, name in enumerate(paths)}
    return (
        texts.unpivot(on=names, index=["source_order_id", "part_id", "side"], variable_name="field")
        .filter(pl.col("value") != "")
        .unique(["source_order_id", "part_id", "side", "field"], keep="first", maintain_order=True)
        .with_columns(part=pl.lit(part), field=pl.lit(_PREFIX[part]) + pl.col("field"))
        .with_columns(rank=pl.col("field").replace_strict(ranks, return_dtype=pl.Int32))
    )


def _parts_of(findings: pl.DataFrame, ids: list[str]) -> dict[str, set[str]]:
    """Return order -> the lines and fulfillments that its findings are about."""
    part = pl.coalesce("source_line_item_id", "source_fulfillment_id")
    named = findings.filter(pl.col("source_order_id").is_in(ids), part.is_not_null())
    return {
        order: set(parts)
        for order, parts in named.group_by("source_order_id").agg(part.alias("part")).iter_rows()
    }


def _read(tables: BatchTables, ids: list[str]) -> set[str]:
    """Return the orders whose fulfillments were read back."""
    if tables.fulfillments_read is None:
        return set()
    return set(_of(tables.fulfillments_read.select("source_order_id"), ids)["source_order_id"])


def _opened(
    order: str,
    long: pl.DataFrame,
    wanted: set[str],
    is_read: bool,
    outcome: str | None,
    said: tuple[str, ...],
) -> OpenedOrder:
    records = [side for side in long["side"].unique(maintain_order=True) if side not in {_EXPORT, _SENT}]
    sides = [_EXPORT, _SENT, *records[:RECORDS_OPENED]]
    values: dict[tuple[Any, ...], dict[str, str]] = {}
    parts = (ORDER, LINE, FULFILLMENT)
    ordered = long.sort(
        pl.col("part").replace_strict({part: i for i, part in enumerate(parts)}, return_dtype=pl.Int8),
        "part_id",
        "rank",
        maintain_order=True,
    )
    for part, part_id, field, side, value in ordered.select(
        "part", "part_id", "field", "side", "value"
    ).iter_rows():
        not_read = dict.fromkeys(records, NOT_READ) if part == FULFILLMENT and not is_read else {}
        values.setdefault((part, part_id, field), not_read)[side] = value
    # What the findings are about must be there, however many lines the order has.
    keys = sorted(values, key=lambda key: key[0] != ORDER and key[1] not in wanted)[:_MOST_ROWS]
    rows = tuple((*key, *(values[key].get(side) for side in sides)) for key in keys)
    return OpenedOrder(order, outcome, said, tuple(sides), rows, len(values) - len(rows))


def _said(
    tables: BatchTables, ids: list[str], *, personal: bool
) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """Return order -> its outcome, and what was said of it: Corso's reason, or the rules that its rows break."""
    ended = _of(tables.outcomes.select("source_order_id", "outcome", "reason"), ids)
    if not personal:
        ended = ended.with_columns(masked_texts(pl.col("reason")))
    rows = pl.concat([ended, _broken_rules(tables.quarantine, ids, personal=personal)])
    grouped = (
        rows.with_columns(shown_values(pl.col("reason"), LONGEST))
        .group_by("source_order_id", maintain_order=True)
        .agg(pl.col("outcome").last(), pl.col("reason").drop_nulls().head(_MOST_REASONS))
    )
    return {order: (outcome, tuple(reasons)) for order, outcome, reasons in grouped.iter_rows()}


def _broken_rules(quarantine: pl.LazyFrame, ids: list[str], *, personal: bool) -> pl.DataFrame:
    """Return a sentence for each rule that rows of the orders break; with the value only where personal data may be shown."""
    problems = (
        _of(quarantine.filter(kind="quarantined").select("source_order_id", "problems"), ids)
        .with_columns(pl.col("problems").cast(pl.List(PROBLEM)))
        .explode("problems")
        .unnest("problems")
    )
    value = pl.format(" '{}'", "value") if personal else pl.lit("")
    said = pl.concat_str("column", value.fill_null(""), pl.lit(" "), "sentence", pl.lit(": "), "remedy")
    return problems.select("source_order_id", outcome=pl.lit("quarantined"), reason=said).unique(
        maintain_order=True
    )
