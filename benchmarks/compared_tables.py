"""Made-up sides for comparing: orders and lines as they were accepted, and a listing with known damage.

Of a thousand orders one has a cent more in Corso, one another note, one another city, one a line at another price; of two
thousand one is missing and a foreign one is there; of five thousand one is there twice.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from schemas.fields import INSTANT, MONEY, NUMBER, dtypes
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.listing import LISTED_LINE_ITEM, LISTING
from schemas.orders import ORDER_PATHS, ORDERS

LINES_AN_ORDER = 2
_SENT_S = 1_790_000_000
_CENT = pl.lit("0.01").cast(MONEY)
_FIRST_NAMES = ("Ann", "Jürgen", "Zoë", "Liam", "Priya")
_LAST_NAMES = ("Lee", "Müller", "García", "van der Berg")
_CITIES = ("Boston", "New York", "San José", "Austin", "München")
_STATES = ("MA", "NY", "CA", "TX", "BY")


@dataclass(frozen=True)
class Expected:
    """How many orders are in which class."""

    missing: int
    different: int
    duplicated: int
    foreign: int


def write_tables(folder: Path, orders: int) -> Expected:
    """Write orders, lines, listing and outcomes as Parquet; return what comparing them must find."""
    folder.mkdir(parents=True, exist_ok=True)
    table = _orders(orders)
    table.write_parquet(folder / "orders.parquet", compression="zstd")
    lines = _lines(orders)
    lines.write_parquet(folder / "line_items.parquet", compression="zstd")
    _outcomes(table).write_parquet(folder / "outcomes.parquet", compression="zstd")
    _listing(table, lines).write_parquet(folder / "listing.parquet", compression="zstd")
    of = {every: len(range(first, orders, every)) for every, first in ((2000, 5), (5000, 7))}
    different = sum(len(range(first, orders, 1000)) for first in (1, 2, 3, 4))
    return Expected(of[2000], different, of[5000], of[2000])


def _orders(count: int) -> pl.DataFrame:
    place = pl.col("place")
    values = {
        "source_order_id": pl.format("o-{}", place + 1_000_000),
        "order_number": (place + 1_000_000).cast(pl.String),
        "order_name": pl.format("#{}", place + 1_000_000),
        "is_shipping_protected": place % 3 == 0,
        "customer_source_customer_id": pl.format("c-{}", place * 7 % 300_000),
        "customer_first_name": _one_of(_FIRST_NAMES),
        "customer_last_name": _one_of(_LAST_NAMES),
        "customer_email": pl.format("customer.{}@example.com", place * 7 % 300_000),
        "customer_phone": pl.format("+1202555{}", place * 7 % 9000 + 1000),
        "source_created_on": _instant(1_700_000_000 + place * 37),
        "source_updated_on": _instant(1_700_009_000 + place * 37),
        "shipping_money": _money(place % 3 * 495),
        "subtotal_money": _money(place * 7919 % 50_000),
        "tax_money": _money(place * 7919 % 5_000),
        "grams": (place % 5000).cast(NUMBER),
        "shipping_title": pl.lit("Standard shipping, 3 to 5 days"),
        "channel": pl.lit("web"),
        "customer_currency_code": pl.when(place % 10 == 0).then(pl.lit("EUR")).otherwise(pl.lit("USD")),
        "notes": pl.when(place % 7 == 0).then(pl.format("Please ring {} times", place % 9)),
    }
    for which in ("billing", "shipping"):
        values |= {
            f"{which}_address_line1": pl.format("{} Main Street, Suite {}", place % 1999, place % 77),
            f"{which}_address_city": _one_of(_CITIES),
            f"{which}_address_state_or_province_code": _one_of(_STATES),
            f"{which}_address_postal_code": (10_000 + place % 80_000).cast(pl.String),
            f"{which}_address_country_code": pl.lit("US"),
        }
    frame = pl.DataFrame({"place": pl.int_range(count, eager=True)}).with_columns(**values)
    total = pl.sum_horizontal("shipping_money", "subtotal_money", "tax_money")
    frame = frame.with_columns(total_money=total.cast(MONEY), file=pl.lit("orders.csv"), line=place + 2)
    return _shaped(frame, dtypes(ORDERS))


def _lines(orders: int) -> pl.DataFrame:
    row = pl.int_range(orders * LINES_AN_ORDER, eager=True)
    frame = pl.DataFrame({"place": row // LINES_AN_ORDER, "number": row % LINES_AN_ORDER})
    place, product = pl.col("place"), (pl.col("place") + pl.col("number")) % 90
    frame = frame.with_columns(
        source_order_id=pl.format("o-{}", place + 1_000_000),
        source_line_item_id=pl.format("{}{}", place + 5_000_000, "number"),
        name=pl.format("Mug no. {}, blue", product),
        quantity=(product % 3 + 1).cast(NUMBER),
        sku=pl.format("MUG-{}", product),
        tax=_money(place * 31 % 900),
        price=_money(place * 37 % 9000),
        product_id=pl.format("81{}", product),
        variant_id=pl.format("91{}", product),
        vendor=pl.lit("Clayworks"),
        file=pl.lit("line_items.csv"),
        line=place * LINES_AN_ORDER + pl.col("number") + 2,
    )
    return _shaped(frame, dtypes(LINE_ITEMS))


def _listing(orders: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    cheaper = pl.when(pl.int_range(pl.len()) % (1000 * LINES_AN_ORDER) == 4 * LINES_AN_ORDER)
    there = lines.with_columns(price=cheaper.then(pl.col("price") + _CENT).otherwise("price"))
    nested = there.group_by("source_order_id", maintain_order=True).agg(
        line_items=pl.struct(list(LINE_ITEM_PATHS)).cast(LISTED_LINE_ITEM)
    )
    records = pl.concat([orders.select(list(ORDER_PATHS)), nested.select("line_items")], how="horizontal")
    place = pl.int_range(pl.len())
    records = records.with_columns(
        corso_order_id=(place + 1).cast(pl.String),
        store_id=pl.lit(9359).cast(NUMBER),
        created_on=_instant(pl.lit(_SENT_S)),
        updated_on=_instant(pl.lit(_SENT_S)),
        total_money=pl.when(place % 1000 == 1).then(pl.col("total_money") + _CENT).otherwise("total_money"),
        notes=pl.when(place % 1000 == 2).then(pl.lit("changed")).otherwise("notes"),
        shipping_address_city=pl.when(place % 1000 == 3)
        .then(pl.lit("Elsewhere"))
        .otherwise("shipping_address_city"),
        source_order_id=pl.when(place % 2000 == 5)
        .then(pl.format("live-{}", place))
        .otherwise("source_order_id"),
    )
    copies = records.filter(pl.int_range(pl.len()) % 5000 == 7).with_columns(
        corso_order_id=pl.format("copy-{}", "corso_order_id")
    )
    return pl.concat([records, copies]).select(list(dtypes(LISTING)))


def _outcomes(orders: pl.DataFrame) -> pl.DataFrame:
    return orders.select(
        "source_order_id",
        action=pl.lit("create"),
        outcome=pl.lit("created"),
        corso_order_id=(pl.int_range(pl.len()) + 1).cast(pl.String),
        reason=pl.lit(None, pl.String),
        accepted_at=_instant(pl.lit(_SENT_S)),
        holds_planned=pl.lit(value=True),
    )


def _one_of(values: tuple[str, ...]) -> pl.Expr:
    return pl.lit(pl.Series(values)).gather(pl.col("place") % len(values))


def _money(cents: pl.Expr) -> pl.Expr:
    return (cents.cast(MONEY) * _CENT).cast(MONEY)


def _instant(seconds: pl.Expr) -> pl.Expr:
    return (pl.lit(0).cast(INSTANT) + pl.duration(seconds=seconds)).cast(INSTANT)


def _shaped(frame: pl.DataFrame, wanted: dict[str, pl.DataType]) -> pl.DataFrame:
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in wanted.items()
    )
