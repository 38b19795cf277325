"""From text to the canonical types, without guessing: what is not plainly a value becomes null and a broken rule.

All functions are expressions over whole columns. Money and numbers are decimals from the first step on.
Countries, states, currencies and phones stay text: `corso.extract.places` writes them.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from schemas.fields import FLAG, INSTANT, MONEY, NUMBER, OPTIONS

_DATE_TIME = (
    r"^(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<minute>\d{2}:\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r" ?(?P<zone>[Zz]|UTC|GMT|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?$"
)
_COMMON_DATE_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?$"
_OFFSET = r"(?:[Zz]|UTC|GMT|[+-]\d{2}:?\d{2})\s*$"
_MONEY = r"^[+-]?(?:\d{1,18}(?:\.\d{0,4}0*)?|\.\d{1,4}0*)$"
_NUMBER = r"^[+-]?(?:\d{1,18}(?:\.\d{0,10}0*)?|\.\d{1,10}0*)$"
_TRUE = ("true", "yes", "y", "1", "t")
_FALSE = ("false", "no", "n", "0", "f")


@dataclass(frozen=True)
class Converter:
    """How text of one type is read."""

    sentence: str
    """What is said of a value that is not of this type."""
    remedy: str
    """What to do about it."""
    read: Callable[[pl.Expr, str], pl.Expr]
    """(text without white space around it, the store's time zone) -> typed value, null where it is not one."""


def converter_of(dtype: pl.DataType) -> Converter | None:
    """Return how a column of this type is read; None for text."""
    return next((converter for kind, converter in _CONVERTERS if kind == dtype), None)


def instant(text: pl.Expr, zone: str) -> pl.Expr:
    """Read an RFC 3339 or ISO 8601 date-time or date as an instant in UTC.

    One without an offset is a time of the store's zone. Where daylight saving shows it twice, the earlier is
    meant; where it skips it, the clock is taken to have been put forward already (02:30 -> 03:30).
    What falls outside the years 1 to 9999 is no time: neither RFC 3339 nor Python can say it.
    """
    return text.map_batches(lambda texts: _instants(texts, zone), return_dtype=INSTANT)


def has_offset(texts: pl.Series) -> pl.Series:
    """Say of each date-time whether it ends with an offset; null where there is none to look at."""
    return texts.str.contains(_OFFSET)


def time_is_ambiguous(text: pl.Expr, zone: str) -> pl.Expr:
    """Say whether the store's clock showed this time twice and no offset tells which is meant."""
    return text.map_batches(lambda texts: _settled(texts, zone)["ambiguous"], return_dtype=pl.Boolean)


def time_is_impossible(text: pl.Expr, zone: str) -> pl.Expr:
    """Say whether the store's clock never showed this time."""
    return text.map_batches(lambda texts: _settled(texts, zone)["impossible"], return_dtype=pl.Boolean)


# Times are read column by column and step by step: as one expression, polars would take the text apart again
# for every use of a part of it, which took more than half of all validation.


def _instants(texts: pl.Series, zone: str) -> pl.Series:
    moments = _moments(texts)
    without_offset = moments["offset"].is_null() & moments["local"].is_not_null()
    read = moments.select(
        (pl.col("local") - pl.col("offset")).dt.replace_time_zone("UTC").alias(texts.name)
    ).to_series()
    if without_offset.any():
        local = pl.when(without_offset).then(pl.col("local"))
        read = moments.select(pl.coalesce(read, _in_zone(local, zone)).alias(texts.name)).to_series()
    return read.set(~read.dt.year().is_between(1, 9999), None)


def _settled(texts: pl.Series, zone: str) -> pl.DataFrame:
    """Return for each text whether daylight saving makes it `ambiguous` or `impossible`."""
    local, offset = pl.col("local"), pl.col("offset")
    earlier = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    later = local.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    return _moments(texts).select(
        ambiguous=(offset.is_null() & (earlier != later)).fill_null(value=False),
        impossible=offset.is_null() & local.is_not_null() & earlier.is_null(),
    )


def _moments(texts: pl.Series) -> pl.DataFrame:
    """Take date-times apart: `local`, what the clock showed, and `offset` from UTC; null where there is none."""
    frame = texts.alias("text").to_frame()
    # Most are written alike, and are cut where they are known to be; a pattern that looks for the places takes ten times as long.
    common = frame.select(pl.when(pl.col("text").str.contains(_COMMON_DATE_TIME)).then("text"))
    moments = common.select(local=_common_local(pl.col("text")), offset=_common_offset(pl.col("text")))
    others = (common["text"].is_null() & frame["text"].is_not_null()).arg_true()
    if not len(others):
        return moments
    rest = _other_moments(frame["text"].gather(others))
    return pl.DataFrame([moments[name].scatter(others, rest[name]) for name in moments.columns])


def _common_local(text: pl.Expr) -> pl.Expr:
    written = pl.concat_str(text.str.head(10), pl.lit("T"), text.str.slice(11, 8))
    return written.str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="us")


