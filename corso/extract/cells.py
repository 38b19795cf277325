"""What a profile says of the form of amounts and dates, done to whole columns of text; and the form of ids.

Text goes in and plain text comes out: `1.234,56 €` becomes `1234.56`, `09/22/2026 04:02 PM` becomes
`2026-09-22T16:02:00`. What does not have the declared form stays as it is, so that validation refuses it and shows the
merchant their own text. Nothing is tried that the profile does not name.
"""

from collections.abc import Sequence
from typing import Literal

import polars as pl

_BLANK = r"[ \u00a0\u202f\u2009]"
_MARK = r"(?:[A-Za-z]{0,3}\p{Sc}|[A-Z]{3}|[Kk]r\.?|zł|Kč|Ft|Fr\.?|\u0440\u0443\u0431\.?)"
"""A currency's mark: $, US$, CA$, €, USD, kr, …"""
_WHOLE = rf"(?:\d+|\d{{1,3}}(?:(?:{_BLANK}|['\u2019GROUP])\d{{2,3}})*(?:{_BLANK}|['\u2019GROUP])\d{{3}})"
"""Digits, or digits in groups of three (of two and three, as India writes them)."""
_OFFSET = r"(?:[Zz]|UTC|GMT|[+-]\d{2}:?\d{2})\s*$"
_ISO = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)?$"
_FIRST_YEAR = 1000
"""`%Y` takes 26 for the year 26."""

_SIGN = "[+\\-\u2212]"

Decimal = Literal[".", ","]


def plain_amount(text: pl.Expr, decimal: Decimal) -> pl.Expr:
    """Write amounts with digits, a minus and a decimal point alone.

    Understood beside the declared decimal mark: a currency's mark in front or behind, thousands in groups (by the
    other mark, a blank or an apostrophe), a sign in front or behind, brackets for less than nothing.
    """
    shape = _amount_shape(decimal)
    return text.map_batches(lambda texts: _plain_amounts(texts, shape, decimal), return_dtype=pl.String)


def _amount_shape(decimal: Decimal) -> str:
    group, point = (",", r"\.") if decimal == "." else (r"\.", ",")
    number = rf"(?:{_WHOLE.replace('GROUP', group)}(?:{point}\d*)?|{point}\d+)"
    core = rf"{_MARK}?{_BLANK}*{number}{_BLANK}*{_MARK}?"
    signed = rf"{_SIGN}{_BLANK}*{core}|{_MARK}{_BLANK}*{_SIGN}{_BLANK}*{number}|{core}-"
    return rf"^(?:{core}|\({core}\)|{signed})$"


def _plain_amounts(texts: pl.Series, shape: str, decimal: Decimal) -> pl.Series:
    """Change each different text once, and only those that are not plain already: most are."""
    plain = texts.str.contains(r"^-?\d+(?:\.\d+)?$" if decimal == "." else r"^-?\d+$")
    others = (~plain).arg_true()
    if others.is_empty():
        return texts
    some = texts.gather(others).to_frame("text")
    table = some.unique().with_columns(_plain(pl.col("text"), shape, decimal).alias("changed"))
    joined = some.join(table, on="text", how="left", maintain_order="left")
    return texts.clone().scatter(others, joined.select(pl.coalesce("changed", "text")).to_series())


def _plain(text: pl.Expr, shape: str, decimal: Decimal) -> pl.Expr:
    trimmed = text.str.strip_chars()
    number = trimmed.str.replace_all(_MARK, "").str.replace_all(rf"[^0-9{decimal}]", "")
    written = number.str.replace(",", ".", literal=True).str.strip_chars_end(".")
    whole = pl.when(written.str.starts_with(".")).then(pl.lit("0") + written).otherwise(written)
    is_less = trimmed.str.contains(r"[\-\u2212(]")
    # 22.99 is no number where a comma stands before the decimals, and nothing else may take it for one.
    foreign = text.str.contains(r"^\s*[+-]?\d*\.\d+\s*$") & pl.lit(decimal == ",")
    return (
        pl.when(trimmed.str.contains(shape))
        .then(pl.when(is_less).then(pl.lit("-") + whole).otherwise(whole))
        .when(foreign)
        .then(text + pl.lit(" (no decimal comma)"))
        .otherwise(text)
    )


def plain_id(text: pl.Expr) -> pl.Expr:
    """Take off the `.0` that programs write behind whole numbers where some rows have none: 1001.0 is the id 1001."""
    return text.map_batches(_plain_ids, return_dtype=pl.String, is_elementwise=True)


def _plain_ids(texts: pl.Series) -> pl.Series:
    # Comparing ends takes a thirtieth of looking for the digits before them, and few columns have such ids.
    return texts.str.replace(r"^(\d+)\.0$", "$1") if texts.str.ends_with(".0").any() else texts


def plain_time(text: pl.Expr, forms: Sequence[str], *, is_utc: bool = False) -> pl.Expr:
    """Write date-times of the declared forms (strftime's codes, tried in turn) as ISO 8601.

    `is_utc`: those without an offset are UTC; else they are the store's, as everywhere.
    """
    trimmed = text.str.strip_chars()
    tried = [_read(trimmed, form) for form in forms]
    written = pl.coalesce(*tried, text) if tried else text
    if not is_utc:
        return written
    bare = written.str.strip_chars()
    as_utc = (
        pl.when(bare.str.len_chars() == len("2026-11-24")).then(bare + "T00:00:00Z").otherwise(bare + "Z")
    )
    return pl.when(bare.str.contains(_ISO)).then(as_utc).otherwise(written)


def _read(text: pl.Expr, form: str) -> pl.Expr:
    if "%z" in form:
        moment = text.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")
        return pl.when(moment.dt.year() >= _FIRST_YEAR).then(moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
    if any(code in form for code in ("%H", "%I", "%T", "%R")):
        time = text.str.to_datetime(form, strict=False, time_unit="us")
        return pl.when(time.dt.year() >= _FIRST_YEAR).then(time.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f"))
    day = text.str.to_date(form, strict=False)
    return pl.when(day.dt.year() >= _FIRST_YEAR).then(day.dt.strftime("%Y-%m-%d"))


def quarrels(forms: Sequence[str]) -> tuple[str, str] | None:
    """Return two forms that read the same text as different days; None if there are none."""

    def swapped(form: str) -> str:
        return form.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")

    return next(((one, two) for one in forms for two in forms if one != two and swapped(one) == two), None)
