"""Payloads: the JSON that is sent for an order or a fulfillment, and its hash.

The same data gives the same bytes on every run and machine: keys in the schema's order, line items by their id,
nothing that is null, decimals as exact JSON numbers without trailing zeros, instants in UTC. polars encodes
whole columns; two properties of JSON text make the finishing touches exact. Every quote inside a string is
escaped, so a key with bare quotes is a key; and the first key of each object here is never null, so a null one
always has a comma before it.
"""

import hashlib
from collections.abc import Iterable, Mapping

import polars as pl

from schemas.fields import INSTANT, MONEY, NUMBER, dtypes
from schemas.fulfillments import FULFILLMENT_PATHS, FULFILLMENTS
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.orders import NO_CANCEL_REASON, ORDER_PATHS, ORDERS

_SAID_BY_DELETE = frozenset({"canceled_reason", "source_canceled_on"})
"""Columns that the body of a DELETE carries."""

_NULL_MEMBER = r',"[A-Za-z0-9]+":null'


def order_payloads(orders: pl.DataFrame, line_items: pl.DataFrame, store_id: int) -> pl.DataFrame:
    """Return the payload of each accepted order, in the order of `orders`.

    Columns: source_order_id, payload, payload_hash, cancel_payload (the body of a DELETE; null where the order
    is not cancelled), content and content_hash (of a cancelled order: its payload without what a DELETE says), file,
    line.
    """
    lines = _with_objects(line_items, _members(_filled(LINE_ITEM_PATHS, line_items), dtypes(LINE_ITEMS)))
    nested = (
        lines.sort("source_order_id", pl.col("source_line_item_id").str.len_bytes(), "source_line_item_id")
        .group_by("source_order_id", maintain_order=True)
        .agg(pl.col("object").alias("line_items"))
    )
    cancel = pl.struct(
        pl.col("canceled_reason").fill_null(NO_CANCEL_REASON).alias("canceledReason"),
        _instant_text(pl.col("source_canceled_on")).alias("sourceCanceledOn"),
    ).struct.json_encode()
    whole = orders.join(nested, on="source_order_id", how="left", maintain_order="left")
    is_cancelled = pl.col("source_canceled_on").is_not_null()
    paths = _filled(ORDER_PATHS, orders)
    encoded = _in_parts(
        whole,
        "source_order_id",
        _order(store_id, paths).alias("payload"),
        pl.when(is_cancelled).then(cancel).alias("cancel_payload"),
        "file",
        "line",
    )
    open_paths = {column: path for column, path in paths.items() if column not in _SAID_BY_DELETE}
    contents = whole.filter(is_cancelled).select(
        "source_order_id", _order(store_id, open_paths).alias("content")
    )
    contents = contents.with_columns(_hashes(contents["content"]).alias("content_hash"))
    return encoded.with_columns(_hashes(encoded["payload"]).alias("payload_hash")).join(
        contents, on="source_order_id", how="left", maintain_order="left"
    )


def _in_parts(frame: pl.DataFrame, *columns: str | pl.Expr) -> pl.DataFrame:
    """Select, on all cores: polars does one expression on one of them."""
    size = -(-max(1, frame.height) // pl.thread_pool_size())
    parts = [
        frame.lazy().slice(start, size).select(columns) for start in range(0, max(1, frame.height), size)
    ]
    return pl.concat(pl.collect_all(parts))


def _filled(paths: Mapping[str, str], frame: pl.DataFrame) -> Mapping[str, str]:
    """Return the paths without the columns that have no value at all, which would only have to be taken out again.

    An object whose first member has none is left out whole, as `_object` would leave it out of every order.
    """
    empty = {column for column in paths if frame.height and frame[column].null_count() == frame.height}
    first = {path.partition(".")[0]: column for column, path in reversed(list(paths.items())) if "." in path}
    gone = {outer for outer, column in first.items() if column in empty}
    return {
        column: path
        for column, path in paths.items()
        if column not in empty and path.partition(".")[0] not in gone
    }


def _order(store_id: int, paths: Mapping[str, str]) -> pl.Expr:
    members = _members(paths, dtypes(ORDERS))
    return _finished(
        pl.struct(pl.lit(store_id).alias("storeId"), *members, pl.col("line_items").alias("lineItems"))
    )


def fulfillment_payloads(fulfillments: pl.DataFrame) -> pl.DataFrame:
    """Return the payload of each accepted fulfillment.

    Columns: source_order_id, source_fulfillment_id, payload, payload_hash, file, line.
    """
    body = pl.struct(_members(_filled(FULFILLMENT_PATHS, fulfillments), dtypes(FULFILLMENTS)))
    encoded = _in_parts(
        fulfillments,
        "source_order_id",
        "source_fulfillment_id",
        _finished(body).alias("payload"),
        "file",
        "line",
    )
    return encoded.with_columns(_hashes(encoded["payload"]).alias("payload_hash"))


def _hashes(payloads: pl.Series) -> pl.Series:
    hashes = [hashlib.sha256(payload.encode()).hexdigest() for payload in payloads]
    return pl.Series(hashes, dtype=pl.String)


def _with_objects(frame: pl.DataFrame, members: Iterable[pl.Expr]) -> pl.DataFrame:
    return frame.select("source_order_id", "source_line_item_id", pl.struct(members).alias("object"))


def _members(paths: Mapping[str, str], types: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """Return one expression a JSON member; columns whose paths share a prefix become one object."""
    nested: dict[str, list[pl.Expr]] = {}
    members: dict[str, pl.Expr | None] = {}
    for column, path in paths.items():
        value = _as_written(pl.col(column), types[column])
        outer, _, inner = path.partition(".")
        if inner:
            nested.setdefault(outer, []).append(value.alias(inner))
            members[outer] = None
        else:
            members[path] = value.alias(path)
    return [value if value is not None else _object(key, nested[key]) for key, value in members.items()]


def _object(key: str, members: list[pl.Expr]) -> pl.Expr:
    """Nest an object; null where its first member, which is required in it, is."""
    return pl.when(members[0].is_not_null()).then(pl.struct(members)).alias(key)


def _instant_text(instant: pl.Expr) -> pl.Expr:
    text = instant.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f").str.strip_chars_end("0").str.strip_chars_end(".")
    return text + "Z"


def _as_written(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == INSTANT:
        return _instant_text(value)
    if dtype in {MONEY, NUMBER}:
        # A string, so that nobody reads it as a float on the way; `_finished` takes the quotes off.
        return value.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    return value


def _finished(body: pl.Expr) -> pl.Expr:
    return (
        body.struct.json_encode()
        .str.replace_all(_NULL_MEMBER, "")
        .str.replace_all(rf'"({_NUMBER_KEYS})":"(-?[0-9.]+)"', '"$1":$2')
    )


def _number_keys() -> str:
    keys = {
        path.rpartition(".")[2]
        for paths, schema in (
            (ORDER_PATHS, ORDERS),
            (LINE_ITEM_PATHS, LINE_ITEMS),
            (FULFILLMENT_PATHS, FULFILLMENTS),
        )
        for column, path in paths.items()
        if dtypes(schema)[column] in {MONEY, NUMBER}
    }
    return "|".join(sorted(keys))


_NUMBER_KEYS = _number_keys()
