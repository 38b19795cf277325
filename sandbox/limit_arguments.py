"""The command's options for the rate limit: how much passes, how it is counted and told, and who else uses it."""

import argparse

from sandbox.argument_values import limit_change, requests_per_second, seconds, some_seconds, whole_number


def check_limit(arguments: argparse.Namespace) -> None:
    """Raise ValueError where an option needs a limit and there is none."""
    if arguments.limit == 0 and (arguments.limit_change or arguments.foreign):
        msg = f"{'--limit-change' if arguments.limit_change else '--foreign'} needs a --limit that is not 0"
        raise ValueError(msg)


def add_limit(group: argparse._ArgumentGroup) -> None:
    """Describe the limit and how it is told."""
    group.add_argument(
        "--limit",
        type=whole_number(0),
        default=1000,
        metavar="N",
        help="API requests a window; 0 means no limit and no RateLimit headers (default %(default)s)",
    )
    group.add_argument(
        "--window",
        type=some_seconds,
        default=10.0,
        metavar="SECONDS",
        help="length of the window, which opens with the first request after the last one closed (default %(default)g)",
    )
    group.add_argument(
        "--window-model",
        choices=["fixed", "sliding", "bucket"],
        default="fixed",
        help="fixed: windows one after the other; sliding: the last --window seconds, whenever one looks; bucket: "
        "holds --limit requests and is filled again in --window seconds. RateLimit-Reset says when the window closes, "
        "the oldest request leaves, or the bucket is full; Retry-After, when there is room (default %(default)s)",
    )
    group.add_argument(
        "--limit-change",
        action="append",
        default=[],
        type=limit_change,
        metavar="AT:N",
        help="from AT seconds after the first API request on, new windows have the limit N; a sliding window or a "
        "bucket has it at once; repeatable",
    )
    group.add_argument(
        "--headers",
        choices=["always", "429", "never"],
        default="always",
        help="which answers carry RateLimit-Limit, -Remaining and -Reset; Retry-After is on every 429 (default %(default)s)",
    )
    group.add_argument(
        "--header-form",
        choices=["classic", "ietf", "epoch"],
        default="classic",
        help="classic: those three; ietf: RateLimit and RateLimit-Policy instead, as in the present draft; epoch: those "
        "three, with the reset in seconds since 1970 (default %(default)s)",
    )


def add_others(group: argparse._ArgumentGroup) -> None:
    """Describe the others, and what counts as early."""
    group.add_argument(
        "--foreign",
        type=requests_per_second,
        default=0.0,
        metavar="R",
        help="others use the same quota with R requests a second at random times, which follow from --seed; what "
        "finds no room is refused (default %(default)g)",
    )
    group.add_argument(
        "--early-grace",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="in the counts, a request that arrives so soon after a 429 was under way by then and is not early; give "
        "--latency and a little more (default %(default)g)",
    )
