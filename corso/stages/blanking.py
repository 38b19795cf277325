"""Personal data taken out of a batch's files, in place: of some orders, or of all of them.

What stays of a row is what counts and what ties: ids, instants, amounts, currencies, country and state, merchandise, states,
hashes. Every other text becomes null, whatever its column is called: what a merchant adds is as personal as the rest. Values
that differed between source and Corso stay different, so that a batch compared again gives the same classes.

A file is rewritten beside the old one, its amendment written down, and only then put in its place: who is killed in between
does it again.
"""

import csv
import io
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from corso.extract.files import fingerprint
from corso.report.amendments import Amendment, add_amendment
from corso.report.atomic import replacing
from corso.report.masking import is_personal
from corso.report.results import ADDED_TO_QUARANTINE, ADDED_TO_RESULTS
from corso.stages.batch import Batch
from schemas.raw import ORIGINAL

ERASED = "[erased]"
"""Stands where something has to stand."""

_KEPT = re.compile(
    r"file|line|month|kind|cause|field|table|subject|action|outcome|finding_id|(payload|content)_hash"
    r"|(source|corso)_(order|line_item|fulfillment)_id|order_(number|name)|product_id|variant_id|sku|name|vendor|img_url"
    r"|(customer_)?currency(_code|_conversion_rate)?|is_shipping_protected|channel(_id)?|shipping_title|shipment_status"
    r"|tracking_info_company|fulfillment_location_id|(billing|shipping)_address_(country|state_or_province)_code"
    r"|quantity|price|tax|grams|shipping_weight_grams|.*_money|.*_(on|at)|owner|signed_off_by|fallen_sign_off"
)
"""Columns of text that tell of nobody, or without which nothing ties."""
_OF_RAW = "fault"
"""A column that every raw table has, and no other."""
_SCHEMA_KEY = "ARROW:schema"
_KEPT_OF_RAW = re.compile(r"file|line|source_(order|line_item|fulfillment)_id")
_SAID = frozenset({"reason", "reasons", "fault", "note"})
"""Columns of sentences, in which values may be quoted."""
_COUNTS = frozenset({"filled", "moved"})
"""Lists of what the loader itself did to a row: they stay."""
LINES = "line_items."
"""Prefix of fields of lines in findings."""
_VALUES = frozenset({"source_value", "corso_value"})
Place = tuple[str, int]
"""File and line of a row of the export."""


@dataclass(frozen=True)
class Whose:
    """Whose data is taken out: that of some orders and nameless rows, or of all."""

    orders: frozenset[str] | None = None
    """Their source ids; None for all."""
    places: frozenset[Place] = frozenset()
    """File and line of rows that have no order."""

    @property
    def is_everybody(self) -> bool:
        """Whether it is all of the batch."""
        return self.orders is None

    def rows(self, columns: Collection[str]) -> pl.Expr:
        """Match their rows."""
        if self.orders is None:
            return pl.lit(value=True)
        theirs = pl.col("source_order_id").is_in(sorted(self.orders)).fill_null(value=False)
        if not self.places or not {"file", "line"} <= set(columns):
            return theirs
        rows = pl.DataFrame(sorted(self.places), schema={"file": pl.String, "line": pl.Int64}, orient="row")
        nameless = pl.col("source_order_id").is_null() | (pl.col("source_order_id") == "")
        return theirs | (nameless & pl.struct("file", "line").is_in(rows.to_struct().implode()))


@dataclass(frozen=True)
class Cause:
    """What a file is amended for."""

    what: Literal["erasure", "purge"]
    id: str
    at: datetime


