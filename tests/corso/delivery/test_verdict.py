"""From an error to what may happen next: every class of error has its verdict."""

import pytest

from corso.api import listing, translate
from corso.errors import (
    ApiError,
    DoneWithoutId,
    NotAuthorised,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Verdict,
    verdict,
)

VERDICTS: dict[type[ApiError], Verdict] = {
    NotSent: Verdict.RESEND,
    RateLimited: Verdict.WAIT,
    OutcomeUnknown: Verdict.LOOK_UP,
    DoneWithoutId: Verdict.LOOK_UP,
    Rejected: Verdict.SETTLE,
    NotFound: Verdict.SETTLE,
    NotAuthorised: Verdict.STOP,
}


def below(kind: type[ApiError]) -> set[type[ApiError]]:
    """Return all classes below one, wherever they are defined."""
    return {kind for sub in kind.__subclasses__() for kind in (sub, *below(sub))}


def made(kind: type[ApiError]) -> ApiError:
    """Return an error of this class."""
    return kind("why", retry_after_s=1.0) if issubclass(kind, RateLimited) else kind("why")


def test_the_table_names_every_kind_of_api_error() -> None:
    """A new class needs a decision."""
    assert {kind for kind in below(ApiError) if kind.__module__ == ApiError.__module__} == set(VERDICTS)


@pytest.mark.parametrize(("kind", "expected"), VERDICTS.items())
def test_the_class_decides(kind: type[ApiError], expected: Verdict) -> None:
    """Resend freely, wait, look up, settle or stop."""
    assert verdict(made(kind)) is expected


def test_whatever_is_derived_is_judged_as_what_it_is_derived_from() -> None:
    """The client's own kinds of error change nothing about what may happen next."""
    assert translate.AnswerTooLong in below(ApiError)
    assert listing.ListingRefused in below(ApiError)
    for base, expected in VERDICTS.items():
        assert {verdict(made(kind)) for kind in below(base)} <= {expected}


def test_an_error_of_no_known_kind_is_looked_up() -> None:
    """When in doubt, never resend."""
    for kind in (ApiError, listing.ListingBroken):
        assert verdict(kind("?")) is Verdict.LOOK_UP
