"""Why an order is not in Corso, or not as the source has it: the ledger's outcome read as a cause.

Expressions over a frame with the columns of OUTCOME_TABLE and the record's `updated_on`. What the ledger cannot
name is `unexplained`, and one unexplained finding is enough for exit code 1.
"""

import polars as pl

from corso.report.tolerances import CLOCK_ALLOWANCE

UNSETTLED = ("rejected", "unknown", "not_sent")
"""Outcomes after which Corso does not hold what the plan holds; each is a cause of the same name."""


def cause_of_missing() -> pl.Expr:
    """Return why an accepted order has no record: a settled order that is not there is unexplained."""
    return (
        pl.when(pl.col("outcome").is_in(UNSETTLED)).then(pl.col("outcome")).otherwise(pl.lit("unexplained"))
    )


def cause_of_difference() -> pl.Expr:
    """Return why an order's only record differs.

    Corso holds what the plan holds: someone changed it there since, or it is unexplained. It does not: this batch
    could not bring it up to date (the outcome says why), or a later plan of the same order was sent since.
    """
    changed_since = pl.col("updated_on") > pl.col("accepted_at") + CLOCK_ALLOWANCE
    return (
        pl.when(pl.col("outcome").is_null())
        .then(pl.lit("unexplained"))
        .when(pl.col("holds_planned"), changed_since.fill_null(value=False))
        .then(pl.lit("changed_in_corso"))
        .when(pl.col("holds_planned"))
        .then(pl.lit("unexplained"))
        .when(pl.col("outcome").is_in(UNSETTLED))
        .then(pl.col("outcome"))
        .otherwise(pl.lit("changed_in_source_since"))
    )
