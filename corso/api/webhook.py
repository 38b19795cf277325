"""A sentence to a webhook: chat rooms and pagers take a POST of JSON. No part of Corso's API, but httpx lives here.

The URL is a secret: whoever knows it can post. It is in no message of ours.
"""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from corso.errors import SettingsError
from corso.settings import is_this_machine
from schemas.wire import JsonObject

_TRIES = 2
_PAUSE_S = 2.0
_TIMEOUT_S = 8.0
"""Dagster gives a sensor a minute for all that it does."""


def check_webhook(url: str) -> None:
    """Raise SettingsError where what is posted, or the URL itself, could be read on its way."""
    parts = urlsplit(url)
    is_here = is_this_machine(parts.hostname or "")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        message = "the webhook's URL must begin with https:// (http:// is for this machine only)"
        raise SettingsError(message)


def post_to_webhook(
    url: str,
    body: JsonObject,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """Post once it works, in two tries; return why it did not, in words without the URL, or None where it did.

    The same sentence twice does no harm, so a try whose answer was lost is tried again. Raises SettingsError.
    """
    check_webhook(url)
    why = ""
    for number in range(_TRIES):
        if number:
            sleep(_PAUSE_S)
        try:
            status = asyncio.run(_posted(url, body, transport))
        except (httpx.TransportError, TimeoutError) as error:
            why = f"the webhook cannot be reached ({type(error).__name__})"
            continue
        if httpx.codes.is_success(status):
            return None
        why = f"the webhook answered {status}"
        if httpx.codes.is_client_error(status) and status != httpx.codes.TOO_MANY_REQUESTS:
            break
    return why


async def _posted(url: str, body: JsonObject, transport: httpx.AsyncBaseTransport | None) -> int:
    """Post; return the answer's status. Nothing more of it is read, and however it trickles in, it has `_TIMEOUT_S`."""
    async with (
        asyncio.timeout(_TIMEOUT_S),
        httpx.AsyncClient(transport=transport, timeout=_TIMEOUT_S, follow_redirects=False) as client,
        client.stream("POST", url, json=body) as answer,
    ):
        return answer.status_code
