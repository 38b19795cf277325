"""What httpx and HTTP say, and what it means for an operation."""

import httpx
import pytest

from corso.api.translate import (
    LONGEST_BODY,
    NOT_SENT,
    UNKNOWN,
    AnswerTooLong,
    BodyTooLong,
    error_text,
    from_httpx,
    from_status,
)
from corso.errors import ApiError, NotAuthorised, NotFound, NotSent, OutcomeUnknown, Rejected


def leaves(kind: type[httpx.TransportError]) -> set[type[httpx.TransportError]]:
    """Return httpx's own exceptions below `kind` that have none below them."""
    below = [sub for sub in kind.__subclasses__() if sub.__module__.startswith("httpx")]
    return set().union(*(leaves(sub) for sub in below)) if below else {kind}


def test_every_exception_of_httpx_has_a_translation() -> None:
    """A new httpx that can fail in a new way must not be guessed at."""
    assert leaves(httpx.TransportError) == set(NOT_SENT) | set(UNKNOWN)
    assert not set(NOT_SENT) & set(UNKNOWN)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [*((kind, NotSent) for kind in NOT_SENT), *((kind, OutcomeUnknown) for kind in UNKNOWN)],
)
def test_only_a_connection_that_never_was_means_not_sent(
    kind: type[httpx.TransportError], expected: type[ApiError]
) -> None:
    """All else may have been carried out."""
    assert type(from_httpx(kind("gone"), "POST /orders")) is expected


@pytest.mark.parametrize("kind", [httpx.TransportError, httpx.TimeoutException, httpx.DecodingError])
def test_an_unlisted_exception_is_unknown(kind: type[httpx.RequestError]) -> None:
    """When in doubt, look it up."""
    assert type(from_httpx(kind("?"), "POST /orders")) is OutcomeUnknown


def test_an_answer_that_is_too_long_is_unknown_and_says_so() -> None:
    """It has a class of its own, so that nobody asks for the same again."""
    assert type(from_httpx(BodyTooLong("too long"), "GET /orders")) is AnswerTooLong


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, Rejected), (302, Rejected), (303, OutcomeUnknown), (307, Rejected), (308, Rejected),
        (400, Rejected), (401, NotAuthorised), (403, NotAuthorised), (404, NotFound), (408, OutcomeUnknown),
        (409, Rejected), (413, Rejected), (422, Rejected), (499, Rejected),
        (500, OutcomeUnknown), (502, OutcomeUnknown), (503, OutcomeUnknown), (504, OutcomeUnknown),
        (599, OutcomeUnknown), (101, OutcomeUnknown), (999, OutcomeUnknown),
    ],
)  # fmt: skip
def test_every_status_has_a_meaning(status: int, expected: type[ApiError]) -> None:
    """The class decides what may happen next; status and body are kept."""
    error = from_status(status, "why", "POST /orders")

    assert type(error) is expected
    assert (error.status, error.body) == (status, "why")
    assert str(status) in str(error)


def test_an_error_body_is_kept_verbatim_but_bounded_and_without_secrets() -> None:
    """A server that echoes the request must not put the token into our reports."""
    assert error_text(b'{"a": "\xc3\xa9\xff"}', ()) == '{"a": "é�"}'
    assert len(error_text(b"x" * 1_000_000, ())) == LONGEST_BODY
    assert error_text(b"Bearer abc.def!", ("abc.def", "")) == "Bearer [removed]!"
