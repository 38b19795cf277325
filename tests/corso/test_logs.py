"""Structured logs: a line is an object with the ids that one looks for, and nothing that one must not read."""

import io
import json
import logging
from typing import Any

import pytest

from corso.delivery.sender import _log
from corso.delivery.states import State
from corso.logs import json_lines
from tests.fake_corso import operation

LOG = logging.getLogger("corso.tests")


def lines(level: str = "debug", **always: str) -> Any:
    """Return a function that gives what was logged so far, and the block in which it is written."""
    stream = io.StringIO()
    return json_lines(always, stream, level), lambda: [
        json.loads(line) for line in stream.getvalue().splitlines()
    ]


def test_a_line_has_store_batch_order_and_how_it_ended() -> None:
    """So that a search for an order's id finds its story."""
    block, written = lines(store="9359", batch="2026-11-22", run="r-1")
    with block:
        _log(operation(1), State.REJECTED, 400)
    (line,) = written()
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "corso.delivery.sender",
        "message": "create_order is rejected",
        "store": "9359",
        "batch": "2026-11-22",
        "run": "r-1",
        "order": "o-1",
        "operation": "create_order",
        "state": "rejected",
        "status": 400,
    }


def test_accepted_operations_are_told_only_where_everything_is() -> None:
    """There may be millions."""
    block, written = lines("info")
    with block:
        _log(operation(1), State.ACCEPTED, 201)
        _log(operation(2), State.UNKNOWN, None)
    assert [line["order"] for line in written()] == ["o-2"]


def test_no_secret_no_address_and_no_exceptions_text_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever somebody puts into a message."""
    monkeypatch.setenv("CORSO_CLIENT_SECRET", "hunter2")
    block, written = lines()
    with block:
        LOG.error("sent hunter2 for ann@example.com with Bearer abcdefghijk", exc_info=ValueError("Ann Lee"))
    (line,) = written()
    assert (line["message"], line["error"]) == ("sent ••• for ••• with Bearer •••", "ValueError")
    assert "Ann" not in str(line)


def test_nothing_is_written_unless_it_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    """The command's own words are what a person reads."""
    block, written = lines()
    with block:
        pass
    LOG.warning("heard by nobody")
    assert written() == []
    assert capfd.readouterr().err == ""
