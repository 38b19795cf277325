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
