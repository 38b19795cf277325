"""The command's options: what they are called, what they mean, and the value that they make together."""

import argparse

from sandbox import fault_arguments, limit_arguments
from sandbox.argument_values import seconds, store_id, whole_number
from sandbox.filters import FilterModes
from sandbox.listing import PageSizes
from sandbox.options import SandboxOptions
from sandbox.store import IN_MEMORY

DESCRIPTION = """\
A stand-in Corso API on this machine. It enforces every documented rule, refuses with all reasons at once, keeps
numbers exactly as they were sent, and remembers orders and fulfillments in SQLite. What Corso does not document
is an option, or is marked "assumed" below. Networks and servers fail; so does this one, as often as it is told.

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
  GET    /_sandbox/counts                   what is held, and since the start: answers by status, faults by
                                            kind, and what became of the quota; for tests

quota, in the counts (null with --limit 0; seconds count from the first API request that reached the limit):
  windows                                   of --window-model fixed, the last 10,000: [opened at (seconds), limit,
                                            ours, foreign, refused ours, refused foreign]
  ours, foreign                             requests that passed
  refused_ours, refused_foreign             requests that did not
  early                                     requests of ours after a 429 and before the time to wait was over
                                            (a fixed window's exact end, elsewhere Retry-After); see --early-grace
  times                                     requests of ours that passed, second by second, for 20,000 seconds
  Foreign requests are counted when a request of ours arrives, up to then.

faults:
  All may be used together. P is a probability from 0 to 1. An API request draws one number when it arrives, and
  meets at most one of the faults from --drop-answer to --garble: so these add up to 1 at most. The same --seed
  and the same requests in the same order meet the same faults. Requests for tokens suffer --token-errors only,
  and /_sandbox/ suffers nothing. "Carried out" is what a good request is: created, replaced, cancelled, or for
  a read nothing; what is refused (400, 401, 429) is disturbed too, with nothing carried out. A fault comes
  before latency, token and limit: a request that is not carried out uses up none of the limit.
  --forbid-after counts before all that, and its 403 suffers no fault.
  Status 499 in the counts is a client that left in the middle of its body.

assumed, because Corso does not say:
  Error bodies are {"error": {"code", "message", "problems": [{"path", "message"}]}}; token errors follow RFC 6749.
  Unknown fields, unknown parameters and server-assigned fields in a request are ignored; null is not a value.
  Bodies over 10 MB are refused with 413. The rate limit counts all requests that bring a good token, together.
  orderBy orders by creation in Corso. first with before, and last with after, are errors.
  A line item keeps its lineItemId through an update while it keeps its sourceLineItemId.
  An order created with sourceCanceledOn is an order like any other; only DELETE closes an order.

exit codes: 0 stopped by a signal, 2 wrong options, a port in use, or a database file that cannot be used

examples:
  python -m sandbox --port 0 --db sandbox.sqlite --limit 100 --window 1 --duplicates accept
  python -m sandbox --limit 100 --window 4 --limit-change 60:50 --foreign 10 --latency 0.15 --early-grace 0.2
  python -m sandbox --seed 7 --drop-answer 0.1 --error-after 0.1 --faults-on writes --fault-limit 20
"""


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
    limit_arguments.add_limit(parser.add_argument_group("the rate limit"))
    limit_arguments.add_others(parser.add_argument_group("who else uses it"))
    _add_pages(parser.add_argument_group("pages"))
    _add_behaviour(parser.add_argument_group("how it behaves where Corso does not say"))
    fault_arguments.add_draw(parser.add_argument_group("how faults are drawn"))
    fault_arguments.add_network(parser.add_argument_group("faults of the network"))
    fault_arguments.add_server(parser.add_argument_group("faults of the server"))
    fault_arguments.add_access(parser.add_argument_group("faults of access"))
    return parser


