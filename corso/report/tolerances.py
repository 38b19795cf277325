"""What does not count as a difference: every tolerance by its name, in a sentence that the report shows.

The rules are those of comparing, not of converting: both sides keep what they say, and the report shows it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from corso.errors import SettingsError
from corso.settings import Settings, nearest
from schemas.fields import INSTANT, TEXT, dtypes
from schemas.fulfillments import FULFILLMENT_PATHS, FULFILLMENTS
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.orders import NO_CANCEL_REASON, ORDER_PATHS, ORDERS

IN_CORSO = "in_corso."
"""Prefix of a column that holds Corso's side of a pair."""
LINE_PREFIX = "line_items."
"""Prefix of a line item's column in findings and in reconcile.ignore."""
LINES = "line_items"
"""The field of a finding about a whole line; in reconcile.ignore: lines are not compared at all."""
FULFILLMENT_PREFIX = "fulfillments."
"""Prefix of a fulfillment's column in findings and in reconcile.ignore."""
DISPATCHES = "fulfillments"
"""In reconcile.ignore: fulfillments are not compared at all."""

_SCHEMAS = {"": ORDERS, LINE_PREFIX: LINE_ITEMS, FULFILLMENT_PREFIX: FULFILLMENTS}


@dataclass(frozen=True)
class Tolerance:
    """One thing that two equal orders may differ in."""

    name: str
    sentence: str


INSTANT_TOLERANCE = timedelta(seconds=1)
CLOCK_ALLOWANCE = timedelta(seconds=2)
"""How far Corso's clock may run ahead of ours before our own writing looks like a change made there."""

WITHOUT_CASE = frozenset({"customer_email"})
AS_PHONE = frozenset({"customer_phone"})
FILLED_BY_CORSO = frozenset(
    {
        "order_number",
        "order_name",
        "currency_conversion_rate",
        "is_shipping_protected",
        "source_created_on",
        "source_updated_on",
        "grams",
        "channel",
        "channel_id",
        "customer_currency_code",
        *(
            f"{which}_address_{part}"
            for which in ("billing", "shipping")
            for part in ("name", "first_name", "last_name", "latitude", "longitude")
        ),
        *(f"{LINE_PREFIX}{name}" for name in ("product_id", "variant_id", "vendor", "img_url", "options")),
        *(
            f"{FULFILLMENT_PREFIX}{name}"
            for name in (
                "shipment_status",
                "delivered_on",
                "estimated_delivery_on",
                "in_transit_on",
                "tracking_info_url",
            )
        ),
    }
)
"""Columns that Corso can derive or take from its own records. What it cannot know (a cancellation, a note, a
customer, a second address line) is compared even where the source is empty: it would be someone's change."""

TOLERANCES = (
    Tolerance(
        "Instants",
        "Date-times are compared as instants, whatever their offset; less than one second apart is equal.",
    ),
    Tolerance(
        "Money and numbers",
        "Compared as exact decimals: 10, 10.0 and 10.00 are equal. What a server that reckons in binary adds behind the "
        "fifteenth digit, or the tenth decimal, is rounded away and counted: 27.000000000000004 is 27, 27.0001 is not.",
    ),
    Tolerance("E-mail", "Compared without regard to capital letters."),
    Tolerance(
        "Phone",
        "Compared by its digits and its plus sign; an extension is not loaded, as E.164 has no place for it.",
    ),
    Tolerance(
        "Text", "Compared after trimming, in Unicode normal form C; an empty text equals a missing one."
    ),
    Tolerance("Order number", "Where the source has none, Corso's fallback to the source order id is equal."),
    Tolerance(
        "Reason of a cancellation",
        f'Where the source has none, Corso holds "{NO_CANCEL_REASON}", which was sent in its place.',
    ),
    Tolerance(
        "Filled in by Corso",
        "Where the source is empty, Corso may hold a value in: " + ", ".join(sorted(FILLED_BY_CORSO)) + ".",
    ),
    Tolerance("Line items", "Paired by their source line item id; their order does not matter."),
    Tolerance(
        "Fulfillments",
        "Paired by their source fulfillment id. Those that an earlier batch sent are not foreign, and not compared.",
    ),
    Tolerance(
        "Read twice",
        "A record that the listing returned twice (the same Corso id) is one record, in its latest state.",
    ),
    Tolerance(
        "Clocks",
        f"A record counts as changed in Corso when its updatedOn is more than {CLOCK_ALLOWANCE.seconds} seconds after "
        "Corso accepted it from us.",
    ),
)
"""In the order in which the report shows them."""


