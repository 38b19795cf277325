"""What the text of an option may be; argparse turns what these raise into exit code 2."""

import argparse
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from sandbox.limits import LimitChange


def whole_number(at_least: int) -> Callable[[str], int]:
    """Make a reader of whole numbers that are not too small."""

    def read(text: str) -> int:
        number = int(text)
        if number < at_least:
            msg = f"must be at least {at_least}"
            raise argparse.ArgumentTypeError(msg)
        return number

    read.__name__ = "whole number"  # argparse names it where the text is no number at all
    return read


def seconds(text: str) -> float:
    """Read a length of time, which may be none."""
    number = float(text)
    if not 0 <= number < 1e9:
        msg = "must not be negative"
        raise argparse.ArgumentTypeError(msg)
    return number


def some_seconds(text: str) -> float:
    """Read a length of time that is not none."""
    number = seconds(text)
    if number == 0:
        msg = "must be more than 0"
        raise argparse.ArgumentTypeError(msg)
    return number


def probability(text: str) -> float:
    """Read a number from 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        msg = "must be from 0 to 1"
        raise argparse.ArgumentTypeError(msg)
    return number


def store_id(text: str) -> str:
    """Read a store's id, in the spelling that `records.store_key` gives it."""
    try:
        return format(Decimal(text).normalize(), "f")
    except InvalidOperation as error:
        msg = f"{text} is not a number"
        raise argparse.ArgumentTypeError(msg) from error


def limit_change(text: str) -> LimitChange:
    """Read `AT:N`: seconds, and the limit from then on."""
    at, colon, limit = text.partition(":")
    if not colon:
        msg = f"{text} is not AT:N, such as 60:50"
        raise argparse.ArgumentTypeError(msg)
    return LimitChange(seconds(at), whole_number(1)(limit))


def requests_per_second(text: str) -> float:
    """Read a rate, which may be none; each request is counted one by one, so there is an end to it."""
    number = float(text)
    if not 0 <= number <= 10_000:
        msg = "must be from 0 to 10000"
        raise argparse.ArgumentTypeError(msg)
    return number
