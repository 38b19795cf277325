"""The command's options for what goes wrong on purpose, and the `Faults` that they make."""

import argparse

from sandbox.argument_values import probability, seconds, whole_number
from sandbox.faults import Faults


def read_faults(arguments: argparse.Namespace) -> Faults:
    """Turn parsed arguments into faults. Raises ValueError where they add up to more than one a request."""
    return Faults(
        seed=arguments.seed,
        drop_answer=arguments.drop_answer,
        reset_before=arguments.reset_before,
        reset_during=arguments.reset_during,
        reset_after=arguments.reset_after,
        error_before=arguments.error_before,
        error_after=arguments.error_after,
        slow=arguments.slow,
        stall=arguments.stall,
        truncate=arguments.truncate,
        garble=arguments.garble,
        slow_for_s=arguments.slow_for,
        token_errors=arguments.token_errors,
        on=arguments.faults_on,
        limit=arguments.fault_limit,
    )


def add_draw(group: argparse._ArgumentGroup) -> None:
    """Describe what steers all faults."""
    group.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="the number that all draws follow from, in the order in which requests arrive (default %(default)s)",
    )
    group.add_argument(
        "--faults-on",
        choices=["writes", "all"],
        default="all",
        help="which requests meet the faults from --drop-answer to --garble: POST and DELETE, or reads too; others "
        "draw no number (default %(default)s)",
    )
    group.add_argument(
        "--fault-limit",
        type=whole_number(0),
        metavar="N",
        help="after so many faults from --drop-answer to --garble there are no more, so that a run surely ends "
        "(default: no limit)",
    )


def add_network(group: argparse._ArgumentGroup) -> None:
    """Describe what happens to the connection."""
    _add_share(
        group,
        "--drop-answer",
        "carried out, then the connection is closed without a byte of the answer",
    )
    _add_share(group, "--reset-before", "TCP reset before the body is read; not carried out")
    _add_share(
        group,
        "--reset-during",
        "TCP reset when the first part of the body was read, which of a small body may be all; not carried out",
    )
    _add_share(group, "--reset-after", "TCP reset when the whole body was read; not carried out")
    _add_share(
        group,
        "--truncate",
        "carried out, then the answer's body is cut in the middle and the connection closed, with a Content-Length "
        "that says more",
    )


def add_server(group: argparse._ArgumentGroup) -> None:
    """Describe what the server answers, and when."""
    _add_share(
        group,
        "--error-before",
        "500, 502 or 503 with a body of JSON, of HTML, or none; not carried out, and the body not read",
    )
    _add_share(group, "--error-after", "the same errors, but the request was carried out")
    _add_share(
        group,
        "--slow",
        "carried out at once, then the answer is held back for --slow-for; other requests do not wait",
    )
    _add_share(
        group,
        "--stall",
        "read, held back for --slow-for, and only then carried out, even if the client has gone by then",
    )
    group.add_argument(
        "--slow-for",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long --slow and --stall hold back; a signal to stop waits for them 5 seconds at most "
        "(default %(default)g)",
    )
    _add_share(
        group,
        "--garble",
        "carried out and answered with the right status, but the body is a proxy's HTML, empty, or JSON cut short "
        "under a Content-Length that is right",
    )


def add_access(group: argparse._ArgumentGroup) -> None:
    """Describe how access is lost."""
    _add_share(
        group,
        "--token-errors",
        "the token endpoint answers 500; drawn from the same seed, apart from all others, and not counted by "
        "--fault-limit",
    )
    group.add_argument(
        "--revoke-after",
        type=whole_number(1),
        metavar="N",
        help="a token is refused with 401 after N API requests were made with it; a new one is good for N again; a "
        "restart forgets the count (default: never)",
    )
    group.add_argument(
        "--forbid-after",
        type=whole_number(0),
        metavar="N",
        help="every API request after the Nth answers 403, whatever it brings; a restart forgets the count "
        "(default: never)",
    )


def _add_share(group: argparse._ArgumentGroup, name: str, text: str) -> None:
    group.add_argument(name, type=probability, default=0.0, metavar="P", help=f"{text} (default %(default)g)")
