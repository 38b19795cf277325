"""A road to a PostgreSQL server that is cut at a commit: before the server hears of it, or before its answer is heard."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

Cut = Literal["before the commit", "after the commit"]


class CuttingProxy:
    """Passes connections on to a port of this machine; leave it as a context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._cut: Cut | None = None
        self.cuts = 0
        """How often it was cut."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def cut_once(self, where: Cut) -> None:
        """Cut the connection of the next commit there."""
        self._cut = where

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                where, self._cut = (self._cut, None) if b"COMMIT" in data else (None, self._cut)
                if where is None:
                    server.sendall(data)
                    continue
                self.cuts += 1
                if where == "after the commit":
                    # Nobody reads the client's side any more: the answer ends here.
                    client.shutdown(socket.SHUT_RDWR)
                    server.sendall(data)
                    # The server ends the connection once it has carried out what it had received.
                    server.shutdown(socket.SHUT_WR)
                    continue
                break
        _close(client, server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
