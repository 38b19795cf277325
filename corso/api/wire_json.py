"""JSON as the API answers it: numbers stay exact, and what is not JSON is None; pure."""

import json
from decimal import Decimal
from typing import Any, NoReturn


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


_decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)


def decode_object(body: bytes) -> dict[str, Any] | None:
    """Decode a JSON object; its numbers are int or Decimal. None when `body` is anything else."""
    try:
        value = _decoder.decode(body.decode("utf-8-sig"))
    except (ValueError, ArithmeticError, RecursionError):
        # ArithmeticError: an exponent that no Decimal has; RecursionError: a million nested lists.
        return None
    return value if isinstance(value, dict) else None


def id_text(value: Any) -> str | None:
    """Return an id of Corso's as text, whether it came as number or string; None when it is neither."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = int(value) if value.adjusted() < 40 else None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