class Blanking:
    """Takes the data of `whose` out of one batch's files. The batch has to be locked."""

    def __init__(self, batch: Batch, whose: Whose, cause: Cause) -> None:
        self._batch = batch
        self._whose = whose
        self._cause = cause
        self._differing = _differing(batch)

    def tables(self) -> Iterator[Path]:
        """Rewrite those tables that hold rows of theirs; yield which."""
        for path in table_files(self._batch):
            if self._holds(path):
                self._replace(path, partial(self._write_table, path))
                yield path

    def results(self, numbers: Collection[int]) -> Iterator[Path]:
        """Rewrite results.csv, of which rows of these numbers are theirs (from 0)."""
        if self._whose.is_everybody or numbers:
            yield from self._csv("results.csv", ADDED_TO_RESULTS, lambda number, _: number in numbers)

    def quarantine(self, places: Collection[Place]) -> Iterator[Path]:
        """Rewrite quarantine.csv, of which rows of these files and lines are theirs."""
        if self._whose.is_everybody or places:
            yield from self._csv("quarantine.csv", ADDED_TO_QUARANTINE, lambda _, place: place in places)

    def _csv(
        self, name: str, added: Sequence[str], is_theirs: Callable[[int, Place], bool]
    ) -> Iterator[Path]:
        path = self._batch.folder / name
        if not path.exists():
            return
        everybody, ids = self._whose.is_everybody, self._ids()

        def write(draft: Path) -> None:
            _write_csv(path, draft, added, lambda *row: everybody or is_theirs(*row), ids)

        self._replace(path, write)
        yield path

    def _ids(self) -> Collection[str]:
        """Return the ids that may stay: those of the orders whose data is taken out."""
        if self._whose.orders is not None:
            return self._whose.orders
        tables = [self._batch.table(name) for name in ("accepted_orders", "quarantined_orders")]
        ids = [
            pl.scan_parquet(table, glob=False).select("source_order_id") for table in tables if table.exists()
        ]
        return set(pl.concat(ids).collect()["source_order_id"].drop_nulls()) if ids else set()

    def remove(self, path: Path) -> None:
        """Take a file away."""
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            self._amend(path, None)
            path.unlink()

    def _holds(self, path: Path) -> bool:
        columns = pl.scan_parquet(path, glob=False).collect_schema()
        if "source_order_id" not in columns:
            return False
        return bool(
            pl.scan_parquet(path, glob=False).select(self._whose.rows(columns).any()).collect().item()
        )

    def _write_table(self, path: Path, draft: Path) -> None:
        # A large table is a folder of parts.
        frame = pl.scan_parquet(path, glob=False)
        table = path.parent.name if path.parent.name.endswith(".parquet") else path.name
        differing = self._differing.get(table.removesuffix(".parquet"), {})
        blank = blanked(frame, self._whose, differing)
        # A raw table's own says which texts stand in a canonical column (`schemas.raw`).
        own = {key: value for key, value in pl.read_parquet_metadata(path).items() if key != _SCHEMA_KEY}
        blank.sink_parquet(draft, compression="zstd", maintain_order=True, metadata=own)

    def _replace(self, path: Path, write: Callable[[Path], Any]) -> None:
        with replacing(path) as draft:
            write(draft)
            if fingerprint(draft) != fingerprint(path):
                self._amend(path, draft)

    def _amend(self, path: Path, draft: Path | None) -> None:
        add_amendment(
            self._batch.folder,
            Amendment(
                at=self._cause.at,
                what=self._cause.what,
                id=self._cause.id,
                name=path.relative_to(self._batch.folder).as_posix(),
                before=fingerprint(path),
                after=None if draft is None else fingerprint(draft),
            ),
        )


def table_files(batch: Batch) -> list[Path]:
    """Return the files of a batch's tables (a large one is a folder of parts), and the findings beside them."""
    findings = batch.folder / "reconciliation.parquet"
    files = [*batch.tables.glob("*.parquet"), *batch.tables.glob("*.parquet/*.parquet"), findings]
    return sorted(path for path in files if path.is_file())


def blanked(
    frame: pl.LazyFrame, whose: Whose, differing: dict[str, Collection[str]] | None = None
) -> pl.LazyFrame:
    """Return a table with the personal data of `whose` taken out; columns, types and order stay.

    `differing`: column -> the orders in which its value is not the one that Corso has; it stays another one.
    """
    return _blanked_where(whose.rows(frame.collect_schema().names()), frame, differing or {})


def blanked_but_once(frame: pl.LazyFrame, whose: Whose) -> pl.LazyFrame:
    """Return a table of the source with the personal data of `whose` taken out, to be compared with what was read back.

    A row that was blanked before stays as it is: what differed in it still differs.
    """
    schema = frame.collect_schema()
    was_blanked = pl.all_horizontal(_was_blanked(name, dtype) for name, dtype in _blanked_columns(schema))
    return _blanked_where(whose.rows(schema.names()) & ~was_blanked, frame, {})


