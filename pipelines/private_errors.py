"""Errors keep to themselves what they know of customers: in Dagster's history and its captured output, in core dumps.

Dagster writes an error's text, and that of its causes, into its history, where everybody reads it who may see the UI, and
where it stays. All errors become what is written in one place, `SerializableErrorInfo.from_traceback`; there the text of
those that we did not raise on purpose is left out, and that of the others scrubbed. Places and classes stay. Dagster's own
way (DAGSTER_REDACT_USER_CODE_ERRORS) takes the places, too, and leaves the text in the event of the run's failure: a test
holds ours against the pinned version.
"""

import re
import resource

from dagster_shared.error import SerializableErrorInfo

from corso.scrubbing import scrubbed
from corso.unexpected import CRASH

_NO_CORE = 1
"""A core dump of one byte is none, and unlike 0 this also holds for one that a program takes through a pipe (core(5))."""
_OURS = re.compile(r"(corso|dagster)[\w.]*\.\w+\Z")
_OF_THE_SYSTEM = frozenset(
    {"OSError", "KeyboardInterrupt", *(each.__name__ for each in OSError.__subclasses__())}
)
_WITHHELD = f"(its text may hold personal data: it is in {CRASH} among the batch's tables)"
_from_traceback = SerializableErrorInfo.from_traceback.__func__  # type: ignore[attr-defined]


def keep_errors_private() -> None:
    """Have Dagster keep errors' texts out of its history in this process, and make no core dumps of it."""
    # The one place; the class is Dagster's.
    SerializableErrorInfo.from_traceback = classmethod(_private)  # type: ignore[method-assign,assignment]
    resource.setrlimit(resource.RLIMIT_CORE, (_NO_CORE, _NO_CORE))


def private_message(message: str) -> str:
    """Return what may be read of an error, of the line `module.Class: text` that Python writes of it."""
    kind, _, text = message.strip().partition(": ")
    if _OURS.match(kind) or kind in _OF_THE_SYSTEM:
        return scrubbed(message)
    if not text and kind.replace(".", "").isidentifier():
        return message
    name = kind if kind.replace(".", "").isidentifier() else "an error"
    return f"{name} {_WITHHELD}\n"


def _private(kind: type[SerializableErrorInfo], trace: object) -> SerializableErrorInfo:
    # Causes come the same way.
    told: SerializableErrorInfo = _from_traceback(kind, trace)
    return told._replace(message=private_message(told.message))
