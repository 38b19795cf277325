"""What to do next, said after a verb: the commands and files that help from here on, nearest first.

Pure: from what a batch's books say to lines for people.
"""

from collections.abc import Iterator
from pathlib import Path

from corso.errors import CorsoError, LeaseHeld, NotAuthorised, Parked, Stopped
from corso.report.summary import Stage, Summary
from corso.storage.address import BucketAddress
from pipelines.output import as_typed, command_line, shortest


def after_batch(
    summary: Summary, stage: Stage, config: Path | BucketAddress, folder: Path | BucketAddress
) -> Iterator[str]:
    """Yield the steps after a verb that brought a batch as far as `stage`; its reports are in `folder`."""
    batch = ("--batch", summary.batch)
    yield from _because_of_quarantine(summary, folder)
    if stage == "plan":
        if summary.accepted.orders:
            yield f"{command_line('run', config, *batch)}   (sends what is accepted, reads back, compares)"
        else:
            yield f"{command_line('plan', config, *batch)}   (again, once the rows are mended)"
        return
    doubtful = summary.outcome.rejected + summary.outcome.unknown + summary.outcome.not_sent
    doubtful += summary.fulfillments.rejected + summary.fulfillments.unknown + summary.fulfillments.not_sent
    if doubtful:
        yield f"{command_line('retry', config, *batch)}   (what was rejected, unknown or not sent)"
    if stage == "upload":
        yield f"{command_line('reconcile', config, *batch)}   (reads Corso back and compares)"
        return
    yield from _because_of_findings(summary, config, folder)
    if summary.exit_code == 0:
        verify = command_line("reconcile", config, "--verify", shortest(folder / "certificate.json"))
        yield f"hand {as_typed(folder / 'reconciliation.html')} to whoever signs it off; {verify} checks it again"


def after_guard(
    summary: Summary, config: Path | BucketAddress, folder: Path | BucketAddress
) -> Iterator[str]:
    """Yield the steps after a guard stopped a run before anything was sent."""
    yield from _because_of_quarantine(summary, folder)
    if summary.quarantined.orders:
        yield f"{command_line('plan', config, '--batch', summary.batch)}   (again, once the rows are mended)"


def after_stop(error: CorsoError, config: Path | BucketAddress) -> Iterator[str]:
    """Yield the steps after something else stopped a run; none where it is over for now and goes on by the same command."""
    if isinstance(error, Stopped | NotAuthorised):
        yield f"{command_line('doctor', config)}   (examines credentials, API and quota)"
        yield "find the sentence in docs/runbook.md, exit code 3; the same command goes on"
    elif isinstance(error, Parked) and not isinstance(error, LeaseHeld):
        yield "the same command, from then on: it goes on"


def _because_of_quarantine(summary: Summary, folder: Path | BucketAddress) -> Iterator[str]:
    quarantined = summary.quarantined
    if quarantined.orders or quarantined.line_items or quarantined.fulfillments:
        yield (
            f"read {as_typed(folder / 'quarantine.csv')}: each bad row, why, and the remedy: a fallback "
            "(docs/fallbacks.md) or a corrected copy (docs/corrections.md)"
        )


def _because_of_findings(
    summary: Summary, config: Path | BucketAddress, folder: Path | BucketAddress
) -> Iterator[str]:
    found = summary.reconciliation
    if found.missing or found.different or found.duplicated or found.unexplained:
        trace = command_line("trace", config)
        yield (
            f"open {as_typed(folder / 'reconciliation.html')}: each difference with its cause; "
            f"{trace} ORDER tells one order's story"
        )