def _was_blanked(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    is_blank = value.eq_missing(_blank(name, dtype))
    return is_blank if name in _COUNTS else is_blank | value.eq_missing(_other(dtype))


def _blanked_columns(schema: pl.Schema) -> list[tuple[str, pl.DataType]]:
    is_raw = _OF_RAW in schema
    return [(name, dtype) for name, dtype in schema.items() if _is_blanked(name, dtype, is_raw=is_raw)]


def _blanked_where(
    theirs: pl.Expr, frame: pl.LazyFrame, differing: dict[str, Collection[str]]
) -> pl.LazyFrame:
    columns = []
    for name, dtype in _blanked_columns(frame.collect_schema()):
        blank = _blank(name, dtype)
        if ids := differing.get(name):
            other = _other(dtype)
            blank = pl.when(pl.col("source_order_id").is_in(sorted(ids))).then(other).otherwise(blank)
        columns.append(pl.when(theirs).then(blank).otherwise(pl.col(name)).alias(name))
    return frame.with_columns(columns)


def _other(dtype: pl.DataType) -> pl.Expr:
    """Return a value that is nobody's, and not null."""
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
        return pl.lit(
            pl.Series([[dict.fromkeys((each.name for each in dtype.inner.fields), ERASED)]], dtype=dtype)
        )
    return pl.lit(ERASED) if dtype == pl.String else pl.lit(0).cast(dtype)


def _is_blanked(name: str, dtype: pl.DataType, *, is_raw: bool) -> bool:
    if is_raw:
        # All of it is the export's text, whatever the column is called.
        return dtype == pl.String and not _KEPT_OF_RAW.fullmatch(name)
    if isinstance(dtype, pl.String | pl.List | pl.Struct | pl.Binary):
        return is_personal(name) or not _KEPT.fullmatch(name)
    return is_personal(name)


def _blank(name: str, dtype: pl.DataType) -> pl.Expr:
    nothing = pl.lit(None, dtype)
    if name.startswith(ORIGINAL):
        return pl.when(pl.col(name) == pl.col("source_order_id")).then(pl.col(name)).otherwise(nothing)
    if name in _SAID:
        return pl.when(pl.col(name).is_not_null()).then(pl.lit(ERASED)).otherwise(nothing)
    if name in _VALUES:
        field_is_personal = pl.col("field").is_not_null() & ~pl.col("field").str.contains(_FIELDS_SHOWN)
        return pl.when(field_is_personal).then(nothing).otherwise(pl.col(name))
    if name == "line_items":
        return pl.col(name).list.eval(
            pl.element().struct.with_fields(pl.lit(None, _options(dtype)).alias("options"))
        )
    if name in _COUNTS:
        return pl.col(name)
    return nothing


_FIELDS_SHOWN = r"^(.*_money|.*_on|.*currency.*|(line_items\.)?(quantity|price|tax|sku|name|grams)|.*_country_code|.*_state_or_province_code)$"


def _options(dtype: pl.DataType) -> Any:
    inner = dtype.inner if isinstance(dtype, pl.List) else None
    fields = inner.fields if isinstance(inner, pl.Struct) else []
    return next(each.dtype for each in fields if each.name == "options")


def _differing(batch: Batch) -> dict[str, dict[str, Collection[str]]]:
    """Return table -> column -> in which orders Corso had another value when they were compared last."""
    path = batch.table("reconciliation")
    if not path.exists():
        return {}
    found = (
        pl.scan_parquet(path, glob=False)
        .filter(kind="different")
        .select("field", "source_order_id")
        .drop_nulls()
        .collect()
    )
    by_field: dict[str, Collection[str]] = {
        str(field): set(rows["source_order_id"]) for (field,), rows in found.group_by("field")
    }
    lines = {field.removeprefix(LINES): ids for field, ids in by_field.items() if field.startswith(LINES)}
    return {"accepted_orders": by_field, "accepted_line_items": lines}


def _write_csv(
    path: Path,
    draft: Path,
    added: Sequence[str],
    is_theirs: Callable[[int, Place], bool],
    ids: Collection[str],
) -> None:
    """Write a CSV file again with the cells of some rows emptied; all other rows stay as they are, byte for byte.

    The last columns, `added`, are ours and stay, but for the sentences in the last one. Of the merchant's, a cell that
    holds nothing but one of `ids` stays.
    """
    with (
        path.open(encoding="utf-8", newline="") as source,
        draft.open("w", encoding="utf-8", newline="") as target,
    ):
        records = _records(source)
        target.write(next(records, ""))
        for number, record in enumerate(records):
            cells = next(csv.reader(io.StringIO(record, newline="")), [])
            theirs, ours = cells[: -len(added)], cells[-len(added) :]
            # Only quarantine.csv tells of places, and no other number is one.
            place = (ours[0], int(ours[1]) if ours[1].isdigit() else -1)
            if is_theirs(number, place):
                kept = [cell if cell in ids else "" for cell in theirs]
                said = [*ours[:-1], ERASED if ours[-1] else ""]
                csv.writer(target, lineterminator="\n").writerow([*kept, *said])
            else:
                target.write(record)


def _records(lines: Iterable[str]) -> Iterator[str]:
    """Yield the records of a CSV file as they stand; a quoted cell may hold line breaks."""
    record = ""
    for line in lines:
        record += line
        if record.count('"') % 2 == 0:
            yield record
            record = ""
    if record:
        yield record
