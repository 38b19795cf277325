"""From what httpx and HTTP say to the error tree of `corso.errors`, in one place; pure.

The one question for a request that changes something: may it have been carried out? Only where it surely was not
(no connection was ever there to carry a byte, or the server refused it) is the answer no; all else is
`OutcomeUnknown`. An exception of httpx that is not listed here is unknown, too: a test holds the list against httpx.
"""

import httpx

from corso.errors import ApiError, NotAuthorised, NotFound, NotSent, OutcomeUnknown, Rejected

LONGEST_BODY = 4_000
"""Characters of an error's body that are kept."""

NOT_SENT: tuple[type[httpx.TransportError], ...] = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
"""No connection: not a byte of the request has left."""

UNKNOWN: tuple[type[httpx.TransportError], ...] = (
    httpx.CloseError,
    httpx.LocalProtocolError,
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.RemoteProtocolError,
    httpx.WriteError,
    httpx.WriteTimeout,
)
"""Bytes may have left. Among them: a server that closed an idle connection just as the request went out."""


class AnswerTooLong(OutcomeUnknown):
    """The answer is longer than anything that is read; asking again for as much gives the same."""


class BodyTooLong(httpx.ReadError):
    """Raised while an answer is read; `from_httpx` makes it AnswerTooLong."""


def from_httpx(error: httpx.HTTPError, what: str) -> ApiError:
    """Translate an exception of httpx; `what` names the request, e.g. `POST /orders`."""
    detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, NOT_SENT):
        return NotSent(f"{what} was not sent ({detail})")
    if isinstance(error, BodyTooLong):
        return AnswerTooLong(f"{what}: {error}")
    return OutcomeUnknown(f"{what}: no answer was read ({detail})")


def from_status(status: int, body: str, what: str) -> ApiError:
    """Translate an HTTP status other than 2xx and 429.

    The codes are those of Corso's reference (400, 401, 403, 404); the others follow RFC 9110. A redirect is never
    followed, as the token must not go to another host.
    """
    kind, hint = _meaning(status)
    return kind(f"{what}: the API answered {status}{hint}", status=status, body=body)


def _meaning(status: int) -> tuple[type[ApiError], str]:
    match status:
        case 401:
            meaning: tuple[type[ApiError], str] = (NotAuthorised, " to a fresh token")
        case 403:
            meaning = (NotAuthorised, ": these credentials may not do this")
        case 404:
            meaning = (NotFound, "")
        case 303 | 408:
            meaning = (OutcomeUnknown, "")
        case _ if 300 <= status < 400:
            meaning = (Rejected, "; redirects are not followed: is corso.base_url right?")
        case _ if 400 <= status < 500:
            meaning = (Rejected, "")
        case _:
            meaning = (OutcomeUnknown, "")
    return meaning


def error_text(body: bytes, secrets: tuple[str, ...]) -> str:
    """Return an error's body as text: verbatim but bounded, and without our secrets should the server echo them."""
    text = body[: 8 * LONGEST_BODY].decode("utf-8", "replace")
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[removed]")
    return text[:LONGEST_BODY]
