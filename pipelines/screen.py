"""What the command prints of a batch: progress bars on a terminal, plain lines elsewhere, and its numbers.

Facts go to standard output (`output`), progress and errors to standard error.
"""

import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from corso.report.corrected import said_corrections
from corso.report.filled import said_amount, said_use
from corso.report.summary import QuotaUse, Summary
from corso.stages.batch import Pace, ProgressWatch
from pipelines.output import is_quiet, say
from pipelines.streams import patient
from pipelines.time_left import TimeLeft, said_seconds
from schemas.corrections import CorrectionsUse
from schemas.filled_values import FallbackUse
from schemas.money import money_text
from schemas.moved_money import MovedAmount

_SAID_EVERY_S = 10.0
_MOST_REASONS = 3
_UNCOUNTED = {"read": "reading the export", "compare": "comparing", "books": "writing the report"}
"""What is done in one piece."""
_WORDS = {
    "check": "order rows checked",
    "plan": "orders planned",
    "canary": "canary orders",
    "create_order": "orders",
    "update_order": "orders",
    "cancel_order": "orders",
    "create_fulfillment": "fulfillments",
    "look up": "look up",
    # For what was sent to show in Corso, before it is believed not to be there.
    "wait": "seconds waited",
    "read back": "read back",
    "read fulfillments": "fulfillments read back",
    **_UNCOUNTED,
}
_ON_A_TERMINAL = {"plan", *_UNCOUNTED}
"""What is over soon enough for a log to say nothing of it."""


@contextmanager
def progress() -> Iterator[ProgressWatch]:
    """Show how far the stages are, until the block ends."""
    if is_quiet():
        yield lambda _what, _done, _total, _pace=None: None
        return
    with _standard_error() as file:
        console = Console(file=file)
        if console.is_terminal and not console.is_dumb_terminal:
            with _bars_on(console) as bars:
                yield _Bars(bars, "preparing").watch
        else:
            yield _Lines(console).watch


@contextmanager
def _standard_error() -> Iterator[IO[str]]:
    """Give standard error as it is now, and as one that stops no load: in a run's steps Dagster puts a file in its place, which is no terminal."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):
        # A program that calls this has put something in its place that is no file.
        yield sys.stderr
        return
    with patient(descriptor, sys.stderr) as file:
        yield file


def _bars_on(console: Console) -> Progress:
    # Where the terminal is narrow the bar gives way, not the numbers.
    return Progress(
        TextColumn("{task.description:12}"),
        BarColumn(),
        _CountColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[pace]}"),
        _TimeLeftColumn(table_column=Column(no_wrap=True)),
        console=console,
        transient=True,
    )


class _CountColumn(MofNCompleteColumn):
    """So many of so many; nothing while nothing is counted."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total or task.completed else Text()


class _TimeLeftColumn(ProgressColumn):
    """Counts down also while nothing gets done: a pause is part of the time that is left."""

    def render(self, task: Task) -> Text:
        done_at = task.fields["done_at"]
        return Text(
            "" if done_at is None or task.finished else f"{said_seconds(done_at - time.monotonic())} left"
        )


class _Bars:
    """One bar for each thing that is being done, and one without an end for what is not counted, as long as it goes on."""

    def __init__(self, bars: Progress, at_first: str | None = None) -> None:
        self._bars = bars
        self._uncounted: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}
        self._times: defaultdict[str, TimeLeft] = defaultdict(TimeLeft)
        if at_first is not None:
            self._uncounted = self._added(at_first)

    def watch(self, what: str, done: int, total: int, pace: Pace | None = None) -> None:
        if self._uncounted is not None:
            self._bars.remove_task(self._uncounted)
            self._uncounted = None
        word = _WORDS.get(what, what)
        if what in _UNCOUNTED:
            self._uncounted = self._added(word)
            return
        left = self._times[word]
        left.note(time.monotonic(), done, pace)
        if word not in self._tasks:
            self._tasks[word] = self._added(word)
        said = ", ".join(_said_pace(left.per_second, pace))
        self._bars.update(
            self._tasks[word], completed=done, total=total or None, pace=said, done_at=left.done_at(total)
        )

    def _added(self, word: str) -> TaskID:
        return self._bars.add_task(word, total=None, pace="", done_at=None)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, float] = {}
        self._ended: dict[str, int] = {}
        self._times: defaultdict[str, TimeLeft] = defaultdict(TimeLeft)

    def watch(self, what: str, done: int, total: int, pace: Pace | None = None) -> None:
        if what in _ON_A_TERMINAL:
            return
        word, now = _WORDS.get(what, what), time.monotonic()
        self._times[word].note(now, done, pace)
        ended = done == total
        if self._ended.get(word) == total or (
            now - self._said.setdefault(word, now) < _SAID_EVERY_S and not ended
        ):
            return
        self._said[word] = now
        self._ended[word] = total if ended else -1
        of = f" of {total}" if total else ""
        said = ", ".join(_said_pace(self._times[word].per_second, pace))
        done_at = self._times[word].done_at(total)
        left = "" if ended or done_at is None else f", {said_seconds(done_at - now)} left"
        self._console.print(
            f"{word}: {done}{of}" + (f" ({said})" if said else "") + left, highlight=False, soft_wrap=True
        )


