"""The findings as the page's script reads them: columns of JSON, so that a hundred thousand are a few megabytes.

A column of few words is written as its words, sorted, and a number for each row, so that the script compares numbers where
it filters and sorts. The text is harmless inside a script element: it holds no `<`.
"""

import json
from collections.abc import Iterable
from typing import Any

import polars as pl

from corso.report.bridge import CURRENCY_FIELD, rows_of
from corso.report.masking import masked_texts, masked_values, shown, shown_values
from corso.report.opened import OpenedOrder
from schemas.fields import MONEY, TEXT

FINDINGS_ON_PAGE = 100_000
"""More than that is for the workbook and the Parquet file; the gravest come first."""

_VALUES = ("source_value", "corso_value")
_FREE_TEXT = ("note",)
_TEXTS = (
    "finding_id",
    "kind",
    "cause",
    "source_order_id",
    "corso_order_id",
    "source_line_item_id",
    "source_fulfillment_id",
    "field",
    *_VALUES,
    "currency",
    "month",
    "file",
    "owner",
    *_FREE_TEXT,
    "signed_off_by",
    "fallen_sign_off",
)
_AMOUNTS = ("source_money", "corso_money", "apart", "apart_in_corso")
_INSTANTS = ("first_seen", "signed_off_at")
_NUMBERS = ("line", "age_days")
MONEY_STEPS = (
    "quarantined",
    "rejected",
    "unknown",
    "not_sent",
    "changed",
    "duplicate",
    "unexplained",
    "foreign",
)
"""Steps of the money bridge that are made of findings."""
_MOST_WORDS = 0.25
"""A text is written as words where at most this part of a column's rows are different ones."""


def embedded_findings(findings: pl.DataFrame, *, personal: bool) -> str:
    """Return the first FINDINGS_ON_PAGE of FINDINGS as JSON: `{"rows": N, "columns": {name: column}}`.

    A column is `{"words": […], "codes": […]}` (a code is the place of a word, -1 for none) or `{"values": […]}`; one
    without any value is left out. Amounts are text with all their decimals; `apart` is source less Corso. A record that
    names another currency (`corso_currency`) is apart in both: by the source's amount in `currency`, by its own, less than
    nothing, in that one (`apart_in_corso`). So the steps of the money are the sums of what is shown; `steps` names the steps of the money bridge that a finding is part of. `personal` says that personal data is shown, not veiled.
    """
    frame = _as_shown(findings.head(FINDINGS_ON_PAGE), personal=personal)
    columns = {column.name: _column(column) for column in frame if column.null_count() < frame.height}
    return as_json({"rows": frame.height, "columns": columns})


def as_json(value: Any) -> str:
    """Write JSON that may stand in a script element of a page."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def amount_text(amount: pl.Expr) -> pl.Expr:
    """Write an amount with at least two decimals, and no zeros beyond them."""
    return amount.cast(TEXT).str.replace(r"(\.\d\d\d*?)0+$", "${1}")


def _as_shown(findings: pl.DataFrame, *, personal: bool) -> pl.DataFrame:
    if not personal:
        findings = masked_values(findings, "field", *_VALUES).with_columns(
            masked_texts(pl.col(name)) for name in _FREE_TEXT
        )
    nothing = pl.lit(0).cast(MONEY)
    source, corso = (pl.col(f"{side}_money").fill_null(nothing) for side in ("source", "corso"))
    steps = pl.concat_str(
        [pl.when(rows_of(name)).then(pl.lit(name)) for name in MONEY_STEPS], separator=" ", ignore_nulls=True
    )
    corso_currency = pl.when(pl.col("kind") == "different", pl.col("field") == CURRENCY_FIELD).then(
        "corso_value"
    )
    is_other = corso_currency.is_not_null()
    apart, apart_in_corso = pl.when(is_other).then(source).otherwise(source - corso), -corso
    return findings.with_columns(
        pl.when(apart != 0).then(apart).alias("apart"),
        pl.when(is_other, corso != 0).then(apart_in_corso).alias("apart_in_corso"),
        corso_currency.alias("corso_currency"),
    ).select(
        shown_values(pl.col("corso_currency")),
        pl.when(steps != "").then(steps).alias("steps"),
        *(shown_values(pl.col(name)) for name in _TEXTS),
        *(amount_text(pl.col(name)) for name in _AMOUNTS),
        *(pl.col(name).dt.strftime("%Y-%m-%d %H:%M") for name in _INSTANTS),
        *_NUMBERS,
    )


def _column(column: pl.Series) -> dict[str, Any]:
    if column.dtype != TEXT:
        return {"values": column.to_list()}
    words = column.drop_nulls().unique().sort()
    if len(words) > _MOST_WORDS * len(column) and len(words) > 1:
        return {"values": column.to_list()}
    codes = (column.rank("dense").cast(pl.Int64) - 1).fill_null(-1)
    return {"words": words.to_list(), "codes": codes.to_list()}


def embedded_orders(orders: Iterable[OpenedOrder]) -> str:
    """Return the opened orders as JSON: order id -> outcome, what was said, the sides' titles, the fields' rows."""
    return as_json(
        {
            shown(order.source_order_id) or "": {
                "outcome": order.outcome,
                "said": order.said,
                "sides": order.columns,
                "rows": order.rows,
                "left_out": order.left_out,
            }
            for order in orders
        }
    )