def _common_offset(text: pl.Expr) -> pl.Expr:
    zone = text.str.slice(19)
    hours, minutes = (zone.str.slice(start, 2).cast(pl.Int64, strict=False) for start in (1, 4))
    sign = pl.when(zone.str.head(1) == "-").then(-1).otherwise(1)
    in_utc = zone.str.head(1).is_in(["Z", "z"])
    return pl.duration(minutes=pl.when(in_utc).then(0).otherwise(sign * (hours * 60 + minutes)))


def _other_moments(texts: pl.Series) -> pl.DataFrame:
    parts = texts.str.extract_groups(_DATE_TIME).struct.unnest()
    zone = pl.col("zone")
    written = pl.concat_str(
        "date",
        pl.lit("T"),
        pl.col("minute").fill_null("00:00"),
        pl.lit(":"),
        pl.col("second").fill_null("00"),
        pl.lit("."),
        pl.col("fraction").fill_null("0"),
    )
    digits = zone.str.replace(":", "", literal=True)
    hours, minutes = (digits.str.slice(start, 2).cast(pl.Int64, strict=False) for start in (1, 3))
    signed = pl.when(digits.str.starts_with("-")).then(-1).otherwise(1) * (hours * 60 + minutes)
    named = zone.str.to_uppercase().is_in(["Z", "UTC", "GMT"])
    return parts.select(
        local=written.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us"),
        offset=pl.duration(minutes=pl.when(named).then(0).otherwise(signed)),
    )


def _in_zone(local: pl.Expr, zone: str) -> pl.Expr:
    def at(time: pl.Expr) -> pl.Expr:
        return time.dt.replace_time_zone(
            zone, ambiguous="earliest", non_existent="null"
        ).dt.convert_time_zone("UTC")

    # Clocks are put forward by an hour or less; Samoa once skipped a day.
    gaps = (pl.duration(hours=hours) for hours in (1, 24))
    return pl.coalesce(at(local), *(at(local - gap) + gap for gap in gaps))


def _decimal(pattern: str, dtype: pl.DataType) -> Callable[[pl.Expr, str], pl.Expr]:
    def read(text: pl.Expr, _zone: str) -> pl.Expr:
        return pl.when(text.str.contains(pattern)).then(text).cast(dtype, strict=False)

    return read


def _flag(text: pl.Expr, _zone: str) -> pl.Expr:
    word = text.str.to_lowercase()
    return pl.when(word.is_in(_TRUE)).then(statement=True).when(word.is_in(_FALSE)).then(statement=False)


def _options(text: pl.Expr, _zone: str) -> pl.Expr:
    return text.map_batches(_read_options, return_dtype=OPTIONS)


def _read_options(texts: pl.Series) -> pl.Series:
    different = texts.drop_nulls().unique()
    read = pl.Series("read", [_option_list(text) for text in different], dtype=OPTIONS)
    table = pl.DataFrame({"text": different, "read": read})
    joined = texts.to_frame("text").join(table, on="text", how="left", maintain_order="left")
    return joined["read"].rename(texts.name)


def _option_list(text: str) -> Sequence[dict[str, str]] | None:
    try:
        # Numbers stay the text that they are: 5.50 is not 5.5.
        value: Any = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not all(_is_option(each) for each in value):
        return None
    return [{"name": each["name"], "value": each["value"]} for each in value]


def _is_option(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(value.get(key)) for key in ("name", "value"))


def _is_text(value: Any) -> bool:
    """Say whether it is text that UTF-8 can hold: JSON's escapes can spell half a character."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


_WITH_A_COMMA = "1234,50 where the profile says that the file has decimal commas"
"""A file's row is written again by this: there 12.500 are twelve thousand."""

_CONVERTERS: Sequence[tuple[pl.DataType, Converter]] = (
    (
        MONEY,
        Converter(
            "is not an amount of money",
            f"write digits with a decimal point and up to four decimals, e.g. 1234.50 ({_WITH_A_COMMA})",
            _decimal(_MONEY, MONEY),
        ),
    ),
    (
        NUMBER,
        Converter(
            "is not a number",
            f"write digits with a decimal point and up to ten decimals, e.g. 1234.50 ({_WITH_A_COMMA})",
            _decimal(_NUMBER, NUMBER),
        ),
    ),
    (
        INSTANT,
        Converter(
            "is not a date and time",
            "write YYYY-MM-DDThh:mm:ss with an offset (Z, +05:30); without one the store's time zone is meant, or UTC where the "
            "profile says so",
            instant,
        ),
    ),
    (FLAG, Converter("is neither true nor false", "write true or false", _flag)),
    (
        OPTIONS,
        Converter(
            "is not a list of options",
            'write a JSON array such as [{"name": "Size", "value": "M"}]',
            _options,
        ),
    ),
)
