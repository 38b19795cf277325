"""Workbooks that come back: what people changed in the sheet Findings, put beside what the review says by now.

Owner, note and signed_off_by are people's to write; all else in the sheet is read only. Each row's seal tells what stood
there when the workbook was written: a row without a change says nothing, however old the copy is, and where somebody else
changed the same row since, neither is lost: the review stays as it is, and the conflict is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from corso.errors import UsageError
from corso.report.review import EDITABLE, REVIEWS, review_hashes
from schemas.fields import INSTANT, TEXT
from schemas.spreadsheet import as_they_were

SHEET = "Findings"
_READ = ("finding_id", "source_order_id", "kind", "field", *EDITABLE, "seal")
_SEAL = r"^([0-9a-f]{16})-([0-9a-f]{8})$"


@dataclass(frozen=True)
class TakenUp:
    """What was made of one workbook."""

    reviews: pl.DataFrame
    """REVIEWS as they are now."""
    rows: int
    """Rows whose change was taken up."""
    conflicts: tuple[str, ...] = ()
    """Findings that somebody else changed since, in another way: left as they are."""
    unsealed: int = 0
    """Rows that say something, but whose seal is gone or damaged: not taken up."""
    strangers: int = 0
    """Changed rows about findings that the batch never had: not taken up."""

    @property
    def is_whole(self) -> bool:
        """Whether everything in it was taken up, so that the workbook is not needed any more."""
        return not (self.conflicts or self.unsealed or self.strangers)

    def sentences(self, name: str) -> Iterator[str]:
        """Say what was not taken up, and that something was; without anything that people wrote."""
        if self.rows:
            yield f"{name}: what was written of {_count(self.rows)} was taken up into the review."
        if self.conflicts:
            some = ", ".join(self.conflicts[:5]) + (", …" if len(self.conflicts) > 5 else "")
            yield (
                f"{name}: {_count(len(self.conflicts))} were changed here and elsewhere since this copy was written, and "
                f"stay as the review says: {some}. Write it again into the new workbook where it is still meant."
            )
        if self.unsealed:
            yield (
                f"{name}: {_count(self.unsealed)} have lost their seal (the sheet's last column), and were not taken up."
            )
        if self.strangers:
            yield f"{name}: {_count(self.strangers)} are of no reconciliation of this batch, and were not taken up."


def read_returned(path: Path) -> pl.DataFrame:
    """Return the rows of a workbook's sheet Findings, as text: the columns of `_READ`.

    Raises UsageError where the file cannot be read, or is no such workbook.
    """
    try:
        sheet = pl.read_excel(
            path, sheet_name=SHEET, engine="calamine", infer_schema_length=0, drop_empty_cols=False
        )
    # calamine, zip and XML each have errors of their own, and a damaged file may raise any of them.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"{path.name} cannot be read as a workbook with the sheet {SHEET} ({reason})"
        raise UsageError(message) from error
    missing = [name for name in _READ if name not in sheet.columns]
    if missing:
        message = (
            f"{path.name}: the sheet {SHEET} has no column {missing[0]}; its headers must stay as they were"
        )
        raise UsageError(message)
    text = sheet.select(as_they_were(pl.col(name).cast(TEXT).str.strip_chars()) for name in _READ)
    return text.with_columns(pl.when(pl.col(name) != "").then(pl.col(name)) for name in _READ)


def take_up(returned: pl.DataFrame, reviews: pl.DataFrame, known: pl.Series, now: datetime) -> TakenUp:
    """Put what was changed in a workbook into the review.

    `returned` as of `read_returned`; `known` are the ids of the batch's findings, open and healed. Who signs, signs
    what the sheet showed: its seal says what that was; when is `now`.
    """
    rows = returned.filter(pl.col("finding_id").is_not_null()).unique("finding_id", keep="last")
    rows = rows.with_columns(
        review_hashes(rows).alias("written"),
        pl.col("seal").str.extract(_SEAL, 1).alias("state"),
        pl.col("seal").str.extract(_SEAL, 2).alias("shown"),
    )
    says_something = pl.any_horizontal(pl.col(name).is_not_null() for name in EDITABLE)
    unsealed = rows.filter(pl.col("shown").is_null() & says_something).height
    changed = rows.filter(pl.col("written") != pl.col("shown"))
    ours = changed.filter(
        pl.col("finding_id").is_in(known.implode())
        | pl.col("finding_id").is_in(reviews["finding_id"].implode())
    )
    beside = ours.join(
        reviews.select("finding_id", pl.exclude("finding_id").name.prefix("now_")),
        on="finding_id",
        how="left",
    )
    now_says = review_hashes(beside.select(pl.col(f"now_{name}").alias(name) for name in EDITABLE))
    beside = beside.with_columns(now_says.alias("now_says")).filter(pl.col("now_says") != pl.col("written"))
    fits = pl.col("now_says") == pl.col("shown")
    changes = beside.filter(fits).select(_as_review(now))
    rest = reviews.join(changes, on="finding_id", how="anti")
    conflicts = beside.filter(~fits)["finding_id"].sort().to_list()
    return TakenUp(
        pl.concat([rest, changes]),
        changes.height,
        tuple(conflicts),
        unsealed,
        changed.height - ours.height,
    )


def _as_review(now: datetime) -> list[pl.Expr]:
    """Return the columns of REVIEWS out of a changed row and the review so far."""
    signer = pl.col("signed_off_by")
    signs = signer.is_not_null() & signer.ne_missing(pl.col("now_signed_off_by"))
    keeps = signer.is_not_null() & ~signs
    values = {
        "signed_off_at": pl.when(signs).then(pl.lit(now).cast(INSTANT)).when(keeps).then("now_signed_off_at"),
        "signed_state": pl.when(signs).then("state").when(keeps).then("now_signed_state"),
        "fallen_sign_off": pl.when(signer.is_null()).then("now_fallen_sign_off"),
    }
    return [values.get(name, pl.col(name)).cast(dtype).alias(name) for name, dtype in REVIEWS.items()]


def _count(number: int) -> str:
    return f"{number:,} finding{'' if number == 1 else 's'}"
