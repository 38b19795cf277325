"""Parquet files: every value as the text that a careful CSV export would hold."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import available_timezones

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corso.errors import ExportError
from corso.extract.columns import check_names
from corso.extract.files import ExportFile
from corso.extract.forms import FAULT, LINE

_EXACT_IN_A_FLOAT = 2**53
_WHOLE_HOURS = re.compile(r"[+-](0\d|1[0-4]):00")
_MOST_DIGITS = 38
"""Of a decimal in polars; BigQuery's BIGNUMERIC has 76."""
_BATCH_ROWS = 20_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""The years 1 to 9999, in days since 1970. Databases hold days beyond (`infinity`), which polars cannot write."""
_A_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
DAMAGE = (
    pa.ArrowException,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,  # no PolarsError, whatever its stub says
    OSError,
    ValueError,
    MemoryError,
)
"""What reading a damaged Parquet file raises: its length fields may say anything, and its names hold any bytes."""


def parquet_names(file: ExportFile) -> list[str]:
    """Return a Parquet file's column names. Raises ExportError where it cannot be read."""
    return list(_schema(file).names)


def parquet_rows(file: ExportFile, scratch: Path) -> pl.LazyFrame:
    """Return a Parquet file's rows: its columns as text, LINE (from 1) and FAULT.

    The file is read through beforehand, so that a damaged page is found here and not in the middle of a stage. One with
    decimals that polars cannot hold is rewritten below `scratch`, which must outlive the frame.
    Raises ExportError: not to be read, damaged, names that stand there twice, unknown time zones, types that cannot be read.
    """
    arrow = _schema(file)
    names = list(arrow.names)
    if not names:
        message = f"{file.name}: the file has no column; export it again"
        raise ExportError(message)
    check_names(file, names)
    _check_zones(file, arrow)
    try:
        # Read twice: pyarrow refuses quietly most of what makes polars panic, which writes a trace to the terminal, and
        # polars refuses what pyarrow takes.
        path = _read_through(file, arrow, scratch)
    except DAMAGE as error:
        raise _damaged(file, error) from None
    try:
        return _text_rows(path, names)
    except DAMAGE as error:
        raise _refused_column(file, path, arrow) or _damaged(file, error) from None


def _read_through(file: ExportFile, schema: pa.Schema, scratch: Path) -> Path:
    """Read a file to its end, and return where its rows are: decimals of more digits than polars holds are text there."""
    batches = pq.ParquetFile(file.path).iter_batches(_BATCH_ROWS)
    if not any(map(_is_wide, schema.types)):
        for _ in batches:
            pass
        return file.path
    scratch.mkdir(parents=True, exist_ok=True)
    target = scratch / f"{hashlib.sha256(str(file.path).encode()).hexdigest()[:16]}.parquet"
    written = pa.schema([each.with_type(pa.string()) if _is_wide(each.type) else each for each in schema])
    with pq.ParquetWriter(target, written, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch.cast(written))
    return target


def _is_wide(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.Decimal256Type) and kind.precision > _MOST_DIGITS


def _text_rows(path: Path, names: Sequence[str]) -> pl.LazyFrame:
    """Return the rows of these columns, which were read once."""
    # A damaged statistic would have rows left out, without a word.
    frame = pl.scan_parquet(path, row_index_name=LINE, glob=False, use_statistics=False)
    schema = frame.collect_schema()
    rows = frame.select(
        (pl.col(LINE) + 1).cast(pl.Int64),
        *(_as_text(name, schema[name]) for name in names),
        pl.lit(None, pl.String).alias(FAULT),
    )
    rows.select(pl.all().is_not_null().sum()).collect(engine="streaming")
    return rows


def _refused_column(file: ExportFile, path: Path, schema: pa.Schema) -> ExportError | None:
    """Return the sentence for a column whose type cannot be read, which no new export helps; None if usual ones are refused, too."""
    for column in sorted(schema, key=lambda each: _is_unusual(each.type)):
        try:
            _text_rows(path, [column.name])
        except DAMAGE as error:
            if not _is_unusual(column.type):
                return None
            return ExportError(
                f"{file.name}: column {column.name!r} of the type {column.type} cannot be read ({_reason(error)}); leave "
                "it out of the export, or export it as text"
            )
    return None


