"""What is told of an error that nobody expected: its class and its place. Its text may hold anything of the data.

The text goes to one place, for its owner only: `crash.txt` among the batch's tables. Errors of ours are sentences, and an
error of the operating system names files: these are told, scrubbed.
"""

import os
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from corso.errors import CorsoError
from corso.machine_errors import is_the_machines, sentence_of
from corso.scrubbing import scrubbed, without_secrets

CRASH = "crash.txt"
"""The last unexpected error of a batch, with its text."""
FULL_VARIABLE = "CORSO_FULL_ERRORS"
"""Set to 1, the command shows unexpected errors with their texts."""
_OWNER_ONLY = 0o600


def said_of(error: BaseException) -> str:
    """Say what a person may read of an error anywhere: in a log, an alert, Dagster's history."""
    if is_the_machines(error):
        return f"{type(error).__name__}: {scrubbed(sentence_of(error))}"
    if isinstance(error, CorsoError):
        return f"{type(error).__name__}: {scrubbed(str(error))}"
    return (
        f"{type(error).__name__} (its text may hold personal data: it is in {CRASH} among the batch's tables)"
    )


def places_of(error: BaseException) -> str:
    """Return the traceback of an error and its causes, without their texts."""
    parts = [_stack(each) for each in _chain(error)]
    return "\nwhich led to\n".join(reversed(parts))


def keep_unexpected(error: BaseException, tables: Path) -> None:
    """Keep an error that nobody expected, with its text, among the batch's tables, for their owner only.

    Secrets are taken out.
    """
    if isinstance(error, CorsoError) or is_the_machines(error):
        return
    text = without_secrets("".join(traceback.format_exception(error)))
    # Where it cannot be kept, the error itself is what has to be told.
    with suppress(OSError):
        tables.mkdir(parents=True, exist_ok=True)
        draft = tables / f".{CRASH}.{os.getpid()}"
        descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, _OWNER_ONLY)
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123  (a descriptor with its mode)
            stream.write(text)
        draft.replace(tables / CRASH)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _stack(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    kind = type(error)
    return "\n".join([*lines, f"{kind.__module__}.{kind.__qualname__}"])
