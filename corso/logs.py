"""Structured logs: one JSON object a line, with store, batch, run and order ids, without secrets and personal data.

On where `CORSO_LOG=json` or `--log json` says so. What is logged: how each operation ended (accepted ones at DEBUG, as
there may be millions), and how a run began and ended. The order's id stands in a field of its own; a payload, an answer's
body or a customer's data never does.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

from corso.scrubbing import scrubbed

FIELDS = ("store", "batch", "run", "order", "fulfillment", "operation", "state", "status", "attempts")
"""Fields that a record may carry (`extra=`), in the order in which they are written."""
VARIABLE = "CORSO_LOG"
LEVEL_VARIABLE = "CORSO_LOG_LEVEL"


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON; `always` are fields of every line."""

    def __init__(self, always: Mapping[str, str]) -> None:
        super().__init__()
        self._always = dict(always)

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`. Of an exception only its class is told: its text may hold anything."""
        given = {
            **self._always,
            **{name: getattr(record, name, None) for name in FIELDS if hasattr(record, name)},
        }
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrubbed(record.getMessage()),
        }
        line |= {name: given[name] for name in FIELDS if given.get(name) is not None}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False, default=str)


@contextmanager
def json_lines(
    always: Mapping[str, str] | None = None, stream: IO[str] | None = None, level: str | None = None
) -> Iterator[None]:
    """Write what the engine logs as JSON lines as long as the block lasts; by default to standard error."""
    engine = logging.getLogger("corso")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(always or {}))
    before, propagated = engine.level, engine.propagate
    engine.setLevel(_level(level or os.environ.get(LEVEL_VARIABLE, "")))
    engine.propagate = False
    engine.addHandler(handler)
    try:
        yield
    finally:
        engine.removeHandler(handler)
        engine.setLevel(before)
        engine.propagate = propagated


def are_wanted() -> bool:
    """Say whether the environment asks for JSON lines."""
    return os.environ.get(VARIABLE, "").lower() == "json"


def _level(name: str) -> int:
    return logging.getLevelNamesMapping().get(name.upper(), logging.INFO)
