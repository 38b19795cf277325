"""The token endpoint: client credentials for an access token."""

import hmac
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox import exact_json
from sandbox.answers import media_type, read_body
from sandbox.options import SandboxOptions
from sandbox.tokens import TokenMint


class TokenRoute:
    """POST /oauth/token: client credentials, as JSON or as a form, for an access token."""

    def __init__(self, options: SandboxOptions, mint: TokenMint) -> None:
        self._options = options
        self._mint = mint
        self.issued = 0

    async def issue(self, request: Request) -> Response:
        """Answer a token, or an error in the form of RFC 6749, section 5.2 (assumed)."""
        given = await _read_credentials(request)
        wanted = ("client_id", "client_secret", "audience", "grant_type")
        missing = [name for name in wanted if not isinstance(given.get(name), str)]
        if missing:
            return _token_error(400, "invalid_request", f"missing, or not a string: {', '.join(missing)}")
        if given["grant_type"] != "client_credentials":
            return _token_error(400, "unsupported_grant_type", "grant_type must be client_credentials")
        if not self._knows(given["client_id"], given["client_secret"]):
            return _token_error(401, "invalid_client", "client_id or client_secret is wrong")
        if self._options.audience not in (None, given["audience"]):
            return _token_error(403, "access_denied", "the client may not ask for this audience")
        self.issued += 1
        return JSONResponse(
            {
                "access_token": self._mint.issue(given["client_id"]),
                "token_type": "Bearer",
                "expires_in": self._options.token_lifetime_s,
            },
            headers={"cache-control": "no-store"},
        )

    def _knows(self, client_id: str, client_secret: str) -> bool:
        expected = f"{self._options.client_id}\n{self._options.client_secret}"
        given = f"{client_id}\n{client_secret}"
        return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


async def _read_credentials(request: Request) -> dict[str, Any]:
    body = await read_body(request)
    if media_type(request) == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        given = exact_json.load(body)
    except exact_json.NotJson:
        return {}
    return given if isinstance(given, dict) else {}


def _token_error(status: int, code: str, description: str) -> Response:
    return JSONResponse({"error": code, "error_description": description}, status)
