"""Conversion: what is plainly a value becomes one, exactly; everything else becomes nothing, never a guess."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corso.extract.cells import plain_amount
from corso.extract.convert import converter_of, has_offset, time_is_ambiguous, time_is_impossible
from schemas.fields import FLAG, INSTANT, MONEY, NUMBER, OPTIONS, TEXT

ZONE = "America/New_York"


def read(dtype: pl.DataType, *texts: str | None, zone: str = ZONE) -> list[Any]:
    """Return what texts are read as, as a column of this type."""
    converter = converter_of(dtype)
    assert converter is not None
    frame = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
    return frame.select(converter.read(pl.col("text"), zone).cast(dtype).alias("value"))["value"].to_list()


def test_text_needs_no_conversion() -> None:
    """Text stays as it is."""
    assert converter_of(TEXT) is None


@pytest.mark.parametrize("dtype", [MONEY, NUMBER], ids=["money", "number"])
def test_what_is_said_of_a_bad_amount_is_right_in_every_file(dtype: pl.DataType) -> None:
    """In a file with decimal commas 12.500 are twelve thousand: the form that is named for it is read as the same amount."""
    converter = converter_of(dtype)
    assert converter is not None
    point, comma = re.findall(r"1234[.,]50", converter.remedy)
    assert "(1234,50 where the profile says that the file has decimal commas)" in converter.remedy
    plain = pl.DataFrame({"text": [comma]}).select(plain_amount(pl.col("text"), ",")).item()
    assert read(dtype, point) == read(dtype, plain) == [Decimal("1234.5")]


MONEY_TABLE = {
    "1234.50": "1234.50", "0": "0", "-5.25": "-5.25", "+5": "5", ".5": "0.5", "12.": "12",
    "00012.50": "12.5", "1.123400000000": "1.1234", "999999999999999999.9999": "999999999999999999.9999",
    "1.12345": None, "1,234.50": None, "12,50": None, "$5": None, "5 USD": None, "1e5": None, "9.2E+11": None,
    "abc": None, "--1": None, "1.2.3": None, "١٢": None, "1234567890123456789": None, "NaN": None, "inf": None,
    "(5.00)": None, "": None, ".": None, "-": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MONEY_TABLE.items())
def test_money_is_digits_with_a_decimal_point(text: str, expected: str | None) -> None:
    """Thousands, commas, signs of currencies and spreadsheet numbers can mean two things, so they mean none."""
    assert read(MONEY, text) == [None if expected is None else Decimal(expected)]


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.decimals(min_value=-(10**18) + 1, max_value=10**18 - 1, places=4), min_size=1))
def test_money_is_exact_to_the_last_digit(amounts: list[Decimal]) -> None:
    """No amount ever passes through a binary float."""
    assert read(MONEY, *(f"{amount:f}" for amount in amounts)) == amounts


@pytest.mark.slow
@settings(deadline=None)
@given(st.text(st.sampled_from("0159.,-+eE $"), max_size=12))
def test_money_is_never_another_number_than_the_text_says(text: str) -> None:
    """Whatever is read as money is the decimal number that Python reads in the same characters."""
    (value,) = read(MONEY, text)
    if value is not None:
        assert value == Decimal(text.strip())


NUMBER_TABLE = {
    "3": "3",
    "-122.4194155": "-122.4194155",
    "0.1234567890": "0.123456789",
    "0.12345678901": None,
    "1/2": None,
}


@pytest.mark.parametrize(("text", "expected"), NUMBER_TABLE.items())
def test_numbers_have_up_to_ten_decimals(text: str, expected: str | None) -> None:
    """Enough for coordinates and rates; one that would be cut off is refused."""
    assert read(NUMBER, text) == [None if expected is None else Decimal(expected)]


def utc(*parts: int) -> datetime:
    """Return an instant in UTC."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # year, month, day, …


TIME_TABLE = {
    "2026-11-22T09:30:00Z": utc(2026, 11, 22, 9, 30),
    "2026-11-22t09:30:00Z": None,
    "2026-11-22T09:30:00z": utc(2026, 11, 22, 9, 30),
    "2026-11-22T09:30:00+05:30": utc(2026, 11, 22, 4, 0),
    "2026-11-22 09:30:00 -0500": utc(2026, 11, 22, 14, 30),
    "2026-11-22 09:30:00 UTC": utc(2026, 11, 22, 9, 30),
    "2026-11-22T09:30Z": utc(2026, 11, 22, 9, 30),
    "2026-11-22T09:30:00.123456789Z": utc(2026, 11, 22, 9, 30, 0, 123456),
    "2026-11-22T09:30:00,5Z": utc(2026, 11, 22, 9, 30, 0, 500000),
    "2026-11-22T09:30:00": utc(2026, 11, 22, 14, 30),
    "2026-07-22 09:30": utc(2026, 7, 22, 13, 30),
    "2026-07-22": utc(2026, 7, 22, 4, 0),
    "2028-02-29": utc(2028, 2, 29, 5, 0),
    "2026-02-29": None, "2026-13-01": None, "2026-11-31T00:00:00Z": None, "2026-11-22T24:00:00Z": None,
    "2026-11-22T09:30:00+25:00": None, "2026-11-22T09:30:00+05:60": None, "2026-11-22T09Z": None,
    "0000-00-00 00:00:00": None, "0000-01-01T00:00:00Z": None, "0001-01-01T00:00:00+10:00": None,
    "9999-12-31T23:59:59-10:00": None, "11/22/2026": None, "22.11.2026": None, "20261122": None,
    "1763803800": None, "yesterday": None, "": None, "2026-11-22T09:30:00 EST": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TIME_TABLE.items())