def ignored_columns(settings: Settings) -> frozenset[str]:
    """Return reconcile.ignore after checking it.

    Raises SettingsError for a name that is no compared column, with the nearest one that is.
    """
    known = [
        LINES,
        DISPATCHES,
        *ORDER_PATHS,
        *(f"{LINE_PREFIX}{name}" for name in LINE_ITEM_PATHS),
        *(f"{FULFILLMENT_PREFIX}{name}" for name in FULFILLMENT_PATHS),
    ]
    for name in settings.loader.reconcile.ignore:
        if name not in known:
            hint = nearest(name, known)
            message = f"{settings.path}: reconcile.ignore: no such column {name!r}; {hint}"
            raise SettingsError(message)
    return frozenset(settings.loader.reconcile.ignore)


def compared_order_columns(ignored: Iterable[str]) -> list[str]:
    """Return the columns of an order that are compared."""
    return [name for name in ORDER_PATHS if name != "source_order_id" and name not in set(ignored)]


def compared_line_columns(ignored: Iterable[str]) -> list[str]:
    """Return the columns of a line item that are compared, without their prefix."""
    return _compared(LINE_ITEM_PATHS, LINE_PREFIX, "source_line_item_id", ignored)


def compared_fulfillment_columns(ignored: Iterable[str]) -> list[str]:
    """Return the columns of a fulfillment that are compared, without their prefix."""
    return _compared(FULFILLMENT_PATHS, FULFILLMENT_PREFIX, "source_fulfillment_id", ignored)


def _compared(columns: Iterable[str], prefix: str, key: str, ignored: Iterable[str]) -> list[str]:
    left_out = set(ignored)
    return [name for name in columns if name != key and prefix + name not in left_out]


def column_type(column: str, prefix: str = "") -> pl.DataType:
    """Return the type of a compared column."""
    dtype: pl.DataType = dtypes(_SCHEMAS[prefix])[column]
    return dtype


def may_differ(column: str, prefix: str = "") -> pl.Expr:
    """Return true where the two sides are not the very same value: cheap, and never false for a difference."""
    source, corso = pl.col(column), pl.col(IN_CORSO + column)
    different = source.ne_missing(corso)
    return (
        different & source.is_not_null()
        if prefix + column in FILLED_BY_CORSO - {"order_number"}
        else different
    )


def as_compared(value: pl.Expr, column: str, prefix: str = "") -> pl.Expr:
    """Return a side's value of a column so that two sides that say the same by this do not differ.

    Not the other way round: instants are taken by the whole second.
    """
    dtype = column_type(column, prefix)
    return value.dt.truncate("1s") if dtype == INSTANT else _comparable(value, column, dtype)


def differs(column: str, prefix: str = "") -> pl.Expr:
    """Return true where the two sides of `column` differ beyond every tolerance; never null."""
    dtype = column_type(column, prefix)
    source, corso = (
        _comparable(pl.col(column), column, dtype),
        _comparable(pl.col(IN_CORSO + column), column, dtype),
    )
    different = source.ne_missing(corso)
    if dtype == INSTANT:
        apart = (source - corso).abs() >= INSTANT_TOLERANCE
        different = apart.fill_null(source.is_null() != corso.is_null())
    if column == "order_number":
        fallback = corso.is_null() | (corso == _comparable(pl.col("source_order_id"), column, TEXT))
        return pl.when(source.is_null()).then(~fallback).otherwise(different)
    if column == "canceled_reason":
        return different & ~(source.is_null() & (corso == NO_CANCEL_REASON).fill_null(value=False))
    return different & source.is_not_null() if prefix + column in FILLED_BY_CORSO else different


def _comparable(value: pl.Expr, column: str, dtype: pl.DataType) -> pl.Expr:
    if dtype != TEXT:
        return value
    if column in AS_PHONE:
        plain = value.str.replace_all(r"[^0-9+]", "")
    else:
        plain = value.str.strip_chars().str.normalize("NFC")
    if column in WITHOUT_CASE:
        plain = plain.str.to_lowercase()
    return pl.when(plain != "").then(plain)
