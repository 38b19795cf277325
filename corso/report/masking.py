"""Personal data on the page: enough to recognise a case, not enough to know the customer.

The page is passed around; the workbook, the CSV files and the Parquet file are not masked and are their owner's only.
Which columns hold personal data is decided by their names. Free text (reasons of Corso's, notes of the analyst's) loses
its e-mail addresses and long numbers. `report.personal_data: show` in loader.yaml turns masking off; hostile text is
made harmless either way.
"""

import re
from pathlib import Path

import polars as pl

VEIL = "\u2022\u2022\u2022"
LONGEST = 160
"""Characters of a value that the page shows."""
LONGEST_SENTENCE = 1_000
"""Characters of a sentence."""

PAGE = "reconciliation.html"
_SAYS_MASKED = '<meta name="personal-data" content="masked">'
_HEAD = 5_000
"""Characters in which a page says it."""

_PERSONAL = re.compile(
    r"customer_(first_name|last_name|email|phone)|notes|(line_items\.)?options"
    r"|(fulfillments\.)?tracking_info_(number|url)"
    r"|(billing|shipping)_address_(?!country_code$|state_or_province_code$).+"
)
_OF_A_FORM = (
    r"^(line_items\.|fulfillments\.)?(.*_(on|at|money)|quantity|price|tax|grams|shipping_weight_grams)$"
)
"""Fields of dates and numbers."""
_MONTHS = "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?|dec(ember)?"
_IN_FORM = (
    r"(?i)^([\d\s.,:;/'+()\p{Sc}\p{Pd}]|\dt\d|\dz|\b(utc|gmt|[ap]\.?m|(?-i:[A-Z]{3})|" + _MONTHS + r")\b)*$"
)
"""How people write these. Anything else came from elsewhere, as a name does in a row that has slipped by a column."""
_EMAIL = r"([^\s@\"'<>(),;:])[^\s@\"'<>(),;:]*@[^\s@\"'<>(),;:]+"
_LONG_NUMBER = r"\+?\d(?:[ ()-]*\d){8,}"
"""Nine digits or more: phones, cards, accounts."""
_DATE, _DATE_APART, _DATE_AGAIN = (
    r"\b(\d{4})-(\d\d)-(\d\d)\b",
    "\ue000",
    r"\b(\d{4})\ue000(\d\d)\ue000(\d\d)\b",
)
"""A date is no long number: while numbers are veiled, its dashes are others."""
_INVISIBLE = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_INVISIBLE |= dict.fromkeys(
    (*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F), 0xFFFD
)


def is_masked(page: Path) -> bool:
    """Say whether a page says of itself that it is masked; one that is not there, or of an older version, does not."""
    if not page.exists():
        return False
    with page.open(encoding="utf-8", errors="replace") as text:
        return _SAYS_MASKED in text.read(_HEAD)


def is_personal(field: str | None) -> bool:
    """Say whether a finding's field holds personal data."""
    return field is not None and _PERSONAL.fullmatch(field) is not None


def masked_values(frame: pl.DataFrame, field: str, *columns: str) -> pl.DataFrame:
    """Veil the columns of text in the rows whose `field` is personal, or one of dates and numbers that holds neither.

    The first letter stays, and that it is an address.
    """
    personal = [name for name in frame[field].unique() if is_personal(name)]
    is_of_a_form = pl.col(field).str.contains(_OF_A_FORM)
    return frame.with_columns(
        pl.when(pl.col(field).is_in(personal) | (is_of_a_form & ~pl.col(name).str.contains(_IN_FORM)))
        .then(_veiled(pl.col(name)))
        .otherwise(pl.col(name))
        .alias(name)
        for name in columns
    )


def masked_texts(text: pl.Expr) -> pl.Expr:
    """Take the e-mail addresses and long numbers out of a column of free text."""
    return (
        text.str.replace_all(_EMAIL, f"${{1}}{VEIL}@{VEIL}")
        .str.replace_all(_DATE, f"${{1}}{_DATE_APART}${{2}}{_DATE_APART}${{3}}")
        .str.replace_all(_LONG_NUMBER, VEIL)
        .str.replace_all(_DATE_AGAIN, "${1}-${2}-${3}")
    )


def shown_values(value: pl.Expr, longest: int = LONGEST) -> pl.Expr:
    """Cut long texts of a column, and make their control characters visible."""
    length = value.str.len_chars()
    cut = pl.format("{}\u2026 ({} characters)", value.str.slice(0, longest), length)
    text = pl.when(length > longest).then(cut).otherwise(value)
    return text.str.replace_many([chr(code) for code in _INVISIBLE], [chr(to) for to in _INVISIBLE.values()])


def masked_text(text: str) -> str:
    """Return a sentence without the e-mail addresses and long numbers in it; a very long one is cut."""
    veiled = re.sub(_EMAIL, rf"\1{VEIL}@{VEIL}", text)
    apart = re.sub(_DATE, rf"\1{_DATE_APART}\2{_DATE_APART}\3", veiled)
    masked = re.sub(_DATE_AGAIN, r"\1-\2-\3", re.sub(_LONG_NUMBER, VEIL, apart))
    return shown(masked, LONGEST_SENTENCE) or ""


def shown(value: str | None, longest: int = LONGEST) -> str | None:
    """Cut a long text, and make control characters visible."""
    if value is None:
        return None
    return visible(value if len(value) <= longest else f"{value[:longest]}\u2026 ({len(value)} characters)")


def visible(text: str) -> str:
    """Make control characters visible."""
    return text.translate(_INVISIBLE)


def _veiled(value: pl.Expr) -> pl.Expr:
    first = value.str.slice(0, 1)
    return (
        pl.when(value.str.contains("@", literal=True))
        .then(first + f"{VEIL}@{VEIL}")
        .when(value.is_not_null())
        .then(first + VEIL)
    )
