"""What an operator plots: the measures of a batch, and the file that Prometheus's collector reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from corso.delivery.ledger import Ledger
from corso.errors import SettingsError
from corso.report.summary import OutcomeCounts, QuotaUse, Requests, Summary, TableCounts
from corso.stages.batch import Batch, Facts
from corso.stages.metrics import measures_of, oldest_unknown_s, orders_per_second, write_metrics
from tests.export_factories import loader_settings
from tests.fake_corso import operation

NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """A batch of 10 orders, one of them unknown; a quarter of the quota was used, half of it by others."""
    batch = Batch(loader_settings(tmp_path, "orders: o.csv"), "2026-11-26")
    requests = Requests(sent=40, throttled=2, retried=1, seconds=4.0, quota_share=0.25)
    batch.write_facts(Facts(requests=requests, quota=QuotaUse(quota=100, used=25, foreign=50)))
    Summary(
        store_id=9359,
        batch=batch.name,
        source=TableCounts(orders=10),
        accepted=TableCounts(orders=10),
        outcome=OutcomeCounts(created=6, updated=2, unknown=2),
        requests=requests,
    ).write(batch.folder / "summary.json")
    pl.DataFrame({"cause": ["unknown", "unknown", "foreign"], "age_days": [0, 3, None]}).write_parquet(
        batch.folder / "reconciliation.parquet"
    )
    with Ledger.open(batch.settings.ledger, 9359) as ledger:
        ledger.plan([operation(1)], batch.name)
    return batch


def samples(path: Path | None) -> dict[str, float]:
    """Return the file's samples, by name and labels."""
    assert path is not None
    families = text_string_to_metric_families(path.read_text(encoding="utf-8"))
    return {
        " ".join([each.name, *(f"{key}={value}" for key, value in sorted(each.labels.items()))]): each.value
        for family in families
        for each in family.samples
    }


def test_the_file_is_one_that_prometheus_reads(batch: Batch, tmp_path: Path) -> None:
    """One a store, written anew after each run: a collector never meets half of it."""
    folder = tmp_path / "metrics"
    path = write_metrics(batch, NOW, {"CORSO_METRICS_DIR": str(folder)})
    assert path == folder / "corso_loader_9359.prom"
    found = samples(path)
    wanted = {
        "corso_loader_orders outcome=created store=9359": 6,
        "corso_loader_orders outcome=unknown store=9359": 2,
        "corso_loader_orders outcome=rejected store=9359": 0,
        "corso_loader_orders_per_second store=9359": 2,
        "corso_loader_requests_throttled store=9359": 2,
        "corso_loader_quota_share store=9359 user=loader": 0.25,
        "corso_loader_quota_share store=9359 user=others": 0.5,
        "corso_loader_findings cause=unknown store=9359": 2,
        "corso_loader_findings cause=duplicate store=9359": 0,
        "corso_loader_oldest_finding_days store=9359": 3,
        "corso_loader_ledger_entries state=planned store=9359 subject=order": 1,
        "corso_loader_last_run_timestamp_seconds store=9359": NOW.timestamp(),
    }
    assert {name: found.get(name) for name in wanted} == wanted
    assert [each.name for each in folder.iterdir()] == [path.name]


def test_nothing_is_written_where_nobody_asked_or_nothing_is_known(batch: Batch, tmp_path: Path) -> None:
    """A batch that was stopped before it had books has no numbers."""
    assert write_metrics(batch, NOW, {}) is None
    unknown = Batch(batch.settings, "2026-11-27")
    assert write_metrics(unknown, NOW, {"CORSO_METRICS_DIR": str(tmp_path / "m")}) is None
    assert not (tmp_path / "m").exists()


def test_without_the_extra_it_says_what_to_install(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sentence."""
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    with pytest.raises(SettingsError, match=r"pip install 'corso-loader\[metrics\]'"):
        write_metrics(batch, NOW, {"CORSO_METRICS_DIR": "x"})


def test_the_oldest_unknown_outcome_has_an_age(batch: Batch) -> None:
    """It counts from when it was sent first."""
    assert oldest_unknown_s(batch, NOW) == 0
    with Ledger.open(batch.settings.ledger, 9359) as ledger:
        ledger.start([operation(1)])
        sent = next(iter(ledger.entries())).first_sent_at
    assert sent is not None
    assert oldest_unknown_s(batch, sent + timedelta(hours=2)) == 7200


def test_no_time_means_no_rate(batch: Batch) -> None:
    """A batch that had nothing to ask divides by nothing."""
    assert orders_per_second(Summary(store_id=1, batch="x")) == 0
    assert {measure.name for measure in measures_of(batch, NOW)} >= {"exit_code", "oldest_unknown_seconds"}
