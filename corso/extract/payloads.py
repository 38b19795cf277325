"""Payloads: the JSON that is sent for an order or a fulfillment, and its hash.

The same data gives the same bytes on every run and machine: keys in the schema's order, line items by their id,
nothing that is null, decimals as exact JSON numbers without trailing zeros, instants in UTC.

The text of all rows is put together at once from pieces: texts that stand in every row, such as `,"city":"`, and
columns. A member that some rows lack is a piece of its own, empty where there is no value. Encoding rows as structs, and taking
their nulls out again, takes five times as long.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache

import polars as pl
import pyarrow as pa
from pandera.polars import DataFrameSchema

from schemas.fields import FLAG, INSTANT, MONEY, NUMBER, OPTIONS, dtypes
from schemas.fulfillments import FULFILLMENT_PATHS, FULFILLMENTS
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.orders import NO_CANCEL_REASON, ORDER_PATHS, ORDERS

_SAID_BY_DELETE = ("canceled_reason", "source_canceled_on")
"""Columns that the body of a DELETE carries."""

_LINES = "__lines"
_MICROS_PER_DAY = 86_400_000_000

Piece = str | pl.Expr
"""A text that stands in every row, or an expression of text without nulls."""


def order_payloads(orders: pl.DataFrame, line_items: pl.DataFrame, store_id: int) -> pl.DataFrame:
    """Return the payload of each accepted order, in the order of `orders`.

    Columns: source_order_id, payload, payload_hash, cancel_payload (the body of a DELETE; null where the order
    is not cancelled), content and content_hash (of a cancelled order: its payload without what a DELETE says), file,
    line.
    """
    whole = orders.join(_lines_of_orders(line_items), on="source_order_id", how="left", maintain_order="left")
    payloads = _order_objects(whole, ORDER_PATHS, store_id)
    cancelled = whole.filter(pl.col("source_canceled_on").is_not_null())
    open_paths = {column: path for column, path in ORDER_PATHS.items() if column not in _SAID_BY_DELETE}
    contents = _order_objects(cancelled, open_paths, store_id)
    reasons = cancelled.with_columns(pl.col("canceled_reason").fill_null(NO_CANCEL_REASON))
    of_cancelled = cancelled.select(
        "source_order_id",
        _object(reasons, {column: ORDER_PATHS[column] for column in _SAID_BY_DELETE}, ORDERS).alias(
            "cancel_payload"
        ),
        contents.alias("content"),
        _hashes(contents).alias("content_hash"),
    )
    return whole.select(
        "source_order_id",
        payloads.alias("payload"),
        _hashes(payloads).alias("payload_hash"),
        "file",
        "line",
    ).join(of_cancelled, on="source_order_id", how="left", maintain_order="left")


def fulfillment_payloads(fulfillments: pl.DataFrame) -> pl.DataFrame:
    """Return the payload of each accepted fulfillment.

    Columns: source_order_id, source_fulfillment_id, payload, payload_hash, file, line.
    """
    payloads = _object(fulfillments, FULFILLMENT_PATHS, FULFILLMENTS)
    return fulfillments.select(
        "source_order_id",
        "source_fulfillment_id",
        payloads.alias("payload"),
        _hashes(payloads).alias("payload_hash"),
        "file",
        "line",
    )


def _hashes(payloads: pl.Series) -> pl.Series:
    # As bytes: polars would make, and Python encode, a text of each.
    hashes = [hashlib.sha256(payload).hexdigest() for payload in payloads.cast(pl.Binary)]
    return pl.Series(hashes, dtype=pl.String)


def _lines_of_orders(line_items: pl.DataFrame) -> pl.DataFrame:
    """Return `source_order_id` and _LINES: an order's lines as JSON, with commas between them."""
    written = line_items.select(
        "source_order_id",
        "source_line_item_id",
        _object(line_items, LINE_ITEM_PATHS, LINE_ITEMS).alias(_LINES),
    )
    return (
        written.sort("source_order_id", pl.col("source_line_item_id").str.len_bytes(), "source_line_item_id")
        .group_by("source_order_id", maintain_order=True)
        .agg(_LINES)
        .with_columns(pl.col(_LINES).list.join(","))
    )


def _order_objects(orders: pl.DataFrame, paths: Mapping[str, str], store_id: int) -> pl.Series:
    members = _members(orders, paths, ORDERS, first=f'"storeId":{store_id}')
    return orders.select(
        _joined(["{", *members, ',"lineItems":[', pl.col(_LINES).fill_null(""), "]}"])
    ).to_series()


def _object(frame: pl.DataFrame, paths: Mapping[str, str], schema: DataFrameSchema) -> pl.Series:
    """Return each row as JSON; the first of the columns has a value in every row."""
    return frame.select(_joined(["{", *_members(frame, paths, schema), "}"])).to_series()


