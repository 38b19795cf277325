"""Whether a record that was found in Corso is what we sent: payload against record, member by member.

For the few orders in doubt, as plain JSON. Millions are compared in `corso.report.compare`, by the same
tolerances: instants as instants, numbers as decimals, e-mail without case, phones by their digits, text trimmed.
What we did not send is not compared: Corso may fill it.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.wire import MONEY_DECIMALS, JsonObject, instant, without_noise

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")
_INSTANT_TOLERANCE = timedelta(seconds=1)


def holds(record: JsonObject, payload: bytes) -> bool:
    """Say whether the record has everything that the payload says."""
    return _same(json.loads(payload, parse_float=Decimal), record, "")


def differences(record: JsonObject, payload: bytes) -> list[str]:
    """Return the API paths (`customer.email`, `lineItems.sku`) of what the payload says and the record does not hold."""
    sent = json.loads(payload, parse_float=Decimal)
    return list(dict.fromkeys(_differing(sent, record, "")))


def _differing(sent: Any, found: Any, path: str) -> Iterator[str]:
    if isinstance(sent, dict) and isinstance(found, dict):
        for key, value in sent.items():
            yield from _differing(value, found.get(key), f"{path}.{key}" if path else key)
    elif path == "lineItems" and isinstance(found, list) and len(found) == len(sent):
        lines = {str(line.get("sourceLineItemId")): line for line in found if isinstance(line, dict)}
        for line in sent:
            yield from _differing(line, lines.get(line["sourceLineItemId"]), path)
    elif not _same(sent, found, path.rpartition(".")[2]):
        yield path


def _same(sent: Any, found: Any, name: str) -> bool:
    if isinstance(sent, dict):
        return isinstance(found, dict) and all(
            _same(value, found.get(key), key) for key, value in sent.items()
        )
    if isinstance(sent, list):
        return isinstance(found, list) and _same_list(sent, found, name)
    if isinstance(sent, bool) or found is None:
        return sent is found
    if isinstance(sent, int | Decimal):
        return _same_number(sent, found)
    if name.endswith("On") and (ours := _instant(sent)) and (theirs := _instant(str(found))):
        return abs(ours - theirs) < _INSTANT_TOLERANCE
    return _text(sent, name) == _text(str(found), name)


def _same_list(sent: list[Any], found: list[Any], name: str) -> bool:
    if name != "lineItems":
        return len(sent) == len(found) and all(_same(a, b, name) for a, b in zip(sent, found, strict=True))
    lines = {str(line.get("sourceLineItemId")): line for line in found if isinstance(line, dict)}
    return len(sent) == len(found) and all(
        _same(line, lines.get(line["sourceLineItemId"]), name) for line in sent
    )


def _same_number(sent: Decimal | int, found: Any) -> bool:
    try:
        number = Decimal(str(found))
        return sent in {number, without_noise(number, MONEY_DECIMALS)}
    except (ArithmeticError, TypeError):
        # TypeError: a signalling NaN has no hash.
        return False


def _instant(value: str) -> datetime | None:
    """Read RFC 3339; a date-time without an offset is no instant."""
    return instant(value) if _INSTANT.match(value) else None


def _text(value: str, name: str) -> str:
    if name == "email":
        return value.strip().casefold()
    if name == "phone":
        return re.sub(r"[^\d+]", "", value)
    return unicodedata.normalize("NFC", value.strip())
