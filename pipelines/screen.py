"""What the command prints: progress bars on a terminal, plain lines elsewhere, facts as JSON where asked.

Facts go to standard output, progress and errors to standard error.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from corso.report.summary import Summary
from corso.stages.batch import ProgressWatch
from schemas.money import money_text

_SAID_EVERY_S = 10.0
_WORDS = {
    "create_order": "orders",
    "update_order": "orders",
    "cancel_order": "orders",
    "create_fulfillment": "fulfillments",
    "look up": "look up",
    # For what was sent to show in Corso, before it is believed not to be there.
    "wait": "seconds waited",
    "read back": "read back",
}


@contextmanager
def progress() -> Iterator[ProgressWatch]:
    """Show how far the stages are, until the block ends."""
    console = Console(stderr=True)
    if console.is_terminal:
        with Progress(
            TextColumn("{task.description:13}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        ) as bars:
            yield _Bars(bars).watch
    else:
        yield _Lines(console).watch


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}

    def watch(self, what: str, done: int, total: int, pace: str = "") -> None:
        word = _WORDS.get(what, what)
        if word not in self._tasks:
            self._tasks[word] = self._bars.add_task(word, total=total or None, rate="")
            self._began[word] = time.monotonic()
        seconds = time.monotonic() - self._began[word]
        rate = f"{done / seconds:.0f}/s" if seconds > 1 else ""
        rate = f"{rate} ({pace})" if pace and rate else rate
        self._bars.update(self._tasks[word], completed=done, total=total or None, rate=rate)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, float] = {}
        self._ended: dict[str, int] = {}

    def watch(self, what: str, done: int, total: int, pace: str = "") -> None:
        word, now = _WORDS.get(what, what), time.monotonic()
        ended = done == total
        if self._ended.get(word) == total or (
            now - self._said.setdefault(word, now) < _SAID_EVERY_S and not ended
        ):
            return
        self._said[word] = now
        self._ended[word] = total if ended else -1
        of = f" of {total}" if total else ""
        self._console.print(f"{word}: {done}{of}" + (f" ({pace})" if pace else ""), highlight=False)


def say(text: str = "") -> None:
    """Print one line of facts."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_json(facts: Any) -> None:
    """Print facts as JSON."""
    say(json.dumps(facts, indent=1, ensure_ascii=False, default=str))


def say_counts(title: str, counts: Mapping[str, int]) -> None:
    """Print one line of counts, zeros left out."""
    some = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count]
    say(f"  {title:15} {', '.join(some) or 'none'}")


def say_summary(summary: Summary) -> None:
    """Print a batch in a few lines."""
    say(f"Batch {summary.batch} of store {summary.store_id}")
    say_counts("source", summary.source.model_dump())
    say_counts("accepted", summary.accepted.model_dump())
    say_counts("quarantined", summary.quarantined.model_dump())
    say_counts("plan", summary.plan.model_dump())
    say_counts("outcome", summary.outcome.model_dump())
    say_counts("fulfillments", summary.fulfillments.model_dump())
    say_counts("reconciliation", summary.reconciliation.model_dump())
    asked = summary.requests
    if asked.sent:
        share = "" if asked.quota_share is None else f", {asked.quota_share:.0%} of the quota"
        say(f"  {'requests':15} {asked.sent:,} in {asked.seconds:.1f} s, {asked.throttled} throttled{share}")
    for row in summary.money if summary.reconciliation.orders else ():
        if row.difference:
            accepted, corso, off = map(money_text, (row.accepted, row.corso, row.difference))
            say(
                f"  {'money':15} {row.currency} {row.month}: accepted {accepted}, Corso {corso}, difference {off}"
            )
