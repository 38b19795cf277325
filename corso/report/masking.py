"""Personal data on the page: enough to recognise a case, not enough to know the customer.

The page is passed around; the workbook, the CSV files and the Parquet file are not masked and are their owner's only.
Which columns hold personal data is decided by their names. Free text that comes from Corso (reasons) loses its
e-mail addresses and long numbers.
"""

import re

VEIL = "\u2022\u2022\u2022"
LONGEST = 160
"""Characters of a value that the page shows."""

_PERSONAL = re.compile(
    r"customer_(first_name|last_name|email|phone)|notes|line_items\.options"
    r"|(billing|shipping)_address_(?!country_code$|state_or_province_code$).+"
)
_EMAIL = re.compile(r"([^\s@\"'<>(),;:])[^\s@\"'<>(),;:]*@[^\s@\"'<>(),;:]+")
_LONG_NUMBER = re.compile(r"\+?\d[\d ()-]{7,}\d")
_INVISIBLE = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_INVISIBLE |= dict.fromkeys(
    (*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F), 0xFFFD
)


def is_personal(field: str | None) -> bool:
    """Say whether a finding's field holds personal data."""
    return field is not None and _PERSONAL.fullmatch(field) is not None


def masked(value: str | None, field: str | None) -> str | None:
    """Return a finding's value as the page may show it."""
    if value is None or not is_personal(field):
        return shown(value)
    if "@" in value:
        return f"{shown(value[0])}{VEIL}@{VEIL}"
    return f"{shown(value[:1])}{VEIL}"


def masked_text(text: str) -> str:
    """Return free text without the e-mail addresses and long numbers in it."""
    veiled = _EMAIL.sub(rf"\1{VEIL}@{VEIL}", text)
    return shown(_LONG_NUMBER.sub(VEIL, veiled)) or ""


def shown(value: str | None) -> str | None:
    """Cut a long text, and make control characters visible."""
    if value is None:
        return None
    return visible(value if len(value) <= LONGEST else f"{value[:LONGEST]}\u2026 ({len(value):,} characters)")


def visible(text: str) -> str:
    """Make control characters visible."""
    return text.translate(_INVISIBLE)