def _is_unusual(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind)) or isinstance(kind, pa.BaseExtensionType)


def _damaged(file: ExportFile, error: BaseException) -> ExportError:
    return ExportError(
        f"{file.name}: damaged Parquet file ({_reason(error)}); export it again, or copy it again"
    )


def _schema(file: ExportFile) -> pa.Schema:
    try:
        return pq.read_schema(file.path)
    except DAMAGE as error:
        message = (
            f"{file.name}: not a readable Parquet file ({_reason(error)}); export it again, or copy it again"
        )
        raise ExportError(message) from None


def _check_zones(file: ExportFile, schema: pa.Schema) -> None:
    """Raise ExportError for a time zone at which polars would panic: one without a name, e.g. `Z` or `-05:30`."""
    for column in schema:
        zone = getattr(column.type, "tz", None) or "UTC"
        if zone.upper() != "UTC" and not _WHOLE_HOURS.fullmatch(zone) and zone not in available_timezones():
            message = f"{file.name}: column {column.name!r} has times of an unknown zone, {zone!r}; export them as UTC"
            raise ExportError(message)


def _reason(error: BaseException) -> str:
    first = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return "".join(
        letter if letter.isprintable() else "?" for letter in first
    )  # it may quote the damaged bytes


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Write a typed Parquet value the way a careful CSV export would."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime | pl.Date | pl.Duration):
        return _time_as_text(column, dtype)
    if isinstance(dtype, pl.Map) and dtype.key != pl.String:
        column = column.map.entries()  # JSON has names for keys
    if isinstance(dtype, pl.List | pl.Array | pl.Struct | pl.Map):
        return (
            pl.struct(column.alias("v"))
            .struct.json_encode()
            .str.slice(5)
            .str.head(-1)
            .replace("null", None)
            .alias(name)
        )
    if dtype.is_float():
        # A database's whole numbers become floats where some are missing; 1001.0 is the id 1001.
        whole = (column.round() == column) & (column.abs() < _EXACT_IN_A_FLOAT)
        return (
            pl.when(whole)
            .then(column.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(column.cast(pl.String))
            .alias(name)
        )
    if isinstance(dtype, pl.Binary):
        return column.map_batches(_text_or_hex, return_dtype=pl.String).alias(name)
    text_column = column.cast(pl.String)
    return pl.when(text_column != "").then(text_column).alias(name)


def _time_as_text(column: pl.Expr, dtype: pl.Datetime | pl.Date | pl.Duration) -> pl.Expr:
    if isinstance(dtype, pl.Duration):
        return column.dt.to_string("iso")
    if isinstance(dtype, pl.Date):
        return _within_years(column, 1, "%Y-%m-%d")
    text = "%Y-%m-%dT%H:%M:%S%.6f" + ("%:z" if dtype.time_zone else "")
    return _within_years(column, _A_DAY[dtype.time_unit], text)


def _within_years(column: pl.Expr, a_day: int, form: str) -> pl.Expr:
    """Write a point in time; one beyond the years 1 to 9999 as the number that it is in the file."""
    number = column.to_physical().cast(pl.Int64)
    usual = number.is_between(_FIRST_DAY * a_day, (_LAST_DAY + 1) * a_day - 1)
    return pl.coalesce(pl.when(usual).then(column).dt.strftime(form), number.cast(pl.String))


def _text_or_hex(values: pl.Series) -> pl.Series:
    """Write bytes as the text that they are, else as hexadecimal digits: a database's UUID is sixteen bytes."""
    texts = []
    for value in values:
        try:
            texts.append(value.decode() or None if value is not None else None)
        except UnicodeDecodeError:
            texts.append(value.hex())
    return pl.Series(values.name, texts, dtype=pl.String)
