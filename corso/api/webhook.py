"""A sentence to a webhook: chat rooms and pagers take a POST of JSON. No part of Corso's API, but httpx lives here.

The URL is a secret: whoever knows it can post. It is in no message of ours.
"""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from corso.errors import SettingsError
from schemas.wire import JsonObject

_TRIES = 2
_PAUSE_S = 2.0
_TIMEOUT_S = 8.0
"""Dagster gives a sensor a minute for all that it does."""


def check_webhook(url: str) -> None:
    """Raise SettingsError where what is posted, or the URL itself, could be read on its way."""
    parts = urlsplit(url)
    is_here = parts.hostname in {"localhost", "::1"} or (parts.hostname or "").startswith("127.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        message = "the webhook's URL must begin with https:// (http:// is for this machine only)"
        raise SettingsError(message)


def post_to_webhook(
    url: str,
    body: JsonObject,
    *,
    transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """Post once it works, in two tries; return why it did not, in words without the URL, or None where it did.

    The same sentence twice does no harm, so a try whose answer was lost is tried again. Raises SettingsError.
    """
    check_webhook(url)
    why = ""
    with httpx.Client(transport=transport, timeout=_TIMEOUT_S, follow_redirects=False) as client:
        for number in range(_TRIES):
            if number:
                sleep(_PAUSE_S)
            try:
                answer = client.post(url, json=body)
            except httpx.TransportError as error:
                why = f"the webhook cannot be reached ({type(error).__name__})"
                continue
            if answer.is_success:
                return None
            why = f"the webhook answered {answer.status_code}"
            if answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
    return why
