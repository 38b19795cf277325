"""The reconciliation's tables: outcomes (one row = one source order) and findings (one row = one difference)."""

import pandera.polars as pa
import polars as pl

from schemas.fields import INSTANT, MONEY

ACTIONS = ("create", "update", "cancel", "unchanged")
"""What the plan means to do with an order."""

OUTCOMES = ("created", "updated", "cancelled", "unchanged", "rejected", "unknown", "not_sent")
"""How an accepted order ended in this batch; the order of the words is the order of the reports."""

KINDS = ("missing", "different", "duplicated", "foreign")
"""What is wrong between the source and Corso."""

CAUSES = (
    "quarantined",
    "rejected",
    "unknown",
    "not_sent",
    "changed_in_corso",
    "changed_in_source_since",
    "duplicate",
    "foreign",
    "unexplained",
)
"""Why; `unexplained` is what the ledger cannot name."""

OUTCOME_TABLE = pa.DataFrameSchema(
    {
        "source_order_id": pa.Column(pl.String, unique=True, description="The order."),
        "action": pa.Column(pl.String, pa.Check.isin(ACTIONS), description="What the plan meant to do."),
        "outcome": pa.Column(pl.String, pa.Check.isin(OUTCOMES), description="How it ended."),
        "corso_order_id": pa.Column(pl.String, nullable=True, description="Corso's id, where it is known."),
        "reason": pa.Column(
            pl.String, nullable=True, description="Why it was rejected, is unknown or was not sent."
        ),
        "accepted_at": pa.Column(
            INSTANT, nullable=True, description="When Corso last accepted the order from us."
        ),
        "holds_planned": pa.Column(
            pl.Boolean,
            description="Whether what Corso last accepted from us is what the plan holds (equal payload hash).",
        ),
    },
    strict=True,
    name="outcomes",
)

FINDINGS = pa.DataFrameSchema(
    {
        "finding_id": pa.Column(
            pl.String, description="The same for the same difference on every run: 16 hexadecimal digits."
        ),
        "kind": pa.Column(pl.String, pa.Check.isin(KINDS), description="What is wrong."),
        "cause": pa.Column(pl.String, pa.Check.isin(CAUSES), description="Why."),
        "source_order_id": pa.Column(
            pl.String, nullable=True, description="The order on the source platform."
        ),
        "corso_order_id": pa.Column(pl.String, nullable=True, description="The record in Corso."),
        "source_line_item_id": pa.Column(
            pl.String, nullable=True, description="The line, where the difference is in one."
        ),
        "field": pa.Column(
            pl.String, nullable=True, description="The column that differs; empty for whole orders."
        ),
        "source_value": pa.Column(pl.String, nullable=True, description="What the source says, as text."),
        "corso_value": pa.Column(pl.String, nullable=True, description="What Corso says, as text."),
        "currency": pa.Column(pl.String, nullable=True, description="The order's currency."),
        "month": pa.Column(pl.String, nullable=True, description="YYYY-MM of the order in the store's zone."),
        "source_money": pa.Column(
            MONEY,
            nullable=True,
            description="The order's total in the source; on the order's first finding only.",
        ),
        "corso_money": pa.Column(
            MONEY,
            nullable=True,
            description="The record's total in Corso; on the record's first finding only.",
        ),
        "file": pa.Column(pl.String, nullable=True, description="Where the order stands in the exports."),
        "line": pa.Column(pl.Int64, nullable=True, description="The line in that file."),
        "first_seen": pa.Column(
            INSTANT,
            description="The first reconciliation of the store that had this finding, in whichever batch.",
        ),
        "age_days": pa.Column(pl.Int32, description="Whole days from `first_seen` to this reconciliation."),
        "owner": pa.Column(pl.String, nullable=True, description="Who looks after it; from the review."),
        "note": pa.Column(pl.String, nullable=True, description="What they say of it; from the review."),
        "signed_off_by": pa.Column(
            pl.String, nullable=True, description="Who signed it off as it stands; from the review."
        ),
        "signed_off_at": pa.Column(
            INSTANT, nullable=True, description="When the sign-off was taken up; empty where there is none."
        ),
        "fallen_sign_off": pa.Column(
            pl.String,
            nullable=True,
            description="Says whose sign-off fell, and why: the finding's values have changed since.",
        ),
        "source_fulfillment_id": pa.Column(
            pl.String, nullable=True, description="The fulfillment, where the finding is about one."
        ),
        "seal": pa.Column(
            pl.String,
            nullable=True,
            description="Tells what was changed in a copy of this row: hashes of what it says, and of its review.",
        ),
    },
    strict=True,
    name="findings",
)

HEALED = pa.DataFrameSchema(
    {
        **FINDINGS.columns,
        "healed_at": pa.Column(
            INSTANT, description="The first reconciliation that did not find it any more."
        ),
    },
    strict=True,
    name="healed",
)
"""One row = one finding of an earlier reconciliation of the batch that is gone; as it was found last."""
