"""The command: `python -m sandbox`, which is also `corso-loader sandbox`. Its options are in `arguments`."""

import contextlib
import socket
import sys

from sandbox import server
from sandbox.app import build_app
from sandbox.arguments import build_parser, read_options
from sandbox.options import SandboxOptions
from sandbox.store import Store, StoreUnusable


def main(argv: list[str] | None = None) -> int:
    """Run the sandbox until it is stopped; returns the exit code."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    try:
        options = read_options(arguments)
        listener = server.bind(arguments.host, arguments.port)
    except ValueError as error:
        return _fail(str(error))
    except (OSError, OverflowError) as error:
        return _fail(f"cannot listen on {arguments.host}:{arguments.port}: {error}")
    with listener:
        try:
            store = Store.open(arguments.db)
        except StoreUnusable as error:
            return _fail(str(error))
        with contextlib.closing(store):
            _serve(arguments.host, options, store, listener)
    return 0


def _serve(host: str, options: SandboxOptions, store: Store, listener: socket.socket) -> None:
    shown_host = f"[{host}]" if ":" in host else host
    address = f"http://{shown_host}:{listener.getsockname()[1]}"
    line = f"sandbox: listening on {address} (API {address}/v1, token {address}/oauth/token)"
    server.serve(build_app(options, store), listener, lambda: print(line, flush=True))  # noqa: T201 - the promised line


def _fail(message: str) -> int:
    print(f"sandbox: {message}", file=sys.stderr)  # noqa: T201 - the command's own words
    return 2


if __name__ == "__main__":
    sys.exit(main())
