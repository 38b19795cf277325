"""What an operator plots of a store: read from what a batch left behind, for Dagster's metadata and for Prometheus.

Prometheus gets a text file a store, for node-exporter's textfile collector: a batch job has ended before anybody could
scrape it, and a push gateway is one more server to run. CORSO_METRICS_DIR names the folder; prometheus_client (the extra
`metrics`) writes it, at once or not at all.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from corso.delivery.ledger import Ledger
from corso.delivery.states import State
from corso.errors import SettingsError
from corso.report.summary import Summary
from corso.stages.batch import Batch
from schemas.reconciliation import CAUSES

VARIABLE = "CORSO_METRICS_DIR"


@dataclass(frozen=True)
class Measure:
    """One number; `labels` tell it from others of its name."""

    name: str
    """Prometheus's name without the prefix `corso_loader_`; it ends with the unit."""
    value: float
    help: str
    labels: tuple[tuple[str, str], ...] = ()


def measures_of(batch: Batch, now: datetime) -> Iterator[Measure]:
    """Yield the measures of a store after one of its batches, however far that one came."""
    summary_path = batch.file("summary.json")
    if not summary_path.exists():
        return
    summary, facts = Summary.read(summary_path), batch.read_facts()
    yield Measure("last_run_timestamp_seconds", now.timestamp(), "When the last run of the store ended.")
    yield Measure("exit_code", summary.exit_code, "Of the last run: 0 all is well, 75 parked.")
    for name, count in summary.outcome:
        yield Measure(
            "orders", count, "Accepted orders of the last batch by how they ended.", (("outcome", name),)
        )
    for name, count in summary.fulfillments:
        yield Measure(
            "fulfillments",
            count,
            "Accepted fulfillments of the last batch by how they ended.",
            (("outcome", name),),
        )
    yield Measure(
        "quarantined_orders", summary.quarantined.orders, "Orders of the last batch that are not loaded."
    )
    requests, quota = summary.requests, facts.quota
    yield Measure("requests", requests.sent, "Requests of the last batch.")
    yield Measure("requests_throttled", requests.throttled, "Answers with status 429 in the last batch.")
    yield Measure("requests_retried", requests.retried, "Reads that were tried again in the last batch.")
    yield Measure(
        "asking_seconds", requests.seconds, "Seconds in which the API was asked for the last batch."
    )
    yield Measure(
        "orders_per_second", orders_per_second(summary), "Orders that Corso took, by seconds of asking."
    )
    if quota.used_share is not None and quota.foreign_share is not None:
        for user, share in (("loader", quota.used_share), ("others", quota.foreign_share)):
            yield Measure("quota_share", share, "Part of the API's quota that was used.", (("user", user),))
    yield from _of_ledger(batch, now)
    yield from _of_findings(batch)


def orders_per_second(summary: Summary) -> float:
    """Return how many orders Corso took a second, over the time in which it was asked for anything."""
    taken = summary.outcome.created + summary.outcome.updated + summary.outcome.cancelled
    return round(taken / summary.requests.seconds, 3) if summary.requests.seconds else 0.0


def oldest_unknown_s(batch: Batch, now: datetime) -> float:
    """Return for how long the outcome of an operation of the store has been unknown, of the oldest; 0 where none is."""
    settings = batch.settings
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        unknown = ledger.entries(states=[State.UNKNOWN, State.SENDING])
        since = [entry.first_sent_at or entry.updated_at for entry in unknown]
    return max(0.0, (now - min(since)).total_seconds()) if since else 0.0


def write_metrics(batch: Batch, now: datetime, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Write the store's file, where CORSO_METRICS_DIR names a folder; return its path.

    Raises SettingsError where the extra is not installed, and OSError.
    """
    folder = environment.get(VARIABLE, "")
    measures = list(measures_of(batch, now)) if folder else []
    if not measures:
        return None
    try:
        from prometheus_client import CollectorRegistry, Gauge, write_to_textfile  # noqa: PLC0415  (an extra)
    except ImportError:
        message = f"{VARIABLE} is set, but metrics need the extra: pip install 'corso-loader[metrics]'"
        raise SettingsError(message) from None
    registry, gauges = CollectorRegistry(), dict[str, Gauge]()
    store = str(batch.settings.loader.store.id)
    for measure in measures:
        labels = {"store": store, **dict(measure.labels)}
        if measure.name not in gauges:
            gauges[measure.name] = Gauge(
                f"corso_loader_{measure.name}", measure.help, list(labels), registry=registry
            )
        gauges[measure.name].labels(**labels).set(measure.value)
    path = Path(folder) / f"corso_loader_{store}.prom"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)
    return path


def _of_ledger(batch: Batch, now: datetime) -> Iterator[Measure]:
    settings = batch.settings
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        counts = ledger.counts()
    for subject in ("order", "fulfillment"):
        for state in State:
            labels = (("subject", subject), ("state", state.value))
            yield Measure(
                "ledger_entries", counts.get((subject, state), 0), "The store's ledger by state.", labels
            )
    yield Measure(
        "oldest_unknown_seconds", oldest_unknown_s(batch, now), "Age of the oldest unknown outcome."
    )


def _of_findings(batch: Batch) -> Iterator[Measure]:
    path = batch.file("reconciliation.parquet")
    if not path.exists():
        return
    findings = pl.scan_parquet(path, glob=False)
    counts = dict(findings.group_by("cause").len().collect().iter_rows())
    for cause in CAUSES:
        # Every cause, also those that did not come up: a plot needs its zeros.
        yield Measure(
            "findings", counts.get(cause, 0), "Findings of the last comparison by cause.", (("cause", cause),)
        )
    if "age_days" in findings.collect_schema():
        oldest = findings.select(pl.col("age_days").max().fill_null(0)).collect().item()
        yield Measure("oldest_finding_days", oldest, "Age of the oldest finding that is still open.")
