"""A Corso that repeats what it is told: its refusals quote the whole request, header fields and all, in many ways.

Import it as `from tests.parrot_corso import parrot_corso`.
"""

import html
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.other_corso import Handler, OtherCorso, served

TOKEN = "planted-token-7f3a9c"


@dataclass
class ParrotCorso(OtherCorso):
    """Refuses the first orders, each in another way, and takes the others."""

    refuses_tokens: bool = False
    """Whether the token endpoint refuses, quoting the secret."""
    refuses_all: bool = False
    """Whether every request is answered 401, quoting the token."""
    troubles: int = 1
    """How often the fourth order is answered 500 before it is taken."""


@contextmanager
def parrot_corso() -> Iterator[ParrotCorso]:
    """Serve it on a free port of this machine."""
    with served(ParrotCorso(), _Parrot) as corso:
        yield corso


class _Parrot(Handler):
    corso: ParrotCorso

    def do_GET(self) -> None:  # noqa: N802  (the name that http.server calls)
        if self.corso.refuses_all:
            self._answer(401, {"message": str(self.headers)})
        else:
            super().do_GET()

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers["content-length"]))
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts == ["oauth", "token"]:
            refusal = {"error": "invalid_client", "error_description": body.decode()}
            token = {"access_token": TOKEN, "token_type": "Bearer"}
            self._answer(*((401, refusal) if self.corso.refuses_tokens else (200, token)))
            return
        sent: dict[str, Any] = json.loads(body)
        heard = f"{self.headers}\n{body.decode()}"
        number = sent.get("sourceOrderId", "").rpartition("-")[2] if len(parts) == 2 else ""
        if self.corso.refuses_all:
            self._answer(401, {"message": heard})
        elif number == "1":
            self._answer(422, {"message": "not acceptable", "heard": heard, "order": sent})
        elif number == "2":
            self._say(422, f"<html><body><h1>Unprocessable</h1><pre>{html.escape(heard)}</pre></body></html>")
        elif number == "3":
            customer = sent["customer"]
            self._answer(
                400, {"message": f"Dear {customer['firstName'].upper()}, {customer['email']} is taken"}
            )
        elif number == "4" and self.corso.troubles:
            self.corso.troubles -= 1
            self._say(500, f"<html>Traceback: {heard}</html>")
        elif number == "5":
            # So long that what is kept of it ends within a value.
            name = sent["customer"]["lastName"]
            self._say(422, "x" * (3_999 - len(name)) + " " + name + " and so on")
        else:
            with self.corso.lock:
                self._answer(201, self.corso.create(sent) if len(parts) == 2 else sent | {"fulfillmentId": 1})

    def _say(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
