"""The command: `python -m sandbox`, which is also `corso-loader sandbox`."""

import argparse
import contextlib
import socket
import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from sandbox import server
from sandbox.app import SandboxOptions, build_app
from sandbox.listing import PageSizes
from sandbox.store import IN_MEMORY, Store, StoreUnusable

DESCRIPTION = """\
A stand-in Corso API on this machine. It enforces every documented rule, refuses with all reasons at once, keeps
numbers exactly as they were sent, and remembers orders and fulfillments in SQLite. What Corso does not document
is an option, or is marked "assumed" below.

Once it accepts connections it prints one line with its addresses. SIGTERM and SIGINT stop it with exit code 0.
"""

EPILOG = """\
paths:
  POST   /oauth/token                       client credentials, JSON or form, for a Bearer token
  GET    /v1/orders                         list: customerEmail with orderNameOrNumber, sourceOrderId,
                                            first, after, last, before, orderBy=asc|desc
  POST   /v1/orders                         create, answers 201
  GET    /v1/orders/{orderId}               read
  POST   /v1/orders/{orderId}               replace the whole order
  DELETE /v1/orders/{orderId}               cancel: canceledReason and sourceCanceledOn; no changes afterwards
  GET    /v1/orders/{orderId}/fulfillments  list
  POST   /v1/orders/{orderId}/fulfillments  create, answers 201
  GET    /_sandbox/counts                   what is held, and answers by status since the start; for tests

assumed, because Corso does not say:
  Error bodies are {"error": {"code", "message", "problems": [{"path", "message"}]}}; token errors follow RFC 6749.
  Unknown fields, unknown parameters and server-assigned fields in a request are ignored; null is not a value.
  Bodies over 10 MB are refused with 413. The rate limit counts all requests that bring a good token, together.
  orderBy orders by creation in Corso. first with before, and last with after, are errors.
  A line item keeps its lineItemId through an update while it keeps its sourceLineItemId.
  An order created with sourceCanceledOn is an order like any other; only DELETE closes an order.

exit codes: 0 stopped by a signal, 2 wrong options, a port in use, or a database file that cannot be used

example:
  python -m sandbox --port 0 --db sandbox.sqlite --limit 100 --window 1 --duplicates accept
"""


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


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="sandbox",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_place(parser.add_argument_group("where"))
    _add_clients(parser.add_argument_group("who may call"))
    _add_limits(parser.add_argument_group("how much at once"))
    _add_behaviour(parser.add_argument_group("how it behaves where Corso does not say"))
    return parser


def read_options(arguments: argparse.Namespace) -> SandboxOptions:
    """Turn parsed arguments into options. Raises ValueError where two of them do not fit."""
    if arguments.page_size > arguments.max_page_n:
        msg = "--page-size is more than --max-page"
        raise ValueError(msg)
    return SandboxOptions(
        client_id=arguments.client_id,
        client_secret=arguments.client_secret,
        audience=arguments.audience,
        token_lifetime_s=arguments.token_lifetime,
        stores=frozenset(arguments.store),
        limit=arguments.limit,
        window_s=arguments.window,
        headers=arguments.headers,
        page_sizes=PageSizes(default=arguments.page_size, largest=arguments.max_page_n),
        latency_s=arguments.latency,
        duplicates=arguments.duplicates,
    )


def _fail(message: str) -> int:
    print(f"sandbox: {message}", file=sys.stderr)  # noqa: T201 - the command's own words
    return 2


def _add_place(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    group.add_argument(
        "--port",
        type=int,
        default=8787,
        metavar="P",
        help="port to listen on; 0 takes any (default %(default)s)",
    )
    group.add_argument(
        "--db",
        default=IN_MEMORY,
        metavar="FILE",
        help="SQLite file that holds the state, made where it is missing, for one sandbox at a time; an answered "
        "create is in it even if the sandbox is killed. Without it the state is in memory and ends with the process",
    )


def _add_clients(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--client-id", default="sandbox", metavar="ID", help="the client (default %(default)s)"
    )
    group.add_argument(
        "--client-secret",
        default="sandbox",
        metavar="SECRET",
        help="the client's secret (default %(default)s)",
    )
    group.add_argument(
        "--audience", metavar="NAME", help="the only audience to give tokens for, else 403 (default: any)"
    )
    group.add_argument(
        "--token-lifetime",
        type=_whole_number(1),
        default=3600,
        metavar="SECONDS",
        help="how long a token is good (default %(default)s)",
    )
    group.add_argument(
        "--store",
        action="append",
        default=[],
        type=_store_id,
        metavar="ID",
        help="a store that the client owns; orders for others get 403; repeatable (default: any store)",
    )


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--limit",
        type=_whole_number(0),
        default=1000,
        metavar="N",
        help="API requests a window; 0 means no limit and no RateLimit headers (default %(default)s)",
    )
    group.add_argument(
        "--window",
        type=_some_seconds,
        default=10.0,
        metavar="SECONDS",
        help="length of the window, which opens with the first request after the last one closed (default %(default)g)",
    )
    group.add_argument(
        "--headers",
        choices=["always", "429", "never"],
        default="always",
        help="which answers carry RateLimit-Limit, -Remaining and -Reset; Retry-After is on every 429 (default %(default)s)",
    )
    group.add_argument(
        "--page-size",
        type=_whole_number(1),
        default=50,
        metavar="N",
        help="orders a page, unasked (default %(default)s)",
    )
    group.add_argument(
        "--max-page",
        dest="max_page_n",
        type=_whole_number(1),
        default=250,
        metavar="N",
        help="orders a page at most; who asks for more gets fewer (default %(default)s)",
    )


def _add_behaviour(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--duplicates",
        choices=["reject-400", "reject-409", "existing", "accept"],
        default="reject-400",
        help="what a create answers whose sourceOrderId the store has already, or whose sourceFulfillmentId the order "
        "has: an error, the existing record with 200, or a second record with 201 (default %(default)s)",
    )
    group.add_argument(
        "--latency",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="wait before anything is done with an API request (default %(default)g)",
    )


def _whole_number(at_least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        number = int(text)
        if number < at_least:
            msg = f"must be at least {at_least}"
            raise argparse.ArgumentTypeError(msg)
        return number

    return whole_number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 1e9:
        msg = "must not be negative"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def _some_seconds(text: str) -> float:
    seconds = _seconds(text)
    if seconds == 0:
        msg = "must be more than 0"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def _store_id(text: str) -> str:
    try:
        return format(Decimal(text).normalize(), "f")
    except InvalidOperation as error:
        msg = f"{text} is not a number"
        raise argparse.ArgumentTypeError(msg) from error


if __name__ == "__main__":
    sys.exit(main())