def read_options(arguments: argparse.Namespace) -> SandboxOptions:
    """Turn parsed arguments into options. Raises ValueError where two of them do not fit."""
    if arguments.page_size > arguments.max_page_n:
        msg = "--page-size is more than --max-page"
        raise ValueError(msg)
    limit_arguments.check_limit(arguments)
    return SandboxOptions(
        client_id=arguments.client_id,
        client_secret=arguments.client_secret,
        audience=arguments.audience,
        token_lifetime_s=arguments.token_lifetime,
        stores=frozenset(arguments.store),
        limit=arguments.limit,
        window_s=arguments.window,
        window_model=arguments.window_model,
        limit_changes=tuple(arguments.limit_change),
        foreign_per_s=arguments.foreign,
        headers=arguments.headers,
        header_form=arguments.header_form,
        early_grace_s=arguments.early_grace,
        page_sizes=PageSizes(default=arguments.page_size, largest=arguments.max_page_n),
        latency_s=arguments.latency,
        duplicates=arguments.duplicates,
        filters=FilterModes(
            refuse_unfiltered=arguments.refuse_unfiltered,
            source=arguments.source_filter,
            email=arguments.email_filter,
        ),
        listing_lag_s=arguments.listing_lag,
        order_by=arguments.order_by,
        cursor_lifetime_s=arguments.cursor_lifetime,
        normalise=arguments.normalise,
        extra_fields=arguments.extra_fields,
        revoke_after=arguments.revoke_after,
        forbid_after=arguments.forbid_after,
        faults=fault_arguments.read_faults(arguments),
    )


def _add_place(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    group.add_argument(
        "--port",
        type=int,
        default=8787,
        metavar="PORT",
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
        type=whole_number(1),
        default=3600,
        metavar="SECONDS",
        help="how long a token is good (default %(default)s)",
    )
    group.add_argument(
        "--store",
        action="append",
        default=[],
        type=store_id,
        metavar="ID",
        help="a store that the client owns; orders for others get 403; repeatable (default: any store)",
    )


def _add_pages(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--page-size",
        type=whole_number(1),
        default=50,
        metavar="N",
        help="orders a page, unasked (default %(default)s)",
    )
    group.add_argument(
        "--max-page",
        dest="max_page_n",
        type=whole_number(1),
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
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="wait before an API request is looked at (default %(default)g)",
    )
    group.add_argument(
        "--refuse-unfiltered",
        action="store_true",
        help="a listing without any filter answers 400: customerEmail and orderNameOrNumber are required",
    )
    group.add_argument(
        "--source-filter",
        choices=["works", "refused", "ignored"],
        default="works",
        help="the listing's sourceOrderId: works, answers 400, or is silently not applied, so that the listing is as "
        "if it had not been given (default %(default)s)",
    )
    group.add_argument(
        "--email-filter",
        choices=["works", "refused"],
        default="works",
        help="the listing's customerEmail with orderNameOrNumber: works, or answers 400 (default %(default)s)",
    )
    group.add_argument(
        "--listing-lag",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="the listing, filtered or not, shows an order only so long after its creation, also over a restart; GET "
        "by id shows it at once (default %(default)g)",
    )
    group.add_argument(
        "--order-by",
        choices=["works", "ignored"],
        default="works",
        help="the listing's orderBy: works, or is silently not applied, so that the newest order comes first (default %(default)s)",
    )
    group.add_argument(
        "--cursor-lifetime",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="how long a cursor is good; afterwards it answers 400 as one that was not made here (default: for ever)",
    )
    group.add_argument(
        "--normalise",
        action="store_true",
        help="values are spelled anew when they are kept: e-mail addresses in lower case, phone numbers as "
        "+1 202-555-0123, date-times as the same instant in another offset",
    )
    group.add_argument(
        "--extra-fields",
        action="store_true",
        help="fields that no reference names are in every answer: in orders, line items, fulfillments, pageInfo and "
        "beside the lists; errors are without",
    )
