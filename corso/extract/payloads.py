"""Payloads: the JSON that is sent for an order or a fulfillment, and its hash.

The same data gives the same bytes on every run and machine: keys in the schema's order, line items by their id,
nothing that is null, decimals as exact JSON numbers without trailing zeros, instants in UTC.

The text is put together column by column: a member is `"key":value`, null where there is no value, and nulls are left out
where members are joined. Encoding rows as structs, and taking their nulls out again, takes five times as long.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import pandera.polars as pa
import polars as pl

from schemas.fields import FLAG, INSTANT, MONEY, NUMBER, OPTIONS, dtypes
from schemas.fulfillments import FULFILLMENT_PATHS, FULFILLMENTS
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.orders import NO_CANCEL_REASON, ORDER_PATHS, ORDERS

_SAID_BY_DELETE = frozenset({"canceledReason", "sourceCanceledOn"})
"""Members that the body of a DELETE carries."""

_TO_ESCAPE = r'["\\\x00-\x1f]'
"""Characters that a JSON string does not hold as they are (RFC 8259, section 7)."""


def order_payloads(orders: pl.DataFrame, line_items: pl.DataFrame, store_id: int) -> pl.DataFrame:
    """Return the payload of each accepted order, in the order of `orders`.

    Columns: source_order_id, payload, payload_hash, cancel_payload (the body of a DELETE; null where the order
    is not cancelled), content and content_hash (of a cancelled order: its payload without what a DELETE says), file,
    line.
    """
    ids = ["source_order_id", "source_line_item_id"]
    nested = (
        _with_objects(line_items, LINE_ITEM_PATHS, LINE_ITEMS, ids)
        .sort("source_order_id", pl.col("source_line_item_id").str.len_bytes(), "source_line_item_id")
        .group_by("source_order_id", maintain_order=True)
        .agg("object")
        .select(
            "source_order_id",
            _between('"lineItems":[', pl.col("object").list.join(","), "]").alias("lineItems"),
        )
    )
    members = _members(orders, ORDER_PATHS, ORDERS)
    written = (
        orders.select("source_order_id", "file", "line", **members)
        .with_columns(pl.lit(f'"storeId":{store_id}').alias("storeId"), _cancel_payload(orders))
        .join(nested, on="source_order_id", how="left", maintain_order="left")
    )
    every = ["storeId", *members, "lineItems"]
    whole = written.select(
        "source_order_id", _object(every).alias("payload"), "cancel_payload", "file", "line"
    )
    cancelled = written.filter(pl.col("cancel_payload").is_not_null()).select(
        "source_order_id", _object(name for name in every if name not in _SAID_BY_DELETE).alias("content")
    )
    contents = cancelled.with_columns(_hashes(cancelled["content"]).alias("content_hash"))
    return whole.with_columns(_hashes(whole["payload"]).alias("payload_hash")).join(
        contents, on="source_order_id", how="left", maintain_order="left"
    )


def fulfillment_payloads(fulfillments: pl.DataFrame) -> pl.DataFrame:
    """Return the payload of each accepted fulfillment.

    Columns: source_order_id, source_fulfillment_id, payload, payload_hash, file, line.
    """
    kept = ["source_order_id", "source_fulfillment_id", "file", "line"]
    written = _with_objects(fulfillments, FULFILLMENT_PATHS, FULFILLMENTS, kept).rename({"object": "payload"})
    return written.with_columns(_hashes(written["payload"]).alias("payload_hash"))


def _hashes(payloads: pl.Series) -> pl.Series:
    # As bytes: polars would make, and Python encode, a text of each.
    hashes = [hashlib.sha256(payload).hexdigest() for payload in payloads.cast(pl.Binary)]
    return pl.Series(hashes, dtype=pl.String)


def _cancel_payload(orders: pl.DataFrame) -> pl.Series:
    """Return the body of each cancelled order's DELETE, as `cancel_payload`."""
    filled = orders.select(
        pl.when(pl.col("source_canceled_on").is_not_null())
        .then(pl.col("canceled_reason").fill_null(NO_CANCEL_REASON))
        .alias("canceled_reason"),
        "source_canceled_on",
    )
    members = _members(filled, {name: ORDER_PATHS[name] for name in filled.columns}, ORDERS)
    body = pl.when(pl.col("source_canceled_on").is_not_null()).then(_object(members.values()))
    return filled.select(body.alias("cancel_payload")).to_series()


def _with_objects(
    frame: pl.DataFrame, paths: Mapping[str, str], schema: pa.DataFrameSchema, kept: Sequence[str]
) -> pl.DataFrame:
    """Return some columns of a frame, and `object`, each row as JSON."""
    # A step of their own, all columns at once: within one expression polars would do one after the other.
    members = frame.select(**_members(frame, paths, schema))
    return frame.select(*kept, members.select(_object(members.columns)).to_series().alias("object"))


def _members(frame: pl.DataFrame, paths: Mapping[str, str], schema: pa.DataFrameSchema) -> dict[str, pl.Expr]:
    """Return key -> its member; columns whose paths share a prefix become one object, which is null where its first is."""
    types = dtypes(schema)
    texts = [column for column in paths if types[column] == pl.String]
    to_escape = frame.select(pl.col(texts).str.contains(_TO_ESCAPE).any()).row(0, named=True)
    members: dict[str, pl.Expr] = {}
    nested: dict[str, list[pl.Expr]] = {}
    first: dict[str, str] = {}
    for column, path in paths.items():
        outer, _, key = path.rpartition(".")
        member = _member(key, column, types[column], is_escaped=to_escape.get(column, False))
        nested.setdefault(outer, []).append(member)
        first.setdefault(outer, column)
        members[outer or key] = member
    for outer, inner in nested.items():
        if outer:
            body = pl.format(f'"{outer}":{{}}', _object(inner))
            members[outer] = pl.when(pl.col(first[outer]).is_not_null()).then(body)
    return members


def _member(key: str, column: str, dtype: pl.DataType, *, is_escaped: bool) -> pl.Expr:
    """Return `"key":value` for a column, null where it has no value."""
    value = pl.col(column)
    if dtype == INSTANT:
        return _between(f'"{key}":"', _instant_text(value), '"')
    if dtype in {MONEY, NUMBER}:
        number = value.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
        return _between(f'"{key}":', number)
    if dtype == FLAG:
        return _between(f'"{key}":', value.cast(pl.String))
    if dtype == OPTIONS or is_escaped:
        encoded = pl.struct(value.alias(key)).struct.json_encode().str.slice(1).str.strip_suffix("}")
        return pl.when(value.is_not_null()).then(encoded)
    return _between(f'"{key}":"', value, '"')


def _between(before: str, value: pl.Expr, behind: str = "") -> pl.Expr:
    return pl.concat_str(pl.lit(before), value, pl.lit(behind))


def _object(members: Iterable[str | pl.Expr]) -> pl.Expr:
    return _between("{", pl.concat_str(list(members), separator=",", ignore_nulls=True), "}")


def _instant_text(instant: pl.Expr) -> pl.Expr:
    text = instant.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f").str.strip_chars_end("0").str.strip_chars_end(".")
    return text + "Z"
