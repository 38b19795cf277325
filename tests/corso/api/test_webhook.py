"""A sentence to a webhook: two tries, and no URL in what is said of it."""

import json

import httpx
import pytest

from corso.api.webhook import post_to_webhook
from corso.errors import SettingsError

URL = "https://hooks.example/T0KEN"


def posted(*answers: int | Exception) -> tuple[str | None, list[dict[str, str]], list[float]]:
    """Post against a webhook that answers so; return why it did not work, what arrived, the pauses."""
    told, pauses, left = list[dict[str, str]](), list[float](), list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        told.append(json.loads(request.content))
        now = left.pop(0)
        if isinstance(now, Exception):
            raise now
        return httpx.Response(now)

    why = post_to_webhook(URL, {"text": "late"}, transport=httpx.MockTransport(answer), sleep=pauses.append)
    return why, told, pauses


def test_a_sentence_arrives() -> None:
    """As JSON with `text`, which chat rooms show."""
    assert posted(204) == (None, [{"text": "late"}], [])


@pytest.mark.parametrize("answer", [httpx.ConnectError("x"), 429, 503])
def test_what_may_pass_is_tried_again(answer: int | Exception) -> None:
    """A connection that broke, a server that is busy."""
    why, told, pauses = posted(answer, 200)
    assert (why, len(told), len(pauses)) == (None, 2, 1)


@pytest.mark.parametrize(
    ("answers", "tries", "said"),
    [
        ((404,), 1, "the webhook answered 404"),
        ((500, 500), 2, "the webhook answered 500"),
        ((302, 302), 2, "the webhook answered 302"),
        ((httpx.ReadTimeout(URL),) * 2, 2, "the webhook cannot be reached (ReadTimeout)"),
    ],
)
def test_what_does_not_work_is_said_without_the_url(
    answers: tuple[int | Exception, ...], tries: int, said: str
) -> None:
    """Whoever knows it can post."""
    why, told, _ = posted(*answers)
    assert (why, len(told)) == (said, tries)


@pytest.mark.parametrize("url", ["http://hooks.example/T0KEN", "ftp://hooks.example", "hooks.example"])
def test_a_url_that_would_travel_in_clear_is_refused_and_not_repeated(url: str) -> None:
    """As all else that holds a secret."""
    with pytest.raises(SettingsError) as error:
        post_to_webhook(url, {})
    assert "hooks.example" not in str(error.value)