def test_times_become_instants(text: str, expected: datetime | None) -> None:
    """An offset is obeyed; without one the store's zone is meant, summer time included; the rest is no time."""
    assert read(INSTANT, text) == [expected]


def settled(text: str, zone: str = ZONE) -> tuple[bool, bool]:
    """Return whether a time is (ambiguous, impossible) on the store's clock."""
    column = pl.col("text")
    frame = pl.DataFrame({"text": [text]}).select(
        ambiguous=time_is_ambiguous(column, zone), impossible=time_is_impossible(column, zone)
    )
    ambiguous, impossible = frame.row(0)
    return ambiguous, impossible


DAYLIGHT_SAVING = {
    "shown twice: the earlier": ("2026-11-01 01:30", utc(2026, 11, 1, 5, 30), (True, False)),
    "shown twice, but with an offset": ("2026-11-01T01:30:00-05:00", utc(2026, 11, 1, 6, 30), (False, False)),
    "skipped: the clock was put forward": ("2026-03-08 02:30", utc(2026, 3, 8, 7, 30), (False, True)),
    "skipped, but with an offset": ("2026-03-08T02:30:00-05:00", utc(2026, 3, 8, 7, 30), (False, False)),
    "just before the gap": ("2026-03-08 01:59:59", utc(2026, 3, 8, 6, 59, 59), (False, False)),
    "just behind the gap": ("2026-03-08 03:00", utc(2026, 3, 8, 7, 0), (False, False)),
    "any other time": ("2026-07-01 12:00", utc(2026, 7, 1, 16, 0), (False, False)),
    "no time": ("soon", None, (False, False)),
}


@pytest.mark.parametrize(("text", "instant", "counted"), DAYLIGHT_SAVING.values(), ids=DAYLIGHT_SAVING.keys())
def test_daylight_saving_is_settled_as_documented_and_counted(
    text: str, instant: datetime | None, counted: tuple[bool, bool]
) -> None:
    """A time that the store's clock showed twice or never is loaded, and the report says how many there were."""
    assert read(INSTANT, text) == [instant]
    assert settled(text) == counted


def test_a_half_hour_gap_is_settled_too() -> None:
    """Lord Howe Island puts its clock forward by half an hour; a skipped time is still read."""
    assert settled("2026-10-04 02:15", "Australia/Lord_Howe") == (False, True)
    assert read(INSTANT, "2026-10-04 02:15", zone="Australia/Lord_Howe") == [utc(2026, 10, 3, 15, 45)]


def test_a_skipped_day_is_settled_too() -> None:
    """Samoa had no 30 December 2011."""
    assert settled("2011-12-30 10:00", "Pacific/Apia") == (False, True)
    assert read(INSTANT, "2011-12-30 10:00", zone="Pacific/Apia") == [utc(2011, 12, 30, 20, 0)]


@pytest.mark.parametrize("text", [text for text, instant in TIME_TABLE.items() if instant])
def test_a_time_with_an_offset_is_never_in_doubt(text: str) -> None:
    """Only times without one are looked at for daylight saving, so none with one may be missed."""
    alone = pl.Series([text])
    same_everywhere = read(INSTANT, text, zone="Asia/Tokyo") == read(INSTANT, text)
    assert has_offset(alone).item() == same_everywhere


@pytest.mark.slow
@settings(deadline=None)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2099, 1, 1), timezones=st.timezones()))  # noqa: DTZ001  # bounds are naive by contract
def test_an_instant_is_the_same_whatever_offset_it_is_written_with(moment: datetime) -> None:
    """What Python writes with an offset of whole minutes is read back to the microsecond."""
    offset = moment.utcoffset()
    if offset is not None and offset.total_seconds() % 60 == 0:
        assert read(INSTANT, moment.isoformat()) == [moment.astimezone(UTC)]


FLAG_TABLE = {
    "true": True, "TRUE": True, "Yes": True, "y": True, "1": True, "t": True,
    "false": False, "No": False, "0": False, "F": False,
    "2": None, "maybe": None, "": None, "truee": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FLAG_TABLE.items())
def test_flags_are_words_for_yes_and_no(text: str, expected: bool | None) -> None:
    """Databases and spreadsheets write them differently; a word that is neither is refused."""
    assert read(FLAG, text) == [expected]


OPTION_TABLE: dict[str, list[dict[str, str]] | None] = {
    '[{"name": "Size", "value": "M"}]': [{"name": "Size", "value": "M"}],
    '[{"name": "Size", "value": "M", "position": 1}, {"name": "Farbe", "value": "grün"}]': [
        {"name": "Size", "value": "M"}, {"name": "Farbe", "value": "grün"},
    ],
    '[{"name": "Length", "value": 5.50}]': [{"name": "Length", "value": "5.50"}],
    "[]": [],
    '[{"name": "Size", "value": null}]': None,
    '[{"name": "Size", "value": true}]': None,
    '[{"name": "Size", "value": "\\ud83d"}]': None,
    '[{"name": "Size"}]': None,
    '{"name": "Size", "value": "M"}': None,
    "Size: M": None,
    "[" * 100_000: None,
    "": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), OPTION_TABLE.items(), ids=range(len(OPTION_TABLE)))
def test_options_are_a_json_array_of_names_and_values(
    text: str, expected: list[dict[str, str]] | None
) -> None:
    """A number keeps its spelling; what is missing is not made up, and hostile JSON breaks nothing."""
    assert read(OPTIONS, text) == [expected]