def _said_pace(measured: float, pace: Pace | None) -> Iterator[str]:
    """Say how fast it goes and may go, what of the quota is used, what the API refused: in 40 columns of a terminal's 80."""
    goes = [_said_rate(measured)] if measured else []
    if pace is None:
        yield from goes
        return
    if pace.pause_s:
        yield f"pause of {said_seconds(pace.pause_s)}"
    else:
        yield " of ".join([*goes, _said_rate(pace.per_second)]) + ("" if goes else " allowed")
    if pace.quota_share is not None:
        yield f"{pace.quota_share * 100:.0f} % of quota"
    yield f"{pace.throttled:,} throttled"


def _said_rate(per_second: float) -> str:
    return f"{per_second:.0f}/s" if per_second >= 10 else f"{per_second:.1f}/s"


def say_counts(title: str, counts: Mapping[str, int]) -> None:
    """Print one line of counts, zeros left out."""
    some = [f"{count:,} {_noun(name, count)}" for name, count in counts.items() if count]
    say(f"  {title:15} {', '.join(some) or 'none'}")


def _noun(name: str, count: int) -> str:
    words = name.replace("_", " ")
    return words.removesuffix("s") if count == 1 else words


def say_fallbacks(uses: Sequence[FallbackUse]) -> None:
    """Print one line for each declared fallback: what it filled in accepted orders."""
    for use in uses:
        say(f"  fallback {use.fallback} filled {said_use(use)}")


def say_reasons(problems: pl.DataFrame) -> None:
    """Print why most of the quarantined orders are: the most frequent of `problems_by_frequency`, with a place and a remedy."""
    by_orders = problems.sort("orders", descending=True, maintain_order=True)
    for row in by_orders.head(_MOST_REASONS).iter_rows(named=True):
        column = ".".join(filter(None, [row["table"], row["column"]]))
        orders = "1 order" if row["orders"] == 1 else f"{row['orders']:,} orders"
        place = f"{row['file']}:{row['line']}"
        say(f"  {'because':15} {orders}: {column} {row['sentence']} (e.g. {place}); {row['remedy']}")
    if problems.height > _MOST_REASONS:
        say(f"  {'':15} and {problems.height - _MOST_REASONS:,} rarer reasons, all in quarantine.csv")


def say_corrections(patterns: Sequence[str], use: CorrectionsUse) -> None:
    """Print what was made of the corrections files; nothing where loader.yaml names none."""
    if patterns and not use.files:
        say(f"  corrections     no file fits {' or '.join(patterns)}: nothing was corrected yet")
    for title, text in said_corrections(use):
        say(f"  corrections     {title}: {text}")


def say_moved(rows: Sequence[MovedAmount]) -> None:
    """Print one line for each kind of money that the profile moved, in accepted orders."""
    for row in rows:
        say(f"  money {row.kind}: {said_amount(row)}")


def say_summary(summary: Summary, quota: QuotaUse) -> None:
    """Print a batch in a few lines, with what its run met of the API's quota."""
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
        used = "" if asked.quota_share is None else f", {asked.quota_share * 100:.0f} % of the quota used"
        others = "" if quota.foreign_share is None else f", others used {quota.foreign_share * 100:.0f} %"
        say(
            f"  {'requests':15} {asked.sent:,} {_noun('requests', asked.sent)} in {asked.seconds:,.1f} s, {asked.throttled:,} throttled"
            f"{used}{others}"
        )
    for row in summary.money if summary.reconciliation.orders else ():
        if row.difference:
            accepted, corso, off = map(money_text, (row.accepted, row.corso, row.difference))
            say(
                f"  {'money':15} {row.currency} {row.month}: accepted {accepted}, Corso {corso}, difference {off}"
            )