def _members(
    frame: pl.DataFrame, paths: Mapping[str, str], schema: DataFrameSchema, first: str = ""
) -> list[Piece]:
    """Return the members of an object; columns whose paths share a prefix are one object among them."""
    of_objects: dict[str, dict[str, str]] = {}
    for column, path in paths.items():
        outer, _, key = path.rpartition(".")
        of_objects.setdefault(outer or f".{key}", {})[column] = key
    pieces: list[Piece] = [first] if first else []
    for outer, keys in of_objects.items():
        comma = "," if pieces else ""
        inner = _values(frame, keys, schema, comma if outer.startswith(".") else "")
        if outer.startswith("."):
            pieces += inner
            continue
        nested = [f'{comma}"{outer}":{{', *inner, "}"]
        # It is left out whole where its first member, which it cannot be without, has no value.
        needed = frame[next(iter(keys))]
        if _is_empty(needed):
            continue
        pieces += (
            [pl.when(pl.col(needed.name).is_not_null()).then(_joined(nested)).otherwise(pl.lit(""))]
            if needed.null_count()
            else nested
        )
    return pieces


def _values(frame: pl.DataFrame, keys: Mapping[str, str], schema: DataFrameSchema, comma: str) -> list[Piece]:
    """Return `"key":value` for some columns with commas between them; `comma` goes before the first."""
    types = dtypes(schema)
    pieces: list[Piece] = []
    for column, key in keys.items():
        may_be_missing = len(keys) == 1 or pieces
        if may_be_missing and _is_empty(frame[column]):
            continue
        opening, value, closing = _value(frame[column], types[column])
        member: list[Piece] = [f'{comma}"{key}":{opening}', value, closing]
        has_gaps = may_be_missing and frame[column].null_count()
        pieces += [_joined(member).fill_null("")] if has_gaps else member
        comma = ","
    return pieces


def _value(values: pl.Series, dtype: pl.DataType) -> tuple[str, pl.Expr, str]:
    """Return how a column is written: what opens a value, its text, null where there is none, and what closes it."""
    value = pl.col(values.name)
    if dtype == INSTANT:
        return '"', _instant_text(value), '"'
    if dtype in {MONEY, NUMBER}:
        return "", value.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end("."), ""
    if dtype == FLAG:
        return "", value.cast(pl.String), ""
    if dtype == OPTIONS or _has_to_be_escaped(values):
        encoded = (
            pl.struct(value.alias("x")).struct.json_encode().str.slice(len('{"x":')).str.strip_suffix("}")
        )
        return "", pl.when(value.is_not_null()).then(encoded), ""
    return '"', value, '"'


def _has_to_be_escaped(texts: pl.Series) -> bool:
    """Say whether any has a character that a JSON string does not hold as it is (RFC 8259, section 7).

    The bytes of all texts are looked at as one column: looking into one text after the other takes five times as long.
    """
    buffer = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()[2]
    if not buffer:
        return False
    byte = pl.Series(pa.Array.from_buffers(pa.uint8(), buffer.size, [None, buffer]))
    return any(found.any() for found in (byte < ord(" "), byte == ord('"'), byte == ord("\\")))


def _is_empty(values: pl.Series) -> bool:
    return 0 < len(values) == values.null_count()


def _joined(pieces: Iterable[Piece]) -> pl.Expr:
    """Return pieces one after the other, null where one of them is; texts that meet become one."""
    texts_and_columns: list[Piece] = []
    for piece in pieces:
        last = texts_and_columns[-1] if texts_and_columns else None
        if isinstance(piece, str) and isinstance(last, str):
            texts_and_columns[-1] = last + piece
        else:
            texts_and_columns.append(piece)
    return pl.concat_str([pl.lit(piece) if isinstance(piece, str) else piece for piece in texts_and_columns])


def _instant_text(instant: pl.Expr) -> pl.Expr:
    return instant.map_batches(_instant_texts, return_dtype=pl.String)


def _instant_texts(instants: pl.Series) -> pl.Series:
    """Write instants in UTC, seconds with as many decimals as they need.

    Days and seconds of the day are written once each: the same few come again and again, and to write each instant by
    itself takes ten times as long.
    """
    micros = instants.to_physical()
    days = (micros // _MICROS_PER_DAY).fill_null(0)
    different = days.unique().sort()
    parts = pl.DataFrame(
        {
            "date": different.cast(pl.Int32)
            .cast(pl.Date)
            .cast(pl.String)
            .gather(different.search_sorted(days)),
            "time": _times_of_day().gather(micros % _MICROS_PER_DAY // 1_000_000),
            "micros": micros % 1_000_000,
        }
    )
    pieces = [pl.col("date"), pl.lit("T"), pl.col("time")]
    if (parts["micros"] > 0).any():
        decimals = (pl.col("micros") + 1_000_000).cast(pl.String).str.slice(1).str.strip_chars_end("0")
        pieces.append(pl.when(pl.col("micros") > 0).then(pl.lit(".") + decimals).otherwise(pl.lit("")))
    return parts.select(pl.concat_str([*pieces, pl.lit("Z")]).alias(instants.name)).to_series()


@cache
def _times_of_day() -> pl.Series:
    return pl.time_range(interval="1s", closed="left", eager=True).cast(pl.String).str.head(len("hh:mm:ss"))
