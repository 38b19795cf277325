"""Where alerts go: a webhook and a mail server that keep what they are told, and all of it.

Import it as `from tests.alert_sinks import mail_server, webhook`.
"""

import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def webhook(path: str = "T0KEN") -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Run a webhook; yield its URL and the bodies that it was sent."""
    told: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{path}", told
        server.shutdown()


class _Mail(socketserver.StreamRequestHandler):
    """Offers no STARTTLS, and takes any password."""

    told: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        in_data = False
        for line in self.rfile:
            text = line.decode().rstrip("\r\n")
            self.told.append(text)
            if in_data:
                in_data = text != "."
                if not in_data:
                    self.wfile.write(b"250 ok\r\n")
                continue
            command = text.upper().partition(" ")[0]
            in_data = command == "DATA"
            self.wfile.write(_ANSWERS.get(command, b"250 ok\r\n"))
            if command == "QUIT":
                return


_ANSWERS = {
    "EHLO": b"250-here\r\n250 AUTH PLAIN\r\n",
    "AUTH": b"235 welcome\r\n",
    "DATA": b"354 go\r\n",
    "QUIT": b"221 bye\r\n",
}


@contextmanager
def mail_server(context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """Run a mail server, with a `context` over TLS; yield its address and every line that it was told."""
    told: list[str] = []
    handler = type("Handler", (_Mail,), {"told": told})

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def get_request(self) -> tuple[Any, Any]:
            connection, address = self.socket.accept()
            wrapped = context.wrap_socket(connection, server_side=True) if context else connection
            return wrapped, address

    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", told
        finally:
            server.shutdown()
            thread.join()
