"""JSON whose numbers keep their text: 129.53 comes back as 129.53, and 1.50 as 1.50.

Python's json turns numbers into binary floats, which cannot hold most amounts of money, and cannot write a
Decimal at all; so reading names its own number type here, and writing is a short function of its own.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Self

_quote = json.encoder.encode_basestring


class NotJson(Exception):
    """The bytes are not a JSON document."""


class ExactNumber(Decimal):
    """A number of a JSON document, together with the text it was written in."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Read the text of a JSON number."""
        number = super().__new__(cls, text)
        number.text = text
        return number


def load(body: bytes) -> Any:
    """Read a JSON document; its numbers are `ExactNumber`. Raises `NotJson`, which says what is wrong and where."""
    try:
        text = body.decode("utf-8")
        return json.loads(
            text, parse_float=ExactNumber, parse_int=ExactNumber, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as error:
        msg = f"not UTF-8 at byte {error.start}"
        raise NotJson(msg) from error
    except json.JSONDecodeError as error:
        msg = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise NotJson(msg) from error
    except InvalidOperation as error:
        msg = "a number's exponent is out of range"
        raise NotJson(msg) from error
    except RecursionError as error:
        msg = "nested too deeply"
        raise NotJson(msg) from error


def dump(value: Any) -> str:
    """Write a value of str, bool, None, int, Decimal, list and dict as JSON text."""
    # A chain of comparisons, because every value of every order passes here: `match` took half as long again.
    kind = type(value)
    if kind is str:
        return _quote(value)
    if kind is ExactNumber:
        return str(value.text)
    if kind is dict:
        return "{" + ",".join([f"{_quote(key)}:{dump(item)}" for key, item in value.items()]) + "}"
    if kind is list:
        return "[" + ",".join([dump(item) for item in value]) + "]"
    if kind is Decimal:
        return str(value)
    return json.dumps(value)


def _refuse_constant(name: str) -> Any:
    msg = f"{name} is not a JSON number"
    raise NotJson(msg)
