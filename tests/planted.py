"""Values that are planted in every field and every secret, and the search for them in everything that is written.

Import it as `from tests.planted import PERSONAL, SECRETS, found_in`.
"""

import io
import itertools
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl

from tests.export_factories import Row, fulfillment_text, line_text, order_text

SECRETS: Mapping[str, str] = {
    "client secret": "planted-client-secret-51b0",
    "token": "planted-token-7f3a9c",
    "ledger password": "planted-ledger-password-90",
    "webhook": "planted-webhook-path-44",
    "mail password": "planted-mail-password-13",
    "proxy password": "planted-proxy-password-27",
}
COLUMNS = (
    "customer_first_name",
    "customer_last_name",
    "notes",
    *(
        f"{which}_address_{part}"
        for which in ("billing", "shipping")
        for part in ("line1", "line2", "city", "postal_code", "name", "first_name", "last_name")
    ),
    "Custom: loyalty card",
)
"""Columns of an order that get a planted word; e-mail and phone get one of their own form."""
ORDERS = 12
STEM, ID_STEM = "Quokka", "walrus"


def word(column: str, number: int) -> str:
    """Return what is planted in a column of an order: a word that no rule could tell from others."""
    return f"{STEM}{column.title().replace('_', '').replace(' ', '').replace(':', '')}{number}x"


def email(number: int) -> str:
    """Return an order's e-mail address."""
    return f"quokka.{number}.mail@planted.example"


def phone(number: int) -> str:
    """Return an order's phone."""
    return f"+1202555{7100 + number}"


def customer_id(number: int) -> str:
    """Return an order's customer's id, which as an id may stand on the masked page."""
    return f"{ID_STEM}-{number}x"


def personal(number: int) -> dict[str, str]:
    """Return all that is planted in an order, its line and its fulfillment; column -> value."""
    return {
        **{column: word(column, number) for column in COLUMNS},
        "customer_source_customer_id": customer_id(number),
        "customer_email": email(number),
        "customer_phone": phone(number),
    }


def values_of(number: int) -> list[str]:
    """Return all that is planted of an order, its line and its fulfillment."""
    return [*personal(number).values(), word("engraving", number), word("tracking", number)]


def planted_orders(numbers: Iterable[int] = range(1, ORDERS + 1)) -> list[Row]:
    """Return orders with planted values in every column that is a customer's; the last one does not add up."""
    rows = [order_text(number, **personal(number)) for number in numbers]
    rows[-1]["total_money"] = "99.00"
    rows[-2]["source_created_on"] = f"{word('date', ORDERS - 1)}"
    return rows


def planted_lines() -> list[Row]:
    """Return their lines, engraved."""
    return [
        line_text(number, options=json.dumps([{"name": "Engraving", "value": word("engraving", number)}]))
        for number in range(1, ORDERS + 1)
    ]


def planted_fulfillments() -> list[Row]:
    """Return their fulfillments."""
    return [
        fulfillment_text(
            number,
            tracking_info_number=word("tracking", number),
            tracking_info_url=f"https://track.example/{word('tracking', number)}",
        )
        for number in range(1, ORDERS + 1)
    ]


def needles() -> list[str]:
    """Return what must not be found; lower case."""
    return [STEM.lower(), ID_STEM, "planted.example", "2025557"]


def found_in(text: str, *, secrets_only: bool = False) -> list[str]:
    """Return which planted values stand in a text."""
    folded = text.lower()
    wanted = [*SECRETS.values(), *([] if secrets_only else needles())]
    return [f"{each}: …{_around(folded, each.lower())}…" for each in wanted if each.lower() in folded]


def _around(text: str, needle: str) -> str:
    at = text.index(needle)
    return text[max(0, at - 60) : at + 60].replace("\n", " ")


def texts_of(path: Path) -> Iterator[str]:
    """Yield what can be read in a file."""
    yield from texts_in(path.read_bytes())


def texts_in(content: bytes) -> Iterator[str]:
    """Yield what can be read in a file's content: its bytes as text, and what is packed in it."""
    yield content.decode("utf-8", "replace")
    yield content.decode("utf-16-le", "replace")
    if content[:4] == b"PAR1":
        yield pl.read_parquet(io.BytesIO(content), hive_partitioning=False).write_json()
    elif content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield archive.read(name).decode("utf-8", "replace")


def files_below(folder: Path) -> list[Path]:
    """Return all files, hidden ones too."""
    return sorted(path for path in itertools.chain(folder.rglob("*"), folder.rglob(".*")) if path.is_file())
