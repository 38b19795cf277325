"""plan, upload, reconcile, run, retry: each runs a Dagster job for one batch and says what came of it."""

import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import polars as pl

from corso.delivery.batch_lock import Run
from corso.errors import CorsoError, LeaseHeld, LedgerInUse, SettingsError, Stopped, UsageError
from corso.extract.files import default_batch
from corso.report.results import problems_by_frequency
from corso.report.summary import Stage, Summary
from corso.report.verdict import judge
from corso.settings import Settings, check_batch_name, read_settings
from corso.stages.batch import Batch
from corso.stages.ending import close_unfinished_books, facts_written_at
from corso.stages.forecast import forecast
from corso.stages.guards import is_over_its_quarantine_limit
from corso.stages.metrics import write_metrics
from corso.stages.retrying import causes_to_retry
from pipelines.next_steps import after_batch, after_guard, after_stop
from pipelines.output import as_typed, keep_for_error, painted, say, say_json, say_next
from pipelines.running import run_job
from pipelines.screen import progress, say_corrections, say_fallbacks, say_moved, say_reasons, say_summary
from pipelines.until import parse_until
from schemas.filled_values import FallbackUse
from schemas.money import money_text


def plan(config: Path, batch_name: str | None, *, offline: bool, as_json: bool) -> int:
    """Run the plan; print it with a forecast, for which the API is asked for its quota unless `offline`."""
    batch = _batch(config, batch_name)
    summary = _run("plan_batch", batch, "plan")
    if as_json:
        facts = batch.read_facts()
        uses = [_as_facts(use) for use in facts.fallbacks_used]
        moved = [asdict(row) | {"amount": money_text(row.amount)} for row in facts.moved]
        told = {"fallbacks": uses, "moved": moved, "corrections": asdict(facts.corrections)}
        say_json({**summary.model_dump(mode="json"), **told})
        return summary.exit_code
    _say_facts(batch, summary, "plan")
    if summary.accepted.orders:
        say(forecast(batch, summary, datetime.now(UTC), offline=offline))
    say_next(*after_batch(summary, "plan", config, batch.place))
    return summary.exit_code


def upload(
    config: Path, batch_name: str | None, *, limit: int | None, until: str | None, yes: bool, as_json: bool
) -> int:
    """Run plan and upload; from `until` on nothing more is sent."""
    batch = _batch(config, batch_name)
    ends = _end(batch.settings, until)
    _confirm(batch.settings, yes=yes)
    return _say(batch, _run("upload_batch", batch, "upload", ends, limit=limit), "upload", as_json=as_json)


def reconcile(config: Path, batch_name: str | None, *, as_json: bool) -> int:
    """Read back and compare; a batch that was never planned is planned first."""
    batch = _batch(config, batch_name)
    batch.settings.credentials()
    if not batch.table("upload_plan").exists():
        _run("plan_batch", batch, "plan")
    return _say(batch, _run("reconcile_batch", batch, "reconcile"), "reconcile", as_json=as_json)


def run(
    config: Path,
    batch_name: str | None,
    *,
    until: str | None = None,
    yes: bool,
    as_json: bool,
    says_next: bool = True,
) -> int:
    """Run the whole road; from `until` on nothing more is sent or read."""
    batch = _batch(config, batch_name)
    ends = _end(batch.settings, until)
    _confirm(batch.settings, yes=yes)
    summary = _run("load_batch", batch, "reconcile", ends)
    return _say(batch, summary, "reconcile", as_json=as_json, says_next=says_next)


def retry(config: Path, batch_name: str | None, *, until: str | None, yes: bool, as_json: bool) -> int:
    """Run the whole road, with what was rejected planned again; say first what there is, by cause."""
    batch = _batch(config, batch_name)
    ends = _end(batch.settings, until)
    _confirm(batch.settings, yes=yes)
    if not as_json:
        for cause in causes_to_retry(batch):
            say(f"{cause.operations:,} {cause.state}, e.g. of order {cause.example}: {cause.said}")
    summary = _run("load_batch", batch, "reconcile", ends, retry_rejected=True)
    return _say(batch, summary, "reconcile", as_json=as_json)


def _batch(config: Path, name: str | None) -> Batch:
    settings = read_settings(config)
    return Batch(settings, check_batch_name(name) if name else default_batch(settings))


