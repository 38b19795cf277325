"""What there is to retry: the store's rejected and unknown operations, grouped by what the API said of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from corso.delivery.ledger import Entry, Ledger
from corso.delivery.states import State
from corso.stages.batch import Batch

_LONGEST = 160
_VARIABLE = re.compile(r"""'[^']*'|\\?"[^"\\]*\\?"(?=\s|[,.;:}\]]|$)|\d+""")
"""What differs from order to order in the same complaint: quoted values and numbers."""
_WITH_A_DIGIT = re.compile(r"""[^\s"'\\]*[\d@][^\s"'\\,;:.]*""")
_SAYS_NO_VALUE = re.compile(r"""["'\\]*([A-Za-z_.$\[\]]{1,40}|[A-Za-z][a-z … _.,;:$\[\]-]{1,100})["'\\]*\Z""")
"""A key, a code, or a sentence without numbers and names."""


@dataclass(frozen=True)
class Cause:
    """Operations that ended the same way for the same reason."""

    state: State
    said: str
    """The API's words, without what differs from order to order."""
    operations: int
    example: str
    """The source id of one of the orders."""


def causes_to_retry(batch: Batch) -> list[Cause]:
    """Return the causes, the most frequent first."""
    settings = batch.settings
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        return _grouped(ledger.entries(states=[State.REJECTED, State.UNKNOWN, State.SENDING]))


def _grouped(entries: Iterable[Entry]) -> list[Cause]:
    groups: dict[tuple[State, str], list[str]] = {}
    for entry in entries:
        state = State.UNKNOWN if entry.state is State.SENDING else entry.state
        groups.setdefault((state, essence_of(entry.reason or "")), []).append(entry.key.source_order_id)
    causes = [Cause(state, said, len(ids), ids[0]) for (state, said), ids in groups.items()]
    return sorted(causes, key=lambda cause: (-cause.operations, cause.state, cause.said))


def essence_of(reason: str) -> str:
    """Return what the API said, short and without what differs from order to order: a person's data is not in it."""
    request, answered, words = reason.partition(" answered ")
    status, rest = words[:3], words[3:]
    # The path has Corso's id of the order in it.
    what = f"{re.sub(r'(?<=/)[0-9]+', '…', request)}{answered}{status}" if answered else ""
    text = _VARIABLE.sub(_shown, rest if answered else reason)
    return re.sub(r"\s+", " ", what + text).strip()[:_LONGEST] or "no reason was given"


def _shown(found: re.Match[str]) -> str:
    text = _WITH_A_DIGIT.sub("…", found[0])
    return text if _SAYS_NO_VALUE.match(text) else "…"
