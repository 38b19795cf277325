"""The review: what people say of findings, kept for the store in one file that no run loses.

review.csv lies in the store's folder, beside the batches: one row = one finding that somebody said something of. It is
a CSV file because people read it, a spreadsheet opens it, and version control shows what changed; it stays small, as it
holds what people typed. A finding that healed keeps its row: it may come back.

A sign-off is of the finding as it was. `signed_state` is a hash of what the finding said then; when the finding says
something else, the sign-off falls, and the finding says whose fell until somebody signs it again.

Each finding carries a seal: what it says, and what its review says, as hashes. In a copy of the row that comes back from
a spreadsheet it tells what was changed there, and whether somebody else was quicker (`corso.report.returned`).
"""

import hashlib
from pathlib import Path

import polars as pl

from corso.errors import UsageError
from corso.report.atomic import replacing
from schemas.fields import INSTANT, TEXT
from schemas.spreadsheet import as_they_were, harmless

REVIEWS = {
    "finding_id": TEXT,
    "source_order_id": TEXT,
    "kind": TEXT,
    "field": TEXT,
    "owner": TEXT,
    "note": TEXT,
    "signed_off_by": TEXT,
    "signed_off_at": INSTANT,
    "signed_state": TEXT,
    "fallen_sign_off": TEXT,
}
"""The columns of review.csv. Order, kind and field are there for people; the id is what counts."""
EDITABLE = ("owner", "note", "signed_off_by")
"""What people write."""
_TIME = "%Y-%m-%dT%H:%M:%S%.fZ"


def read_reviews(path: Path) -> pl.DataFrame:
    """Return REVIEWS as they are kept; none where there is no file.

    Raises UsageError where the file cannot be read as one: a run must not go on and write it anew.
    """
    if not path.exists():
        return pl.DataFrame(schema=REVIEWS)
    try:
        rows = pl.read_csv(path, infer_schema=False, glob=False)
        missing = [name for name in REVIEWS if name not in rows.columns]
        if missing:
            message = f"{path}: the column {missing[0]} is missing; put it back, or move the file away to begin anew"
            raise UsageError(message)
        plain = rows.select(as_they_were(pl.col(list(REVIEWS))))
        at = pl.col("signed_off_at").str.to_datetime(_TIME, time_unit="us", time_zone="UTC")
        kept = plain.with_columns(at)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        message = f"{path} cannot be read ({reason}); mend it, or move it away to begin anew"
        raise UsageError(message) from error
    ids = kept["finding_id"]
    if ids.is_null().any() or ids.is_duplicated().any():
        message = f"{path}: a finding_id is empty or stands there twice; mend it, or move the file away to begin anew"
        raise UsageError(message)
    return kept


def write_reviews(reviews: pl.DataFrame, path: Path) -> None:
    """Write review.csv; a reader sees the old file or the new one."""
    rows = reviews.sort("finding_id").with_columns(pl.col("signed_off_at").dt.strftime(_TIME))
    with replacing(path) as draft:
        rows.select(harmless(pl.col(name)) for name in REVIEWS).write_csv(draft)


def reviewed(findings: pl.DataFrame, reviews: pl.DataFrame) -> pl.DataFrame:
    """Return findings with what people say of them, and their seals.

    A sign-off of what a finding does not say any more is not shown as one: `fallen_sign_off` says whose it was.
    """
    said = reviews.select(
        "finding_id", *EDITABLE, "signed_off_at", "signed_state", fell_before="fallen_sign_off"
    )
    states = states_of(findings)
    stands = pl.col("signed_state") == pl.col("state")
    fell = pl.format(
        "The sign-off of {} ({}) fell: the finding says something else since.",
        "signed_off_by",
        pl.col("signed_off_at").dt.strftime("%Y-%m-%d"),
    )
    shown = (
        findings.drop(*EDITABLE, "signed_off_at", "fallen_sign_off")
        .with_columns(states.alias("state"))
        .join(said, on="finding_id", how="left", maintain_order="left")
        .with_columns(
            pl.when(stands).then("signed_off_by"),
            pl.when(stands).then("signed_off_at"),
            fallen_sign_off=pl.when(pl.col("signed_state").is_not_null() & ~stands)
            .then(fell)
            .otherwise("fell_before"),
        )
    )
    seals = pl.concat_str("state", pl.lit("-"), review_hashes(shown))
    return shown.with_columns(seal=seals).select(findings.columns)


def drop_fallen(fallen: pl.DataFrame, reviews: pl.DataFrame, path: Path) -> None:
    """Take the sign-offs that fell out of review.csv; `fallen` are FINDINGS whose `fallen_sign_off` says so."""
    signed = pl.col("signed_state").is_not_null()
    said = fallen.select("finding_id", said="fallen_sign_off").unique("finding_id")
    falls = reviews.filter(signed).join(said, on="finding_id")
    if falls.is_empty():
        return
    cleared = falls.with_columns(
        pl.lit(None, TEXT).alias("signed_off_by"),
        pl.lit(None, INSTANT).alias("signed_off_at"),
        pl.lit(None, TEXT).alias("signed_state"),
        fallen_sign_off="said",
    )
    rest = reviews.join(falls, on="finding_id", how="anti")
    write_reviews(pl.concat([rest, cleared.select(list(REVIEWS))]), path)


def states_of(findings: pl.DataFrame) -> pl.Series:
    """Return, for each finding, a hash of what it says: cause, values, and the money of whole orders.

    The money of an order stands on the first of its findings, which may be another one tomorrow: it is not part of
    what a finding about a field says.
    """
    of_order = pl.col("kind") == "missing"
    of_record = pl.col("kind").is_in(["foreign", "duplicated"])
    text = _joined(
        *(pl.col(name) for name in ("cause", "source_value", "corso_value")),
        pl.when(of_order).then(pl.col("source_money").cast(TEXT)),
        pl.when(of_record).then(pl.col("corso_money").cast(TEXT)),
    )
    return _hashes(findings.select(text.alias("text"))["text"], 16)


def review_hashes(rows: pl.DataFrame) -> pl.Series:
    """Return, for each row with the columns of EDITABLE, a hash of what people wrote."""
    texts = rows.select(_joined(*EDITABLE).alias("text"))["text"]
    # Nearly all are the same: nobody wrote anything.
    different = texts.unique()
    return texts.replace_strict(different, _hashes(different, 8), return_dtype=TEXT)


def _joined(*parts: pl.Expr | str) -> pl.Expr:
    texts = [pl.col(part) if isinstance(part, str) else part for part in parts]
    return pl.concat_str((text.fill_null("\x00") for text in texts), separator="\x1f")


def _hashes(texts: pl.Series, digits: int) -> pl.Series:
    return pl.Series([hashlib.sha256(each.encode()).hexdigest()[:digits] for each in texts], dtype=TEXT)