def _end(settings: Settings, until: str | None) -> datetime | None:
    """Return the moment at which the run has to be over. Raises SettingsError."""
    zone = ZoneInfo(settings.loader.store.time_zone)
    return parse_until(until, datetime.now(UTC), zone) if until is not None else None


def _confirm(settings: Settings, *, yes: bool) -> None:
    """Have the credentials at hand, and somebody's word for sending to production."""
    settings.credentials()
    settings.check_store_is_named()
    if settings.loader.corso.environment != "production" or yes:
        return
    if not sys.stdin.isatty():
        message = "environment is production: say --yes, since there is no terminal to ask on"
        raise SettingsError(message)
    # Not on standard output, which may be a program's.
    sys.stderr.write(f"Send orders of store {settings.loader.store.id} to production? Type yes: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() != "yes":
        message = "nothing was sent"
        raise SettingsError(message)


def _run(job: str, batch: Batch, stage: Stage, until: datetime | None = None, **upload: Any) -> Summary:
    """Run a job; where a guard, or its end, stops it, close the books on what is there, and raise."""
    facts_before = facts_written_at(batch)
    try:
        with progress() as watch:
            run_job(
                job,
                batch.settings,
                batch.name,
                watch,
                upload={k: v for k, v in upload.items() if v is not None},
                until=until,
            )
    except UsageError:
        raise
    except CorsoError as error:
        if isinstance(error, LedgerInUse | LeaseHeld) and _is_held_by_another(batch):
            # What is written there now is that loader's.
            raise
        summary = close_unfinished_books(batch, stage, error, facts_before, datetime.now(UTC))
        if summary is not None:
            with suppress(OSError, SettingsError):
                write_metrics(batch, datetime.now(UTC))
            facts = batch.read_facts()
            config = batch.settings.source
            is_guard = isinstance(error, Stopped) and is_over_its_quarantine_limit(batch)
            steps = after_guard(summary, config, batch.place) if is_guard else after_stop(error, config)
            keep_for_error(summary.model_dump(mode="json"), *steps)
            say_summary(summary, facts.quota)
            _say_reasons(batch, summary)
            say_corrections(batch.settings.loader.corrections, facts.corrections)
            if stage == "plan":
                say_fallbacks(facts.fallbacks_used)
        raise
    return Summary.read(batch.file("summary.json"))


def _is_held_by_another(batch: Batch) -> bool:
    try:
        with batch.lock().held(Run(uuid4().hex)):
            return False
    except (LedgerInUse, LeaseHeld):
        return True


def _as_facts(use: FallbackUse) -> dict[str, Any]:
    """Return a fallback's use as plain data; the number that counts, that of accepted orders, comes first."""
    return {
        "fallback": use.fallback,
        "values": use.values,
        "orders": use.orders,
        "values_of_all_rows": use.values_of_all_rows,
        "rules": [asdict(rule) for rule in use.rules],
    }


def _say(batch: Batch, summary: Summary, stage: Stage, *, as_json: bool, says_next: bool = True) -> int:
    if as_json:
        say_json(summary.model_dump(mode="json"))
    else:
        _say_facts(batch, summary, stage)
        if says_next:
            say_next(*after_batch(summary, stage, batch.settings.source, batch.place))
    return summary.exit_code


def _say_reasons(batch: Batch, summary: Summary) -> None:
    if summary.quarantined.total:
        say_reasons(problems_by_frequency(pl.scan_parquet(batch.table("quarantined_orders"), glob=False)))


def _say_facts(batch: Batch, summary: Summary, stage: Stage) -> None:
    """Print a batch's numbers, what its run noted, the verdict and where the report is."""
    facts = batch.read_facts()
    say_summary(summary, facts.quota)
    _say_reasons(batch, summary)
    say_corrections(batch.settings.loader.corrections, facts.corrections)
    if stage == "plan":
        say_fallbacks(facts.fallbacks_used)
        say_moved(facts.moved)
    say()
    for note in facts.upload_notes:
        say(note)
    compared = stage == "reconcile" and batch.file("reconciliation.parquet").exists()
    findings = pl.read_parquet(batch.file("reconciliation.parquet"), glob=False) if compared else None
    judged = judge(summary, findings, stage=stage)
    say(painted(judged.sentence, "yellow" if judged.level == "look" else "green"))
    say(f"Report: {as_typed(batch.place / 'reconciliation.html')}")
