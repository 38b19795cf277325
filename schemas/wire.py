"""Plain types of what travels between the engine's rooms and over the wire. No frames, no pandera, no httpx.

And how ids, numbers and instants are read out of an answer: the same everywhere, or one order would have two ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any, Literal

OperationKind = Literal["create_order", "update_order", "cancel_order", "create_fulfillment"]

JsonObject = Mapping[str, Any]
"""A decoded JSON object as the API answered it. Its numbers are int or Decimal, never float."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One request to be sent, with everything that the request needs."""

    kind: OperationKind
    source_order_id: str
    """The order's id on the source platform."""
    source_fulfillment_id: str
    """The fulfillment's id on the source platform; empty for operations on orders."""
    corso_order_id: str | None
    """Corso's id of the order; None only for `create_order`."""
    payload: bytes
    """The request's body: UTF-8 JSON, the same bytes for the same data on every run."""
    payload_hash: str
    """SHA-256, hexadecimal, of the whole order or fulfillment that Corso holds afterwards: the payload's own hash,
    but for a cancellation, whose payload says less."""
    cancelled: bool = False
    """Whether the order says that it is cancelled."""
    content: bytes = b""
    """Of an order that is to be cancelled: as it has to stand before, since Corso changes no cancelled one."""
    content_hash: str = ""
    """SHA-256, hexadecimal, of `content`."""
    cancellation: bytes = b""
    """Of a `create_order` that says cancelled: the body of the DELETE, should the order be there uncancelled by then."""

    @property
    def before_cancelling(self) -> "Operation":
        """The update that brings an order to its last content, for a cancellation to follow."""
        return replace(
            self,
            kind="update_order",
            payload=self.content,
            payload_hash=self.content_hash,
            cancelled=False,
            content=b"",
            content_hash="",
            cancellation=b"",
        )

    @property
    def as_cancellation(self) -> "Operation":
        """The cancellation of an order that was to be created cancelled, and is there uncancelled."""
        return replace(self, kind="cancel_order", payload=self.cancellation, cancellation=b"")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A usable answer to an operation: the API did it."""

    status: int
    corso_id: str
    """Corso's id of the order (for operations on orders) or of the fulfillment."""


def id_text(value: Any) -> str | None:
    """Return an id of Corso's as text, whether it came as number or string; None when it is neither."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = int(value) if value.adjusted() < 40 else None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


DIGITS_OF_A_DOUBLE = 15
"""So many decimal digits a binary double keeps for sure; what it says beyond them is noise of its own."""
MONEY_DECIMALS = 4
"""Of an amount in the exports; they hold every ISO 4217 currency."""
MOST_DECIMALS = 10
"""No number is read with more decimals."""


def without_noise(number: Decimal, decimals: int) -> Decimal:
    """Return a number as it was meant by a server that reckons in binary: 5472.630000000001 is 5472.63.

    `decimals` are those that such a number has in the exports. One with more is rounded to fifteen digits: to one decimal more
    than `decimals` at least, so that another amount stays another one, and to ten at most. Raises ArithmeticError for one of
    hundreds of digits.
    """
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= -decimals:
        return number
    places = min(MOST_DECIMALS, max(decimals + 1, DIGITS_OF_A_DOUBLE - 1 - number.adjusted()))
    return number.quantize(Decimal(1).scaleb(-places), context=_LONG) if exponent < -places else number


_LONG = Context(prec=100)


def instant(text: object) -> datetime | None:
    """Read an instant as Corso writes it, in UTC; None for what is none. RFC 3339 allows small letters."""
    try:
        read = datetime.fromisoformat(str(text).upper())
        return read.astimezone(UTC) if read.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
