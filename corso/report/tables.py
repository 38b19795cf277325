"""The report's small tables, from the findings: by cause, by field, by owner, the healed ones; what each cause means."""

from typing import Any

import polars as pl

from corso.report.masking import masked_texts, masked_values, shown_values

CAUSE_WORDS = {
    "quarantined": ("The order did not pass validation and was not sent.", "Mend the export by the remedies below and load again. A record that somebody else wrote under its id is then brought up to date."),
    "rejected": ("Corso refused the order.", "Mend what the reason names, then retry."),
    "unknown": ("It was sent, but no usable answer came, and looking it up was not possible yet.", "Run retry: it looks the order up before anything is sent."),
    "not_sent": ("It was not sent.", "Run upload or retry."),
    "changed_in_corso": ("Corso held what the source says, and somebody changed it there since.", "Decide which side is right."),
    "changed_in_source_since": ("Corso holds what another of our batches brought, in general a later one; or the order was cancelled there, after which Corso changes nothing of it.", "Reconcile that batch; what is cancelled only Corso can change."),
    "duplicate": ("Corso holds more than one record of the order.", "Cancel the surplus record in Corso, and sign it off; the ledger's own is marked. The API removes none: it stays a difference until Corso takes it away."),
    "foreign": ("Another integration wrote the record.", "Nothing, if a live integration writes to this store."),
    "unexplained": ("The ledger cannot say why.", "Trace the order, and report it if the trace does not explain it."),
}  # fmt: skip
"""Cause -> what it means, what to do."""


def by_cause(findings: pl.DataFrame) -> pl.DataFrame:
    """Return `kind`, `cause`, `findings`, `orders`; the most frequent first, the foreign last."""
    return (
        findings.group_by("kind", "cause")
        .agg(findings=pl.len(), orders=pl.struct("source_order_id", "file", "line").n_unique())
        .sort(pl.col("kind") == "foreign", "orders", "kind", "cause", descending=[False, True, False, False])
    )


def by_field(findings: pl.DataFrame) -> pl.DataFrame:
    """Return, for every field that differs: `field`, `orders`, `only_in_source`, `only_in_corso`, `conflicting`."""
    no_source, no_corso = pl.col("source_value").is_null(), pl.col("corso_value").is_null()
    return (
        findings.filter(pl.col("field").is_not_null(), kind="different")
        .group_by("field")
        .agg(
            orders=pl.col("source_order_id").n_unique(),
            only_in_source=(~no_source & no_corso).sum(),
            only_in_corso=(no_source & ~no_corso).sum(),
            conflicting=(~no_source & ~no_corso).sum(),
        )
        .sort("orders", "field", descending=[True, False])
    )


def by_owner(findings: pl.DataFrame) -> pl.DataFrame:
    """Return the work list: `owner` (null: nobody), `findings`, `signed_off`, `oldest_days`; nobody's last."""
    return (
        findings.group_by("owner")
        .agg(
            findings=pl.len(),
            signed_off=pl.col("signed_off_by").count(),
            oldest_days=pl.col("age_days").filter(pl.col("signed_off_by").is_null()).max(),
        )
        .sort("owner", nulls_last=True)
    )


def healed_rows(healed: pl.DataFrame, *, personal: bool) -> list[dict[str, Any]]:
    """Return rows of HEALED as the page shows them; `personal` says that personal data is shown, not veiled."""
    values = ("source_value", "corso_value")
    if not personal:
        healed = masked_values(healed, "field", *values).with_columns(masked_texts(pl.col("note")))
    texts = [name for name, dtype in healed.schema.items() if dtype == pl.String]
    return healed.with_columns(shown_values(pl.col(name)) for name in texts).to_dicts()
