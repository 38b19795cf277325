"""Orders by month and state, counted from the batch's tables: in what state the orders of each month are."""

import polars as pl

ORDERS_BY_MONTH = {"month": pl.String(), "state": pl.String(), "orders": pl.Int64()}
"""One row = one month (YYYY-MM in the store's zone, or `undated`) and state, with its source orders."""


def orders_by_month(
    accepted: pl.LazyFrame,
    quarantine: pl.LazyFrame,
    *,
    outcomes: pl.LazyFrame | None,
    findings: pl.DataFrame | None,
) -> pl.DataFrame:
    """Return ORDERS_BY_MONTH.

    `accepted` has `source_order_id` and `month`, one row = one accepted order; `quarantine` is QUARANTINE. With `findings`
    (FINDINGS) the states are those of reconciling (matched, missing, different, duplicated), else with `outcomes`
    (OUTCOME_TABLE) those of the upload, else `accepted`; beside them always `quarantined`.
    """
    if findings is not None:
        states = _found(accepted, findings)
    elif outcomes is not None:
        ended = accepted.join(outcomes.select("source_order_id", "outcome"), on="source_order_id", how="left")
        states = ended.group_by("month", state="outcome").agg(orders=pl.len())
    else:
        states = accepted.group_by("month").agg(state=pl.lit("accepted"), orders=pl.len())
    columns = [pl.col(name).cast(dtype) for name, dtype in ORDERS_BY_MONTH.items()]
    parts = [states.select(columns), _quarantined(quarantine).select(columns)]
    return pl.concat(parts).filter(pl.col("orders") > 0).sort("month", "state").collect(engine="streaming")


def _found(accepted: pl.LazyFrame, findings: pl.DataFrame) -> pl.LazyFrame:
    """Count by month, not by order: what is not found wrong is matched, so that no order has to be joined."""
    wrong = (
        findings.lazy()
        .filter(
            pl.col("kind").is_in(("missing", "different", "duplicated")),
            (pl.col("cause") != "quarantined"),
            pl.col("source_fulfillment_id").is_null(),
        )
        .group_by("month", state="kind")
        .agg(orders=pl.col("source_order_id").n_unique().cast(pl.Int64))
    )
    of_month = wrong.group_by("month").agg(wrong=pl.col("orders").sum())
    matched = (
        accepted.group_by("month")
        .agg(orders=pl.len().cast(pl.Int64))
        .join(of_month, on="month", how="left")
        .select("month", state=pl.lit("matched"), orders=pl.col("orders") - pl.col("wrong").fill_null(0))
    )
    return pl.concat([matched, wrong.select("month", "state", "orders")])


def _quarantined(quarantine: pl.LazyFrame) -> pl.LazyFrame:
    """Count distinct orders; a row without an id is an order of its own."""
    rows = quarantine.filter(pl.col("table") == "orders", pl.col("kind") == "quarantined")
    has_id = pl.col("source_order_id").is_not_null()
    first = rows.sort("file", "line").filter(~has_id | pl.col("source_order_id").is_first_distinct())
    return first.group_by("month").agg(state=pl.lit("quarantined"), orders=pl.len())
