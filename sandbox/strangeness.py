"""Answers that are right and yet not what was sent: values spelled anew when kept, and fields nobody knows.

Both are assumed: Corso may or may not do either, and a reader must get along with both.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import exact_json

EXTRA_FIELDS: dict[str, Any] = {
    "extraObject": {"list": [1, "two"], "nothing": None},
    "extraText": "…",
    "extraNull": None,
}
_GET_EXTRA_FIELDS = ("orderId", "fulfillmentId", "hasNextPage", "pageInfo", "fulfillments")
"""An object with one of these is an order or a line item, a fulfillment, a pageInfo, or an answer that lists."""
_DATE_TIMES = {
    "sourceCreatedOn",
    "sourceUpdatedOn",
    "sourceCanceledOn",
    "deliveredOn",
    "estimatedDeliveryOn",
    "inTransitOn",
}
_DATE_TIME = re.compile(
    r"(?P<date>.{10}).(?P<minute>.{5}):(?P<second>..)(?P<fraction>\.[0-9]+)?(?P<offset>.+)"
)
_OTHER_OFFSET = timezone(timedelta(hours=-5))
_NORTH_AMERICA = re.compile(r"\+1([0-9]{3})([0-9]{3})([0-9]{4})")
_ELSEWHERE = re.compile(r"(\+[0-9]{2})([0-9]{3})([0-9]+)")


def respell(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body that passed its rules with its e-mail address, phone number and date-times spelled another way."""
    return {name: _respelled(name, item) for name, item in body.items()}


def _respelled(name: str, value: Any) -> Any:
    if name == "email":
        return value.lower()
    if name == "phone":
        return _spaced(value)
    if name in _DATE_TIMES:
        return in_another_offset(value)
    return _respelled_inside(value)


def _respelled_inside(value: Any) -> Any:
    if isinstance(value, list):
        return [_respelled_inside(item) for item in value]
    return respell(value) if isinstance(value, dict) else value


def _spaced(phone: str) -> str:
    """Group a phone number's digits: +12025550123 becomes +1 202-555-0123."""
    if _NORTH_AMERICA.fullmatch(phone):
        return _NORTH_AMERICA.sub(r"+1 \1-\2-\3", phone)
    return _ELSEWHERE.sub(r"\1 \2-\3", phone)


def in_another_offset(date_time: str) -> str:
    """Spell the same instant with -05:00 where it was in UTC, and with Z where it was not.

    Seconds and their fraction stay as they are, because offsets are whole minutes: so a leap second and nine
    decimals, neither of which Python can hold, live through it. A year that would leave the calendar stays too.
    """
    parts = _DATE_TIME.fullmatch(date_time)
    if parts is None:
        return date_time
    offset = "+00:00" if parts["offset"] in ("Z", "z") else parts["offset"]
    try:
        minute = datetime.fromisoformat(f"{parts['date']}T{parts['minute']}{offset}")
        to_utc = minute.utcoffset() != timedelta(0)
        shifted = minute.astimezone(UTC if to_utc else _OTHER_OFFSET)
    except (OverflowError, ValueError):
        return date_time
    clock = f"{shifted:%H:%M}:{parts['second']}{parts['fraction'] or ''}"
    return f"{shifted.date().isoformat()}T{clock}{'Z' if to_utc else '-05:00'}"


class AddExtraFields:
    """Adds fields to answers that no reference names."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add to what comes back; errors stay as they are.

        A route's answer comes in two messages; its start has to wait, because it tells the body's length.
        """
        start: Message = {}

        async def add(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] < 300:
                start = message
                return
            if start:
                body = exact_json.dump(_extended(exact_json.load(message["body"]))).encode()
                others = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                await send({**start, "headers": [*others, (b"content-length", str(len(body)).encode())]})
                message = {**message, "body": body}
            await send(message)

        await self._app(scope, receive, add)


def _extended(value: Any) -> Any:
    if isinstance(value, list):
        return [_extended(item) for item in value]
    if isinstance(value, dict):
        inside = {name: _extended(item) for name, item in value.items()}
        return inside | EXTRA_FIELDS if any(name in value for name in _GET_EXTRA_FIELDS) else inside
    return value
