"""Bodies in, answers out: how a request's JSON is taken, and how a refusal is told.

Assumed: the shape of an error's body, which Corso does not document. Here it is
`{"error": {"code", "message", "problems": [{"path", "message"}]}}`, and it names every problem at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sandbox import exact_json
from sandbox.readers import Problem, Problems, Reader

LARGEST_BODY = 10_000_000
"""Bytes. Assumed: no limit is published."""


class Refused(Exception):
    """The request is answered with an error; `problems` says what is wrong where."""

    def __init__(self, status: int, code: str, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = problems


def json_answer(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Make an answer of text that is JSON already."""
    return Response(text, status, headers, media_type="application/json")


def refusal(
    refused: Refused,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make the answer that tells a refusal."""
    problems = [{"path": problem.path, "message": problem.message} for problem in refused.problems]
    error = {"code": refused.code, "message": refused.message, "problems": problems}
    return json_answer(refused.status, exact_json.dump({"error": error}), headers)


async def answer_refused(_request: Request, error: Exception) -> Response:
    """Handle `Refused` wherever a route raises it."""
    assert isinstance(error, Refused)  # noqa: S101 - for the type; registered for this class only
    return refusal(error)


async def answer_http_exception(_request: Request, error: Exception) -> Response:
    """Handle what Starlette refuses itself: unknown paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type; registered for this class only
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return refusal(Refused(error.status_code, code, error.detail), error.headers)


async def answer_gone_client(_request: Request, _error: Exception) -> Response:
    """Handle a client that left in the middle of its body: nobody hears it, but the counts tell it as 499."""
    return Response(status_code=499)


def validation_failed(problems: Problems) -> Refused:
    """Make the refusal of a request whose fields or parameters are wrong."""
    plural = "problem" if len(problems) == 1 else "problems"
    return Refused(400, "validation_failed", f"the request has {len(problems)} {plural}", problems)


async def read_body(request: Request) -> bytes:
    """Read the whole body. One that is too large is read to its end too, so that its sender hears the 413."""
    chunks = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= LARGEST_BODY:
            chunks.append(chunk)
    if size > LARGEST_BODY:
        raise Refused(413, "body_too_large", f"the body has {size} bytes, at most {LARGEST_BODY} are read")
    return b"".join(chunks)


def media_type(request: Request) -> str:
    """Return the body's media type without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_object(request: Request, reader: Reader) -> dict[str, Any]:
    """Read a JSON object that `reader` finds no problem with, or refuse the request."""
    body = await read_body(request)
    given = media_type(request)
    if given != "application/json":
        raise Refused(
            400, "wrong_content_type", f"the body must be application/json, not {given or 'untyped'}"
        )
    try:
        value = exact_json.load(body)
    except exact_json.NotJson as error:
        raise Refused(400, "malformed_json", f"the body is not JSON: {error}") from error
    problems: Problems = []
    kept: dict[str, Any] | None = reader(value, "", problems)
    if problems or kept is None:
        raise validation_failed(problems)
    return kept
