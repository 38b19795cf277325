"""The money of a batch and of its records in Corso, per currency and month; exact."""

from collections.abc import Iterable

import polars as pl

from corso.report.pairing import Paired
from schemas.fields import MONEY, TEXT
from schemas.money import month_of

COLUMNS = {"currency": TEXT, "month": TEXT, "source": MONEY, "accepted": MONEY, "corso": MONEY}
_OF_ORDER = ("source_order_id", "currency", "has_currency", "source_created_on", "source_total")


def range_totals(
    orders: pl.DataFrame,
    paired: Paired,
    quarantined: pl.DataFrame,
    time_zone: str,
    *,
    by_its_own_currency: bool,
) -> pl.DataFrame:
    """Return one range's sums, with the columns of COLUMNS; `orders` as in `corso.report.pairing.pair`.

    A record counts in the month of the source's order; and in the order's currency, unless the source names one, the
    record another, and currencies are compared (`by_its_own_currency`): two currencies are never added up.
    What is not apart is equal, its total and its currency too: it counts on both sides as the source says.
    """
    nothing = pl.lit(0).cast(MONEY)
    apart = paired.apart.select(*_OF_ORDER, "class", "record_currency", "corso_total")
    surplus = apart.select(_OF_ORDER).join(
        paired.surplus.select("source_order_id", "record_currency", "corso_total"), on="source_order_id"
    )
    single = apart.filter(pl.col("class") == "single").select(surplus.columns)
    own = pl.when(pl.col("has_currency") & by_its_own_currency).then("record_currency")
    held = pl.concat([single, surplus]).with_columns(currency=pl.coalesce(own, "currency"))
    of_all = _by_month(orders, "source_total", time_zone)
    parts = [
        of_all.select("currency", "month", source="total", accepted="total", corso="total"),
        _by_month(apart, "source_total", time_zone).select(
            "currency", "month", source=nothing, accepted=nothing, corso=-pl.col("total")
        ),
        _by_month(held, "corso_total", time_zone).select(
            "currency", "month", source=nothing, accepted=nothing, corso="total"
        ),
        quarantined.filter(pl.col("source_total").is_not_null()).select(
            "currency", "month", source="source_total", accepted=nothing, corso=nothing
        ),
    ]
    return sum_up(parts)


def sum_up(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return the sums of several parts, sorted by currency and month."""
    rows = pl.concat(
        [
            pl.DataFrame(schema=COLUMNS),
            *(part.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items()) for part in parts),
        ]
    )
    sums = rows.group_by("currency", "month").agg(pl.col("source", "accepted", "corso").sum())
    return sums.cast(pl.Schema(COLUMNS)).sort("currency", "month")


def _by_month(orders: pl.DataFrame, total: str, time_zone: str) -> pl.DataFrame:
    """Return currency, month, total. The month is written once for each, not for each order."""
    local = pl.col("source_created_on").dt.convert_time_zone(time_zone)
    sums = (
        orders.lazy()
        .group_by("currency", local.dt.year().alias("year"), local.dt.month().alias("number"))
        .agg(pl.col("source_created_on").first(), total=pl.col(total).sum())
        .collect(engine="streaming")
    )
    return sums.with_columns(month=month_of(pl.col("source_created_on"), time_zone))
